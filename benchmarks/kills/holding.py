"""What a folder of results holds, without what differs from run to run, and whether two hold the same."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from diffusionrig.io.checkpoints import load_checkpoint, load_state
from diffusionrig.io.images import read_image
from diffusionrig.io.movies import movie_info
from diffusionrig.io.pt_files import read_pt
from diffusionrig.io.store import open_store

TIMES = re.compile(r".*(second|elapsed|est\.\(|/s$|time|began|created|waited|memory|resumed|started).*|made_in_this_run|hash|"
                   r"updates|(first|last)_logged_loss")
"""Entries of reports and columns of tables that say when, how fast or from where a run went on, and what that one run did of the
whole, not what was made."""

SILENT = {"lock.mdb"}


def contents(folder: Path, place: str = "") -> dict[str, Any]:
    """Every file below ``folder``, hidden ones too, by its path, as plain values and arrays; the path ``place`` in them is written
    as @. Raises what its reader raises when one is damaged."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() or file.is_symlink()]
    return {file.relative_to(folder).as_posix(): _placeless(_read(file), place) for file in files if file.name not in SILENT}


def damaged(folder: Path) -> list[str]:
    """Files of final names that cannot be read, a sentence each."""
    found = []
    for file in sorted(folder.rglob("*")):
        if not file.is_file() or any(part.startswith(".") for part in file.relative_to(folder).parts) or file.name in SILENT:
            continue
        try:
            _read(file)
        except Exception as error:  # whatever a reader makes of half a file
            found.append(f"{file.relative_to(folder)}: {type(error).__name__}: {error}")
    return found


def differences(wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Sentences: files lost, left behind, or of other contents."""
    return [*(f"lost: {name}" for name in sorted(wanted.keys() - found.keys())),
            *(f"left behind: {name}" for name in sorted(found.keys() - wanted.keys())),
            *(f"{name}: {what}" for name in sorted(wanted.keys() & found.keys()) if (what := _differs(wanted[name], found[name])))]


def _read(file: Path) -> Any:
    kind = file.suffix.lower()
    if kind == ".png":
        return read_image(file)
    if kind == ".json":
        return _timeless(json.loads(file.read_text()))
    if kind == ".csv":
        with open(file, newline="") as stream:
            return [{key: value for key, value in row.items() if not TIMES.fullmatch(str(key))} for row in csv.DictReader(stream)]
    if kind == ".mdb":
        store = open_store(file.parent)
        records = [store.record(number) for number in range(len(store))]
        return {"header": _timeless(store.header), "refused": store.refused(), "records": [
            [one.source, one.image, one.fields, one.arrays, one.buffers] for one in records]}
    if kind == ".npz":
        with np.load(file) as arrays:
            return {name: arrays[name] for name in arrays.files}
    if kind == ".npy":
        return np.load(file)
    if kind == ".h5":
        with h5py.File(file) as stored:
            return {"about": {key: str(value) for key, value in stored.attrs.items()},
                    **{key: stored[key][()] for key in stored}}
    if kind == ".safetensors":
        tensors, meta = load_checkpoint(file)
        return {"tensors": {name: tensor.numpy() for name, tensor in tensors.items()}, "meta": _timeless(meta)}
    if kind == ".pt":
        return _tensor_file(file)
    if kind == ".mp4":
        info = movie_info(file)
        return [info.frames, info.fps, info.width, info.height]
    return "" if kind == ".txt" else file.read_bytes()


def _tensor_file(file: Path) -> Any:
    if file.name.startswith("state"):
        load_state(file)  # whole, or an error; what it holds is seen in the models that come of it
        return "state"
    return read_pt(file).numpy()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if not TIMES.fullmatch(str(key))}
    return [_timeless(item) for item in value] if isinstance(value, (list, tuple)) else value


def _placeless(value: Any, place: str) -> Any:
    if isinstance(value, dict):
        return {key: _placeless(item, place) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_placeless(item, place) for item in value]
    if isinstance(value, bytes):
        return value.replace(place.encode(), b"@") if place else value
    return value.replace(place, "@") if place and isinstance(value, str) else value


def _differs(wanted: Any, found: Any) -> str:
    if isinstance(wanted, np.ndarray) and isinstance(found, np.ndarray):
        if wanted.shape != found.shape or wanted.dtype != found.dtype:
            return f"{wanted.shape} {wanted.dtype} became {found.shape} {found.dtype}"
        if wanted.dtype == np.uint8:  # drawn in other batches, pictures may be rounded otherwise
            apart = int(np.abs(wanted.astype(int) - found).max(initial=0))
            return f"pixels differ by up to {apart}" if apart > 1 else ""
        equal = np.array_equal(wanted, found, equal_nan=wanted.dtype.kind == "f")
        return "" if equal else "other numbers"
    if isinstance(wanted, dict) and isinstance(found, dict):
        if wanted.keys() != found.keys():
            return f"entries {sorted(map(str, wanted.keys() ^ found.keys()))[:4]}"
        return next((f"{key}: {what}" for key in wanted if (what := _differs(wanted[key], found[key]))), "")
    if isinstance(wanted, (list, tuple)) and isinstance(found, (list, tuple)):
        if len(wanted) != len(found):
            return f"{len(wanted)} rows became {len(found)}"
        rows = enumerate(zip(wanted, found))
        return next((f"row {row}: {what}" for row, (one, other) in rows if (what := _differs(one, other))), "")
    if isinstance(wanted, float) and isinstance(found, float) and abs(wanted - found) <= 1e-3 * max(1.0, abs(wanted)):
        return ""
    return "" if wanted == found else f"{str(wanted)[:60]!r} became {str(found)[:60]!r}"
