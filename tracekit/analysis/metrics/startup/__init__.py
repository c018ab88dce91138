"""What starting and ending workers costs: in total (spawn.py), and stage by stage (stages.py)."""
