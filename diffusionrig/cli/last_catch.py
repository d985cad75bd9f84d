"""The last catch of every command: what nobody foresaw still ends in one sentence that names the path, never in a traceback."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from types import TracebackType

from diffusionrig.io.paths import reason
from diffusionrig.shown import one_line

TRACEBACK = "DIFFUSIONRIG_TRACEBACK"
"""Set this variable of the environment to anything to see where an unforeseen error came from, and
what lies behind a sentence on a damaged file."""

_PACKAGE = str(Path(__file__).resolve().parent.parent)


def sentence_of(error: Exception) -> str:
    """One sentence: what failed, at which path where one is known, and what to do."""
    place = _path_in(error)
    at = f" at {place}" if place else ""
    if isinstance(error, OSError):
        return f"The system refused the work{at}: {reason(error)}."
    if isinstance(error, MemoryError):
        return f"There is not enough memory{at} ({one_line(error) or 'no more is said'}); give less at once, or smaller sizes."
    if isinstance(error, RecursionError):
        return f"Something is nested too deeply{at}; check the input."
    if isinstance(error, UnicodeError):
        return f"A name or text cannot be written with the letters of this system{at} ({error}); set LC_ALL=C.UTF-8 or rename it."
    if isinstance(error, OverflowError):
        return f"A number is too large to work with{at} ({error}); check the input."
    where = _own_line(error.__traceback__)
    return (f"A fault of this program{at}: {type(error).__name__} in {where} ({error}); report it with the command line, "
            f"{TRACEBACK}=1 shows more.")


def show_traceback() -> bool:
    """Whether the user asked for tracebacks."""
    return bool(os.environ.get(TRACEBACK))


def show_cause(error: BaseException) -> None:
    """For the user who asked for tracebacks: where the error lies that ``error`` speaks of in one sentence, when there is one."""
    if error.__cause__ is not None and show_traceback():
        traceback.print_exception(error.__cause__)


def _path_in(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return str(error.filename) if not isinstance(error.filename, bytes) else os.fsdecode(error.filename)
    # The innermost of our functions that works on a path has it as a variable.
    found, trace = "", error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code.co_filename.startswith(_PACKAGE):
            paths = [value for value in frame.f_locals.values() if isinstance(value, Path)]
            found = str(paths[-1]) if paths else found
        trace = trace.tb_next
    return found


def _own_line(trace: TracebackType | None) -> str:
    place = "the program"
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name.startswith(_PACKAGE):
            place = f"{os.path.relpath(name, _PACKAGE)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def flush_or_silence() -> OSError | None:
    """Write out what was printed; the error when that fails (a full disk, a reader that is gone), after which nothing more is
    written at the end of the program, where Python would report it once again."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        silence()
        return error
    return None


def silence() -> None:
    """Standard output goes nowhere from here on."""
    empty = os.open(os.devnull, os.O_WRONLY)
    os.dup2(empty, sys.stdout.fileno())
    os.close(empty)
