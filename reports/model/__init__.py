"""What a report states, before it has a form: cells, intervals, claims, verdicts."""
