"""The page of the workload `start-stop`: what a worker costs, stage by stage. Open `page.py` first."""
