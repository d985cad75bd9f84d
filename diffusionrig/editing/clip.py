"""A clip drives a face: sources x modes in, frames, videos, strips and a report out; resumable frame by frame."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diffusionrig.ahead import ahead
from diffusionrig.capture.saved_codes import load_codes, save_codes
from diffusionrig.capture.tracking.gaps import BRIDGED, HELD, SEEN
from diffusionrig.capture.tracking.tracker import TRACKS
from diffusionrig.editing.analysis import Analysis
from diffusionrig.editing.clip_drawing import FrameFolder, clip_jitter, draw_clip, drawn_flicker, network_calls
from diffusionrig.editing.controls import Edit
from diffusionrig.editing.driven import driven_codes, require_driven, write_driven
from diffusionrig.editing.driving import Driving, capture_clip, smoothed
from diffusionrig.editing.flicker import Flicker, as_crops, face_view, flicker_figures, stretches
from diffusionrig.editing.jitter import landmark_jitter
from diffusionrig.editing.order import OWN, REPORT, Order
from diffusionrig.editing.provenance import STATEMENT, write_edited
from diffusionrig.editing.reporting import write_report
from diffusionrig.editing.rig import Rig
from diffusionrig.editing.sides import list_pictures, look_at, reader, unread_beside
from diffusionrig.editing.smoothing import Smoothing
from diffusionrig.errors import UsageError
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.io.clip_frames import ClipFrames
from diffusionrig.io.files import read_json, remove_files, write_json
from diffusionrig.io.folder_lock import folder_lock
from diffusionrig.io.images import write_png
from diffusionrig.io.own_files import require_own
from diffusionrig.io.resize import resize_square
from diffusionrig.io.sheets import contact_sheet, to_uint8
from diffusionrig.io.sound import fit_sound
from diffusionrig.io.video import is_moving
from diffusionrig.progress import Progress

CODES, CLIP_JOURNAL = "driving_codes.npz", "driving.json"
USUAL_FPS = 25.0
STRIP = 8


@dataclasses.dataclass(frozen=True)
class Drive:
    """How a clip drives: ``relative`` carries over what differs from its first face, else the face as it is; ``fps`` of a folder
    of frames (a video knows its own); ``smoothing`` of the captured codes; ``track`` out of ``tracker.TRACKS``."""

    relative: bool = False
    fps: float | None = None
    smoothing: Smoothing = dataclasses.field(default_factory=Smoothing)
    track: str = TRACKS[0]


def drives(target: str, clip: bool) -> bool:
    """Whether a target is a clip: a video, an animated picture, or a folder that is said to be one. UsageError when a still picture
    is said to be one."""
    moving = bool(target) and is_moving(target)
    if clip and target and not moving and Path(target).is_file():
        raise UsageError(f"--clip True wants a video, an animated picture or a folder of frames, but {target} is one picture; "
                         "leave --clip out.")
    return moving or (clip and bool(target))


def run_clip(rig: Rig, order: Order, drive: Drive) -> dict[str, Any]:
    """Draw every source in every mode as the clip ``order.target`` moves; returns the report.

    Per source and mode ``{index}_{mode}/frame_{t}.png``, ``{index}_{mode}.mp4`` with the clip's sound, and
    ``{index}_{mode}_strip.png``; for all, the captured codes and ``report.json``.
    """
    _check(order)
    require_own(order.output_dir, {REPORT: OWN[REPORT]}, "--output_dir")
    with folder_lock(order.output_dir, "edit"):
        return _run(rig, order, drive)


def _run(rig: Rig, order: Order, drive: Drive) -> dict[str, Any]:
    began = time.monotonic()
    paths = list_pictures(order.source, "source")
    clip = ClipFrames(order.target, order.max_megapixels)
    fps = clip.fps or drive.fps or USUAL_FPS
    folder = Path(order.output_dir)
    read = reader(order.align_source, rig.size, order.max_megapixels, order.face)
    source = look_at(rig, paths, read, order.source_model, order.batch_size, "sources")
    faces = source.require_face("source")
    driving = _driving(rig, order, clip, folder, fps, drive.track)
    driver = smoothed(driving.code, fps, drive.smoothing).to(rig.device)
    sound = clip.sound()
    voice, note = (None, "") if sound is None else fit_sound(sound, len(driver) / fps)
    request = {**order.request(rig.pretrained.hash), "clip": clip.identity(), "drive": dataclasses.asdict(drive)}
    outputs = []
    shown = _shown(clip, driving, rig)
    jobs = [(row, edit) for row in range(len(faces)) if bool(faces.found[row]) for edit in order.edits][:order.limit]
    for number, (row, edit) in enumerate(jobs):
        name = f"{number}_{edit.name}"
        code, centre = driven_codes(rig, faces[row], driver, edit, drive.relative)
        frames = FrameFolder(folder / name, {**request, "source": str(source.paths[row]), "mode": edit.name}, len(code),
                             order.overwrite)
        _draw(rig, faces[row], code, centre, frames, order, edit, name)
        write_driven(folder / f"{name}.mp4", frames.frames(), rig, edit, order.sampling.seed, fps, voice)
        _write_strip(folder / f"{name}_strip.png", rig, shown.strip, code, centre, frames)
        outputs.append({"file": f"{name}.mp4", "frames": name, "strip": f"{name}_strip.png", "mode": edit.name,
                        "source": str(source.paths[row]), "jitter": {"landmarks": landmark_jitter(rig.head, code, rig.size),
                                   **clip_jitter(rig, code, centre, frames, order.batch_size)},
                        "flicker": flicker_figures(drawn_flicker(rig, code, centre, frames), shown.flicker)})
    return write_report(folder, request, rig.pretrained, outputs,
                        source.problems + [{"file": order.target, "problem": sentence} for sentence in (clip.unread(), note)
                                           if sentence] + unread_beside(order.source, order.output_dir), began,
                        clip={"file": order.target, "frames": len(driver), "fps": fps, "sound": voice is not None,
                              "frames_without_face": driving.gaps, "frames_held": driving.held,
                              "frames_doubtful": driving.doubtful, "other_people": driving.others})


def _check(order: Order) -> None:
    if order.save_buffers:
        raise UsageError("--save_buffers is not written for a clip; the strip shows some of its buffers. Leave it out.")
    order.check()
    for edit in order.edits:
        require_driven(edit)


def _driving(rig: Rig, order: Order, clip: ClipFrames, folder: Path, fps: float, track: str) -> Driving:
    """The captured clip, from the folder where an earlier run left it."""
    model = order.target_model or rig.encoder().name
    identity = {"clip": clip.identity(), "encoder": model, "head": rig.head.hash, "track": track, "fps": fps}
    journal = folder / CLIP_JOURNAL
    if journal.is_file() and (folder / CODES).is_file():
        known = read_json(journal)
        if {key: known.get(key) for key in identity} == identity:
            code, _ = load_codes(folder / CODES)
            state = np.full(len(code), SEEN, np.uint8)
            state[known["gaps"]] = BRIDGED
            state[known["held"]] = HELD
            return Driving(code, state, known["others"])
        if not order.overwrite:
            raise UsageError(f"{folder} already holds the codes of another clip; choose another --output_dir or --overwrite True.")
    driving = capture_clip(ahead(clip), len(clip), rig.encoder(order.target_model), order.batch_size, str(clip.path), fps, track)
    remove_files([journal])
    save_codes(folder / CODES, driving.code, clip.addresses(len(driving.code)))
    write_json(journal, {**identity, "gaps": driving.gaps, "held": driving.held, "others": driving.others})
    return driving


def _draw(rig: Rig, source: Analysis, code: FaceCode, centre: torch.Tensor, frames: FrameFolder, order: Order, edit: Edit,
          name: str) -> None:
    missing = frames.missing()
    with Progress(network_calls(rig, len(missing), order.sampling), f"draw {name}", "call") as progress:
        for frame, image in draw_clip(rig, source, code, centre, missing, order.sampling, order.batch_size, progress.update):
            write_edited(frames.path(frame), image, model_hash=rig.pretrained.hash, mode=edit.name, seed=order.sampling.seed,
                         frame=frame, **edit.record())


@dataclasses.dataclass(frozen=True)
class _Shown:
    """What the driving clip itself shows: frames of the ``strip`` by number, and how much it flickers."""

    strip: dict[int, np.ndarray]
    flicker: float | None


def _shown(clip: ClipFrames, driving: Driving, rig: Rig) -> _Shown:
    """Reads the clip once more, for all outputs."""
    count = len(driving.code)
    stretch_of = {row: stretch for stretch in stretches(count) for row in stretch}
    chosen = set(_strip_frames(count))
    strip: dict[int, np.ndarray] = {}
    flicker, views = Flicker(rig.head, rig.size), list[np.ndarray]()
    for number, image in enumerate(ahead(clip.held(count))):
        if number in chosen:
            strip[number] = resize_square(image, max(rig.size, 128))
        stretch = stretch_of.get(number)
        if stretch is not None:
            views.append(face_view(image, driving.code[number], rig.size))
            if number == stretch[-1]:
                if bool((driving.state[stretch.start:stretch.stop] == SEEN).all()):
                    flicker.add(views, as_crops(driving.code[list(stretch)]).to(rig.device))
                views = []
    return _Shown(strip, flicker.level)


def _strip_frames(count: int) -> list[int]:
    return sorted({round(i * (count - 1) / (STRIP - 1)) for i in range(STRIP)})


def _write_strip(path: Path, rig: Rig, strip: dict[int, np.ndarray], code: FaceCode, centre: torch.Tensor,
                 frames: FrameFolder) -> None:
    """Eight frames of the clip, of the buffers, and as drawn."""
    chosen = _strip_frames(len(code))
    buffers = to_uint8(rig.buffers(code[chosen], centre[chosen]).rendered.cpu().numpy())
    drawn = [resize_square(frames.read(number), max(rig.size, 128)) for number in chosen]
    rows = [[strip[number] for number in chosen], list(buffers), drawn]
    write_png(path, contact_sheet(rows, [f"frame {number}" for number in chosen], ["clip", "buffers", "result"]),
              {"Comment": STATEMENT})
