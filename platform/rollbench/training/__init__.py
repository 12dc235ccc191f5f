"""Training on bare torch, one worker or many. The engine calls it under Ray Train."""
