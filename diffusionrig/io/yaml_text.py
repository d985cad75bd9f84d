"""YAML as files of settings use it: a few sections of plain values. What is endless, deep or repeats itself is refused unread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffusionrig.errors import RigError
from diffusionrig.io.damage import DAMAGE, raise_faults, short_reason
from diffusionrig.io.files import read_bytes

MOST_BYTES = 1 << 16
_MOST_VALUES = 20_000
_LONGEST = 1 << 14
"""Characters of one value that is not quoted; YAML 1.1 takes 1:1:1... for a number, in the square of its length."""

_DEEPEST = 64


def read_yaml(file: Path, advice: str, error_type: type[RigError] = RigError) -> Any:
    """The tree in a YAML ``file``, plain values only. ``error_type`` in one sentence, which ends in ``advice``, when it is none."""
    data = read_bytes(file, MOST_BYTES)
    try:
        return parse_yaml(data)
    except ValueError as error:
        raise error_type(f"{file} is no plain YAML file of settings ({error}); {advice}.") from error


def parse_yaml(text: str | bytes) -> Any:
    """The tree of a YAML text; ValueError, and nothing else, when it is none, or repeats its parts without end."""
    try:
        loader = _loader()(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except DAMAGE as error:
        raise_faults(error)
        raise ValueError(short_reason(error)) from error


def _loader() -> type[Any]:
    import yaml

    class Loader(yaml.SafeLoader):
        """Counts values as if every name for a repeated part (&a, *a) were written out: a short file can stand for any number."""

        def __init__(self, stream: str | bytes) -> None:
            super().__init__(stream)
            self.sizes: dict[int, int] = {}
            self.total = self.depth = 0

        def fetch_flow_collection_start(self, token: Any) -> None:
            # The scanner looks ahead through all that is open, each time.
            if self.flow_level > _DEEPEST:
                raise ValueError("it is nested too deeply")
            super().fetch_flow_collection_start(token)

        def compose_node(self, parent: Any, index: Any) -> Any:
            repeated = self.check_event(yaml.AliasEvent)
            before = self.total
            self.depth += 1
            if self.depth > _DEEPEST:
                raise ValueError("it is nested too deeply")
            node = super().compose_node(parent, index)
            self.depth -= 1
            if repeated:
                if id(node) not in self.sizes:
                    raise ValueError("it repeats its parts without end")
                self.total += self.sizes[id(node)]
            else:
                self.total += 1
                self.sizes[id(node)] = self.total - before
                if isinstance(node, yaml.ScalarNode) and node.style is None and len(node.value) > _LONGEST:
                    raise ValueError("a value of it is endless")
            if self.total > _MOST_VALUES:
                raise ValueError("it holds too many values, or repeats its parts without end")
            return node

    return Loader
