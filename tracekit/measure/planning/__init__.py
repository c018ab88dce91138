"""From what was asked for to the list of runs: request -> plan. Open `request.py`, then `plan.py`."""
