"""NumPy arrays inside pickles, with what older tools wrapped around them: chumpy objects and SciPy's sparse matrices.

None of the three is asked to unpickle anything: stand-ins keep the state, and the arrays are made from the raw bytes when
their size agrees with what is declared.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from diffusionrig.io.unpickle import RefusedPickle, Stub, encoded_text

_MOST_DENSE = 1 << 24  # numbers; the largest matrix of a head model has 25 115


class PickledDtype(Stub):
    """``numpy.dtype``: its code ("f8") from the call, its byte order from the state."""

    def __init__(self, code: Any = "", *_: Any) -> None:
        if isinstance(code, bytes):
            code = code.decode("latin1")
        if not isinstance(code, str) or not re.fullmatch(r"[<>|=]?([biuf](1|2|4|8)|b|O|O8|O4)", code):
            raise RefusedPickle(f"the array type {str(code)[:20]}")
        self.code = code.lstrip("<>|=")
        self.order = ">" if code.startswith(">") else "<"

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in (">", b">"):
            self.order = ">"

    @property
    def dtype(self) -> np.dtype:
        """As NumPy's own."""
        return np.dtype("?" if self.code in ("b", "b1") else self.order + self.code)


class PickledArray(Stub):
    """``numpy.ndarray``: ``value`` is the array, or for an array of Python objects the list of them."""

    def __init__(self, *_: Any) -> None:
        self.value: Any = None
        self.shape: tuple[int, ...] = ()

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise ValueError("an array is described wrongly")
        shape, dtype, fortran, data = state[-4:]
        if not isinstance(dtype, PickledDtype):
            raise ValueError("an array is described wrongly")
        self.shape = checked_shape(shape)
        if dtype.code.startswith("O"):
            if not isinstance(data, list) or len(data) != _number(self.shape):
                raise ValueError("an array of objects is described wrongly")
            self.value = data
        else:
            self.value = array_from_bytes(data, dtype.dtype, self.shape, bool(fortran))


def checked_shape(shape: Any) -> tuple[int, ...]:
    """``shape`` when it is a tuple of a few whole numbers; else ValueError."""
    if not isinstance(shape, (tuple, list)) or len(shape) > 32 or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("an array is described wrongly")
    return tuple(shape)


def _number(shape: tuple[int, ...]) -> int:
    number = 1
    for n in shape:
        number *= n
    return number


def array_from_bytes(data: Any, dtype: np.dtype, shape: tuple[int, ...], fortran: bool) -> np.ndarray:
    """The array whose raw bytes are ``data``; ValueError unless they are exactly as many as ``shape`` needs."""
    if isinstance(data, str):
        data = data.encode("latin1")  # how Python 2's raw data arrives
    if not isinstance(data, (bytes, bytearray)) or len(data) != _number(shape) * dtype.itemsize:
        held = len(data) if isinstance(data, (bytes, bytearray)) else "no"
        raise ValueError(f"an array of shape {shape} and type {dtype} is declared, but {held} bytes are there")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def _reconstruct(kind: Any, shape: Any, code: Any) -> PickledArray:
    # Always called with an empty shape; the true one comes with the data.
    if kind is not PickledArray or checked_shape(shape) not in ((0,), ()):
        raise ValueError(f"an array of shape {shape} is declared without its numbers")
    return PickledArray()


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> PickledArray:
    array = PickledArray()
    array.__setstate__((shape, dtype, order == "F", data))
    return array


def _scalar(dtype: Any, data: Any = b"") -> Any:
    if not isinstance(dtype, PickledDtype):
        raise ValueError("a number is described wrongly")
    return array_from_bytes(data, dtype.dtype, (), False)[()]


class ChumpyObject(Stub):
    """A chumpy object; the array is under ``x`` of its state."""

    def __init__(self, *_: Any) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.state = merged_state(state)


class SparseMatrix(Stub):
    """A compressed-sparse-column matrix of SciPy."""

    def __init__(self, *_: Any) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.state = merged_state(state)


def merged_state(state: Any) -> dict[str, Any]:
    """The attributes in a pickled state: a dictionary, or a pair of dictionary (or None) and slots."""
    parts = state if isinstance(state, tuple) else (state,)
    if len(parts) > 2 or not all(part is None or isinstance(part, dict) for part in parts):
        raise ValueError("the state of an object is neither a dictionary nor a pair of them")
    return {name: value for part in parts if part for name, value in part.items()}


