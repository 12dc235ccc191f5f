"""The mathematics; torch only."""
