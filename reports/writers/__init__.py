"""The forms of a report: Markdown, LaTeX, HTML, JSON."""
