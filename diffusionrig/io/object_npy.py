""".npy files that hold one dictionary: NumPy wrote it as an array of one Python object, which is a pickle."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from diffusionrig.errors import RigError
from diffusionrig.io.array_checks import Wanted, check_array, wrong_shape
from diffusionrig.io.files import existing_file, read_bytes
from diffusionrig.io.npy_stream import read_npy_header
from diffusionrig.io.pickled_arrays import NUMPY_NAMES, OBJECT_NAMES, PickledArray, as_array
from diffusionrig.io.pickled_tensors import pickled_tensor_names
from diffusionrig.io.unpickle import restricted_loads

_MOST_BYTES = 1 << 28


def read_object_npy(path: str | Path, what: str) -> dict[str, Any]:
    """The dictionary in ``path``, its values as the pickle holds them (see ``picked``), nothing of it run.

    UsageError when there is no such file; RigError when it is damaged, holds no dictionary or names foreign code.
    """
    file = existing_file(path, what)
    data = read_bytes(file, _MOST_BYTES)
    try:
        header = read_npy_header(io.BytesIO(data))
    except ValueError as error:
        raise RigError(f"{file} is no .npy file with a {what} ({error}); download it again.") from error
    if header.dtype is not None or header.shape not in ((), (1,)):
        raise RigError(f"{file} holds an array of shape {header.shape}, but one dictionary, the {what}, is needed; "
                       "check that it is the right file.")
    names: dict[str, Callable[..., Any]] = {**pickled_tensor_names(), **NUMPY_NAMES, **OBJECT_NAMES}
    value = restricted_loads(data[header.length:], names, str(file))
    if isinstance(value, PickledArray) and isinstance(value.value, list) and len(value.value) == 1:
        value = value.value[0]
    if not isinstance(value, dict):
        raise RigError(f"{file} holds no dictionary, which the {what} is; check that it is the right file.")
    return value


def picked(table: Mapping[str, Any], wanted: Mapping[str, Wanted], where: str) -> dict[str, np.ndarray]:
    """The arrays of ``table`` that ``wanted`` names, each checked; RigError naming the one that is missing or wrong."""
    found = {}
    for key, one in wanted.items():
        if key not in table:
            held = ", ".join(str(name) for name in list(table)[:8]) or "nothing"
            raise RigError(f"{where} lacks {key} (it holds {held}); check that it is the right file, or download it again.")
        value = table[key]
        try:
            array = value.numpy() if isinstance(value, Tensor) else as_array(value)
        except (ValueError, TypeError) as error:
            raise wrong_shape(where, key, one, str(error) if isinstance(error, ValueError) else "is unreadable") from error
        found[key] = check_array(array, one, where, key)
    return found
