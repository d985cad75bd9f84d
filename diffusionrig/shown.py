"""Text as it may be shown: names of files and words out of strangers' files cannot steer the terminal, whatever they hold."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

LONGEST = 2000
"""Characters of one sentence; what is longer repeats somebody's file."""

# Controls, marks that turn the direction of writing, what is invisible, other line breaks, and halves of letters: the bytes of a
# name that are no text come as such halves.
_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb]")
_KEPT_IN_TEXT = "\n\t"


def one_line(text: object) -> str:
    """``text`` on one line: what is unseen, or would move the cursor, is spelt (``\\x1b``, ``\\n``); cut where it is endless."""
    line = _HIDDEN.sub(_spelt, str(text))
    return line if len(line) <= LONGEST else f"{line[:LONGEST // 2]} ... {line[-LONGEST // 2:]}"


def _spelt(found: re.Match[str]) -> str:
    number = ord(found[0])
    if found[0] in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[found[0]]
    # A byte that is no text: Python keeps it as 0xdc00 and the byte.
    number -= 0xDC00 if 0xDC80 <= number <= 0xDCFF else 0
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def _text(found: re.Match[str]) -> str:
    return found[0] if found[0] in _KEPT_IN_TEXT else _spelt(found)


class Guarded:
    """A text stream that shows everything written to it as it may be shown; line breaks stay, letters that the stream's encoding
    lacks are spelt. ``bare`` is the stream behind it."""

    def __init__(self, stream: TextIO) -> None:
        self.bare = stream

    def write(self, text: str) -> int:
        shown, encoding = _HIDDEN.sub(_text, text), getattr(self.bare, "encoding", None) or "utf-8"
        self.bare.write(shown if shown.isascii() else shown.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bare, name)


@contextlib.contextmanager
def guarded_streams() -> Iterator[None]:
    """Within the ``with`` block, whatever is printed goes through ``Guarded``."""
    out, err = sys.stdout, sys.stderr
    try:
        sys.stdout, sys.stderr = _guarded(out), _guarded(err)
        yield
    finally:
        sys.stdout, sys.stderr = out, err


def _guarded(stream: TextIO) -> TextIO:
    # There is no stream at all in a program that was started with it closed.
    return stream if stream is None or isinstance(stream, Guarded) else cast(TextIO, Guarded(stream))


def bare(stream: TextIO) -> TextIO:
    """The stream itself, for what must move the cursor: a progress bar."""
    return stream.bare if isinstance(stream, Guarded) else stream


def some_lines(lines: list[str], most: int = 20, where: str = "") -> list[str]:
    """Each of ``lines`` as ``one_line``, the first ``most``, and a line that counts the others and says ``where`` they are."""
    shown = [one_line(line) for line in lines[:most]]
    return shown + ([f"... and {len(lines) - most} more{f', see {where}' if where else ''}"] if len(lines) > most else [])
