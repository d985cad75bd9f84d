"""Pickles as Python 2 wrote them, naming classes that are not installed here."""

from __future__ import annotations

import io
import pickle
import struct
from typing import Any, ClassVar

import numpy as np


class Name:
    """A class or function that the pickle names and that need not exist: ``Name("chumpy.ch", "Ch")``."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Instance:
    """An object of the class ``name``, with ``state`` (a dictionary, or a pair of dictionary and slots).

    ``old`` makes it the way protocols 0 and 1 do, through ``copy_reg._reconstructor``.
    """

    def __init__(self, name: Name, state: Any, old: bool = False) -> None:
        self.name, self.state, self.old = name, state, old


class Call:
    """What a function gives for arguments: ``Call(Name("os", "system"), "true")``."""

    def __init__(self, function: Name, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments


class _Pickler(pickle._Pickler):  # the one in Python can be told how to write each type
    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def __init__(self, stream: io.BytesIO, protocol: int, core: str) -> None:
        super().__init__(stream, protocol)
        self.core = core

    def save_name(self, value: Name) -> None:
        self.write(pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode())
        self.memoize(value)

    def save_instance(self, value: Instance) -> None:
        if value.old:
            self.save(Name("copy_reg", "_reconstructor"))
            self.save((value.name, Name("__builtin__", "object"), None))
            self.write(pickle.REDUCE)
        else:
            self.save(value.name)
            self.write(pickle.EMPTY_TUPLE + pickle.NEWOBJ)
        self.memoize(value)
        self.save(value.state)
        self.write(pickle.BUILD)

    def save_call(self, value: Call) -> None:
        self.save(value.function)
        self.save(value.arguments)
        self.write(pickle.REDUCE)
        self.memoize(value)

    def save_array(self, value: np.ndarray) -> None:
        self.save(Name(self.core, "_reconstruct"))
        self.save((Name("numpy", "ndarray"), (0,), b"b"))
        self.write(pickle.REDUCE)
        self.memoize(value)
        data = value.ravel().tolist() if value.dtype.hasobject else np.ascontiguousarray(value).tobytes()
        self.save((1, value.shape, value.dtype, False, data))
        self.write(pickle.BUILD)

    def save_dtype(self, value: np.dtype) -> None:
        self.save(Name("numpy", "dtype"))
        self.save((value.str[1:], 0, 1))
        self.write(pickle.REDUCE)
        self.memoize(value)
        order = "|" if value.itemsize == 1 or value.hasobject else "<"
        self.save((3, order, None, None, None, -1, -1, 63 if value.hasobject else 0))
        self.write(pickle.BUILD)

    def save_number(self, value: np.generic) -> None:
        self.save(Name(self.core, "scalar"))
        self.save((value.dtype, value.tobytes()))
        self.write(pickle.REDUCE)
        self.memoize(value)

    def save_bytes(self, value: bytes) -> None:
        if self.proto > 2:
            super().save_bytes(value)
            return
        # Python 2's str: text and raw data alike.
        self.write(pickle.SHORT_BINSTRING + bytes([len(value)]) if len(value) < 256
                   else pickle.BINSTRING + struct.pack("<i", len(value)))
        self.write(value)
        self.memoize(value)

    def save_str(self, value: str) -> None:
        if self.proto > 2:
            super().save_str(value)
        else:
            self.save(value.encode("latin1"))

    def save_set(self, value: set[Any]) -> None:
        self.save(Call(Name("__builtin__" if self.proto < 3 else "builtins", "set"), list(value)))

    dispatch[Name], dispatch[Instance], dispatch[Call] = save_name, save_instance, save_call
    dispatch[np.ndarray], dispatch[bytes], dispatch[str], dispatch[set] = save_array, save_bytes, save_str, save_set

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, np.dtype):
            known = self.memo.get(id(obj))
            self.write(self.get(known[0])) if known else self.save_dtype(obj)
        elif isinstance(obj, np.generic):
            self.save_number(obj)
        else:
            super().save(obj, save_persistent_id)


def dumps(value: Any, protocol: int = 2, core: str = "numpy.core.multiarray") -> bytes:
    """``value`` pickled; protocols up to 2 write text and raw data as Python 2 did. ``core`` is numpy's private module."""
    stream = io.BytesIO()
    _Pickler(stream, protocol, core).dump(value)
    return stream.getvalue()


def object_npy(pickled: bytes, shape: tuple[int, ...] = ()) -> bytes:
    """An .npy file of Python objects whose pickle is ``pickled``."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": shape})
    return stream.getvalue() + pickled
