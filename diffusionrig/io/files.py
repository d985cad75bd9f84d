"""Writing files so that nothing is ever lost: temporary name, fsync, rename; existing results are not clobbered."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.damage import parse_json
from diffusionrig.io.mistaken import refuse_mistaken_file
from diffusionrig.io.paths import ordinary_file, reason, refuse_strange
from diffusionrig.io.temporary_files import temporary_name

MOST_JSON = 1 << 26
"""Bytes of a JSON file; the report of a hundred thousand photographs is smaller."""


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it is fsynced and renamed onto ``path``, else removed.
    What earlier writers that were killed left in that folder is swept away.

    Raises RigError with one sentence when the folder is read-only or the disk is full.
    """
    final = Path(path)
    temporary = temporary_name(final)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, final)
        _sync_folder(final.parent)
    except OSError as error:
        raise cannot_write(final, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def cannot_write(path: str | Path, error: OSError) -> RigError:
    """The sentence for a file that cannot be written, with the advice that fits the cause."""
    advice = "see that its folder is there" if error.errno in (errno.ENOENT, errno.ENOTDIR) else ""
    text = f"{error.strerror}; {advice}" if advice else reason(error, "free some space or choose another folder")
    return RigError(f"Cannot write {path}: {text}.")


def _sync_folder(folder: Path) -> None:
    # A rename survives a power cut only once the folder entry is on disk; not every file system allows the call.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def read_bytes(path: str | Path, most: int | None = None) -> bytes:
    """The bytes of an ordinary file; RigError with the system's reason when it cannot be read, or has over ``most`` bytes."""
    try:
        found = os.stat(path)
        if most is not None and found.st_size > most:
            unit, size = (1e6, "MB") if most >= 1e6 else (1e3, "kB")
            raise RigError(f"{path} has {found.st_size / unit:.0f} {size}, more than the {most / unit:.0f} {size} that such a file "
                           "can have; check that it is the right one.")
        refuse_strange(path, found)
        return Path(path).read_bytes()
    except (OSError, ValueError, MemoryError) as error:
        raise RigError(f"Cannot read {path}: {reason(error)}.") from error


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 ``text`` to ``path`` atomically; see ``utf8``."""
    write_bytes(path, utf8(text))


def utf8(text: str) -> bytes:
    """``text`` as UTF-8; the halves of letters that stand for bytes of strange names are spelt as JSON spells them."""
    return text.encode("utf-8", "backslashreplace")


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as indented JSON; NaN is refused, since other readers do not accept it."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read JSON, with one sentence instead of a traceback when the file is absent or damaged."""
    try:
        return parse_json(read_bytes(path, MOST_JSON))
    except ValueError as error:
        raise RigError(f"{path} is not valid JSON ({error}); delete it or write it again.") from error


def make_folder(path: str | Path) -> Path:
    """Create an output folder (and its parents); RigError when that is not possible."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"{folder} is a file, but a folder is needed there; choose another output folder.") from error
    except (OSError, ValueError) as error:
        raise RigError(f"Cannot create the folder {folder}: {reason(error)}.") from error
    if not os.access(folder, os.W_OK):
        raise RigError(f"The folder {folder} cannot be written to; choose another output folder or change its rights.")
    return folder


def existing_file(path: str | Path, what: str) -> Path:
    """``path`` when it is a readable file; else UsageError naming ``what`` it should have been, or RigError when another file
    stands in its place (``mistaken``)."""
    file = ordinary_file(path, what)
    refuse_mistaken_file(file)
    return file


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    try:
        refuse_strange(path, os.stat(path))
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
    except (OSError, ValueError) as error:
        raise RigError(f"Cannot read {path}: {reason(error)}.") from error
    return digest.hexdigest()


def remove_files(paths: Iterable[str | Path]) -> None:
    """Delete files; those that are gone already are fine."""
    for path in paths:
        try:
            Path(path).unlink(missing_ok=True)
        except OSError as error:
            raise RigError(f"Cannot delete {path}: {reason(error)}.") from error
