"""What lies where a file was meant to: pointers of Git LFS, and web pages that a download left instead of a file."""

from __future__ import annotations

import os
from pathlib import Path

from diffusionrig.errors import RigError

_POINTER = b"version https://git-lfs.github.com/spec/"
_PAGES = (b"<!doctype html", b"<html", b"<!doctype xhtml")
LOOKED_AT = 512
"""Bytes from the start of a file by which it is told."""


def refuse_mistaken(head: bytes, name: str | Path) -> None:
    """RigError in one sentence when a file that begins with ``head`` is not the file ``name`` but stands for it."""
    if head.startswith(_POINTER):
        raise RigError(f"{name} is a pointer of Git LFS, not the file itself; run 'git lfs pull' in its repository, or download "
                       "the file.")
    if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:20].lower().startswith(_PAGES):
        raise RigError(f"{name} is a web page, not the file itself; the download asked for a log-in or a confirmation, so download "
                       "it again in a browser.")


def refuse_mistaken_file(file: Path) -> None:
    """``refuse_mistaken`` for a file; what cannot be read is left to its reader."""
    if not os.path.isfile(file):  # to open a pipe or a device would wait for it
        return
    try:
        with open(file, "rb") as stream:
            head = stream.read(LOOKED_AT)
    except OSError:
        return
    refuse_mistaken(head, file)
