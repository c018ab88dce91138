"""Sections that more than one page shows: the GIL, contention attribution, wait sites, methods side by side."""
