"""What a personal model says about the consent of the person in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOT_STATED = "not stated"


def consent_of(meta: Mapping[str, Any]) -> str | None:
    """The recorded statement of a personal model (stage 2), ``NOT_STATED`` where there is none; None for other models."""
    if meta.get("stage") != 2:
        return None
    # The file may come from anywhere: one line, and nothing that steers a terminal.
    words = "".join(letter if letter.isprintable() else " " for letter in str(meta.get("consent") or NOT_STATED))
    return " ".join(words.split())


def consent_line(meta: Mapping[str, Any]) -> str:
    """A sentence to show when a personal model is loaded; empty for other models."""
    words = consent_of(meta)
    if words is None:
        return ""
    if words == NOT_STATED:
        return "personal model; NO consent of the person in it was stated, so ask before you show or share what it draws."
    return f"personal model; consent of the person in it: {words}"
