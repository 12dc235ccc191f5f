"""The flow solver: Kolmogorov flow on the periodic square [0, 2 pi)^2.

`flow` integrates the vorticity equation, `initial` draws the first field, `frames` turns a flow into frames of face means
and back into vorticity, `checks` stops a bad run by name.
"""
