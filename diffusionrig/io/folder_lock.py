"""A folder of results belongs to one run at a time: a lock that names who holds it and that no kill leaves behind.

Two things speak for a holder: the lock of the operating system on the file, which ends with the process, and what the file says.
Some network disks know no locks, or keep them within one machine; there the file alone is asked. A process of this machine is
looked up by number and start; one of another machine, whose processes nobody here can see, by whether it still touches the file.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from diffusionrig.errors import RigError
from diffusionrig.io.damage import short_reason
from diffusionrig.io.files import make_folder
from diffusionrig.io.paths import real
from diffusionrig.io.processes import machine, start_of, works

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

NAME = ".diffusionrig.lock"
BEAT = 4.0
"""Seconds between two touches by the holder."""

WATCH = 3 * BEAT
"""Seconds without a touch after which a holder on another machine counts as gone."""

SETTLE = 0.3
"""Seconds that one waits, where there are no locks, to see whether somebody else took the folder at the same moment."""

_held: set[str] = set()
_guard = threading.Lock()


@contextlib.contextmanager
def folder_lock(folder: str | Path, command: str) -> Iterator[None]:
    """Hold ``folder``, which is made where it is absent, for a run of ``command``.

    RigError, one sentence that names process, machine and start, while another run holds it. A killed holder holds nothing.
    """
    place = Path(folder)
    made = [folder for folder in (place, *place.parents) if not folder.exists()]
    key = str(real(make_folder(place)))
    try:
        with _once(key, place):
            holder = _Holder(place, command)
            try:
                yield
            finally:
                holder.leave()
    finally:
        # A request that was refused leaves no empty folders.
        with contextlib.suppress(OSError):
            for empty in made:
                empty.rmdir()


def in_use(folder: str | Path) -> bool:
    """Whether a run holds ``folder`` now."""
    file = Path(folder) / NAME
    if str(real(folder)) in _held:
        return True
    try:
        descriptor = os.open(file, os.O_RDWR)
    except OSError:
        return False
    try:
        if _lock(descriptor) is False:
            return True
        note = _read(descriptor)
        return bool(note) and _works(note, file)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _once(key: str, folder: Path) -> Iterator[None]:
    # Locks of the system do not keep two threads of one process apart.
    with _guard:
        if key in _held:
            raise _taken(folder, {"process": os.getpid(), "machine": socket.gethostname()})
        _held.add(key)
    try:
        yield
    finally:
        with _guard:
            _held.discard(key)


class _Holder:
    """The lock while it is held."""

    def __init__(self, folder: Path, command: str) -> None:
        self.file, self.owner = folder / NAME, os.getpid()
        self.note = {"process": self.owner, "machine": socket.gethostname(), "command": command,
                     "began": datetime.datetime.now().isoformat(" ", "seconds"), "where": machine(), "start": start_of(self.owner),
                     "token": secrets.token_hex(8)}
        try:
            self.descriptor = self._take(folder)
        except OSError as error:
            raise RigError(f"Cannot write {self.file}: {short_reason(error)}; free some space or choose another folder.") from error
        self._ended = threading.Event()
        self._touching = threading.Thread(target=self._touch, name="folder lock", daemon=True)
        self._touching.start()

    def _take(self, folder: Path) -> int:
        while True:
            descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                locked = _lock(descriptor)
                if locked is False:
                    raise _taken(folder, _read(descriptor))
                if not _still_there(descriptor, self.file):
                    # Its holder left, and took the file along, between the two calls.
                    os.close(descriptor)
                    continue
                other = _read(descriptor)
                if other and _works(other, self.file):
                    raise _taken(folder, other)
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps(self.note).encode(), 0)
                os.fsync(descriptor)
                if locked is None:
                    time.sleep(SETTLE)
                    other = _read(descriptor)
                    if other.get("token") != self.note["token"]:
                        raise _taken(folder, other)
                return descriptor
            except BaseException:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
                raise

    def _touch(self) -> None:
        while not self._ended.wait(BEAT):
            with contextlib.suppress(OSError):
                os.utime(self.file)

    def leave(self) -> None:
        """Give the folder back; in a forked child, which never held it, nothing."""
        if os.getpid() != self.owner:
            return
        self._ended.set()
        with contextlib.suppress(OSError):
            if _read(self.descriptor).get("token") == self.note["token"] and _still_there(self.descriptor, self.file):
                os.unlink(self.file)
        with contextlib.suppress(OSError):
            os.close(self.descriptor)


def _lock(descriptor: int) -> bool | None:
    """Lock the file for this process until it ends or closes it: False when another one has, None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError as error:
        return False if error.errno in (errno.EACCES, errno.EAGAIN) else None


def _read(descriptor: int) -> dict[str, Any]:
    """What the file says; nothing when it is empty or was cut off."""
    try:
        note = json.loads(os.pread(descriptor, 1 << 16, 0))
    except (OSError, ValueError, RecursionError):
        return {}
    return note if isinstance(note, dict) else {}


def _works(note: dict[str, Any], file: Path) -> bool:
    """Whether the run that wrote ``note`` still goes on."""
    number = note.get("process")
    if note.get("where") == machine():
        return isinstance(number, int) and number != os.getpid() and works(number, str(note.get("start", "")))
    touched, deadline = _touched(file), time.monotonic() + WATCH
    while time.monotonic() < deadline:
        time.sleep(BEAT / 8)
        if _touched(file) != touched:
            return True
    return False


def _touched(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _still_there(descriptor: int, file: Path) -> bool:
    try:
        named = os.stat(file)
    except FileNotFoundError:
        return False
    mine = os.fstat(descriptor)
    return (named.st_dev, named.st_ino) == (mine.st_dev, mine.st_ino)


def _taken(folder: Path, note: dict[str, Any]) -> RigError:
    who = f"process {note['process']} on {note.get('machine')}" if note.get("process") else "another process"
    what = "".join([f" ({note['command']})" if note.get("command") else "", f" since {note['began']}" if note.get("began") else ""])
    return RigError(f"{folder} is in use by {who}{what}; wait until that has ended, stop it, or choose another folder.")
