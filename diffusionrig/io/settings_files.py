"""Settings in YAML files: trees of sections, as yacs reads and writes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusionrig.errors import UsageError
from diffusionrig.io.damage import reading
from diffusionrig.io.files import existing_file, write_text
from diffusionrig.io.yaml_text import read_yaml


def read_settings(path: str | Path) -> dict[str, dict[str, Any]]:
    """A YAML file of sections (``train: {lr: 1e-4}``) as nested dictionaries; UsageError when it is anything else."""
    from yacs.config import CfgNode

    file = existing_file(path, "configuration file")
    with reading(file, "is not a YAML file of settings", "write it again", UsageError):
        tree = CfgNode(read_yaml(file, "write it again", UsageError) or {})
    for name, section in tree.items():
        if not isinstance(section, Mapping):
            raise UsageError(f"{file}: {name!r} should be a section of settings, such as 'train:' with 'lr: 0.0001' below it.")
    return {str(name): dict(section) for name, section in tree.items()}


def write_settings(path: str | Path, tree: Mapping[str, Mapping[str, Any]]) -> None:
    """Write sections of settings as YAML, readable by ``read_settings``."""
    from yacs.config import CfgNode

    write_text(path, CfgNode({name: dict(section) for name, section in tree.items()}).dump(sort_keys=False))
