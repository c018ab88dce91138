"""The pictures, one per file. Each file has `figure(...)`, which gives a FigureView or the reason there is none."""
