"""A dataclass of settings as command-line flags: one per field, with the field's default and help."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_type_hints

from diffusionrig.cli.arguments import boolean
from diffusionrig.settings import from_mapping

Config = TypeVar("Config")

_READERS: dict[type, Callable[[str], Any]] = {bool: boolean, int: int, float: float, str: str}
_WORDS = {bool: "BOOL", int: "N", float: "X", str: "TEXT"}


def add_dataclass_arguments(parser: argparse.ArgumentParser, cls: type, title: str | None = None) -> None:
    """Add ``--name value`` for every field of the dataclass ``cls`` (fields of type bool, int, float or str).

    A field's metadata may hold ``help``. A flag that is not given leaves no attribute in the namespace, so that
    ``from_arguments`` can tell a value that was typed from a default. Booleans need a value.
    """
    group = parser.add_argument_group(title) if title else parser
    kinds = get_type_hints(cls)
    for field in dataclasses.fields(cls):
        kind = kinds[field.name]
        if kind not in _READERS:
            raise TypeError(f"{cls.__name__}.{field.name} is {kind}; flags are bool, int, float or str")
        default = repr(field.default) if isinstance(field.default, str) else field.default
        text = f"{field.metadata.get('help', '')} (default {default})".strip().replace("%", "%%")
        group.add_argument(f"--{field.name}", type=_READERS[kind], default=argparse.SUPPRESS, help=text, metavar=_WORDS[kind])


def given_arguments(cls: type, namespace: argparse.Namespace) -> dict[str, Any]:
    """The fields of ``cls`` whose flags were typed, with their values."""
    return {field.name: getattr(namespace, field.name) for field in dataclasses.fields(cls) if hasattr(namespace, field.name)}


def from_arguments(cls: type[Config], namespace: argparse.Namespace, below: Mapping[str, Any] | None = None,
                   source: str = "the configuration file") -> Config:
    """Build ``cls``: its defaults, then ``below`` (from ``source``), then the flags that were typed.

    UsageError when ``below`` names a setting that does not exist or holds a value of the wrong type.
    """
    return from_mapping(cls, settings_given(cls, namespace, below or {}), source)


def settings_given(cls: type, namespace: argparse.Namespace, below: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in ``below``, as they are meant, and over them the flags that were typed."""
    kinds = get_type_hints(cls)
    natural = {name: _as_meant(kinds.get(name), value) for name, value in below.items()}
    return {**natural, **given_arguments(cls, namespace)}


def _as_meant(kind: type | None, value: Any) -> Any:
    """YAML 1.1 reads 1e-4 as text, since it wants a dot in it; and ``attention_resolutions: 16`` is natural to write."""
    if kind is float and isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    if kind is str and type(value) in (int, float):
        return str(value)
    return value
