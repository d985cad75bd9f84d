"""From an album to a personal model: the commands that do it, and how far the training is."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from diffusionrig.studio.album_folder import MOST_POINTS, AlbumFolder, Note, newest_model

BATCH, RATE, DECAY = 4, 1e-4, 0.99
SAVED_EVERY = 50
"""Updates between two saves: what a power cut costs at most."""

RECENT = 5
"""Rows of the log whose rate tells the time that is left."""

Words = list[str]


@dataclasses.dataclass(frozen=True)
class Teacher:
    """What personal models start from and are made with.

    model   path of the base model, and its ``hash``
    head    its head model
    size    side of its pictures, pixels
    """

    model: str
    hash: str
    head: str
    size: int
    device: str = "cpu"
    use_model: str = ""
    max_megapixels: float = 100.0


def looking(album: AlbumFolder, teacher: Teacher) -> Words:
    """Words of ``curate``: which photographs stay, and their faces."""
    return [str(album.photographs), "-o", str(album.curated), "--faces", str(teacher.size), "--device", teacher.device,
            "--max_megapixels", f"{teacher.max_megapixels:g}"]


def storing(album: AlbumFolder, teacher: Teacher, key: str) -> Words:
    """Words of ``create-data``: the kept faces and their codes."""
    return ["--data_dir", str(album.faces), "--output_dir", str(album.store(key)), "--image_size", str(teacher.size),
            "--head", teacher.head, "--device", teacher.device, *(["--use_model", teacher.use_model] if teacher.use_model else [])]


def training(album: AlbumFolder, teacher: Teacher, note: Note) -> Words:
    """Words of ``train``, of a new run and of one that goes on alike."""
    batch = min(BATCH, max(1, len(album.kept())))
    return ["--stage", "2", "--data_dir", str(album.store(note.key)), "--log_dir", str(album.run(note.key)),
            "--resume_checkpoint", teacher.model, "--max_steps", str(note.updates), "--decay_steps", str(note.updates * 3 // 4),
            "--batch_size", str(batch), "--lr", str(RATE), "--ema_decay", str(DECAY), "--save_interval", str(SAVED_EVERY),
            "--log_interval", str(max(1, note.updates // 100)), "--keep_states", "1", "--metric_count", "0",
            # One argument, whatever it begins with.
            f"--consent={note.consent}", "--device", teacher.device]


def progress(album: AlbumFolder, note: Note, running: bool) -> dict[str, Any]:
    """state (none, running, stopped, done), done and total updates, seconds left (None when not known), curve [[step, loss]], and
    model, its path, as far as there is one."""
    rows = album.curve(note.key)
    found = newest_model(album.run(note.key)) if note.key else None
    step = max(int(rows[-1]["step"]) if rows else 0, found[1] if found else 0)
    if running:
        state = "running"
    elif found and found[1] >= note.updates:
        state = "done"
    else:
        state = "stopped" if found else "none"
    recent = [row["rate"] for row in rows[-RECENT:] if row["rate"] > 0]
    batch = min(BATCH, max(1, len(album.kept())))
    left = (note.updates - step) * batch * len(recent) / sum(recent) if running and recent else None
    thinned = rows[::max(1, -(-len(rows) // MOST_POINTS))]
    return {"state": state, "done": min(step, note.updates), "total": note.updates, "left": None if left is None else round(left),
            "curve": [[row["step"], round(row["loss"], 5)] for row in thinned], "model": str(found[0]) if found else ""}


def store_of(model: Path) -> Path:
    """The store that a personal model of an album has learned from."""
    return model.parent.parent / "store"
