"""tracekit: what threads and what processes cost, measured.

Every measured child process imports this file, so it stays empty of imports.
"""

__version__ = "0.1.0"
