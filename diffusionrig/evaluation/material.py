"""What is edited and measured: pairs of faces and, of synthetic people, the photograph that each edit should give."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.data.synthetic.people import sample_person
from diffusionrig.data.synthetic.photographs import render_photographs
from diffusionrig.data.synthetic.scenes import sample_scene
from diffusionrig.editing.rig import Analysis, Rig
from diffusionrig.errors import RigError, UsageError
from diffusionrig.evaluation.regions import face_region
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.heads import DEFAULT_HEAD, load_head
from diffusionrig.io.images import find_images, read_image
from diffusionrig.io.lmdb_files import is_store
from diffusionrig.io.resize import resize_square
from diffusionrig.io.unread import unread_files, unread_sentence
from diffusionrig.progress import track
from diffusionrig.randomness import numpy_stream

LEAST_SIDE = 256
"""Synthetic photographs that are captured, and not only drawn, have at least this side, as photographs have."""


@dataclasses.dataclass(frozen=True)
class Truth:
    """The true result of an edit: ``image`` (S, S, 3) uint8, and ``face`` (S, S) 0..1, where the face is on it."""

    image: np.ndarray
    face: Tensor


@dataclasses.dataclass(frozen=True)
class Material:
    """Row k of ``sources`` is edited with what row k of ``targets`` shows.

    truth   (row, parts) -> Truth; None where nobody knows it
    about   what this is, for the report: kind, where it is, whether the codes are true, stored or captured
    names   of the sources and targets, one pair per row
    left_out  one sentence per picture that could not be used
    """

    sources: Analysis
    targets: Analysis
    truth: Callable[[int, Sequence[str]], Truth] | None
    about: dict[str, Any]
    names: list[tuple[str, str]]
    left_out: list[str]

    def __len__(self) -> int:
        return len(self.sources)


def find_material(rig: Rig, data: str, count: int, seed: int) -> Material:
    """``data``: "" for synthetic people, else a face store or a folder of aligned photographs; up to ``count`` pairs."""
    if not data:
        return synthetic_material(rig, count, seed)
    make = store_material if is_store(data) else folder_material
    return make(rig, data, count, seed)


def synthetic_material(rig: Rig, count: int, seed: int) -> Material:
    """People 2k and 2k + 1 of the crowd ``seed`` in one photograph each; the first gets what the second shows.

    Codes are the true ones where the network knows the head that the people have; then an error is the network's, or that of
    the second capture, and not of a first. Else both are captured.
    """
    head = load_head(DEFAULT_HEAD)
    known = rig.head.name == head.name
    side = rig.size if known else max(LEAST_SIDE, rig.size)
    people = [sample_person(seed, index, head) for index in range(2 * count)]
    scenes = [sample_scene(person, seed, 0, head) for person in people]
    photos = [render_photographs([person], [scene], head, side)[0]
              for person, scene in track(list(zip(people, scenes)), "photograph people")]
    if known:
        faces = rig.analyse(torch.from_numpy(np.stack(photos)), FaceCode.concatenate([scene.code for scene in scenes]))
    else:
        faces = _captured(rig, photos)

    def truth(row: int, parts: Sequence[str]) -> Truth:
        scene, code = scenes[2 * row], scenes[2 * row].code
        for part in parts:
            code = code.swap(part, scenes[2 * row + 1].code)
        photo = render_photographs([people[2 * row]], [scene.replace_code(code)], head, side)[0]
        return Truth(resize_square(photo, rig.size), face_region(head, code, scene.centre, rig.size))

    about = {"kind": "synthetic people", "codes": "true" if known else "captured", "crowd": seed, "photograph_pixels": side,
             "head_of_people": head.name}
    material = _paired(faces, [(2 * k, 2 * k + 1) for k in range(count)], [f"person {index}" for index in range(2 * count)],
                       about, [])
    rows = [int(name.split()[1]) // 2 for name, _ in material.names]
    return dataclasses.replace(material, truth=lambda row, parts: truth(rows[row], parts))


def folder_material(rig: Rig, folder: str, count: int, seed: int) -> Material:
    """Aligned photographs of a folder, each edited with another one; all codes are captured."""
    files = find_images(folder)
    if len(files) < 2:
        raise UsageError(f"An evaluation needs two photographs or more, and {folder} holds {len(files)}; align photographs into "
                         "it, or leave --data out to take synthetic people.")
    unread = unread_sentence([file.relative_to(folder).as_posix() for file in unread_files(folder, files)])
    files = [files[index] for index in _some(len(files), 2 * count, seed)]
    photos, kept, left_out = [], [], list(filter(None, [unread]))
    for file in files:
        try:
            photos.append(read_image(file))
            kept.append(file.relative_to(folder).as_posix())
        except RigError as error:
            left_out.append(str(error))
    about = {"kind": "folder of photographs", "path": folder, "codes": "captured"}
    return _paired(_captured(rig, photos), _ring(len(photos), count), kept, about, left_out, folder)


def store_material(rig: Rig, path: str, count: int, seed: int) -> Material:
    """Records of a face store under their stored codes (or captured ones, of a published store)."""
    store = FaceStoreDataset(path, rig.size, rig.head)
    if len(store) < 2:
        raise UsageError(f"An evaluation needs two photographs or more, and the store {path} holds {len(store)}.")
    rows = _some(len(store), 2 * count, seed)
    samples = [store.item(row) for row in rows]
    images = np.stack([np.moveaxis(sample.image.numpy(), 0, -1) for sample in samples])
    codes = [sample.code for sample in samples if sample.code is not None]
    faces = rig.analyse(torch.from_numpy(images), FaceCode.concatenate(codes)) if codes else _captured(rig, list(images))
    about = {"kind": "face store", "path": path, "codes": "stored" if codes else "captured",
             "codes_by": store.header.get("encoder")}
    return _paired(faces, _ring(len(rows), count), [f"record {row}: {sample.source}" for row, sample in zip(rows, samples)],
                   about, [], path)


def _captured(rig: Rig, photos: Sequence[np.ndarray]) -> Analysis:
    return Analysis.concatenate([rig.capture(photo) for photo in track(photos, "capture")])


def _paired(faces: Analysis, pairs: Sequence[tuple[int, int]], names: Sequence[str], about: dict[str, Any],
            left_out: list[str], place: str | Path = "the synthetic people") -> Material:
    """The pairs whose two faces were found. RigError when there is none."""
    found = faces.found.tolist()
    absent = [f"{name}: no face was found" for name, seen in zip(names, found) if not seen]
    good = [pair for pair in pairs if found[pair[0]] and found[pair[1]]]
    if not good:
        raise RigError(f"No pair of faces could be taken from {place}: {(left_out + absent or ['there are too few'])[0]}")
    sources, targets = zip(*good)
    return Material(faces.rows(sources), faces.rows(targets), None, about, [(names[i], names[j]) for i, j in good],
                    left_out + absent)


def _some(total: int, most: int, seed: int) -> list[int]:
    """At most ``most`` of ``total``, in a random order that ``seed`` decides."""
    return [int(index) for index in numpy_stream(seed, "evaluation").permutation(total)[:most]]


def _ring(total: int, count: int) -> list[tuple[int, int]]:
    """Up to ``count`` pairs of 0..total-1: two by two first, then each with the next but one, so that none repeats."""
    apart = [(i, i + 1) for i in range(0, total - 1, 2)]
    return (apart + [(i, (i + 1) % total) for i in range(1, total, 2)])[:count]
