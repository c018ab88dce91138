"""The page of the workload `footprint`: memory and descriptors per worker, and limits. Open `page.py` first."""
