"""From finished stages to a report: the tidy frame of results, its figures, its pages."""
