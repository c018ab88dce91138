"""This machine: its CPUs and memory, its Python interpreters, its kernel's tracing files. Open `machine.py` first."""
