"""Measures of how alike two sets of films are: FVD, FSD, spectra, pixel errors, each with its uncertainty.

Stands alone (numpy, scipy, torch): usable on any two sets of clips, without the rest of this repository.
"""
