"""tracekit: what threads and what processes cost, measured.

Every measured child process imports this file, so it stays empty of imports. It works on Python 3.8.
"""

__version__ = "0.1.0"

# A name that type checkers take for true: they see `mark` without the import of typing.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from tracekit.core.marking import mark as mark


def __getattr__(name: str) -> object:
    """`tracekit.mark`, which is loaded when a program asks for it: a worker that does not must not pay for it."""
    if name == "mark":
        from tracekit.core.marking import mark  # noqa: PLC0415

        globals()[name] = mark
        return mark
    raise AttributeError(f"module 'tracekit' has no attribute {name!r}")
