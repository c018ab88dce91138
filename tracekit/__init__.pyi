from tracekit.marking import mark as mark

__version__: str
