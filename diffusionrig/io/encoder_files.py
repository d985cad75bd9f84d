"""The published weights of DECA, EMOCA and SMIRK: only the networks that are needed, as plain tensors.

Optimiser state, losses, buffers of renderers and head models, and pickled settings stay in the file. Each reader takes the
plain copy that ``convert-assets`` made when that is there and not older than the original.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffusionrig.errors import RigError
from diffusionrig.io.checkpoints import load_checkpoint
from diffusionrig.io.converted import newest
from diffusionrig.io.emoca_folder import SETTINGS, best_checkpoint, checkpoints_in, read_emoca_settings
from diffusionrig.io.pickled_arrays import NUMPY_NAMES
from diffusionrig.io.torch_files import LazyTensor, TorchFile, open_torch
from diffusionrig.io.unpickle import Stub

Shape = tuple[int, ...]

# What tells one network from another: how many tensors it has, and some of them. The encoders check every name.
_ENCODER = (322, {"encoder.conv1.weight": (64, 3, 7, 7), "encoder.layer4.2.conv3.weight": (2048, 512, 1, 1),
                  "layers.0.weight": (1024, 2048)})
_DECODER = (44, {"l1.0.weight": (8192, 181), "conv_blocks.2.weight": (128, 128, 3, 3), "conv_blocks.21.weight": (1, 16, 3, 3)})
_OUTPUTS = {"E_flame": (236,), "E_detail": (128,), "E_expression": (50, 53, 56)}
_SMIRK = (762, {"pose_encoder.pose_cam_layers.0.weight": (6, 576), "shape_encoder.shape_layers.0.weight": (300, 960),
                "expression_encoder.expression_layers.0.weight": (55, 960)})
# Lightning, OmegaConf, and the packages EMOCA was written in.
_LIGHTNING = ("omegaconf.", "pytorch_lightning.", "lightning.", "lightning_fabric.", "lightning_utilities.", "gdl.", "gdl_apps.",
              "inferno.", "inferno_apps.")
_HARMLESS = ("typing.Any", "typing.Union", "typing.Optional", "collections.defaultdict", "argparse.Namespace",
             "pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.Path", "pathlib.PurePosixPath", "torch.device",
             *(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in (
                 "dict", "list", "tuple", "set", "int", "long", "float", "bool", "str", "unicode", "bytes", "object")))


def read_deca(path: str | Path, original: bool = False) -> dict[str, dict[str, Tensor]]:
    """E_flame, E_detail and D_detail of ``deca_model.tar`` (a torch file whatever its name says), float32 on the CPU.

    UsageError when the file is absent; RigError (one sentence, naming network or tensor) when it is damaged, another file,
    or names foreign code.
    """
    file = Path(path) if original else newest(Path(path))
    return _split(_networks(file, "file of DECA's weights", _deca_tree), ("E_flame", "E_detail", "D_detail"), str(file))


def read_emoca(folder: str | Path, original: bool = False) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """``(networks, settings)`` of an EMOCA model folder: DECA's three and E_expression; ``cfg.yaml`` as a tree.

    The checkpoint is the one with the smallest number after the last "=" of its name, below ``detail/checkpoints``.
    Errors as ``read_deca``.
    """
    folder = Path(folder)
    settings_file = folder / SETTINGS
    file = folder if original else _emoca_file(folder)
    names = ("E_flame", "E_detail", "D_detail", "E_expression")
    if file != folder:
        tensors, meta = _plain_copy(file)
        settings = meta.get("settings")
        if not isinstance(settings, dict):
            raise RigError(f"{file} does not hold the settings of the model; convert the model folder again.")
        return _split(tensors, names, str(file)), settings
    settings = read_emoca_settings(settings_file)
    file = best_checkpoint(folder)
    return _split(_networks(file, "checkpoint of EMOCA", _emoca_tree), names, str(file)), settings


def emoca_left_out(folder: str | Path) -> dict[str, int]:
    """How many tensors of an EMOCA checkpoint ``read_emoca`` leaves out, by the first two words of their names (the losses,
    the copy of FLAME, the renderer's buffers); empty for a plain copy, which holds none of them. Errors as ``read_emoca``."""
    folder = Path(folder)
    if _emoca_file(folder) != folder:
        return {}
    file = best_checkpoint(folder)
    with _open(file, "checkpoint of EMOCA") as source:
        kept = _emoca_tree(source.tree, str(file))
        rest = [name for name in source.tree["state_dict"] if str(name).removeprefix("deca.") not in kept]
    return dict(sorted(Counter(".".join(str(name).split(".")[:2]) for name in rest).items()))


def read_smirk(path: str | Path, original: bool = False) -> dict[str, Tensor]:
    """The encoder of ``SMIRK_em1.pt``, its prefix ``smirk_encoder.`` taken off, float32 on the CPU. Errors as ``read_deca``."""
    file = Path(path) if original else newest(Path(path))
    tensors = _networks(file, "file of SMIRK's weights", _smirk_tree)
    _check("SMIRK's encoder", tensors, _SMIRK, str(file))
    return tensors


def check_deca(path: str | Path) -> None:
    """RigError when ``read_deca`` would refuse the file for its names or shapes; the numbers are not read."""
    _look(newest(Path(path)), "file of DECA's weights", _deca_tree, ("E_flame", "E_detail", "D_detail"))


def check_emoca(folder: str | Path) -> None:
    """As ``check_deca``, for an EMOCA model folder."""
    folder = Path(folder)
    if _emoca_file(folder) != folder:
        read_emoca(folder)
        return
    read_emoca_settings(folder / SETTINGS)
    _look(best_checkpoint(folder), "checkpoint of EMOCA", _emoca_tree, ("E_flame", "E_detail", "D_detail", "E_expression"))


def check_smirk(path: str | Path) -> None:
    """As ``check_deca``, for SMIRK."""
    file = newest(Path(path))
    if file.suffix == ".safetensors":
        read_smirk(path)
        return
    with _open(file, "file of SMIRK's weights") as source:
        _check("SMIRK's encoder", _smirk_tree(source.tree, str(file)), _SMIRK, str(file))


def _emoca_file(folder: Path) -> Path:
    checkpoints = checkpoints_in(folder)
    return newest(folder, [folder / SETTINGS, *checkpoints] if checkpoints else [])


Tree = Callable[[Any, str], dict[str, LazyTensor]]


def _open(file: Path, what: str) -> AbstractContextManager[TorchFile]:
    # Settings and callbacks that Lightning pickled beside the tensors become objects that hold and do nothing.
    return open_torch(file, what, {**NUMPY_NAMES, **dict.fromkeys(_HARMLESS, Stub)}, dict.fromkeys(_LIGHTNING, Stub))


def _networks(file: Path, what: str, pick: Tree) -> dict[str, Tensor]:
    if file.suffix == ".safetensors":
        return _plain_copy(file)[0]
    with _open(file, what) as source:
        return {name: _real(source.load(lazy), name, str(file)) for name, lazy in pick(source.tree, str(file)).items()}


def _plain_copy(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors, meta = load_checkpoint(file)
    return {name: _real(tensor, name, str(file)) for name, tensor in tensors.items()}, meta


def _real(tensor: Tensor, name: str, where: str) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    if not torch.isfinite(tensor).all():
        raise RigError(f"{name} of {where} holds values that are not finite; download the file again.")
    return tensor.float()


def _look(file: Path, what: str, pick: Tree, networks: tuple[str, ...]) -> None:
    if file.suffix == ".safetensors":
        _split(_plain_copy(file)[0], networks, str(file))
        return
    with _open(file, what) as source:
        _split(pick(source.tree, str(file)), networks, str(file))


def _deca_tree(tree: Any, where: str) -> dict[str, LazyTensor]:
    found = {}
    for network in ("E_flame", "E_detail", "D_detail"):
        if not isinstance(tree, Mapping) or not isinstance(tree.get(network), Mapping):
            raise RigError(f"{where} lacks {network}{_held(tree)}; check that it is DECA's deca_model.tar.")
        found.update(_tensors(tree[network], f"{network}.", where))
    return found


def _emoca_tree(tree: Any, where: str) -> dict[str, LazyTensor]:
    state = tree.get("state_dict") if isinstance(tree, Mapping) else None
    if not isinstance(state, Mapping):
        raise RigError(f"{where} lacks state_dict{_held(tree)}; check that it is a checkpoint of EMOCA.")
    wanted = re.compile(r"deca\.((?:E_flame|E_expression|E_detail|D_detail)\..+)", re.DOTALL)
    kept = {match[1]: value for name, value in state.items() if isinstance(name, str) and (match := wanted.fullmatch(name))}
    return _tensors(kept, "", where)


def _smirk_tree(tree: Any, where: str) -> dict[str, LazyTensor]:
    if not isinstance(tree, Mapping):
        raise RigError(f"{where} holds no named tensors; check that it is SMIRK_em1.pt.")
    start = "smirk_encoder."
    kept = {name[len(start):]: value for name, value in tree.items() if isinstance(name, str) and name.startswith(start)}
    if not kept:
        raise RigError(f"{where} has no tensors under {start}{_held(tree)}; check that it is SMIRK_em1.pt.")
    return _tensors(kept, "", where)


def _held(tree: Any) -> str:
    return f" (it holds {', '.join(str(name) for name in list(tree)[:4])})" if isinstance(tree, Mapping) and tree else ""


def _tensors(state: Mapping[Any, Any], prefix: str, where: str) -> dict[str, LazyTensor]:
    wrong = next((name for name, value in state.items() if not isinstance(name, str) or not isinstance(value, LazyTensor)), None)
    if wrong is not None:
        raise RigError(f"{prefix}{wrong} of {where} is no tensor; download the file again.")
    return {prefix + name: value for name, value in state.items()}


def _split(tensors: Mapping[str, Any], networks: tuple[str, ...], where: str) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = {network: {} for network in networks}
    for name, tensor in tensors.items():
        network, _, rest = name.partition(".")
        if network in found:
            found[network][rest] = tensor
    for network in networks:
        if network not in _OUTPUTS:
            _check(network, found[network], _DECODER, where)
            continue
        count, shapes = _ENCODER
        rows = _shape(found[network].get("layers.2.weight"))[:1]
        if rows and rows[0] not in _OUTPUTS[network]:
            raise RigError(f"{network}.layers.2.weight of {where} gives {rows[0]} numbers, but "
                           f"{' or '.join(map(str, _OUTPUTS[network]))} are needed; check that it is the right file.")
        _check(network, found[network], (count, {**shapes, "layers.2.weight": (*rows, 1024)}), where)
    return found


def _check(network: str, tensors: Mapping[str, Any], wanted: tuple[int, Mapping[str, Shape]], where: str) -> None:
    count, shapes = wanted
    if not tensors:
        raise RigError(f"{where} lacks {network}; check that it is the right file.")
    for name, shape in shapes.items():
        if name not in tensors:
            raise RigError(f"{network} of {where} lacks {name}; check that it is the right file.")
        if _shape(tensors[name]) != shape:
            raise RigError(f"{name} of {network} in {where} has the shape {_shape(tensors[name])}, but {shape} is needed; "
                           "check that it is the right file.")
    if len(tensors) != count:
        raise RigError(f"{network} of {where} has {len(tensors)} tensors, but {count} are needed; check that it is the right "
                       "file.")


def _shape(tensor: Any) -> Shape:
    return tuple(tensor.size) if isinstance(tensor, LazyTensor) else tuple(tensor.shape) if tensor is not None else ()
