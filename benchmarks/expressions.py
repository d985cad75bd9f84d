"""How truly FIT reads the smiles of real people: pairs of photographs of one person, neutral and smiling.

    python benchmarks/expressions.py --faces FOLDER

``FOLDER`` holds ``london_neutral/`` and ``london_smiling/`` (aligned photographs; the same number is the same person). The
expression captured from the smiling photograph is put on the code of the neutral one, whose landmarks then move as the mesh
carries them: *drawn*. What the landmarker sees in the smiling photograph, turned and scaled like the neutral one, less what it
sees in the neutral one is *true*. *seen* is what the landmarker says of the neutral photograph carried along by the mesh.
All in units of the distance between the eyes. Pairs are split in two by ``--seed``: settings may be chosen on the first half, and
the second is reported. Photographs of ``--single`` folders (no pairs needed) tell how far the mesh lies from the landmarks.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.fit.correspondence import find_tie, landmark_points
from diffusionrig.capture.fit.encoder import FitEncoder
from diffusionrig.capture.fit.finding import find_face
from diffusionrig.errors import UsageError
from diffusionrig.faces.face import Face
from diffusionrig.geometry.camera import image_points, pixels
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.images import IMAGE_SUFFIXES, read_image
from diffusionrig.progress import Progress
from diffusionrig.render.interpolation import interpolate
from diffusionrig.render.physical import rasterize_points

PAIR = ("london_neutral", "london_smiling")
CORNERS = (61, 291)
LIDS = ((160, 144), (159, 145), (158, 153), (385, 380), (386, 374), (387, 373))
EYES = ((33, 133), (263, 362))
STEADY = (33, 133, 362, 263, 168, 6, 197, 195, 8, 9, 151, 10, 109, 338, 67, 297, 103, 332, 54, 284, 21, 251, 162, 389, 127, 356)
"""Landmarks that hardly move when a face smiles: corners of the eyes, bridge of the nose, forehead, temples."""

PARTS = {"mouth": (61, 291, 0, 17, 13, 14, 37, 267, 39, 269, 40, 270, 185, 409, 84, 314, 181, 405, 91, 321, 146, 375, 78, 308, 82,
                   312, 81, 311, 80, 310, 191, 415, 87, 317, 178, 402, 88, 318, 95, 324),
         "eyes": (33, 133, 362, 263, *(point for pair in LIDS for point in pair)),
         "jaw": (58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288)}


@dataclasses.dataclass(frozen=True)
class Marks:
    """Measures of B faces, each (B,) and over the eye distance: ``width`` between the corners of the mouth, their mean ``height``
    over the line of the eyes (negative), and the mean ``lids``' opening."""

    width: Tensor
    height: Tensor
    lids: Tensor

    def less(self, other: Marks) -> Marks:
        return Marks(*(mine - theirs for mine, theirs in zip(dataclasses.astuple(self), dataclasses.astuple(other))))

    def __getitem__(self, rows: Tensor) -> Marks:
        return Marks(*(value[rows] for value in (self.width, self.height, self.lids)))


