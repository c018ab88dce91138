"""WHAT is measured: one file per reference workload, each ending in WORKLOAD = Workload(...).

Workloads import the standard library and `tracekit.workload`, nothing else.
"""
