"""Registered files that would run code or take all memory: each is refused at once, by name, and nothing of it runs."""

from __future__ import annotations

import os
import pickle
import resource
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from processes import Touch
from standins.hostile import HUGE, albedo_files, landmark_files, npy_of, pickled_models, torch_bytes, torch_files

from diffusionrig.errors import RigError
from diffusionrig.io.encoder_files import check_deca, read_deca, read_emoca, read_smirk
from diffusionrig.io.flame_files import (
    read_eyelid,
    read_fixed_displacement,
    read_flame,
    read_landmark_embedding,
    read_mediapipe_embedding,
    read_texture,
    read_texture_data,
)
from diffusionrig.io.registered import find, registered_files

MEMORY = 300e6  # bytes a refusal may take at its peak, beyond what the process took before


def refused(read: Callable[[Any], object], path: Path, words: str, mark: Path) -> None:
    """``read(path)`` says ``words`` in one sentence, within a second, in little memory; ``mark`` is not made."""
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(RigError, match=words) as error:
        read(path)
    assert time.process_time() - began < 1
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MEMORY
    text = str(error.value)
    assert "\n" not in text
    assert str(path.parent) in text
    assert text.endswith(".")
    assert len(text) < 500
    assert not mark.exists()


def each(tricks: Any, path: Path, mark: Path, *readers: Callable[[Any], object]) -> int:
    count = 0
    for _, data, words in tricks:
        path.write_bytes(data)
        for read in readers:
            refused(read, path, words, mark)
        count += 1
    return count


def test_the_trap_works(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    pickle.loads(pickle.dumps(Touch(mark)))
    assert mark.exists()


def test_head_models(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    assert each(pickled_models(mark), tmp_path / "generic_model.pkl", mark, read_flame) > 25


def test_landmark_tables(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    assert each(landmark_files(mark, Touch), tmp_path / "landmark_embedding.npy", mark, read_landmark_embedding) > 20


def test_the_dense_grid(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    assert each(landmark_files(mark, Touch), tmp_path / "texture_data_256.npy", mark, read_texture_data) > 20


def test_weights_of_deca(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    assert each(torch_files(mark, Touch), tmp_path / "deca_model.tar", mark, read_deca, check_deca) > 25


def test_weights_of_smirk(tmp_path: Path) -> None:
    mark, path = tmp_path / "ran", tmp_path / "SMIRK_em1.pt"
    for zipped in (True, False):
        path.write_bytes(torch_bytes({"smirk_encoder.w": Touch(mark)}, zipped))
        refused(read_smirk, path, rf"names {os.system.__module__}\.system", mark)


def emoca(folder: Path, checkpoint: bytes, settings: str = "detail: {model: {n_exp: 50}}") -> Path:
    (folder / "detail" / "checkpoints").mkdir(parents=True, exist_ok=True)
    (folder / "detail" / "checkpoints" / "a=1.0.ckpt").write_bytes(checkpoint)
    (folder / "cfg.yaml").write_text(settings)
    return folder


def test_checkpoints_of_emoca(tmp_path: Path) -> None:
    mark, folder = tmp_path / "ran", tmp_path / "emoca"
    for tree in ({"state_dict": {"deca.E_flame.w": Touch(mark)}}, {"hyper_parameters": Touch(mark), "state_dict": {}},
                 {"callbacks": [{"a": (1, Touch(mark))}], "state_dict": {}}):
        refused(read_emoca, emoca(folder, torch_bytes(tree, True)), rf"names {os.system.__module__}\.system", mark)


@pytest.mark.parametrize(("settings", "words"), [
    ("detail: !!python/object/apply:os.system [\"touch 'MARK'\"]", "no plain YAML file"),
    ("a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"{name}: &{name} [{','.join(['*' + before] * 10)}]\n" for before, name in zip("abcdefghi", "bcdefghij")),
     "repeats its parts without end"),
    ("a: &a [*a]", "repeats its parts|no plain YAML"),
    ("a: [" * 5000, "no plain YAML file"),
    ("- 1", "holds no settings"),
    ("a: 1\n" * 60_000, "more than the 66 kB"),
])
def test_settings_of_emoca(tmp_path: Path, settings: str, words: str) -> None:
    mark = tmp_path / "ran"
    folder = emoca(tmp_path / "emoca", b"", settings.replace("MARK", str(mark)))
    refused(read_emoca, folder, words, mark)


def test_albedo_spaces(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    assert each(albedo_files(), tmp_path / "FLAME_texture.npz", mark, read_texture) == 8


@pytest.mark.parametrize("read", [read_fixed_displacement, read_eyelid])
def test_plain_arrays(tmp_path: Path, read: Callable[[Any], object]) -> None:
    mark, path = tmp_path / "ran", tmp_path / "l_eyelid.npy"
    for data, words in ((npy_of((HUGE,)), r"has the shape \(10000000000,\)"), (npy_of((HUGE, 3), "|O"), "Python objects"),
                        (npy_of((256, 256)), "cut off|shape"), (b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "header is too long")):
        path.write_bytes(data)
        refused(read, path, words, mark)


def test_converted_files_are_not_trusted_either(tmp_path: Path) -> None:
    mark, path = tmp_path / "ran", tmp_path / "generic_model.npz"
    np.savez(path, v_template=np.array([Touch(mark)], object))
    refused(read_flame, path, "v_template of .* Python objects, which are not unpickled", mark)
    path = tmp_path / "mediapipe_landmark_embedding.npz"
    np.savez(path, lmk_face_idx=np.array([Touch(mark)], object))
    refused(read_mediapipe_embedding, path, "lmk_face_idx of .* Python objects", mark)
    path = tmp_path / "deca_model.safetensors"
    for data in (HUGE.to_bytes(8, "little") + b"{", (60).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[9999999],'):
        path.write_bytes(data)
        refused(read_deca, path, "damaged or cut off", mark)


def test_a_picture_of_ten_gigapixels(tmp_path: Path) -> None:
    mark, path = tmp_path / "ran", tmp_path / "uv_face_mask.png"
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(1000))))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(data)) + name + data + struct.pack(
        ">I", zlib.crc32(name + data)) for name, data in chunks))
    entry = next(file for file in registered_files() if file.name == path.name)
    refused(entry.check, path, "megapixels", mark)
    Image.new("L", (100, 256)).save(path)
    refused(entry.check, path, "100 x 256 pixels, but 256 x 256", mark)


def test_a_file_far_too_large_is_not_read(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    for name, read in (("generic_model.pkl", read_flame), ("landmark_embedding.npy", read_landmark_embedding)):
        path = tmp_path / name
        with open(path, "wb") as file:
            file.truncate(HUGE)  # a hole, which takes no space
        refused(read, path, "has 10000 MB, more than", mark)


def test_the_doctor_says_it_and_runs_nothing(tmp_path: Path) -> None:
    mark, (path, data) = tmp_path / "ran", (tmp_path / "deca_model.tar", torch_bytes({"E_flame": Touch(tmp_path / "ran")}, True))
    path.write_bytes(data)
    entry = next(file for file in registered_files() if file.name == path.name)
    finding = find(entry, tmp_path)
    assert finding.state == "wrong"
    assert f"names {os.system.__module__}.system" in finding.note
    assert not mark.exists()
