"""Rollbench: which way of generating a long sequence of frames is better, at equal cost, and how sure are we?"""
