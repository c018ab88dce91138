"""From a plan or a command to sealed bundles.

`suite_runner.py` makes the runs of a suite, `program_recorder.py` records any program. They differ in what is started
and in whose terminal. All else is in `captured_run.py`, the file to open first: the process under its captures, judging
how it ended, collecting what the captures saw, and the manifest.
"""
