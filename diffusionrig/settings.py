"""Dataclasses of settings: every field has a default and a sentence of help; built from plain dicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from diffusionrig.errors import UsageError

Settings = TypeVar("Settings")


def setting(default: Any, help: str) -> Any:
    """A dataclass field with its default and the sentence that ``--help`` shows."""
    return dataclasses.field(default=default, metadata={"help": help})


def from_mapping(kind: type[Settings], values: Mapping[str, Any], source: str) -> Settings:
    """Build the settings dataclass ``kind`` from ``values``; absent keys keep their defaults.

    ``source`` says where the values come from, for the errors: unknown keys and values of the wrong type are named by
    :class:`UsageError`.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise UsageError(f"{source} has settings that {kind.__name__} does not know: {', '.join(unknown)}; "
                         f"it knows {', '.join(fields)}")
    clean = {}
    for name, value in values.items():
        wanted = type(fields[name].default)
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not wanted:
            raise UsageError(f"{source}: {name} must be of type {wanted.__name__}, not {value!r}")
        clean[name] = value
    return kind(**clean)