def eye_centres(points: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 478, 2 or more) -> (B, 2) each."""
    right, left = (points[:, list(pair), :2].mean(1) for pair in EYES)
    return right, left


def marks(points: Tensor, ruler: Tensor) -> Marks:
    """Of landmarks (B, 478, 2 or more), x right and y down, measured along the eye line of ``ruler`` (B, 478, 2 or more), another
    state of the same faces, in units of its eye distance."""
    right, left = eye_centres(ruler)
    unit = (left - right).norm(dim=1)
    across = (left - right) / unit[:, None]
    up = torch.stack([across[:, 1], -across[:, 0]], 1)
    own = torch.stack(eye_centres(points), 1).mean(1)
    corners = points[:, list(CORNERS), :2]
    height = ((corners.mean(1) - own) * up).sum(1)
    gaps = torch.stack([((points[:, top, :2] - points[:, low, :2]) * up).sum(1) for top, low in LIDS], 1)
    return Marks((corners[:, 0] - corners[:, 1]).norm(dim=1) / unit, height / unit, gaps.mean(1) / unit)


def laid_over(points: Tensor, other: Tensor) -> Tensor:
    """Points (B, 478, 3) turned, scaled and moved so that their steady landmarks lie on those of ``other``: the similarity of
    Umeyama, PAMI 1991."""
    mine, theirs = (values[:, list(STEADY)] for values in (points, other))
    middle, spot = mine.mean(1, keepdim=True), theirs.mean(1, keepdim=True)
    left, values, right = torch.linalg.svd((theirs - spot).transpose(1, 2) @ (mine - middle))
    sign = torch.ones_like(values)
    sign[:, 2] = torch.det(left @ right).sign()
    scale = (values * sign).sum(1) / (mine - middle).square().sum((1, 2))
    return scale[:, None, None] * (points - middle) @ (left @ (sign[..., None] * right)).transpose(1, 2) + spot


def mesh_marks(encoder: FitEncoder, code: FaceCode) -> Tensor:
    """Where the mesh of ``code`` has its landmarks, pixels (B, 478, 2)."""
    tie = find_tie(encoder.head)
    points = image_points(landmark_points(tie, encoder.head, encoder.head.vertices(code)), code)
    return torch.cat([pixels(points[i:i + 1], float(code.frame[i, 0]), float(code.frame[i, 1])) for i in range(len(code))])


def carried(encoder: FitEncoder, image: np.ndarray, source: FaceCode, edited: FaceCode) -> np.ndarray:
    """``image`` (H, W, 3) with its pixels carried along by the mesh from ``source`` to ``edited`` (batch 1); beyond the head it
    stays, a soft edge between."""
    height, width = image.shape[:2]
    before, after = (image_points(encoder.head.vertices(code), code) for code in (source, edited))
    fragments = rasterize_points(after, encoder.head.faces, (height, width))
    place = interpolate(fragments, encoder.head.faces, pixels(before, width, height))[0].permute(1, 2, 0).numpy()
    inside = (fragments.face[0] >= 0).numpy().astype(np.float32)
    moved = cv2.remap(image, place[..., 0] - 0.5, place[..., 1] - 0.5, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    soft = cv2.GaussianBlur(cv2.erode(inside, np.ones((5, 5))), (0, 0), 2)[..., None] * inside[..., None]
    return np.rint(soft * moved + (1 - soft) * image).astype(np.uint8)


def stacked(faces: list[Face]) -> Tensor:
    """(B, 478, 3) landmarks, from the picture's edge."""
    points = torch.from_numpy(np.stack([face.points for face in faces if face.points is not None])).double()
    points[..., :2] += 0.5
    return points


def read_pairs(encoder: FitEncoder, folder: Path) -> tuple[list[list[np.ndarray]], list[list[Face]]]:
    """Pictures and faces of both folders, only the people whose face is found in both."""
    names = sorted({path.name for path in (folder / PAIR[0]).iterdir()} & {path.name for path in (folder / PAIR[1]).iterdir()})
    images: list[list[np.ndarray]] = [[], []]
    faces: list[list[Face]] = [[], []]
    for name in names:
        pictures = [read_image(folder / part / name) for part in PAIR]
        found = [find_face(picture, encoder.landmarker) for picture in pictures]
        if found[0] is None or found[1] is None:
            print(f"{name}: no face was found in both photographs; left out")
            continue
        for side in (0, 1):
            images[side].append(pictures[side])
            faces[side].append(found[side])  # type: ignore[arg-type]
    return images, faces


def capture(encoder: FitEncoder, images: list[np.ndarray], faces: list[Face], label: str) -> FaceCode:
    codes = []
    with Progress(len(images), label) as progress:
        for image, face in zip(images, faces):
            codes.append(encoder.fit([image], [face]).code)
            progress.update()
    return FaceCode.concatenate(codes)


