"""The page of a recorded program: its processes, threads and waits. Open `page.py` first."""
