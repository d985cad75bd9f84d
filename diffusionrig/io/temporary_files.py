"""Names of files that are not whole yet, and the sweeping of those whose writer was killed, in the folder where they are made."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import threading
import time
from pathlib import Path

from diffusionrig.io.processes import machine, works

LONGEST = 255
"""Bytes that a name may have on the usual file systems."""

FOREIGN = 24 * 3600.0
"""Seconds after which what another machine began counts as left behind: whether its process works cannot be seen from here."""

_NAME = re.compile(r"\..+\.(?:([0-9a-f]{6})-)?(\d{1,10})-[0-9a-f]{6}\.tmp", re.DOTALL)

_swept: set[tuple[int, int]] = set()
_guard = threading.Lock()


def temporary_name(final: Path) -> Path:
    """A hidden name beside ``final`` that no one else uses and that says whose it is: machine and process. The first use of a
    folder sweeps it."""
    sweep_once(final.parent)
    ending = f".{_here()}-{os.getpid()}-{secrets.token_hex(3)}.tmp"
    # As bytes: the limit counts them, and half a letter of a long name would be none.
    start = os.fsencode(final.name)[:LONGEST - 1 - len(ending)]
    return final.with_name(f".{_whole(start)}{ending}")


def fitting(stem: str, ending: str = "", most: int = LONGEST) -> str:
    """``stem`` and ``ending`` as the name of a file: where that is longer than ``most`` bytes, the stem is cut, and a hash of
    all of it tells it from others that begin alike."""
    name = f"{stem}{ending}"
    if len(os.fsencode(name)) <= most:
        return name
    mark = "-" + hashlib.blake2b(os.fsencode(name), digest_size=4).hexdigest() + ending
    return _whole(os.fsencode(stem)[:most - len(os.fsencode(mark))]) + mark


def _whole(start: bytes) -> str:
    """The beginning of a name without the half letter at its end, which some file systems refuse."""
    for less in range(4):
        try:
            return start[:len(start) - less].decode()
        except UnicodeDecodeError:
            continue
    return os.fsdecode(start)


def sweep_once(folder: Path) -> None:
    """``sweep``, unless that was done for this folder since ``sweep_again``."""
    try:
        status = os.stat(folder)
    except OSError:
        return
    with _guard:
        if (status.st_dev, status.st_ino) in _swept:
            return
        _swept.add((status.st_dev, status.st_ino))
    sweep(folder)


def sweep_again() -> None:
    """A new command begins, before which others may have been killed."""
    with _guard:
        _swept.clear()


def sweep(folder: Path) -> None:
    """Delete the temporary files and folders in ``folder`` whose writer is gone. What cannot be deleted stays, without a word."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _NAME.fullmatch(entry.name) if entry.name.endswith(".tmp") else None
            if found and _left_behind(entry, found[1], int(found[2])):
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        shutil.rmtree(entry.path)
                    else:
                        os.unlink(entry.path)


def _left_behind(entry: os.DirEntry[str], place: str | None, process: int) -> bool:
    if place in (None, _here()):  # names of before did not say the machine
        return not works(process)
    with contextlib.suppress(OSError):
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > FOREIGN
    return False


def _here() -> str:
    return hashlib.blake2b(machine().encode("utf-8", "surrogateescape"), digest_size=3).hexdigest()
