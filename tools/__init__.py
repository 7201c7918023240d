"""Programs that the Makefile calls. One that is interrupted says so, and prints no traceback."""
import sys
from types import TracebackType


def report(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    """Report the exception that ends a program, instead of Python's own hook."""
    if issubclass(kind, KeyboardInterrupt):
        sys.stderr.write("interrupted\n")
    else:
        sys.__excepthook__(kind, error, where)


sys.excepthook = report
