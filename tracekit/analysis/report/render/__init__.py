"""Renderers: each takes a view and writes it in one format. They know views only, never tables."""
