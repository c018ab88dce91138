"""From a request to the list of runs: request -> resolved request -> plan. Open `request.py`, then `plan.py`."""
