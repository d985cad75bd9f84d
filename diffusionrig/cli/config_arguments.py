"""A dataclass as command-line flags: one flag per field, the field's default and ``metadata["help"]`` in the help."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar, get_type_hints

from diffusionrig.cli.arguments import boolean
from diffusionrig.errors import UsageError

Config = TypeVar("Config")

_READERS = {bool: boolean, int: int, float: float, str: str}
_WORDS = {bool: "BOOL", int: "N", float: "X", str: "TEXT"}


def add_dataclass_arguments(parser: argparse.ArgumentParser, cls: type, title: str | None = None) -> None:
    """Add ``--name value`` for every field of the dataclass ``cls`` (fields of type bool, int, float or str).

    A field's metadata may hold ``help``, ``choices`` and ``metavar``. A flag that is not given leaves no attribute in the
    namespace, so that ``from_arguments`` can tell a value that was typed from a default. Booleans need a value.
    """
    group = parser.add_argument_group(title) if title else parser
    kinds = get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        kind = kinds[field.name]
        if kind not in _READERS:
            raise TypeError(f"{cls.__name__}.{field.name} is {kind}; flags are bool, int, float or str")
        default = f"(default {field.default!r})" if isinstance(field.default, str) else f"(default {field.default})"
        choices = field.metadata.get("choices")
        text = " ".join([field.metadata.get("help", ""), default]).strip().replace("%", "%%")
        group.add_argument(f"--{field.name}", type=_READERS[kind], default=argparse.SUPPRESS, help=text, choices=choices,
                           metavar=field.metadata.get("metavar") or (None if choices else _WORDS[kind]))


def given_arguments(cls: type, namespace: argparse.Namespace) -> dict[str, Any]:
    """The fields of ``cls`` whose flags were typed, with their values."""
    return {field.name: getattr(namespace, field.name) for field in dataclasses.fields(cls)
            if field.init and hasattr(namespace, field.name)}


def from_arguments(cls: type[Config], namespace: argparse.Namespace, below: Mapping[str, Any] | None = None) -> Config:
    """Build ``cls``: its defaults, then ``below`` (a configuration file, a checkpoint), then the flags that were typed.

    UsageError when ``below`` names a field that does not exist or holds a value of the wrong kind.
    """
    return build_config(cls, below or {}, given_arguments(cls, namespace))


def build_config(cls: type[Config], *layers: Mapping[str, Any]) -> Config:
    """Build ``cls`` from layers of values, later ones on top; values are checked against the fields' types."""
    kinds = get_type_hints(cls)
    known = [field.name for field in dataclasses.fields(cls) if field.init]  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            if name not in known:
                raise UsageError(f"There is no setting {name!r}; choose from {', '.join(known)}.")
            values[name] = _checked(name, kinds[name], value)
    return cls(**values)


def _checked(name: str, kind: type, value: Any) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is float and isinstance(value, str):
        # YAML 1.1 reads 1e-4 as text, since it wants a dot in the mantissa.
        try:
            return float(value)
        except ValueError:
            pass
    if kind is str and type(value) in (int, float):
        # attention_resolutions: 16 is natural to write in a configuration file.
        return str(value)
    if type(value) is not kind:
        raise UsageError(f"The setting {name} is {value!r}, but it has to be {kind.__name__}.")
    return value
