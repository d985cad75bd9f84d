"""Many synthetic photographs at once, into a folder of PNG files with their codes or into a face store."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from diffusionrig import __version__
from diffusionrig.data.records import code_arrays, code_from_arrays, store_header
from diffusionrig.data.synthetic.edits import edited_scene
from diffusionrig.data.synthetic.people import Person, require_arkit, sample_person
from diffusionrig.data.synthetic.photographs import render_photographs
from diffusionrig.data.synthetic.scenes import Scene, sample_scene
from diffusionrig.errors import RigError, UsageError
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.array_files import read_array_file, write_array_file
from diffusionrig.io.files import make_folder, read_json, write_bytes, write_json
from diffusionrig.io.images import png_bytes, read_image, write_png
from diffusionrig.io.png import decode_png
from diffusionrig.io.record import Record
from diffusionrig.io.sheets import contact_sheet
from diffusionrig.io.store import StoreReader, StoreWriter
from diffusionrig.progress import Progress
from diffusionrig.threads import one_thread, use_one_thread

PHOTOS, CODES, REQUEST, SHEET, REPORT = "photos", "codes.npz", "request.json", "contact_sheet.png", "report.json"
_CHUNK, _ON_SHEET = 16, 24


@dataclasses.dataclass(frozen=True)
class Series:
    """What to photograph: ``count`` pictures of ``image_size`` pixels from the random world ``seed``.

    ``album`` is the number of the one person on all of them; without it there are ``photos_per_person`` of each person in
    turn, from number 0. Each photograph is followed by ``edits`` more of the same moment, clothes and background with an edited
    face code: the truth of an edit (``data.synthetic.edits``).
    """

    count: int
    image_size: int
    seed: int
    album: int | None = None
    photos_per_person: int = 1
    yaw_limit: float = 40.0
    head: str = "open-head-1"
    edits: int = 0

    def who(self, index: int) -> tuple[int, int]:
        """Number of the person and of their photograph on picture ``index``."""
        moment = index // (1 + self.edits)
        return (self.album, moment) if self.album is not None else divmod(moment, self.photos_per_person)

    def edit(self, index: int) -> int:
        """Which edit of its photograph picture ``index`` is; 0 is the photograph itself."""
        return index % (1 + self.edits)

    def source(self, index: int) -> str:
        """Name of picture ``index`` in a store."""
        person, photograph = self.who(index)
        name = f"synthetic/{self.seed}/{person}/{photograph}"
        return f"{name}/edit{self.edit(index)}" if self.edit(index) else name

    def request(self, head: HeadModel) -> dict[str, Any]:
        """What must agree for a run to continue another; the count may grow."""
        about = dataclasses.asdict(self)
        if not self.edits:  # runs from before there were edits go on
            del about["edits"]
        return {name: about[name] for name in about if name != "count"} | {"head_hash": head.hash}

    def scene(self, index: int, person: Person, head: HeadModel) -> Scene:
        """The scene of picture ``index``; its code stands for itself, whatever it was edited from."""
        scene = sample_scene(person, self.seed, self.who(index)[1], head, yaw_limit=self.yaw_limit)
        return edited_scene(scene, person, self.seed, self.who(index)[1], self.edit(index), head) if self.edit(index) else scene


@dataclasses.dataclass(frozen=True)
class Picture:
    """One finished photograph: its number, the PNG file, the arrays of its code, and who is on it."""

    index: int
    png: bytes
    arrays: dict[str, np.ndarray]
    person: int
    photograph: int


def take(series: Series, indices: list[int]) -> list[Picture]:
    """Photograph the pictures ``indices``, in order."""
    head = load_head(series.head)
    pictures = []
    for index in indices:
        number, photograph = series.who(index)
        person = sample_person(series.seed, number, head)
        scene = series.scene(index, person, head)
        image = render_photographs([person], [scene], head, series.image_size)[0]
        code = scene.code
        png = png_bytes(image, {"Comment": f"synthetic person {number} of seed {series.seed}, no real one"})
        pictures.append(Picture(index, png, code_arrays(code), number, photograph))
    return pictures


def take_all(series: Series, indices: list[int], workers: int) -> Iterator[Picture]:
    """The pictures ``indices`` in order, shared among ``workers`` processes; the same whatever their number."""
    chunks = [indices[start:start + _CHUNK] for start in range(0, len(indices), _CHUNK)]
    if workers <= 1 or len(chunks) <= 1:
        for chunk in chunks:
            for index in chunk:
                with one_thread():
                    pictures = take(series, [index])
                yield from pictures
        return
    try:
        with ProcessPoolExecutor(min(workers, len(chunks)), get_context("spawn"), use_one_thread) as pool:
            for pictures in pool.map(take, [series] * len(chunks), chunks):
                yield from pictures
    except BrokenProcessPool as error:
        raise RigError("A worker process ended unexpectedly, perhaps for want of memory; run the command again to continue, "
                       "with fewer --workers.") from error


def write_series(series: Series, folder: str | Path, lmdb: bool = False, workers: int = 1) -> dict[str, Any]:
    """Write ``series`` into ``folder``, or continue doing so; returns the report that it also writes there.

    As files: ``photos/00000.png`` ..., ``codes.npz`` (see ``load_codes``), ``request.json``. With ``lmdb`` the folder is a
    face store with the true codes. Both get ``contact_sheet.png`` and ``report.json``. A folder that holds anything else
    than a begun run of the same request is refused (UsageError).
    """
    head = load_head(series.head)
    require_arkit(head)
    if series.count < 1 or series.image_size < 16:
        raise UsageError("A series needs at least one photograph of at least 16 pixels.")
    if series.edits < 0:
        raise UsageError("A photograph cannot have fewer than no edits.")
    if series.photos_per_person < 1 or (series.album is not None and series.album < 0):
        raise UsageError("Photographs per person start at 1, and numbers of people at 0.")
    started = time.monotonic()
    place = make_folder(folder)
    made = _write_store(series, head, place, workers) if lmdb else _write_files(series, head, place, workers)
    seconds = time.monotonic() - started
    people = len({series.who(i)[0] for i in range(series.count)})
    report = {"software": f"diffusionrig {__version__}", "series": dataclasses.asdict(series), "head_hash": head.hash,
              "photographs": series.count, "people": people, "made_in_this_run": made, "seconds": round(seconds, 1),
              "per_second": round(made / max(seconds, 1e-9), 2)}
    write_json(place / REPORT, report)
    return report


def _write_files(series: Series, head: HeadModel, folder: Path, workers: int) -> int:
    request = series.request(head)
    _check_folder(series, request, folder)
    write_json(folder / REQUEST, {**request, "count": series.count})
    photos = make_folder(folder / PHOTOS)
    names = [photos / f"{index:05d}.png" for index in range(series.count)]
    missing = [index for index, name in enumerate(names) if not name.exists()]
    with Progress(series.count, "synth", initial=series.count - len(missing)) as progress:
        for picture in take_all(series, missing, workers):
            write_bytes(names[picture.index], picture.png)
            progress.update()
    codes: dict[str, list[np.ndarray]] = {}
    who = [series.who(index) for index in range(series.count)]
    for index, (number, _) in enumerate(who):
        scene = series.scene(index, sample_person(series.seed, number, head), head)
        for name, array in code_arrays(scene.code).items():
            codes.setdefault(name, []).append(array)
    write_array_file(folder / CODES, {name: np.stack(rows) for name, rows in codes.items()} | {
        "head": np.array(head.name), "person": np.array([number for number, _ in who], np.int64),
        "photograph": np.array([photograph for _, photograph in who], np.int64)})
    write_png(folder / SHEET, _sheet([read_image(names[index]) for index in _shown(series.count)]))
    return len(missing)


def _check_folder(series: Series, request: dict[str, Any], folder: Path) -> None:
    if not any(folder.iterdir()):
        return
    begun = read_json(folder / REQUEST) if (folder / REQUEST).exists() else None
    if not isinstance(begun, dict):
        raise UsageError(f"{folder} is not empty and holds no series of synthetic photographs; choose another folder.")
    count = begun.pop("count", 0)
    for name in sorted(request.keys() | begun.keys()):
        before, now = (about.get(name, 0 if name == "edits" else None) for about in (begun, request))
        if before != now:
            raise UsageError(f"{folder} holds a series with {name} {before!r}, not {now!r}; continue it as it was or choose "
                             "another folder.")
    if count > series.count:
        raise UsageError(f"{folder} holds a series of {count} photographs already, more than {series.count}; choose "
                         "another folder.")


def _write_store(series: Series, head: HeadModel, folder: Path, workers: int) -> int:
    if any(folder.iterdir()) and not (folder / "data.mdb").exists():
        raise UsageError(f"{folder} is not empty and holds no face store; choose another folder.")
    header = store_header(head, series.image_size, "synth", series=series.request(head))
    sources = [series.source(index) for index in range(series.count)]
    with StoreWriter(folder, header) as writer:
        unknown = set(writer.unknown(sources))
        missing = [index for index, source in enumerate(sources) if source in unknown]
        writer.update_header(complete=False, use_meanshape=False)
        batch: list[Record] = []
        with Progress(series.count, "synth", initial=series.count - len(missing)) as progress:
            for picture in take_all(series, missing, workers):
                batch.append(Record(sources[picture.index], picture.png, picture.arrays,
                                    {"person": picture.person, "photograph": picture.photograph,
                                     **({"scene": picture.photograph} if series.edits else {})}))
                if len(batch) == _CHUNK:
                    writer.append(batch)
                    batch = []
                progress.update()
        writer.append(batch)
        shapes = [sample_person(series.seed, number, head).shape[0].double().numpy()
                  for number in (series.who(index)[0] for index in range(series.count))]
        writer.update_header(complete=True, mean_shape=(np.sum(shapes, 0) / series.count).tolist())
    reader = StoreReader(folder)
    write_png(folder / SHEET, _sheet([decode_png(reader.record(index).image, series.image_size, f"record {index}")
                                      for index in _shown(len(reader))]))
    return len(missing)


def _shown(count: int) -> list[int]:
    return np.unique(np.linspace(0, count - 1, min(count, _ON_SHEET)).round().astype(int)).tolist()


def _sheet(images: list[np.ndarray]) -> np.ndarray:
    columns = min(6, len(images))
    return contact_sheet([images[start:start + columns] for start in range(0, len(images), columns)])


def load_codes(folder: str | Path) -> FaceCode:
    """The true codes of a folder that ``write_series`` wrote, in the order of its photographs.

    RigError when ``codes.npz`` is absent (the run did not end), damaged, or not of this kind.
    """
    path = Path(folder) / CODES
    arrays = read_array_file(path, "codes of a series")
    head = str(arrays.pop("head", ""))
    for extra in ("person", "photograph"):
        arrays.pop(extra, None)
    rows = [code_from_arrays({name: array[index] for name, array in arrays.items()}, head, str(path))
            for index in range(min(map(len, arrays.values()), default=0))]
    if not rows:
        raise RigError(f"{path} holds no face codes; write the series again.")
    return FaceCode.concatenate(rows)
