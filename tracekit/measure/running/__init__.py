"""From a plan or a command to sealed bundles.

`suite_runner.py` makes the runs of a suite, `program_recorder.py` records any program. Both launch through `process`
and seal through `manifest.py`.
"""
