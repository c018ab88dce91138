"""The page that compares models: walls, speed-ups, what-if. `build.py` starts it."""
