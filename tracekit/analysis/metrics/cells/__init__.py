"""Which runs are repeats of one cell, and the metrics that cells are compared by: wall, speed-up, CPU time, memory."""