def _reconstructor(kind: Any, base: Any = None, state: Any = None) -> Any:
    if not (isinstance(kind, type) and issubclass(kind, Stub)):
        raise RefusedPickle("copy_reg._reconstructor of something else")
    return kind()


class _Set(Stub):
    pass


NUMPY_NAMES: dict[str, Callable[..., Any]] = {
    **{f"numpy.{core}.multiarray.{name}": function for core in ("core", "_core")
       for name, function in (("_reconstruct", _reconstruct), ("scalar", _scalar))},
    **{f"numpy.{core}.numeric._frombuffer": _from_buffer for core in ("core", "_core")},
    "numpy.ndarray": PickledArray,
    "numpy.dtype": PickledDtype,
    "_codecs.encode": encoded_text,
    # Protocols up to 2 spell no bytes at all as bytes(); with a number it would be as many as that.
    "__builtin__.bytes": lambda: b"", "builtins.bytes": lambda: b"",
}
OBJECT_NAMES: dict[str, Callable[..., Any]] = {
    "copy_reg._reconstructor": _reconstructor, "copyreg._reconstructor": _reconstructor,
    "__builtin__.object": Stub, "builtins.object": Stub,
    # chumpy notes in a set which of its values are stale.
    "__builtin__.set": _Set, "builtins.set": _Set,
}
MODEL_NAMES: dict[str, Callable[..., Any]] = {
    **NUMPY_NAMES, **OBJECT_NAMES, "chumpy.ch.Ch": ChumpyObject,
    **{f"scipy.sparse.{module}.csc_{kind}": SparseMatrix for module in ("csc", "_csc") for kind in ("matrix", "array")},
}
MODEL_FAMILIES: dict[str, type[Stub]] = {"chumpy.reordering.": ChumpyObject, "chumpy.ch_ops.": ChumpyObject}


def as_array(value: Any) -> np.ndarray:
    """The NumPy array that a value of such a pickle stands for; ValueError saying why when it stands for none."""
    for _ in range(8):
        if isinstance(value, ChumpyObject):
            if "x" not in value.state:
                raise ValueError("is a chumpy expression without its numbers")
            value = value.state["x"]
        elif isinstance(value, PickledArray) and isinstance(value.value, list) and len(value.value) == 1:
            value = value.value[0]
        else:
            break
    if isinstance(value, SparseMatrix):
        return _dense(value.state)
    if isinstance(value, PickledArray) and isinstance(value.value, np.ndarray):
        return value.value
    if isinstance(value, (np.ndarray, np.generic)):
        return np.asarray(value)
    raise ValueError("is not an array of numbers")


def _dense(state: dict[str, Any]) -> np.ndarray:
    try:
        data, rows, starts = (as_array(state[name]) for name in ("data", "indices", "indptr"))
        height, width = checked_shape(_plain_shape(state.get("_shape", state.get("shape"))))
    except (KeyError, TypeError, ValueError):
        raise ValueError("is a sparse matrix without its parts") from None
    if height * width > _MOST_DENSE:
        raise ValueError(f"is a sparse matrix of shape ({height}, {width})")
    counts = starts[1:].astype(np.int64) - starts[:-1].astype(np.int64)
    fits = (data.ndim == rows.ndim == starts.ndim == 1 and len(starts) == width + 1 and len(data) == len(rows)
            and rows.dtype.kind in "iu" and starts.dtype.kind in "iu" and data.dtype.kind in "iuf")
    if not fits or starts[0] != 0 or (counts < 0).any() or starts[-1] != len(data) or (
            len(rows) and (int(rows.min()) < 0 or int(rows.max()) >= height)):
        raise ValueError("is a sparse matrix whose parts contradict each other")
    dense = np.zeros((height, width), np.result_type(data.dtype, np.float64))
    # Entries of one place add up, by the definition of the format.
    np.add.at(dense, (rows.astype(np.int64), np.repeat(np.arange(width), counts)), data)
    return dense


def _plain_shape(shape: Any) -> tuple[Any, ...]:
    return tuple(int(n) if isinstance(n, np.integer) else n for n in shape)
