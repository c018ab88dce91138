"""The page of the workload `ipc`: round trips, throughput and pickling. Open `page.py` first."""
