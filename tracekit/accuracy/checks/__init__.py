"""The comparisons: each module takes what was seen of a run and gives rows. Nothing here measures."""
