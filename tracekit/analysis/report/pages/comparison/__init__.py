"""The page that compares models: walls, speed-ups, what-if. Open `page.py` first."""
