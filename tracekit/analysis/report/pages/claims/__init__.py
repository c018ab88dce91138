"""The page of the claims about threads and processes. Open `page.py` first."""
