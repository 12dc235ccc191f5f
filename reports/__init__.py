"""Tables, figures and pages from results, and the paper's published numbers as data. Imports neither torch nor ray.

A number is printed only with its replicates, keys and commit; see `reports.model.cells`. The entry is
`reports.render.render`.
"""
