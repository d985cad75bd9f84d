"""What a page may say, and what is done about it."""

from __future__ import annotations

import json
from typing import Any

from diffusionrig.editing.presets import preset_from
from diffusionrig.errors import RigError, UsageError
from diffusionrig.studio.outbox import Outbox
from diffusionrig.studio.session import Session


async def obey(session: Session, page: Outbox, text: str) -> None:
    """Act on one message; an error is told to the ``page`` that sent it, beside what caused it."""
    where = "edit"
    try:
        message = json.loads(text)
        if not isinstance(message, dict):
            raise UsageError("A message must be a JSON object.")
        where = str(message.get("where", "edit"))[:20]
        await _act(session, message)
    except RigError as error:
        page.tell({"type": "error", "where": where, "text": str(error)})
    except (ValueError, RecursionError):
        page.tell({"type": "error", "where": where, "text": "A message was not valid JSON."})


async def receive(session: Session, page: Outbox, data: bytes) -> None:
    """Take a binary message; an error is told to the ``page`` that sent it, beside the camera."""
    try:
        if session.receiver is None:
            raise UsageError("There is nothing that takes binary messages.")
        await session.receiver.receive(page, data)
    except RigError as error:
        page.tell({"type": "error", "where": "camera", "text": str(error)})


async def _act(session: Session, message: dict[str, Any]) -> None:
    match message.get("type"):
        case "edit":
            session.edit(preset_from(message.get("preset"), "the edit"), _whole(message, "n"))
        case "draw":
            session.drawings.offer(_whole(message, "n"))
        case "cancel":
            session.cancel()
        case "settle":
            session.settle()
        case "undo":
            session.step(-1)
        case "redo":
            session.step(1)
        case "step":
            session.go_to(_whole(message, "number"))
        case "face":
            await session.face(_whole(message, "number"))
        case "no_second":
            session.no_second()
        case "seed":
            session.reseed(_whole(message, "seed"))
        case "look":
            session.look(str(message.get("inset")))
        case other:
            for panel in session.panels:
                if await panel.obey(message):
                    return
            raise UsageError(f"There is no message {str(other)[:40]!r}.")


def _whole(message: dict[str, Any], key: str) -> int:
    value = message.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise UsageError(f"{key} must be a whole number from 0 on.")
    return value
