"""What goes out to a page: messages in order, and of pictures of one kind the latest alone."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Sequence
from typing import Any

from starlette.websockets import WebSocket

MOST_MESSAGES = 200
"""Messages that wait for a page which does not read; then it is let go, and has the whole state when it comes back."""


def framed(header: dict[str, Any], parts: Sequence[bytes]) -> bytes:
    """A binary message: the header's length (4 bytes, little-endian), the header as JSON with the ``sizes`` of the parts, parts."""
    head = json.dumps({**header, "sizes": [len(part) for part in parts]}).encode()
    return b"".join([struct.pack("<I", len(head)), head, *parts])


def unframed(message: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """What ``framed`` joined."""
    (length,) = struct.unpack_from("<I", message)
    header, place, parts = json.loads(message[4:4 + length]), 4 + length, []
    for size in header["sizes"]:
        parts.append(message[place:place + size])
        place += size
    return header, parts


class Outbox:
    """The messages of one open page. A page that reads slowly misses pictures, and delays nobody."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._waiting: dict[int | str, str | bytes] = {}
        self._told = 0
        self._filled = asyncio.Event()
        self.overfull = False

    def tell(self, message: dict[str, Any]) -> None:
        """Queue a JSON message."""
        self._told += 1
        self._waiting[self._told] = json.dumps(message)
        self.overfull = self.overfull or len(self._waiting) > MOST_MESSAGES
        self._filled.set()

    def show(self, kind: str, frame: bytes) -> None:
        """Queue a picture, instead of one of its kind that has not gone yet."""
        self._waiting.pop(kind, None)
        self._waiting[kind] = frame
        self._filled.set()

    async def deliver(self) -> None:
        """Send what comes, until the page reads no more."""
        while not self.overfull:
            await self._filled.wait()
            self._filled.clear()
            while self._waiting and not self.overfull:
                message = self._waiting.pop(next(iter(self._waiting)))
                if isinstance(message, str):
                    await self._socket.send_text(message)
                else:
                    await self._socket.send_bytes(message)
