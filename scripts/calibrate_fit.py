"""Learn what the landmarker marks on the open head; write ``diffusionrig/assets/fit_calibration.npz``.

Run after ``scripts/bake_landmark_tie.py``. Renders synthetic people with known codes (most as bare heads, some as full
photographs), finds their landmarks, and regresses the errors on the codes. About ten minutes on one core; detections are
kept in ``--cache``, so that a second run only learns again.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.fit.calibration import ASSET, TOLERANCE
from diffusionrig.capture.fit.correspondence import LandmarkTie, find_tie, fits, landmark_points, probe
from diffusionrig.capture.fit.encoder import HIDING_SLACK, N_SHAPE
from diffusionrig.capture.fit.finding import find_face
from diffusionrig.capture.fit.frames import crop_turn, level
from diffusionrig.capture.fit.landmark_model import EYE_COLUMNS, LandmarkModel, build_landmark_model
from diffusionrig.capture.fit.refine import facing
from diffusionrig.capture.fit.regression import aligned_landmarks, features
from diffusionrig.capture.fit.surface import Surface, build_surface, choose_places, samples_of
from diffusionrig.capture.fit.view import look, sample_view
from diffusionrig.data.synthetic.backdrop import sample_backdrop
from diffusionrig.data.synthetic.lighting import sample_light
from diffusionrig.data.synthetic.people import sample_person
from diffusionrig.data.synthetic.photographs import render_photographs
from diffusionrig.data.synthetic.scenes import sample_scene
from diffusionrig.faces.face import Face
from diffusionrig.faces.landmarker import FaceLandmarker
from diffusionrig.geometry.camera import image_points
from diffusionrig.geometry.face_code import FaceCode, whole_frame_crop
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.heads import load_head
from diffusionrig.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from diffusionrig.io.array_files import read_array_file, write_array_file
from diffusionrig.io.assets import PACKAGE_ASSETS
from diffusionrig.io.files import make_folder
from diffusionrig.progress import Progress
from diffusionrig.randomness import numpy_stream
from diffusionrig.render.physical import DEPTH_OFFSET, rasterize_points, render_buffers
from diffusionrig.render.shading import sh_basis

SIZE = 256
SEED = 20_000
"""Streams of their own: no person or scene here is one of a benchmark's or test's."""

RESPONSE_RIDGE = 20.0
REGRESSION_RIDGE = 400.0
COMPONENTS = 120
SKIN_MODES = 40
LARGEST_DEPARTURE = 0.2
"""Albedo: samples that depart by more show hair, glasses or a hand, not skin."""
LARGEST_ERROR = 0.007
"""Metres: faces whose landmarks err by more on average were misdetected and teach nothing."""


def bare_heads(head: HeadModel, seed: int, start: int, stop: int, stream_name: str) -> Iterator[tuple[FaceCode, np.ndarray]]:
    """Codes (batch 1) of the people ``start`` to ``stop`` of ``seed`` and their bare heads before soft backgrounds."""
    for first in range(start, stop, 8):
        scenes = [sample_scene(sample_person(seed, i, head), seed, 0, head) for i in range(first, min(first + 8, stop))]
        code = FaceCode.concatenate([scene.code for scene in scenes])
        with torch.no_grad():
            buffers = render_buffers(head, code, SIZE)
        for i in range(len(code)):
            stream = numpy_stream(stream_name, seed, first + i)
            alpha = buffers.alpha[i, 0, ..., None].numpy()
            picture = buffers.rendered[i].permute(1, 2, 0).numpy() + (1 - alpha) * sample_backdrop(stream, SIZE)
            picture = cv2.GaussianBlur(picture, (0, 0), stream.uniform(0.4, 1.0)) + stream.normal(0, 0.01, picture.shape)
            yield code[i], np.rint(picture.clip(0, 1) * 255).astype(np.uint8)


def heads_and_pictures(head: HeadModel, plain: int, photographs: int) -> Iterator[tuple[FaceCode, np.ndarray]]:
    """Codes (batch 1) with pictures of them: bare heads first, then full photographs."""
    yield from bare_heads(head, SEED, 0, plain, "calibration picture")
    for i in range(photographs):
        person = sample_person(SEED + 1, i, head)
        scene = sample_scene(person, SEED + 1, 0, head)
        yield scene.code, render_photographs([person], [scene], head, SIZE)[0]


def landmark_error(head: HeadModel, tie: LandmarkTie, code: FaceCode, face: Face) -> np.ndarray:
    """(478, 3) metres, head frame: the landmarks found, less the places they are tied to under the true code."""
    assert face.points is not None
    points = torch.from_numpy(face.points).double()
    scale, shift = code.camera[0, 0].double(), code.camera[0, 1:].double()
    plane = (points[:, :2] + 0.5) / SIZE * 2 - 1
    across = plane * plane.new_tensor([1.0, -1.0]) / scale - shift
    depth = -points[:, 2:] / SIZE * 2 / scale
    truth = landmark_points(tie, head, head.vertices(code))[0].double()
    error = torch.cat([across, depth - depth.mean() + truth[:, 2].mean()], 1) - truth
    return (error @ axis_angle_to_matrix(code.pose[0, :3].double())).float().numpy()


def collect(head: HeadModel, tie: LandmarkTie, model: LandmarkModel, plain: int, photographs: int) -> dict[str, np.ndarray]:
    """Of the M faces found: landmark errors (M, 478, 3), levelled landmarks (M, 478, 3), true rotations of the levelled heads
    (M, 3, 3), true coefficients of the landmark model (M, C), and reported coefficients (M, 52); of the photographs, found or
    not, what skin shows beyond the albedo model (photographs, P, 3)."""
    landmarker = FaceLandmarker()
    rows: dict[str, list[np.ndarray]] = {name: [] for name in ("errors", "targets", "rotations", "truths", "reported", "skin")}
    places, barycentric = choose_places(head)
    surface = build_surface(head, model, places, barycentric)
    with Progress(plain + photographs, "calibrate") as progress:
        for i, (code, picture) in enumerate(heads_and_pictures(head, plain, photographs)):
            face = find_face(picture, landmarker)
            if i >= plain:
                rows["skin"].append(skin_departure(head, surface, code, picture))
            progress.update()
            if face is not None:
                for name, value in observe(head, tie, code, face).items():
                    rows[name].append(value)
    return {**{name: np.stack(values) for name, values in rows.items()}, "probe": probe(tie, head).numpy(),
            "skin_face": places.numpy(), "skin_barycentric": barycentric.numpy()}


def skin_departure(head: HeadModel, surface: Surface, code: FaceCode, picture: np.ndarray) -> np.ndarray:
    """(P, 3) albedo seen less the albedo model's under the true code; NaN where a sample is hidden or not skin at all."""
    points, normals = samples_of(head, code, surface.face, surface.barycentric)
    plane = image_points(points, code)
    whole = whole_frame_crop(torch.tensor([[float(SIZE)] * 2]))
    colour, _, inside = sample_view(look([picture], whole, SIZE), plane[..., :2])
    depth = rasterize_points(image_points(head.vertices(code), code), head.faces, SIZE // 2).depth
    pixel = ((plane[..., :2] * 0.5 + 0.5) * (SIZE // 2)).long().clamp(0, SIZE // 2 - 1)
    nearest = depth.flatten(1).gather(1, pixel[..., 1] * (SIZE // 2) + pixel[..., 0])
    seen = (plane[..., 2] + DEPTH_OFFSET < nearest + HIDING_SLACK * code.camera[:, :1]) & (inside > 0.5) & (facing(normals) > 0.5)
    painted = surface.albedo + torch.einsum("ba,akc->bkc", code.albedo, surface.albedo_basis)
    departure = (colour / (sh_basis(normals) @ code.light).clamp_min(0.2) - painted)[0]
    seen = seen[0] & (departure.abs().amax(-1) < LARGEST_DEPARTURE)
    return torch.where(seen[:, None], departure, torch.full_like(departure, float("nan"))).numpy().astype(np.float16)


def observe(head: HeadModel, tie: LandmarkTie, code: FaceCode, face: Face) -> dict[str, np.ndarray]:
    """What one found face teaches; see ``collect``."""
    assert face.points is not None
    assert face.coefficients is not None
    target, levelled = level(torch.from_numpy(face.points).double()[None])
    turn, _ = crop_turn(levelled, code.crop.double())
    rotation = turn[0].T @ axis_angle_to_matrix(code.pose[0, :3].double())
    truth = torch.cat([code.shape[0, :N_SHAPE], code.expression[0], code.eyes[0, list(EYE_COLUMNS)]])
    return {"errors": landmark_error(head, tie, code, face), "targets": target[0].float().numpy(),
            "rotations": rotation.float().numpy(), "truths": truth.numpy(), "reported": face.coefficients}


def ridge(inputs: Tensor, outputs: Tensor, strength: float) -> Tensor:
    """Weights (I + 1, O), the last row the intercept, which is not shrunk."""
    design = torch.cat([inputs, torch.ones_like(inputs[:, :1])], 1)
    penalty = strength * torch.eye(design.shape[1], dtype=design.dtype)
    penalty[-1, -1] = 1e-9
    return torch.linalg.solve(design.T @ design + penalty, design.T @ outputs)


def learn(model: LandmarkModel, found: dict[str, np.ndarray], n_modes: int) -> dict[str, np.ndarray]:
    """The arrays of a Calibration."""
    errors, truths = (torch.from_numpy(found[name]).double() for name in ("errors", "truths"))
    good = errors.square().sum(-1).mean(1).div(3).sqrt() < LARGEST_ERROR
    errors, truths = errors[good], truths[good]
    response = ridge(truths, errors.flatten(1), RESPONSE_RIDGE)
    rest = errors.flatten(1) - truths @ response[:-1] - response[-1]
    # Part of the noise was fitted by the response; what is left is scaled up to the size it has on new faces.
    freedom = len(rest) / max(len(rest) - truths.shape[1], 1)
    _, spread, modes = torch.linalg.svd(rest, full_matrices=False)
    modes, spread = modes[:n_modes], spread[:n_modes] * (freedom / len(rest)) ** 0.5
    sigma = ((rest - rest @ modes.T @ modes).square().mean(0) * freedom).sqrt()

    lights = torch.from_numpy(np.stack([sample_light(numpy_stream("calibration light", SEED, i)) for i in range(3000)])).double()
    # A floor under the spread: real lights need not obey the sampler to the last decimal.
    spread_of_light = 1.3 * torch.cov(lights.flatten(1).T) + 6e-4 * torch.eye(27, dtype=torch.float64)
    delta = response.unflatten(1, (-1, 3))
    examples = {name: torch.from_numpy(found[name]).double()[good] for name in ("targets", "rotations", "truths", "reported")}
    print(f"{int(good.sum())} of {len(good)} faces; rest {1e3 * float(sigma.square().mean().sqrt()):.2f} mm beside "
          f"{n_modes} modes of {1e3 * float(spread.square().sum().div(len(sigma)).sqrt()):.2f} mm")
    return {
        "mean": (model.mean + delta[-1]).numpy().astype(np.float32),
        "basis": (model.basis + delta[:-1]).numpy().astype(np.float16),
        "modes": (modes * spread[:, None]).unflatten(1, (-1, 3)).numpy().astype(np.float16),
        "sigma": sigma.unflatten(0, (-1, 3)).numpy().astype(np.float32),
        "light_mean": lights.mean(0).numpy().astype(np.float32),
        "light_precision": torch.linalg.inv(spread_of_light).numpy().astype(np.float32), "probe": found["probe"],
        **learn_skin(torch.from_numpy(found["skin"]).double()), "skin_face": found["skin_face"].astype(np.uint16),
        "skin_barycentric": found["skin_barycentric"],
        **learn_regression(dataclasses.replace(model, mean=model.mean + delta[-1]), examples)}


def learn_skin(departures: Tensor) -> dict[str, np.ndarray]:
    """Mean and principal modes of skin departures (M, P, 3), hidden samples (NaN) filled in by the modes in turn."""
    values = departures.flatten(1)
    seen = ~values.isnan()
    values = values.nan_to_num(0)
    mean = values.sum(0) / seen.sum(0).clamp_min(5)
    filled = (values - mean) * seen
    for _ in range(8):
        left, spread, modes = torch.linalg.svd(filled, full_matrices=False)
        guess = 0.9 * (left[:, :SKIN_MODES] * spread[:SKIN_MODES]) @ modes[:SKIN_MODES]
        filled = torch.where(seen, values - mean, guess)
    rest = (values - mean - guess)[seen].square().mean().sqrt()
    print(f"{len(values)} photographs; skin departs by {values[seen].square().mean().sqrt():.3f}, "
          f"beyond {SKIN_MODES} modes by {rest:.3f}")
    modes = modes[:SKIN_MODES] * (spread[:SKIN_MODES] / len(values) ** 0.5)[:, None]
    return {"skin_mean": mean.unflatten(0, (-1, 3)).numpy().astype(np.float32),
            "skin_modes": modes.unflatten(1, (-1, 3)).numpy().astype(np.float16)}


def learn_regression(model: LandmarkModel, found: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """The arrays of a Regression; its precision comes from predictions for the fifth of faces left out in turn."""
    aligned, rotation = aligned_landmarks(model, found["targets"])
    mean = aligned.flatten(1).mean(0)
    _, spread, directions = torch.linalg.svd(aligned.flatten(1) - mean, full_matrices=False)
    basis = directions[:COMPONENTS].T / (spread[:COMPONENTS] / len(aligned) ** 0.5)
    inputs = features(aligned, rotation, found["reported"], mean, basis)
    centre, scale = inputs.mean(0), inputs.std(0).clamp_min(1e-6)  # tongueOut is never reported
    inputs = (inputs - centre) / scale
    turn = matrix_to_axis_angle(rotation.transpose(1, 2) @ found["rotations"])
    outputs = torch.cat([turn, found["truths"]], 1)
    fold = torch.arange(len(outputs)) % 5
    rest = torch.empty_like(outputs)
    for k in range(5):
        weights = ridge(inputs[fold != k], outputs[fold != k], REGRESSION_RIDGE)
        rest[fold == k] = outputs[fold == k] - inputs[fold == k] @ weights[:-1] - weights[-1]
    covariance = torch.cov(rest.T) + torch.diag(1e-4 + 0.03 * rest.var(0))
    share = 1 - rest.square().mean(0) / outputs.var(0).clamp_min(1e-9)
    degrees = torch.rad2deg(rest[:, :3]).std(0).tolist()
    print("regression leaves pitch, yaw, roll errors of " + ", ".join(f"{value:.2f}" for value in degrees) + " degrees; explains "
          f"{share[3:3 + N_SHAPE].mean():.0%} of identity and {share[3 + N_SHAPE:].mean():.0%} of expression and gaze")
    weights = ridge(inputs, outputs, REGRESSION_RIDGE)
    return {"point_mean": mean.numpy().astype(np.float32), "point_basis": basis.numpy().astype(np.float16),
            "feature_mean": centre.numpy().astype(np.float32), "feature_scale": scale.numpy().astype(np.float32),
            "weights": weights[:-1].numpy().astype(np.float16), "bias": weights[-1].numpy().astype(np.float32),
            "precision": torch.linalg.inv(covariance).numpy().astype(np.float32)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plain", type=int, default=2000, help="bare heads")
    parser.add_argument("--photographs", type=int, default=900, help="full synthetic photographs")
    parser.add_argument("--modes", type=int, default=20)
    parser.add_argument("--cache", default="log/fit_calibration_faces.npz")
    parser.add_argument("--output", default=str(PACKAGE_ASSETS / ASSET))
    args = parser.parse_args()
    head = load_head()
    tie = find_tie(head)
    model = build_landmark_model(head, tie.face, tie.barycentric, tie.reliability, N_SHAPE).to("cpu", torch.float64)
    cache = Path(args.cache)
    found = read_array_file(cache) if cache.is_file() else {}
    if not found or not fits(tie, torch.from_numpy(found["probe"]), head, TOLERANCE):
        found = collect(head, tie, model, args.plain, args.photographs)
        make_folder(cache.parent)
        write_array_file(cache, found)
    write_array_file(args.output, learn(model, found, args.modes))


if __name__ == "__main__":
    main()
