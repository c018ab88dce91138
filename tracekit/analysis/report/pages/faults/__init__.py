"""The page of the workload `crash`: the fault matrix. Open `page.py` first."""