def halves(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Rows of the pairs that settings may be chosen on, and of those that are reported."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return order[:count // 2].sort().values, order[count // 2:].sort().values


def table(true: Marks, drawn: Marks, seen: Marks | None) -> str:
    """One line per measure: medians and the strongest quarter (by true widening), and the median miss of a face."""
    strongest = true.width >= true.width.quantile(0.75)
    lines = []
    for label, name in (("widening of the mouth", "width"), ("raising of its corners", "height"), ("opening of the lids", "lids")):
        wanted = getattr(true, name)
        for part, rows in (("all", torch.ones_like(strongest)), ("strongest quarter", strongest)):
            line = f"{label:<22} {part:<17} true {wanted[rows].median():+7.1%}"
            for kind, values in (("drawn", drawn), ("seen", seen)):
                if values is None:
                    continue
                got = getattr(values, name)
                line += f"   {kind} {got[rows].median():+7.1%}"
                if name != "lids":
                    shares = [getattr(got[rows], mean)() / getattr(wanted[rows], mean)() for mean in ("median", "mean")]
                    line += f" (x {shares[0]:.2f}, mean x {shares[1]:.2f})"
                line += f" miss {(got - wanted)[rows].abs().median():.1%}"
            lines.append(line)
    return "\n".join(lines)


def misses(encoder: FitEncoder, code: FaceCode, faces: list[Face]) -> str:
    """Distances between detected landmarks and those of the mesh in the picture, median face."""
    found, mesh = stacked(faces)[..., :2], mesh_marks(encoder, code).double()
    right, left = eye_centres(found)
    off = (mesh - found).norm(dim=-1) / (left - right).norm(dim=1)[:, None]
    shares = {"all": off.mean(1), **{name: off[:, list(points)].mean(1) for name, points in PARTS.items()}}
    return ", ".join(f"{name} {value.median():.2%} (90 %: {value.quantile(0.9):.2%})" for name, value in shares.items())


def neutral_line(encoder: FitEncoder, codes: list[FaceCode]) -> str:
    smile = [encoder.head.expression_names.index("mouthSmile" + side) for side in ("Left", "Right")]
    values = [code.expression[:, smile].mean(1) for code in codes]
    shape = (codes[0].shape - codes[1].shape).norm(dim=1) / codes[0].shape.norm(dim=1)
    return (f"mouthSmile: neutral median {values[0].median():.2f}, 90 % {values[0].quantile(0.9):.2f}; smiling median "
            f"{values[1].median():.2f}; identity moves by {shape.median():.0%} of its length between the two photographs")


def single_pictures(encoder: FitEncoder, folder: Path, count: int) -> tuple[list[np.ndarray], list[Face]]:
    """``count`` pictures spread evenly over the folder, those with a face."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    images, faces = [], []
    for path in paths[::max(1, len(paths) // max(count, 1))][:count]:
        image = read_image(path)
        face = find_face(image, encoder.landmarker)
        if face is not None:
            images.append(image)
            faces.append(face)
    return images, faces


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True, help="the folder with london_neutral and london_smiling")
    parser.add_argument("--single", nargs="*", default=[], help="further folders of photographs inside it, without pairs")
    parser.add_argument("--count", type=int, default=50, help="photographs of each --single folder")
    parser.add_argument("--seed", type=int, default=0, help="how pairs are split into halves")
    parser.add_argument("--seen", action="store_true", help="also look at the neutral photographs carried along by the mesh")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for name in (*PAIR, *args.single):
        if not (args.faces / name).is_dir():
            raise UsageError(f"{args.faces} has no folder {name}; give --faces the folder that holds it.")
    encoder = FitEncoder(load_head())
    images, faces = read_pairs(encoder, args.faces)
    codes = [capture(encoder, images[side], faces[side], PAIR[side]) for side in (0, 1)]
    neutral, smiling = stacked(faces[0]), stacked(faces[1])
    true = marks(laid_over(smiling, neutral), neutral).less(marks(neutral, neutral))
    edited = codes[0].swap("exp", codes[1])
    mesh, moved = mesh_marks(encoder, codes[0]), mesh_marks(encoder, edited)
    drawn = marks(moved, mesh).less(marks(mesh, mesh))
    seen = None
    if args.seen:
        looks = [find_face(carried(encoder, image, codes[0][i], edited[i]), encoder.landmarker)
                 for i, image in enumerate(images[0])]
        points = stacked([face or faces[0][i] for i, face in enumerate(looks)])
        seen = marks(points, neutral).less(marks(neutral, neutral))
    for label, rows in zip(("settings", "report"), halves(len(neutral), args.seed)):
        print(f"\n{label} half, {len(rows)} pairs")
        print(table(true[rows], drawn[rows], seen[rows] if seen is not None else None))
        print(neutral_line(encoder, [code[rows] for code in codes]))
    print("\ndistance of the mesh's landmarks from the detected ones, over the eye distance")
    for side in (0, 1):
        print(f"{PAIR[side]}: {misses(encoder, codes[side], faces[side])}")
    for name in args.single:
        pictures, found = single_pictures(encoder, args.faces / name, args.count)
        print(f"{name}: {misses(encoder, capture(encoder, pictures, found, name), found)}")


if __name__ == "__main__":
    main()
