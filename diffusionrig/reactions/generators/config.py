"""A system's configuration: a YAML file of sections, changed by ``section.name value`` words, checked against the settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diffusionrig.errors import UsageError
from diffusionrig.io.assets import PACKAGE_ASSETS
from diffusionrig.io.settings_files import read_settings
from diffusionrig.io.yaml_text import parse_yaml
from diffusionrig.reactions.generators.examples import DataSettings
from diffusionrig.reactions.generators.system import System, find_system
from diffusionrig.settings import from_mapping
from diffusionrig.training.task_options import TaskOptions

FOLDER = PACKAGE_ASSETS / "react"
TRAIN = "_train"

PUBLISHED_FILES = {"diffusion_model": "perfrdiff_published", "rewrite_weight": "perfrdiff_published",
                   **{f"{kind}cos-keeplr": "unifr_published" for kind in ("", "pretrain-", "finetune-")}}
"""What stands in for a file that the published commands name, where it is not there: the same system at the same sizes."""


@dataclasses.dataclass(frozen=True)
class SystemConfig:
    """``system``; ``data``; per phase its ``settings`` and its ``training``, which lacks only the folder of the run."""

    system: System
    data: DataSettings
    settings: Mapping[str, Any]
    training: Mapping[str, Mapping[str, Any]]

    def options(self, phase: str, log_dir: Path) -> TaskOptions:
        """The training options of a phase that is run in ``log_dir``."""
        return from_mapping(TaskOptions, {**self.training[phase], "log_dir": str(log_dir)}, f"section {phase}{TRAIN}")


def shipped_configs() -> list[str]:
    """Names of the configurations in the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def config_path(name: str) -> Path:
    """``configs/faceais.yaml`` or ``faceais``: the file when there is one, else the package's of that name, or its like."""
    path = Path(name)
    if path.is_file():
        return path
    shipped = FOLDER / f"{PUBLISHED_FILES.get(path.stem, path.stem)}.yaml"
    if shipped.is_file():
        return shipped
    raise UsageError(f"There is no configuration {name}; give a YAML file or one of {', '.join(shipped_configs())}.")


def read_config(name: str, changes: Sequence[str] = ()) -> SystemConfig:
    """The configuration ``name``, with ``changes`` (``data.frames 128 predictor_train.lr 1e-4``: pairs of words, as yacs takes
    them) on top. UsageError when a section or setting does not exist or has a value of the wrong kind."""
    path = config_path(name)
    tree = read_settings(path)
    _change(tree, changes)
    if set(tree.get("system", {})) != {"name"}:
        raise UsageError(f"{path} does not say whose configuration it is; write 'system: {{name: ...}}' into it.")
    system = find_system(str(tree["system"]["name"]))
    known = {"system", "data", *(phase.name for phase in system.phases), *(phase.name + TRAIN for phase in system.phases)}
    for section in tree:
        if section not in known:
            raise UsageError(f"{path} has a section {section!r}, which {system.name} does not know; it knows "
                             f"{', '.join(sorted(known))}.")
    settings: dict[str, Any] = {
        phase.name: from_mapping(phase.settings, _natural(phase.settings, tree.get(phase.name, {})),
                                 f"{path}, section {phase.name}") for phase in system.phases}
    training = {phase.name: _natural(TaskOptions, tree.get(phase.name + TRAIN, {})) for phase in system.phases}
    data = from_mapping(DataSettings, _natural(DataSettings, tree.get("data", {})), f"{path}, section data")
    config = SystemConfig(system, data, settings, training)
    for phase in system.phases:
        config.options(phase.name, Path("checked"))
    return config


def _change(tree: dict[str, dict[str, Any]], changes: Sequence[str]) -> None:
    if len(changes) % 2:
        raise UsageError(f"Changes come in pairs, such as 'data.frames 128', but {changes[-1]!r} stands alone.")
    for key, text in zip(changes[::2], changes[1::2]):
        section, dot, name = key.partition(".")
        if not dot or not name:
            raise UsageError(f"{key!r} is no setting; write section.name, such as data.frames.")
        try:
            tree.setdefault(section, {})[name] = parse_yaml(text)
        except ValueError:
            raise UsageError(f"{text!r} is no value for {key}.") from None


def _natural(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """YAML 1.1 reads 1e-4 as text, since it wants a dot in it."""
    kinds = {field.name: type(field.default) for field in dataclasses.fields(kind)}
    result = dict(values)
    for name, value in values.items():
        if kinds.get(name) is float and isinstance(value, str):
            try:
                result[name] = float(value)
            except ValueError:
                continue
        elif kinds.get(name) is str and type(value) in (int, float):
            result[name] = str(value)
    return result
