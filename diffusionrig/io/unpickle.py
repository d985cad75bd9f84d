"""Reading pickles without running anything that they name.

A pickle is a small program: whoever made the file decides which functions run when it is loaded. Each kind of file read
here has a list of the few names it needs; any other name refuses the file before anything is called.
"""

from __future__ import annotations

import io
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from diffusionrig.errors import RigError
from diffusionrig.io.files import existing_file, read_bytes, short_reason


class RefusedPickle(pickle.UnpicklingError):
    """The pickle names something that is not on the list; the message is that name."""


class _Allowed:
    """A callable the pickle may use but not change (the BUILD opcode would otherwise set attributes on it)."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setstate__(self, state: object) -> None:
        raise RefusedPickle("a changed function")


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, allowed: Mapping[str, Callable[..., Any]]) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self._allowed = {name: _Allowed(function) for name, function in allowed.items()}

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full not in self._allowed:
            raise RefusedPickle(full)
        return self._allowed[full]

    def persistent_load(self, key: object) -> Any:
        raise RefusedPickle("an outside object")


def restricted_loads(data: bytes, allowed: Mapping[str, Callable[..., Any]], what: str) -> Any:
    """Unpickle ``data``, in which only the dotted names of ``allowed`` may occur; each stands for the given callable.

    ``what`` names the file in errors. RigError when another name occurs or the bytes are no pickle.
    """
    try:
        return _Unpickler(data, allowed).load()
    except RefusedPickle as error:
        raise refusal(what, error) from None
    except Exception as error:  # a damaged pickle may raise anything
        raise RigError(f"{what} is not a readable pickle ({short_reason(error)}); "
                       "write or download it again.") from error


def refusal(what: str, error: RefusedPickle) -> RigError:
    """The sentence for a refused pickle."""
    return RigError(f"{what} was refused: the pickle names {error}, which a file of this kind does not need and which "
                    "could run foreign code; nothing of it was run. Get the file from its original source.")


def tensor_from_pickle(data: bytes, what: str) -> Tensor:
    """A tensor that was pickled on any device, as a contiguous CPU tensor.

    The three names of a pickled tensor are replaced: the inner ``torch.save`` bytes are read with ``weights_only``, and
    the view is checked against its storage. RigError when the pickle holds anything else.
    """
    value = restricted_loads(data, {
        "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
        "torch.storage._load_from_bytes": _storage_from_bytes,
        "collections.OrderedDict": OrderedDict,
        "_codecs.encode": lambda text, encoding: text.encode(encoding),  # how protocol 2 spells bytes
    }, what)
    if not isinstance(value, Tensor):
        raise RigError(f"{what} holds {type(value).__name__}, but a tensor is needed; write it again.")
    return value


def read_pickled_tensor(path: str | Path, what: str = "the pickled tensor") -> Tensor:
    """``tensor_from_pickle`` of a whole file (mean_shape.pkl, for instance)."""
    file = existing_file(path, what)
    return tensor_from_pickle(read_bytes(file), str(file))


def _storage_from_bytes(data: bytes) -> Any:
    return load_weights_only(io.BytesIO(data))


def load_weights_only(file: BinaryIO) -> Any:
    """``torch.load`` on the CPU that builds tensors and plain containers only.

    UnpicklingError with the offending name when the file names anything else; torch's own errors when it is damaged.
    """
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch explains over many lines, and suggests loading unsafely; only the name matters here.
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        if named:
            raise RefusedPickle(named[1]) from None
        raise pickle.UnpicklingError("it holds no torch data") from error


def _rebuild_tensor(storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object) -> Tensor:
    flat = torch.empty(0, dtype=storage.dtype).set_(storage)
    # as_strided on a view of known length checks the bounds; rebuilding through set_ would grow the storage instead.
    return torch.as_strided(flat, size, stride, offset).contiguous()

