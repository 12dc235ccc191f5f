"""Data sets that are read from files: videos, records, fields."""
