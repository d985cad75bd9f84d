"""Checkpoints: safetensors with their description inside, full training states, and the published ``.pt`` files.

Every file is written under a temporary name, synced and renamed, so that a killed program or a full disk never leaves a
damaged file under the final name.
"""

from __future__ import annotations

import contextlib
import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from diffusionrig.errors import RigError
from diffusionrig.io.damage import parse_json_object, reading, short_reason
from diffusionrig.io.files import atomic_path, existing_file
from diffusionrig.io.temporary_files import sweep
from diffusionrig.io.torch_files import read_torch

_ENTRY = "diffusionrig"
_WRAPPERS = ("module.", "_orig_mod.")
_AGAIN = "copy it again or take an earlier one"


def save_checkpoint(path: str | Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any],
                    dtype: torch.dtype | None = None) -> None:
    """Write ``tensors`` and ``meta`` (anything JSON can hold) to one safetensors file, atomically.

    ``dtype`` (torch.float16, for instance) is the precision floating-point tensors are stored in; None keeps theirs.
    """
    entry = json.dumps(meta, allow_nan=False, sort_keys=True)
    stored = {name: _plain(tensor, dtype) for name, tensor in tensors.items()}
    with _atomic(path) as temporary:
        # As bytes: safetensors' own writer goes through a file of its own name, which nobody could clear away after a kill.
        temporary.write_bytes(save(stored, metadata={_ENTRY: entry}))


def load_checkpoint(path: str | Path, dtype: torch.dtype | None = torch.float32,
                    device: torch.device | str = "cpu") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read ``(tensors, meta)`` of a safetensors file; floating-point tensors come as ``dtype`` (None: as stored).

    ``meta`` is empty for a safetensors file that another program wrote. RigError when the file is damaged or cut off.
    """
    file = existing_file(path, "checkpoint")
    with reading(f"The checkpoint {file}", advice=_AGAIN):
        with _opened(file, str(device)) as reader:
            entry = (reader.metadata() or {}).get(_ENTRY, "{}")
            tensors = {name: _cast(reader.get_tensor(name), dtype) for name in reader.keys()}  # noqa: SIM118
        return unwrapped(tensors), parse_json_object(entry)


def describe_checkpoint(path: str | Path) -> tuple[dict[str, tuple[int, ...]], dict[str, Any]]:
    """``(shapes by name, meta)`` of a safetensors file; only its header is read."""
    file = existing_file(path, "checkpoint")
    with reading(f"The checkpoint {file}", advice=_AGAIN), _opened(file) as reader:
        entry = (reader.metadata() or {}).get(_ENTRY, "{}")
        return {name: tuple(reader.get_slice(name).get_shape()) for name in reader.keys()}, parse_json_object(entry)  # noqa: SIM118


@contextlib.contextmanager
def _opened(file: Path, device: str = "cpu") -> Iterator[Any]:
    """A reader of a safetensors file, whose name need be no text; the library wants UTF-8."""
    try:
        str(file).encode()
    except UnicodeEncodeError:
        with open(file, "rb") as stream, safe_open(f"/proc/self/fd/{stream.fileno()}", framework="pt", device=device) as reader:
            yield reader
        return
    with safe_open(file, framework="pt", device=device) as reader:
        yield reader


def load_released(path: str | Path) -> dict[str, Tensor]:
    """Read a published ``modelNNNNNN.pt`` (a flat dictionary of tensors) on the CPU without running pickled code."""
    file = existing_file(path, "checkpoint")
    state = read_torch(file, "file")
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise RigError(f"{file} is not a model: it should hold named tensors only; give the modelNNNNNN.pt file.")
    return unwrapped(state)


def unwrapped(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``tensors`` under the names that they have in the network itself: ``DistributedDataParallel`` and ``torch.compile`` put a
    word of theirs before every name."""
    bare = dict(tensors)
    while prefix := next((word for word in _WRAPPERS if bare and all(name.startswith(word) for name in bare)), ""):
        bare = {name[len(prefix):]: tensor for name, tensor in bare.items()}
    return bare


def load_weights(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """``(tensors, meta)`` of either kind of checkpoint, told apart by their first bytes; ``.pt`` files have no meta."""
    file = existing_file(path, "checkpoint")
    with reading(f"The checkpoint {file}", advice=_AGAIN), open(file, "rb") as stream:
        head = stream.read(9)
    if head[8:] == b"{" or file.suffix == ".safetensors":
        return load_checkpoint(file)
    return load_released(file), {}


def export_legacy(path: str | Path, tensors: Mapping[str, Tensor]) -> None:
    """Write ``tensors`` as the published code saves its models: one OrderedDict of float32 tensors, ``torch.save``d."""
    state = OrderedDict((name, _plain(tensor, torch.float32)) for name, tensor in tensors.items())
    with _atomic(path) as temporary:
        torch.save(state, temporary)


def save_state(path: str | Path, state: Mapping[str, Any]) -> None:
    """Write a training state (nested dicts and lists of tensors and plain values) atomically.

    TypeError when it holds anything that ``load_state`` would refuse to read.
    """
    _check_plain(state, "state")
    with _atomic(path) as temporary:
        torch.save(dict(state), temporary)


def load_state(path: str | Path) -> dict[str, Any]:
    """Read what ``save_state`` wrote, on the CPU, without running pickled code."""
    file = existing_file(path, "training state")
    state = read_torch(file, "file")
    if not isinstance(state, dict):
        raise RigError(f"{file} is not a training state; give the state*.pt file that stands beside the checkpoint.")
    return state


def match_tensors(expected: Mapping[str, Sequence[int]], got: Mapping[str, Tensor],
                  what: str = "The checkpoint", advice: str = "Give the model flags that it was trained with.") -> None:
    """RigError naming what is missing, extra or misshaped when ``got`` is not exactly ``expected`` (name to shape).

    ``advice`` is the sentence that says what to do about it.
    """
    missing = [name for name in expected if name not in got]
    extra = [name for name in got if name not in expected]
    misshaped = [f"{name} is {tuple(got[name].shape)} instead of {tuple(shape)}" for name, shape in expected.items()
                 if name in got and tuple(got[name].shape) != tuple(shape)]
    faults = [f"{len(names)} {kind} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
              for kind, names in (("missing", missing), ("extra", extra), ("misshaped", misshaped)) if names]
    if faults:
        raise RigError(f"{what} does not fit the model: of {len(expected)} tensors, {'; '.join(faults)}. {advice}")


@contextlib.contextmanager
def _atomic(path: str | Path) -> Iterator[Path]:
    # Each can be as large as the checkpoint: looked for at every save, not once a command.
    sweep(Path(path).parent)
    with atomic_path(path) as temporary:
        try:
            yield temporary
        except (SafetensorError, RuntimeError) as error:
            # torch reports a full disk as an error of its own.
            raise OSError(None, short_reason(error)) from error


def _cast(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    return tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor


def _plain(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    # A clone of its own: tied or strided tensors share memory, which safetensors does not store.
    return _cast(tensor.detach(), dtype).to("cpu").clone(memory_format=torch.contiguous_format)


def _check_plain(value: Any, where: str) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_plain(key, f"a key of {where}")
            _check_plain(item, f"{where}[{key!r}]")
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            _check_plain(item, f"{where}[{i}]")
    elif value is not None and type(value) not in (bool, int, float, str, bytes) and not isinstance(value, Tensor):
        raise TypeError(f"{where} is {type(value).__name__}; a training state holds tensors and plain values only")

