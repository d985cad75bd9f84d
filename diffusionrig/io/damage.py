"""Damaged files, in one place: whatever a parser, ours or another's, makes of them becomes one sentence."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.paths import reason

DAMAGE = Exception
"""What reading a damaged file may raise. No list is complete: parsers index beyond tables, divide by a width of zero, add None to
numbers, run out of stack or memory, and each library has errors of its own that share no base. RigError, which is ours, is let
through; what ends a program (KeyboardInterrupt) is no Exception. Whoever catches it calls ``raise_faults`` first."""

_PACKAGE = str(Path(__file__).resolve().parent.parent) + os.sep
_NEVER_OF_A_FILE = (NameError, AssertionError, ImportError, NotImplementedError)
_WRONG_CALL = re.compile(r"\(\) (missing \d|takes |got (an unexpected|multiple values|some positional))|required positional")

_MOST_VALUES = 3_000_000
"""Values in a JSON text: as Python's objects they take up to 100 bytes each."""


def raise_faults(error: Exception) -> None:
    """Raise ``error`` again when it is a fault of this program, whatever the file holds: one of a name, an import, an assertion, a
    call's arguments, or an attribute of a module or of ``self``, raised by a line of ours. Any other may come from the file."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or not trace.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        return
    wrong_call = isinstance(error, TypeError) and _WRONG_CALL.search(str(error)) is not None
    # What a file gave in place of something else has no such attribute either, but is no module and seldom ``self``.
    wrong_name = isinstance(error, AttributeError) and (
        isinstance(error.obj, ModuleType) or (error.obj is not None and error.obj is trace.tb_frame.f_locals.get("self")))
    if isinstance(error, _NEVER_OF_A_FILE) or wrong_call or wrong_name:
        raise error


def short_reason(error: BaseException) -> str:
    """The first sentence of an error's text, for use within a sentence of ours; libraries tend to add whole pages."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "it asks for more memory than there is"
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].split(". ")[0].rstrip(".")[:200]


@contextlib.contextmanager
def reading(file: str | Path, kind: str = "is damaged or cut off", advice: str = "copy it again",
            error_type: type[RigError] = RigError) -> Iterator[None]:
    """Within the ``with`` block ``file`` is read: whatever fails is an ``error_type``, "FILE KIND (reason); ADVICE."; an error of
    the system names itself and its own advice; ours pass."""
    try:
        yield
    except RigError:
        raise
    except FileNotFoundError as error:
        raise UsageError(f"There is no file at {file}; check the path.") from error
    except OSError as error:
        # Libraries raise OSError for damage, too, then without a number of the system's.
        if error.errno is not None and error.strerror and error.errno < 200 and type(error).__module__ == "builtins":
            raise RigError(f"{file} cannot be read: {reason(error)}.") from error
        raise error_type(f"{file} {kind} ({short_reason(error)}); {advice}.") from error
    except DAMAGE as error:
        raise_faults(error)
        raise error_type(f"{file} {kind} ({short_reason(error)}); {advice}.") from error


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text; ValueError, and nothing else, for a text that is none, is nested too deeply or holds millions of
    values."""
    marks = [text.count(mark) for mark in (b",", b"[", b"{")] if isinstance(text, bytes) else [text.count(mark) for mark in ",[{"]
    if sum(marks) > _MOST_VALUES:
        raise ValueError("it holds too many values")
    try:
        return json.loads(text)
    except (RecursionError, MemoryError) as error:
        raise ValueError(short_reason(error)) from error


def parse_json_object(text: str | bytes) -> dict[str, Any]:
    """``parse_json`` of an object; ValueError for any other value too."""
    value = parse_json(text)
    if not isinstance(value, dict):
        raise ValueError(f"it holds {type(value).__name__} where an object is needed")
    return value
