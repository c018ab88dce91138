"""The page of the workload `holding`: memory and descriptors per worker, and limits. Open `page.py` first."""
