"""Starting a process, watching it, and ending all that it leaves. Open `launch.py` first."""
