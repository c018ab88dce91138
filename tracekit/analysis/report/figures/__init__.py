"""The figures, one per file: each has `figure(...)`, which gives a FigureView or says why there is none."""
