"""Figures that more than one page shows, and the style of all figures. `figure(...)` of a file makes a FigureView."""
