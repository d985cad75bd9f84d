"""Opening LMDB folders safely: one handle per process and folder, no crash on a cut file, sentences for every failure."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lmdb

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.damage import short_reason
from diffusionrig.io.files import make_folder
from diffusionrig.io.mistaken import refuse_mistaken_file
from diffusionrig.io.paths import reason, refuse_strange

DATA_FILE = "data.mdb"
_FIRST_MAP = 1 << 24
PATIENCE = 60.0
"""Seconds that a reader waits for the others of its process before it takes the grown map."""

# LMDB forbids opening a folder twice in one process, so readers share a handle.
_shared: weakref.WeakValueDictionary[tuple[int, int], lmdb.Environment] = weakref.WeakValueDictionary()
_all: weakref.WeakSet[lmdb.Environment] = weakref.WeakSet()
_gates: weakref.WeakKeyDictionary[lmdb.Environment, _Gate] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def _leave_to_parent() -> None:
    """In a forked child: give up the handles it inherited, which only the parent may use. Readers open new ones."""
    global _lock
    _lock = threading.Lock()
    for handle in list(_all):
        handle.close()
    _shared.clear()
    _all.clear()
    _gates.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


def store_folder(path: str | Path) -> Path:
    """The folder of the store at ``path``, which may name the file in it instead."""
    place = Path(path)
    return place.parent if place.name == DATA_FILE and not place.is_dir() else place


def is_store(path: str | Path) -> bool:
    """Whether there is a store at ``path``."""
    return (store_folder(path) / DATA_FILE).is_file()


def _missing(path: Path) -> UsageError:
    inside = sorted(file.parent for file in path.glob(f"*/{DATA_FILE}")) if path.is_dir() else []
    if inside:
        return UsageError(f"There is no store at {path}, but a folder deeper: give {' or '.join(map(str, inside[:3]))}.")
    return UsageError(f"There is no store at {path}: the file {DATA_FILE} is missing; give the folder that create-data wrote.")


class _Gate:
    """Counts the readers of an environment, and lets the map grow while there are none: LMDB moves it then, from under them."""

    def __init__(self) -> None:
        self.reading = 0
        self.changed = threading.Condition()

    @contextlib.contextmanager
    def reader(self, environment: lmdb.Environment) -> Iterator[lmdb.Transaction]:
        """A read transaction. Where another process has grown the file beyond this one's map, the map is taken anew first."""
        transaction = self._begin(environment)
        try:
            with transaction:
                yield transaction
        finally:
            with self.changed:
                self.reading -= 1
                self.changed.notify_all()

    def _begin(self, environment: lmdb.Environment) -> lmdb.Transaction:
        deadline = time.monotonic() + PATIENCE
        with self.changed:
            while True:
                try:
                    transaction = environment.begin(buffers=True)
                    self.reading += 1
                    return transaction
                except lmdb.MapResizedError:
                    if not self.reading:
                        environment.set_mapsize(0)  # as large as the file says
                    elif not self.changed.wait(deadline - time.monotonic()):
                        raise


class ReadHandle:
    """Read access to an LMDB folder from any thread; opened where first used, so it may be forked or pickled. Goes on reading while
    another process writes to the store, and grows it.

    UsageError when there is no store at ``folder``, RigError when it is damaged; both on first use.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = store_folder(folder)
        self._process = 0
        self._environment: lmdb.Environment | None = None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[lmdb.Transaction]:
        """A read transaction whose values are views of the mapped file, valid until it ends."""
        if self._environment is None or self._process != os.getpid():
            self._environment, self._process = _open_readonly(self.folder), os.getpid()
        with speaking(self.folder), _gate_of(self._environment).reader(self._environment) as transaction:
            yield transaction

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "_process": 0, "_environment": None}


def _gate_of(environment: lmdb.Environment) -> _Gate:
    with _lock:
        return _gates.setdefault(environment, _Gate())


def _open_readonly(path: Path) -> lmdb.Environment:
    file = path / DATA_FILE
    if not os.path.exists(file):
        raise _missing(path)
    refuse_strange(file, file.stat())
    refuse_mistaken_file(file)
    with _lock, speaking(path):
        status = file.stat()
        if not status.st_size:
            raise RigError(f"The store {path} is cut off: its {DATA_FILE} is empty; copy it again, or delete the folder and "
                           "run create-data again.")
        handle = _shared.get((status.st_dev, status.st_ino))
        if handle is None:
            # Without write access there is no writer to guard against either, and no lock file can be made.
            handle = lmdb.open(os.fsencode(path), readonly=True, lock=os.access(path, os.W_OK), readahead=False,
                               max_readers=1024)
            check_complete(handle, file)
            _shared[status.st_dev, status.st_ino] = handle
            _all.add(handle)
        return handle


def open_writable(path: Path) -> lmdb.Environment:
    """A handle for writing; the folder is made when absent. RigError when it cannot be written to."""
    make_folder(path)
    file = path / DATA_FILE
    with speaking(path):
        present = file.is_file() and file.stat().st_size > 0
        handle = lmdb.open(os.fsencode(path), map_size=_FIRST_MAP, max_readers=1024, readahead=False)
        if present:
            check_complete(handle, file)
        handle.reader_check()
        _all.add(handle)
        return handle


def check_complete(handle: lmdb.Environment, file: Path) -> None:
    """RigError when the file is shorter than its own table of pages says; reading on would kill the process."""
    expected = (handle.info()["last_pgno"] + 1) * handle.stat()["psize"]
    actual = file.stat().st_size
    if actual < expected:
        handle.close()
        raise RigError(f"The store {file.parent} is cut off: {file.name} has {actual:,} of {expected:,} bytes; copy it "
                       "again, or delete the folder and run create-data again.")


def pad_to_pages(handle: lmdb.Environment, file: Path) -> None:
    """Make the file as long as its table of pages, which LMDB leaves out when its last pages are free."""
    expected = (handle.info()["last_pgno"] + 1) * handle.stat()["psize"]
    if file.stat().st_size < expected:
        os.truncate(file, expected)


@contextlib.contextmanager
def speaking(folder: Path) -> Iterator[None]:
    """Turn LMDB's errors into one sentence; a full map passes, since the writer answers it by growing."""
    try:
        yield
    except lmdb.MapFullError:
        raise
    except lmdb.MapResizedError as error:
        raise RigError(f"The store {folder} was grown by another process while much of it was being read here; start the command "
                       "again.") from error
    except (lmdb.InvalidError, lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.VersionMismatchError) as error:
        raise RigError(f"The store {folder} is damaged or no LMDB file ({short_reason(error)}); copy it again, or delete "
                       "the folder and run create-data again.") from error
    except lmdb.Error as error:
        text = short_reason(error)
        if "already open" in text:
            raise RigError(f"The store {folder} is still read or written elsewhere in this process; let go of those readers "
                           "and writers first.") from error
        # LMDB reports a write that was cut short by a full disk as an input/output error.
        full = any(word in text for word in ("space", "too large", "Input/output"))
        advice = "free some space or choose another folder" if full else "see that its files may be read and written"
        raise RigError(f"Cannot use the store {folder}: {text}; {advice}.") from error
    except RigError:
        raise
    except OSError as error:
        raise RigError(f"Cannot use the store {folder}: {reason(error)}.") from error
    except (MemoryError, OverflowError, UnicodeError) as error:
        raise RigError(f"The store {folder} is damaged or no LMDB file ({short_reason(error)}); copy it again, or delete "
                       "the folder and run create-data again.") from error
