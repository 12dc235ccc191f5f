"""Tables, figures and pages made from results, and the paper's published numbers as data. No torch, no ray.

A number is printed only with what made it (its replicates, its keys, its commit); see `reports.cells`. The entry is
`reports.render.render`.
"""
