"""The graph of stages behind a table, what each reads and measures, and what it will cost. No Ray."""
