"""Lines of text in and out, through standard streams or one connection to a socket."""

from __future__ import annotations

import contextlib
import io
import socket
import sys
from collections.abc import Callable, Iterable, Iterator

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.paths import reason

Lines = tuple[Iterable[str], Callable[[str], None]]
"""Lines as they come, and what writes one (without its line break) at once."""

LONGEST = 1 << 20
"""Characters of a line; more than any frame needs."""


def standard_lines() -> Lines:
    """Standard input and output; input that is no text in their encoding is shown as such, not refused."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    return _bounded(iter(lambda: sys.stdin.readline(LONGEST), "")), lambda line: print(line, flush=True)


@contextlib.contextmanager
def socket_lines(place: str, ready: Callable[[str], None]) -> Iterator[Lines]:
    """One connection to ``place`` (HOST:PORT; port 0 takes a free one), UTF-8 both ways; ``ready`` is told where to connect.

    UsageError when the place cannot be had, RigError when the other side breaks off while it is written to.
    """
    host, colon, port = place.rpartition(":")
    # Other digits than 0 to 9 count as digits, too, and some of them as no number.
    if not colon or not (port.isascii() and port.isdigit() and len(port) < 6 and int(port) <= 65535):
        raise UsageError(f"{place!r} is no place to listen at; write HOST:PORT, such as 127.0.0.1:6000.")
    try:
        server = socket.create_server((host or "127.0.0.1", int(port)))
    except (OSError, UnicodeError) as error:
        raise UsageError(f"Cannot listen at {place}: {reason(error)}.") from None
    with server:
        ready("{}:{}".format(*server.getsockname()[:2]))
        connection, _ = server.accept()
        with connection, connection.makefile("r", encoding="utf-8", errors="replace") as reader:
            def write(line: str) -> None:
                try:
                    connection.sendall(line.encode() + b"\n")
                except OSError as error:
                    raise _gone(error) from None

            def read() -> str:
                try:
                    return reader.readline(LONGEST)
                except OSError as error:
                    raise _gone(error) from None

            yield _bounded(iter(read, "")), write


def _gone(error: OSError) -> RigError:
    return RigError(f"The other side of the connection is gone ({error.strerror or error}).")


def _bounded(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if len(line) >= LONGEST:
            raise UsageError(f"A line of the input has {LONGEST} characters or more; end every frame by a line break.")
        yield line
