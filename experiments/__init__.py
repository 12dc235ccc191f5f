"""The paper's tables as values: each file states one table and reads like it. `python experiments/<table>.py` makes it."""
