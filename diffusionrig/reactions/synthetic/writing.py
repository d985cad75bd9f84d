"""Writing a synthetic corpus in the layout of REACT 2023 and 2024, or of MARS; a run that was interrupted continues."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from diffusionrig.errors import UsageError
from diffusionrig.io.arrays import write_npy
from diffusionrig.io.files import make_folder, read_json, write_json
from diffusionrig.io.frame_sequences import write_frame_folder
from diffusionrig.io.images import write_png
from diffusionrig.io.movies import write_movie
from diffusionrig.io.sheets import contact_sheet
from diffusionrig.io.tables import write_number_table, write_text_table
from diffusionrig.io.wav import write_wav
from diffusionrig.progress import Progress
from diffusionrig.reactions.corpus.attributes import COLUMNS, N_COEFFICIENTS
from diffusionrig.reactions.corpus.layout import MARS, REACT, SPLITS, Layout
from diffusionrig.reactions.corpus.matrices import class_matrix
from diffusionrig.reactions.corpus.matrix_rules import TRUTH, WHOLE_INDEX, WHOLE_MATRIX
from diffusionrig.reactions.synthetic.options import Options
from diffusionrig.reactions.synthetic.plan import ClipPlan, Performance, clip_plans, perform, true_matrix
from diffusionrig.reactions.synthetic.truth import clip_truth, item_truth, truth
from diffusionrig.reactions.synthetic.voices import speak

REQUEST, SHEET = "request.json", "contact_sheet.png"

_ON_SHEET, _SHEET_ROWS = 8, 4


def write_corpus(options: Options, folder: str | Path) -> dict[str, Any]:
    """Write the corpus into ``folder``, or continue doing so; returns {items, clips, people, written, skipped}.

    UsageError when the folder holds anything else than a begun run of the same options.
    """
    root = make_folder(folder)
    _check_folder(options, root)
    write_json(root / REQUEST, options.request())
    layout = MARS if options.layout == "mars" else REACT
    plans = {split: clip_plans(options, split) for split in SPLITS}
    clips: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    moments = _Moments()
    counts = {"written": 0, "skipped": 0}
    total = 2 * sum(map(len, plans.values()))
    with Progress(total, "react synth", unit="item") as progress:
        for split in SPLITS:
            for plan in plans[split]:
                members = []
                for role in (0, 1):
                    performance = perform(options, plan, role)
                    new = _write_item(options, layout, root, plan, role, performance)
                    counts["written" if new else "skipped"] += 1
                    members.append(item_truth(plan, role, performance))
                    if split == "train":
                        moments.add(performance.coefficients)
                    progress.update()
                clips[split].append(clip_truth(plan, members))
    for name, values in zip(("mean_face.npy", "std_face.npy"), moments.mean_and_deviation()):
        write_npy(root / name, values)
    matrices = {split: true_matrix(plans[split]) for split in SPLITS}
    if layout is REACT:
        _write_lists(root, plans, matrices)
    if options.video != "none":
        write_png(root / SHEET, _sheet(options, plans["train"]))
    write_json(root / TRUTH, truth(options, clips, matrices))
    return {"items": total, "clips": total // 2, "people": 2 * sum(options.dyads), **counts}


def _check_folder(options: Options, root: Path) -> None:
    if not any(root.iterdir()):
        return
    begun = read_json(root / REQUEST) if (root / REQUEST).exists() else None
    if not isinstance(begun, dict):
        raise UsageError(f"{root} is not empty and holds no synthetic corpus; choose another folder.")
    for name, value in options.request().items():
        if begun.get(name) != value:
            raise UsageError(f"{root} holds a corpus with {name} {begun.get(name)!r}, not {value!r}; continue it as it was or "
                             "choose another folder.")


def _write_item(options: Options, layout: Layout, root: Path, plan: ClipPlan, role: int, performance: Performance) -> bool:
    """Write what is missing of one participant of a clip; whether anything was."""
    def target(modality: str) -> Path:
        place = layout.choices(layout.folder(root, plan.split, modality), modality, plan.ids[role])[0]
        make_folder(place.parent)
        return place

    new = False
    emotion, coefficients = target("emotion"), target("coefficients")
    if not emotion.exists():
        new = True
        if layout is MARS:
            write_npy(emotion, performance.attributes)
        else:
            write_number_table(emotion, COLUMNS, performance.attributes)
    if not coefficients.exists():
        new = True
        write_npy(coefficients, performance.coefficients[:, None])
    if options.audio != "none" and not (sound := target("audio")).exists():
        new = True
        write_wav(sound, *speak(performance.person, performance.events, plan.frames + 1, options.fps, options.audio))
    if options.video != "none":
        new = _write_video(options, target("video"), performance) or new
    return new


def _write_video(options: Options, place: Path, performance: Performance) -> bool:
    rows = performance.coefficients
    if options.video == "mp4":
        movie = place.with_name(place.name + ".mp4")
        if movie.exists():
            return False
        write_movie(movie, _faces(options, performance, rows), options.fps)
        return True
    if place.exists():
        return False
    write_frame_folder(place, _faces(options, performance, rows))
    return True


def _faces(options: Options, performance: Performance, rows: np.ndarray) -> Iterator[np.ndarray]:
    # Imported here: corpora without video need no renderer.
    from diffusionrig.reactions.synthetic.faces import draw_faces

    return draw_faces(performance.person, rows, options.video_size, options.look)


def _write_lists(root: Path, plans: dict[str, list[ClipPlan]], matrices: dict[str, np.ndarray]) -> None:
    """Lists of pairs and matrices: per split, person-specific, and of the whole corpus."""
    for split in SPLITS:
        _write_split(root, split, "{}.csv", "neighbour_emotion_{}.npy", plans[split], matrices[split])
        if split != "train":
            own = person_mask(plans[split])
            _write_split(root, split, "person_specific_{}.csv", "person_specific_masked_neighbour_emotion_{}.npy", plans[split],
                         matrices[split] & own)
    every = [plan for split in SPLITS for plan in plans[split]]
    write_text_table(root / WHOLE_INDEX, ["site", "chat_index", "clip_index"],
                     [[plan.ids[0].site, plan.ids[0].chat_index, plan.ids[0].clip] for plan in every])
    write_npy(root / WHOLE_MATRIX, true_matrix(every).astype(np.uint8))


def _write_split(root: Path, split: str, table: str, matrix: str, plans: list[ClipPlan], values: np.ndarray) -> None:
    write_text_table(root / table.format(split), ["", "speaker_path", "listener_path"],
                     [[number, *map(str, plan.ids)] for number, plan in enumerate(plans)])
    write_npy(root / matrix.format(split), values.astype(np.uint8))


def person_mask(plans: list[ClipPlan]) -> np.ndarray:
    """(2P, 2P) bool in mirrored order: items with the same listener."""
    return class_matrix([(plan.dyad, 1) for plan in plans] + [(plan.dyad, 0) for plan in plans])


def _sheet(options: Options, plans: list[ClipPlan]) -> np.ndarray:
    """The first participants of a corpus over the first clip: one row each."""
    rows = []
    for plan in plans[::options.clips][:_SHEET_ROWS // 2]:
        for role in (0, 1):
            performance = perform(options, plan, role)
            chosen = np.linspace(0, plan.frames - 1, _ON_SHEET).round().astype(int)
            rows.append(list(_faces(options, performance, performance.coefficients[chosen])))
    return contact_sheet(rows)


class _Moments:
    """Mean and deviation of all rows, without keeping them."""

    def __init__(self) -> None:
        self.count, self.sum, self.squares = 0, np.zeros(N_COEFFICIENTS), np.zeros(N_COEFFICIENTS)

    def add(self, rows: np.ndarray) -> None:
        wide = rows.astype(np.float64)
        self.count, self.sum, self.squares = self.count + len(rows), self.sum + wide.sum(0), self.squares + (wide**2).sum(0)

    def mean_and_deviation(self) -> tuple[np.ndarray, np.ndarray]:
        mean = self.sum / self.count
        # Coefficients that never move would have no deviation to divide by.
        deviation = np.sqrt(np.clip(self.squares / self.count - mean**2, 1e-8, None))
        return mean.astype(np.float32), deviation.astype(np.float32)
