"""Looking at paths without surprises: names too long, links to themselves, folders that may not be searched, pipes and devices."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from diffusionrig.errors import RigError, UsageError

_ADVICE = {
    errno.ENAMETOOLONG: "give a shorter name", errno.ELOOP: "it is a link that leads back to itself, so remove it",
    errno.EACCES: "change its rights or those of its folder", errno.EPERM: "change its rights or those of its folder",
    errno.ENOSPC: "free some space or choose another folder", errno.EDQUOT: "free some space or choose another folder",
    errno.EFBIG: "free some space or choose another folder", errno.EROFS: "choose a folder on another disk",
    errno.ENOENT: "check the path", errno.ENOTDIR: "check the path", errno.EISDIR: "name a file, not a folder",
    errno.EMFILE: "allow more open files (ulimit -n)", errno.ENFILE: "allow more open files (ulimit -n)",
    errno.EIO: "see whether the disk is in order", errno.EILSEQ: "give a name that the disk can hold",
    errno.EINVAL: "give a name that the disk can hold"}

HOLLOW = 1 << 26
"""Bytes from which on a file that is mostly holes, which take no room on the disk but memory when they are read, is refused."""


def reason(error: BaseException, otherwise: str = "") -> str:
    """What the system says of ``error``, and what helps against it (``otherwise`` where nothing in particular does)."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    advice = _ADVICE.get(error.errno or 0, otherwise) if isinstance(error, OSError) else otherwise
    return f"{text}; {advice}" if advice else text


def real(path: str | Path) -> Path:
    """``path`` absolute and without links; of links that lead nowhere, as far as they lead."""
    return Path(os.path.realpath(path))


def status(path: str | Path, what: str = "file") -> os.stat_result | None:
    """What is at ``path``, None when nothing is; UsageError when it cannot be looked at."""
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in it
        raise UsageError(f"Cannot look at the {what} {path}: {reason(error, 'check the path')}.") from error


def refuse_strange(path: str | Path, found: os.stat_result) -> None:
    """RigError unless ``found`` at ``path`` is an ordinary file, there whole: pipes and devices would be read without end."""
    if not stat.S_ISREG(found.st_mode):
        kinds = ((stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"))
        kind = next((name for test, name in kinds if test(found.st_mode)), "no file")
        raise RigError(f"{path} is {kind}, but an ordinary file is needed there; copy what comes from it into one.")
    held = getattr(found, "st_blocks", 0) * 512
    if found.st_size > HOLLOW and 0 < held < found.st_size // 16:
        raise RigError(f"{path} is mostly holes: {held / 1e6:.1f} MB of {found.st_size / 1e6:.0f} MB are there; copy or download "
                       "it again.")


def ordinary_file(path: str | Path, what: str) -> Path:
    """``path`` when an ordinary file is there; UsageError naming ``what`` it should have been when nothing or a folder is, RigError
    when it is a pipe, a device or mostly holes."""
    if not str(path):
        raise UsageError(f"No path was given for {what}.")
    file, found = Path(path), status(path, what)
    if found is None:
        raise UsageError(f"There is no {what} at {file}; check the path.")
    if stat.S_ISDIR(found.st_mode):
        raise UsageError(f"{file} is a folder, but {what} is a file.")
    refuse_strange(file, found)
    return file
