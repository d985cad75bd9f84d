"""Clips: how well and how fast faces are tracked, and how fast and how steadily clips are drawn. Prints one table with the bars.

``python benchmarks/clips.py`` renders synthetic people moving along smooth paths of known codes, tracks them, and captures the same
frames one by one in the same run; ``--video CLIP ...`` also looks at real clips (speed, jitter, gaps), ``--draw`` draws one with
the shipped prior. Times are those of the process, so that other work on the machine counts less; their ratios are what holds
elsewhere. Figures are kept in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.fit.encoder import FitEncoder
from diffusionrig.capture.tracking.gaps import BRIDGED, HELD
from diffusionrig.capture.tracking.tracker import Tracker
from diffusionrig.data.synthetic.people import sample_person
from diffusionrig.data.synthetic.photographs import render_photographs
from diffusionrig.data.synthetic.scenes import sample_scene
from diffusionrig.editing.clip import Drive, run_clip
from diffusionrig.editing.controls import parse_modes
from diffusionrig.editing.order import Order
from diffusionrig.editing.rig import Rig
from diffusionrig.editing.sampling import Sampling
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.heads import load_head
from diffusionrig.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from diffusionrig.io.array_files import read_array_file, write_array_file
from diffusionrig.io.video import all_frames
from diffusionrig.progress import Progress

Result = TypeVar("Result")

SEED, FPS = 9_000, 25.0
KEYS = 0.8
"""Seconds from one expression and pose to the next; blinks of a fifth of a second come in between."""

GROUPS = {"jawOpen": ("jawOpen",), "smile": ("mouthSmileLeft", "mouthSmileRight"),
          "brows": ("browInnerUp", "browOuterUpLeft", "browOuterUpRight", "browDownLeft", "browDownRight"),
          "blink": ("eyeBlinkLeft", "eyeBlinkRight")}


def path_of(person_number: int, count: int, head: HeadModel) -> tuple[FaceCode, list[np.ndarray]]:
    """A synthetic person's codes along a smooth path, and the pictures (256 x 256) of them."""
    person = sample_person(SEED, person_number, head)
    keys = [sample_scene(person, SEED, 100 * person_number + k, head, yaw_limit=25.0) for k in range(int(count / FPS / KEYS) + 2)]
    base = keys[0]
    codes, images = [], []
    blinks = [head.expression_names.index(name) for name in GROUPS["blink"]]
    with Progress(count, f"render person {person_number}", "frame") as progress:
        for t in range(count):
            whole, share = divmod(t / FPS / KEYS, 1.0)
            ease = share * share * (3 - 2 * share)
            first, second = keys[int(whole)].code, keys[int(whole) + 1].code
            mixed = {name: torch.lerp(getattr(first, name), getattr(second, name), ease) for name in ("expression", "pose", "eyes")}
            closed = max(0.0, 1 - abs((t % 45) - 22) / 3)
            mixed["expression"][:, blinks] = mixed["expression"][:, blinks].clamp_min(closed)
            camera = base.code.camera * torch.tensor([[0.8, 1.0, 1.0]])
            code = base.code.replace(**mixed, camera=camera)
            scene = base.replace_code(code)
            scene = type(scene)(**{**vars(scene), "noise_seed": scene.noise_seed + t})
            images.append(render_photographs([person], [scene], head, 256)[0])
            codes.append(code)
            progress.update()
    return FaceCode.concatenate(codes), images


def kept_path(folder: str, number: int, count: int, head: HeadModel) -> tuple[FaceCode, list[np.ndarray]]:
    """``path_of``, kept in ``folder`` for the next run where one is named."""
    file = Path(folder) / f"person{number}_{count}.npz"
    if folder and file.is_file():
        arrays = read_array_file(file, "kept clip")
        images = list(arrays.pop("images"))
        return FaceCode(head=head.name, **{name: torch.from_numpy(array) for name, array in arrays.items()}), images
    code, images = path_of(number, count, head)
    if folder:
        write_array_file(file, {**{name: tensor.numpy() for name, tensor in code.tensors().items()}, "images": np.stack(images)})
    return code, images


def turn_error(found: FaceCode, truth: FaceCode) -> Tensor:
    """(T, 3) axis-angle, degrees."""
    first, second = (axis_angle_to_matrix(code.pose[:, :3].double()) for code in (found, truth))
    return torch.rad2deg(matrix_to_axis_angle(first.transpose(1, 2) @ second))


def shaking(error: Tensor) -> float:
    """Root mean square second difference in time of an error (T, D): what is not the movement itself."""
    return float((error[2:] - 2 * error[1:-1] + error[:-2]).square().mean().sqrt())


