"""The hall between the wings: the sealed folder of a run, its spec, the names and layouts of its files.

The measuring wing writes what is described here, the analysis reads it. `store.py` has the folders, `spec.py` what a
run was requested to be, the other files one binary format each. Standard library only.
"""
