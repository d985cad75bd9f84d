"""Parts of the page with addresses and messages of their own, and where they are registered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from starlette.routing import BaseRoute

from diffusionrig.studio.outbox import Outbox


class Panel(Protocol):
    """One such part; all of it is called within the event loop. Its errors are RigError and UsageError."""

    def routes(self, most_upload: int) -> Sequence[BaseRoute]:
        """Its addresses below the token; of a file it takes ``most_upload`` bytes."""

    def whole(self) -> Sequence[dict[str, Any]]:
        """What a page that opens is told, besides the state of the studio."""

    async def obey(self, message: dict[str, Any]) -> bool:
        """Act on a page's message if its ``type`` is one of this panel's; whether it was."""

    async def shut(self) -> None:
        """End what it has begun: the studio ends."""


class Receiver(Panel, Protocol):
    """The one that takes binary messages."""

    async def receive(self, page: Outbox, data: bytes) -> None:
        """One of a ``page``."""

    def left(self, page: Outbox) -> None:
        """A page has gone."""
