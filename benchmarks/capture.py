"""How well and how fast FIT captures synthetic people whose codes are known. Prints one table with the bars.

``python benchmarks/capture.py`` (200 people); ``--count 40`` for a quick look. Figures are kept in docs/capture.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.fit.encoder import FitEncoder
from diffusionrig.capture.fit.finding import find_face
from diffusionrig.data.synthetic.people import sample_person
from diffusionrig.data.synthetic.photographs import render_photographs
from diffusionrig.data.synthetic.scenes import sample_scene
from diffusionrig.geometry.camera import image_points
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.heads import load_head
from diffusionrig.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from diffusionrig.io.resize import resize_square
from diffusionrig.progress import Progress
from diffusionrig.render.shading import sh_basis

SEED = 4_000
GROUPS = {"jawOpen": ("jawOpen",), "smile": ("mouthSmileLeft", "mouthSmileRight"), "browInnerUp": ("browInnerUp",),
          "browOuterUp": ("browOuterUpLeft", "browOuterUpRight"), "browDown": ("browDownLeft", "browDownRight")}

Row = tuple[str, float, str, Callable[[float], bool] | None]


def photographs(head: HeadModel, count: int, size: int) -> tuple[list[np.ndarray], FaceCode]:
    """One photograph each of ``count`` people, and the true codes."""
    images, codes = [], []
    with Progress(count, "render") as progress:
        for i in range(count):
            person = sample_person(SEED, i, head)
            scene = sample_scene(person, SEED, 0, head)
            images.append(render_photographs([person], [scene], head, size)[0])
            codes.append(scene.code)
            progress.update()
    return images, FaceCode.concatenate(codes)


def rotation_error(found: FaceCode, truth: FaceCode) -> Tensor:
    """Degrees (B,)."""
    first, second = (axis_angle_to_matrix(code.pose[:, :3]) for code in (found, truth))
    return torch.rad2deg(matrix_to_axis_angle(first.transpose(1, 2) @ second).norm(dim=1))


def landmark_error(head: HeadModel, found: FaceCode, truth: FaceCode) -> Tensor:
    """(B, 51) distances between the inner landmarks of both heads in the image, over the eye distance."""
    a, b = (image_points(head.landmarks(head.vertices(code), code), code)[:, 17:, :2] for code in (found, truth))
    eyes = (b[:, 19:25].mean(1) - b[:, 25:31].mean(1)).norm(dim=-1)
    return (a - b).norm(dim=-1) / eyes[:, None]


def sphere_error(found: Tensor, truth: Tensor) -> Tensor:
    """(B,) relative root mean square difference of spheres shaded by lights (B, 9, 3), over the visible hemisphere."""
    steps = torch.linspace(-1, 1, 41)
    x, y = torch.meshgrid(steps, steps, indexing="xy")
    inside = x * x + y * y < 1
    x, y = x[inside], y[inside]
    bands = sh_basis(torch.stack([x, y, (1 - x * x - y * y).sqrt()], -1))
    got, wanted = bands @ found, bands @ truth
    return ((got - wanted).square().sum((1, 2)) / wanted.square().sum((1, 2))).sqrt()


def correlation(a: Tensor, b: Tensor) -> float:
    return float(np.corrcoef(a.numpy(), b.numpy())[0, 1])


def measure(encoder: FitEncoder, images: list[np.ndarray], truth: FaceCode, threads: int) -> list[Row]:
    """The rows of the table: name, value, format, and the bar where there is one."""
    torch.set_num_threads(threads)
    encoder.encode(images[:2])  # networks load on first use
    start = time.perf_counter()
    result = encoder.encode(images)
    rate = len(images) / (time.perf_counter() - start)
    found = result.found
    code, true = result.code[found.nonzero()[:, 0]], truth[found.nonzero()[:, 0]]
    head = encoder.head
    points = reprojection(encoder, [image for image, seen in zip(images, found) if seen])
    rotation, marks, light = rotation_error(code, true), landmark_error(head, code, true), sphere_error(code.light, true.light)
    rows: list[Row] = [
        ("faces found", float(found.float().mean()), "{:.1%}", None),
        ("flagged as doubtful", float(result.flagged.float().mean()), "{:.1%}", None),
        ("rotation error, median", float(rotation.median()), "{:.2f} deg", lambda x: x < 3),
        ("rotation error, 90th percentile", float(rotation.quantile(0.9)), "{:.2f} deg", None),
        ("detected landmarks, reprojection, median face", float(points.median()), "{:.2%} of eye distance", None),
        ("true landmarks, reprojection, median face", float(marks.mean(1).median()), "{:.2%} of eye distance",
         lambda x: x < 0.02),
    ]
    for name, members in GROUPS.items():
        columns = [head.expression_names.index(member) for member in members]
        rows.append((f"{name}, correlation with truth", correlation(code.expression[:, columns].mean(1),
                                                                    true.expression[:, columns].mean(1)), "{:.3f}",
                     lambda x: x > 0.85))
    rows += [("light, shaded sphere, median error", float(light.median()), "{:.1%}", lambda x: x < 0.15),
             ("light, shaded sphere, mean error", float(light.mean()), "{:.1%}", None),
             (f"speed, {threads} threads", rate, "{:.1f} faces/s", lambda x: x >= 4)]
    return rows


def reprojection(encoder: FitEncoder, images: list[np.ndarray]) -> Tensor:
    """(B,) mean distance between detected landmarks and those of the fit, over the eye distance."""
    return torch.cat([encoder.fit([image], [face]).landmark_error for image in images
                      if (face := find_face(image, encoder.landmarker)) is not None])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--size", type=int, default=256, help="side of the photographs, pixels")
    parser.add_argument("--shrink", type=int, default=0, help="shrink the photographs to this side before capture")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    head = load_head()
    images, truth = photographs(head, args.count, args.size)
    if args.shrink:
        images = [resize_square(image, args.shrink) for image in images]
    rows = measure(FitEncoder(head), images, truth, args.threads)
    width = max(len(name) for name, *_ in rows)
    for name, value, form, bar in rows:
        verdict = "" if bar is None else "ok" if bar(value) else "MISSED"
        print(f"{name:<{width}}  {form.format(value):<24} {verdict}")


if __name__ == "__main__":
    main()
