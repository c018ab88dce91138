"""The checks: each function takes a WatchedRun and returns comparisons. Nothing here measures."""
