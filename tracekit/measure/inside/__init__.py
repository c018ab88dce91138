"""What runs inside the measured process: standard library only, CPython 3.9 and newer.

Open `measured.py`, its main module, first.
"""
