"""Which runs are repeats of one cell, and what a cell is compared by: wall, speed-up, CPU time, memory, ..."""
