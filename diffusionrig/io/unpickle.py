"""Reading pickles without running anything that they name.

A pickle is a small program: whoever made the file decides which functions run when it is loaded. Each kind of file read
here has a list of the few names it needs; any other name refuses the file before anything is called. Nothing that a pickle
declares about sizes is believed: memory is taken only for bytes that are there.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, ClassVar

from torch import Tensor

from diffusionrig.errors import RigError
from diffusionrig.io.damage import DAMAGE, raise_faults, short_reason


class RefusedPickle(pickle.UnpicklingError):
    """The pickle names something that is not on the list; the message is that name."""


class Stub:
    """Stands for a class that a pickle names: keeps nothing, does nothing, accepts everything.

    Subclasses keep the part of the state that is wanted.
    """

    def __new__(cls, *args: Any, **options: Any) -> Any:
        return object.__new__(cls)

    def __init__(self, *args: Any, **options: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, item: Any) -> None:
        pass


class _Allowed:
    """A callable that the pickle may use but not change."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)


_PLAIN_KEYS = (str, bytes, bool, type(None))
_MOST_KEY = 1 << 31
"""Whole numbers beyond this are no keys: large ones can be chosen so that all hash alike, and each then takes as long as all before
it."""

_DEEPEST, _MOST_STEPS = 1000, 1_000_000
"""Containers open at once, and steps of one pickle: the state of a run of 100 million weights has a tenth of these."""

_LONGEST_NUMBER = 1024
"""Bytes of a whole number; more are spelt out by nobody, and take their square to read as text."""


class _Counted(dict[int, Callable[..., None]]):
    """The table of steps, which gives out no more than a file needs."""

    steps = 0

    def __getitem__(self, code: int) -> Callable[..., None]:
        self.steps += 1
        if self.steps > _MOST_STEPS:
            raise ValueError("it has no end")
        return super().__getitem__(code)


class RestrictedUnpickler(pickle._Unpickler):  # type: ignore[name-defined,misc]
    """Reads one pickle from ``stream``; only the dotted names of ``allowed`` may occur, and families such as "omegaconf."
    by their first part. Each stands for the given callable or Stub.

    It is the unpickler written in Python: the one in C takes as much memory as a memo index or a length in the file says.
    """

    stack: list[Any]
    read: Callable[[int], bytes]
    pop_mark: Callable[[], list[Any]]
    load_mark: Callable[[], None]
    metastack: list[Any]
    dispatch: ClassVar[dict[int, Callable[..., None]]] = dict(pickle._Unpickler.dispatch)  # type: ignore[attr-defined]

    def __init__(self, stream: BinaryIO, allowed: Mapping[str, Callable[..., Any]],
                 families: Mapping[str, type[Stub]] | None = None) -> None:
        super().__init__(stream, encoding="latin1")
        self.dispatch = _Counted(type(self).dispatch)  # type: ignore[misc]
        self._allowed = allowed
        self._families = families or {}

    def _mark(self) -> None:
        if len(self.metastack) > _DEEPEST:
            raise ValueError("it is nested too deeply")
        self.load_mark()

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        found: Any = self._allowed.get(full)
        if found is None:
            found = next((stub for start, stub in self._families.items() if full.startswith(start)), None)
        if found is None:
            raise RefusedPickle(full)
        return found if isinstance(found, type) and issubclass(found, Stub) else _Allowed(found)

    def persistent_load(self, key: object) -> Any:
        raise RefusedPickle("an outside object")

    def _build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, Stub):
            target.__setstate__(state)
        elif not isinstance(target, (OrderedDict, Tensor)):  # whose attributes are of no interest
            raise RefusedPickle("a changed function" if isinstance(target, (_Allowed, type)) else "a changed object")

    def _set_items(self) -> None:
        items = self.pop_mark()
        self._put(items[0::2], items[1::2])

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._put([key], [value])

    def _make_dict(self) -> None:
        items = self.pop_mark()
        self.stack.append({})
        self._put(items[0::2], items[1::2])

    def _put(self, keys: list[Any], values: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, (dict, Stub)):
            raise RefusedPickle("a changed object")
        for key, value in zip(keys, values):
            # Only plain keys: hashing deeply nested tuples can exhaust the stack of the process.
            number = isinstance(key, int) and -_MOST_KEY < key < _MOST_KEY
            if not number and not isinstance(key, (*_PLAIN_KEYS, Stub)) and not (isinstance(key, type) and issubclass(key, Stub)):
                raise RefusedPickle("a key that is neither text nor number of a usual size")
            target[key] = value

    def _bytearray(self) -> None:
        length = int.from_bytes(self.read(8), "little")
        # The standard code would first fill as much memory as the file asks for.
        self.stack.append(bytearray(self.read(min(length, 1 << 40))))

    def _long(self) -> None:
        length = int.from_bytes(self.read(4), "little")
        if length > _LONGEST_NUMBER:
            raise ValueError("a number of endless length")
        self.stack.append(int.from_bytes(self.read(length), "little", signed=True))

    def _forget_items(self) -> None:
        self.pop_mark()  # no set is of interest, and hashing its items is as dangerous as hashing keys

    def _frozen_set(self) -> None:
        self.pop_mark()
        self.stack.append(frozenset())

    dispatch[pickle.BUILD[0]] = _build
    dispatch[pickle.SETITEMS[0]] = _set_items
    dispatch[pickle.SETITEM[0]] = _set_item
    dispatch[pickle.DICT[0]] = _make_dict
    dispatch[pickle.BYTEARRAY8[0]] = _bytearray
    dispatch[pickle.LONG4[0]] = _long
    dispatch[pickle.MARK[0]] = _mark
    dispatch[pickle.ADDITEMS[0]] = _forget_items
    dispatch[pickle.FROZENSET[0]] = _frozen_set
    # Old-style instances, registered extensions and outside buffers occur in none of the files.
    for _opcode in (pickle.INST, pickle.OBJ, pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER):
        dispatch.pop(_opcode[0], None)


def encoded_text(text: str, encoding: str = "latin1") -> bytes:
    """What ``_codecs.encode`` stands for: protocols up to 2 spell bytes as text to be encoded."""
    if encoding.replace("-", "").replace("_", "").lower() not in {"latin1", "utf8", "ascii", "iso88591"}:
        raise RefusedPickle(f"the encoding {encoding}")
    return text.encode(encoding)


def restricted_loads(data: bytes, allowed: Mapping[str, Callable[..., Any]], what: str,
                     families: Mapping[str, type[Stub]] | None = None) -> Any:
    """Unpickle ``data``, in which only the dotted names of ``allowed`` may occur; each stands for the given callable.

    ``families`` are starts of names, all of which stand for one Stub. ``what`` names the file in errors. RigError when
    another name occurs or the bytes are no pickle.
    """
    try:
        return RestrictedUnpickler(io.BytesIO(data), allowed, families).load()
    except RefusedPickle as error:
        raise refusal(what, error) from None
    except DAMAGE as error:
        raise_faults(error)
        raise RigError(f"{what} is not a readable pickle ({pickle_reason(error)}); "
                       "write or download it again.") from error


def pickle_reason(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "it is cut off"
    # KeyError: an unknown opcode; AttributeError: text where an object should be.
    return "damaged" if isinstance(error, (KeyError, AttributeError, IndexError)) else short_reason(error)


def refusal(what: str, error: RefusedPickle) -> RigError:
    """The sentence for a refused pickle."""
    return RigError(f"{what} was refused: the pickle names {str(error)[:200]}, which a file of this kind does not need and which "
                    "could run foreign code; nothing of it was run. Get the file from its original source.")