def accuracy(found: FaceCode, truth: FaceCode, names: tuple[str, ...]) -> dict[str, float]:
    """Errors, correlations and jitter of captured codes."""
    turn = turn_error(found, truth)
    off = (found.expression - truth.expression).double()
    figures = {"rotation, degrees": float(turn.norm(dim=1).mean()), "rotation jitter, degrees": shaking(turn),
               "expression, r.m.s.": float(off.square().mean().sqrt()), "expression jitter": shaking(off)}
    for group, members in GROUPS.items():
        columns = [names.index(member) for member in members]
        got, wanted = (code.expression[:, columns].double() for code in (found, truth))
        figures[f"{group}, error"] = float((got - wanted).abs().mean())
        figures[f"{group}, correlation"] = float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(got.T.numpy(), wanted.T.numpy())
                                                          if b.std() > 0.02]))
        figures[f"{group} jitter"] = shaking(got - wanted)
    return figures


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """What ``work`` gives, and the seconds of processor time that it took."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def synthetic(encoder: FitEncoder, people: int, frames: int, keep: str) -> None:
    """The table of accuracy and speed on synthetic clips."""
    tracked, single, spent = [], [], {"tracked": 0.0, "single": 0.0}
    tracker, names = Tracker(encoder), encoder.head.expression_names
    for number in range(people):
        truth, images = kept_path(keep, number, frames, encoder.head)
        encoder.encode(images[:1])
        track, seconds = timed(partial(tracker.track, images, len(images), FPS, "clip"))
        spent["tracked"] += seconds
        capture, seconds = timed(partial(encoder.encode, images))
        spent["single"] += seconds
        tracked.append(accuracy(track.code, truth, names))
        single.append(accuracy(capture.code, truth, names))
    print(f"{people} synthetic clips of {frames} frames, 256 pixels, mean over clips")
    print(f"{'':<28}{'one by one':>12}{'tracked':>12}{'ratio':>8}")
    for name in single[0]:
        a, b = (float(np.nanmean([row[name] for row in rows])) for rows in (single, tracked))
        print(f"{name:<28}{a:>12.4f}{b:>12.4f}{b / a if a else float('nan'):>8.2f}")
    rates = {name: people * frames / seconds for name, seconds in spent.items()}
    print(f"{'frames a second, one core':<28}{rates['single']:>12.1f}{rates['tracked']:>12.1f}"
          f"{rates['tracked'] / rates['single']:>8.2f}")


def real(encoder: FitEncoder, path: str, frames: int) -> None:
    """Speed, jitter and gaps of a real clip; nothing is known of the truth."""
    images = [image for _, image in zip(range(frames), (image for _, image in all_frames(path)))]
    track, spent = timed(partial(Tracker(encoder).track, images, len(images), FPS, path))
    part = images[:min(25, len(images))]
    alone, seconds = timed(partial(encoder.encode, part))
    times = seconds / len(part) * len(images) / spent
    code, state = track.code[:len(part)], track.state
    print(f"{Path(path).name}: {len(images)} frames, {len(images) / spent:.1f} a second, {times:.1f} times one by one; "
          f"{int((state == BRIDGED).sum())} bridged, {int((state == HELD).sum())} held; shaking of expressions "
          f"{shaking(alone.code.expression.double()):.4f} one by one, {shaking(code.expression.double()):.4f} tracked")


def drawn(path: str, source: str, threads: int) -> None:
    """End to end (decode, track, carry, draw, encode), and how much the result flickers beside the clip, in either precision."""
    torch.set_num_threads(threads)
    for precision in ("auto", "fp32"):
        rig = Rig.from_pretrained("default", device="cpu", precision=precision)
        with tempfile.TemporaryDirectory() as folder:
            order = Order(source=source, target=path, edits=parse_modes("exp+pose"), output_dir=folder, sampling=Sampling())
            began = time.perf_counter()
            report, spent = timed(partial(run_clip, rig, order, Drive(relative=True)))
            wall = time.perf_counter() - began
        frames, output = report["clip"]["frames"], report["outputs"][0]
        print(f"{Path(path).name} drawn at {rig.size} in {rig.precision}, {threads} threads: {frames / wall:.1f} frames a second "
              f"of wall time, {1000 * spent / frames:.0f} ms of processor time a frame; flicker {output['flicker']}, jitter "
              f"{output['jitter']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--frames", type=int, default=75)
    parser.add_argument("--video", nargs="+", default=[])
    parser.add_argument("--keep", default="", metavar="DIR", help="keep the synthetic clips here")
    parser.add_argument("--draw", default="", metavar="CLIP", help="draw this clip with the shipped prior")
    parser.add_argument("--source", default="diffusionrig/assets/portrait.jpg", help="whom it drives")
    parser.add_argument("--threads", type=int, default=2, help="threads that it is drawn with")
    args = parser.parse_args()
    torch.set_num_threads(1)
    encoder = FitEncoder(load_head())
    if args.people:
        synthetic(encoder, args.people, args.frames, args.keep)
    for path in args.video:
        real(encoder, path, 10**9)
    if args.draw:
        drawn(args.draw, args.source, args.threads)


if __name__ == "__main__":
    main()
