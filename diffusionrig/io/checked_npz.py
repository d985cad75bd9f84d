"""Arrays out of .npz archives whose shapes are known beforehand: nothing larger than expected is ever unpacked."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.array_checks import Wanted, check_array, fits, wrong_shape
from diffusionrig.io.damage import reading
from diffusionrig.io.files import existing_file
from diffusionrig.io.npy_stream import NpyHeader, read_npy_header, read_numbers


@contextlib.contextmanager
def open_npz(path: str | Path, what: str) -> Iterator[zipfile.ZipFile]:
    """The archive ``path``; UsageError when it is absent, one sentence (RigError) for whatever is wrong with it."""
    file = existing_file(path, what)
    with reading(file, "is damaged or is no .npz archive of plain arrays", "copy or download it again"), \
            zipfile.ZipFile(file) as archive:
        yield archive


@contextlib.contextmanager
def open_array(archive: zipfile.ZipFile, key: str, wanted: Wanted) -> Iterator[tuple[IO[bytes], NpyHeader]]:
    """The array ``key`` as (stream of its numbers, header), when its declared shape and type are as ``wanted``."""
    where = str(archive.filename)
    try:
        member = archive.getinfo(f"{key}.npy")
    except KeyError:
        held = ", ".join(name.removesuffix(".npy") for name in archive.namelist()[:8]) or "nothing"
        raise RigError(f"{where} lacks {key} (it holds {held}); check that it is the right file, or download it "
                       "again.") from None
    with archive.open(member) as stream:
        header = read_npy_header(stream)
        if header.dtype is None:
            raise wrong_shape(where, key, wanted, "holds Python objects, which are not unpickled")
        if not fits(header.shape, wanted):
            raise wrong_shape(where, key, wanted, header.shape)
        if header.dtype.kind not in wanted.kind:
            raise wrong_shape(where, key, wanted, f"has the type {header.dtype}")
        if member.file_size != header.length + header.nbytes:
            raise ValueError(f"{key} holds {member.file_size} bytes where its shape needs {header.length + header.nbytes}")
        yield stream, header


def read_array(archive: zipfile.ZipFile, key: str, wanted: Wanted) -> np.ndarray:
    """The array ``key``, checked against ``wanted``."""
    with open_array(archive, key, wanted) as (stream, header):
        return check_array(read_numbers(stream, header), wanted, str(archive.filename), key)


def read_checked_npz(path: str | Path, wanted: Mapping[str, Wanted], what: str) -> dict[str, np.ndarray]:
    """The arrays named in ``wanted``. UsageError when the file is absent, RigError (one sentence, naming the array) else."""
    with open_npz(path, what) as archive:
        return {key: read_array(archive, key, one) for key, one in wanted.items()}


def check_npz_headers(path: str | Path, wanted: Mapping[str, Wanted], what: str) -> None:
    """As ``read_checked_npz``, but looks at shapes and types only."""
    with open_npz(path, what) as archive:
        for key, one in wanted.items():
            with open_array(archive, key, one):
                pass
