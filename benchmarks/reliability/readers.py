"""Which readers take which file, and one run of them under watch: what they raise, how long they take, how much memory."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from diffusionrig.capture.saved_codes import load_codes
from diffusionrig.data.inspection import store_statistics
from diffusionrig.editing.controls import parse_sliders
from diffusionrig.editing.model_card import describe_model, preview_of
from diffusionrig.editing.pretrained import load_pretrained, read_mean_shape
from diffusionrig.editing.provenance import read_provenance
from diffusionrig.errors import RigError
from diffusionrig.faces.placement import read_placement
from diffusionrig.io.animations import animation_frames, is_animated
from diffusionrig.io.array_files import read_array_file
from diffusionrig.io.arrays import read_npy
from diffusionrig.io.checkpoints import load_released, load_state, load_weights
from diffusionrig.io.clip_frames import ClipFrames
from diffusionrig.io.emoca_folder import read_emoca_settings
from diffusionrig.io.files import read_json
from diffusionrig.io.h5_files import H5File
from diffusionrig.io.images import read_image, read_png_text
from diffusionrig.io.journal import CsvTable, read_table
from diffusionrig.io.label_files import read_label_arrays, read_label_table
from diffusionrig.io.mapped_npy import map_npy
from diffusionrig.io.movies import movie_info
from diffusionrig.io.npz import array_names
from diffusionrig.io.object_npy import read_object_npy
from diffusionrig.io.pickled_tensors import read_pickled_tensor
from diffusionrig.io.pt_files import read_pt
from diffusionrig.io.record import picture_mark, unpack
from diffusionrig.io.settings_files import read_settings
from diffusionrig.io.sound import read_sound
from diffusionrig.io.store import open_store
from diffusionrig.io.tables import read_number_table, read_text_table
from diffusionrig.io.video import all_frames
from diffusionrig.io.wav import read_wav, wav_info
from diffusionrig.model.config import ModelConfig
from diffusionrig.reactions.live.lines import read_frames

Reader = Callable[[Path], object]
SECONDS, BYTES = 2.0, 300e6


def _picture(path: Path) -> list[Reader]:
    return [read_image, read_png_text, read_provenance, read_placement, is_animated,
            lambda file: list(itertools.islice(animation_frames(file), 16)),
            lambda file: list(itertools.islice(ClipFrames(file), 16))]


def _video(path: Path) -> list[Reader]:
    return [movie_info, lambda file: list(itertools.islice(all_frames(file), 40)), read_sound, read_provenance,
            lambda file: list(itertools.islice(ClipFrames(file, fps=30.0), 40))]


def _h5(path: Path) -> None:
    with H5File(path) as file:
        for key in file.keys:
            file.kind(key), file.attributes(key)
            if len(file.shape(key)) > 1:
                file.row(key, 0)
            else:
                file.texts(key)
        file.attributes()


def _store(path: Path) -> None:
    store = open_store(path)
    for index in range(min(len(store), 5)):
        store.record(index), store.mark(index), store.record_bytes(index)
    store_statistics(path)


def _card(path: Path) -> None:
    from diffusionrig.cli.inspect import card_text

    card = describe_model(path)
    card_text(card)
    preview_of(card["meta"], str(path))


def _settings(path: Path) -> None:
    for section, values in read_settings(path).items():
        if section == "model":
            ModelConfig.from_dict(values, str(path))


def _record(path: Path) -> None:
    data = path.read_bytes()
    picture_mark(data, str(path))
    unpack(data, str(path), image=False)
    unpack(data, str(path))


def _live(path: Path) -> None:
    with open(path, encoding="utf-8", errors="replace") as stream:
        list(read_frames(stream))


def _sliders(path: Path) -> None:
    parse_sliders(path.read_bytes().decode("utf-8", "replace"))


def _label_arrays(path: Path) -> None:
    (path.parent / "x_exp.npy").write_bytes(path.read_bytes())
    read_label_arrays(path.parent, "x")


_ARRAYS: list[Reader] = [read_npy, map_npy, _label_arrays]
_NPZ: list[Reader] = [lambda path: read_array_file(path), array_names, load_codes]
_WEIGHTS: list[Reader] = [load_weights, _card, lambda path: load_pretrained(path)]
_BY_NAME: dict[str, list[Reader]] = {
    "npy": _ARRAYS, "text_npy": _ARRAYS, "npz": _NPZ, "codes": _NPZ, "packed_npz": _NPZ, "h5": [_h5],
    "pickled_npy": [lambda path: read_object_npy(path, "table")],
    "pickled_tensor": [read_pickled_tensor, lambda path: read_mean_shape(path, 10)], "json": [read_json], "yaml": [_settings],
    "emoca": [read_emoca_settings], "numbers": [lambda path: read_number_table(path, ["one", "two", "three"])],
    "text_table": [read_text_table], "labels": [read_label_table],
    "progress": [read_table, lambda path: CsvTable(path).forget("step", 3)],
    "live": [_live], "sliders": [_sliders],
    "state": [load_state, load_released], "released": [load_weights, load_released, load_pretrained],
    "old_pt": [load_released, load_state], "safetensors": _WEIGHTS, "adapter": _WEIGHTS, "tensor": [read_pt], "record": [_record],
    "halves": [_record], "store": [_store], "published": [_store]}


def readers_of(name: str, path: Path) -> list[Reader]:
    """The readers that take a file of this name and ending."""
    if name in _BY_NAME:
        return _BY_NAME[name]
    if path.suffix in (".wav", ".aac"):
        return [read_wav, wav_info, read_sound]
    return _video(path) if path.suffix in (".mp4", ".webm", ".avi") else _picture(path)


def watched(read: Reader, path: Path) -> dict[str, Any]:
    """What became of reading ``path``: error ("" or the name of one that is not ours), its text, seconds, bytes at the peak."""
    before, began = _memory(reset=True), time.perf_counter()
    kind = text = ""
    try:
        read(path)
    except RigError as error:
        sentence = str(error)
        # Names of the file itself may hold anything; what is printed is escaped where it is printed.
        if len(sentence) > 3000 or not sentence.strip():
            kind, text = "endless sentence", sentence[:200]
    except Exception as error:
        kind, text = type(error).__name__, repr(error)[:300]
    return {"error": kind, "text": text, "seconds": time.perf_counter() - began, "bytes": max(0, _memory() - before)}


def _memory(reset: bool = False) -> int:
    """Bytes held now (after a reset of the peak), or held at most since then."""
    if reset:
        try:
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")
        except OSError:
            pass
    with open("/proc/self/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    return int(fields["VmRSS" if reset else "VmHWM"].split()[0]) * 1024


def quiet() -> None:
    """What libraries print of damaged files themselves goes nowhere; no pipe is held open that somebody reads to its end."""
    empty = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(empty, stream)
