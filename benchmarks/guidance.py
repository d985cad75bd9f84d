"""Guidance against the truth: PSNR and SSIM on the face of a synthetic person's edits, by scale.

    make demo
    python benchmarks/guidance.py [--demo log/demo] [--scales 1.25 1.5 2] [--steps 8] [--seeds 1]

Takes the photographs and the personal model of a finished demo, whose prior must have been trained with --drop_buffers. Every edit
(pose, expression, light; each source with each target) is drawn from noise and compared with the true photograph, as the demo does.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from torch import Tensor

from diffusionrig.demo.people import Cast, choose_cast, true_edit
from diffusionrig.editing.controls import Edit, edited_code, parse_modes
from diffusionrig.editing.rig import Rig
from diffusionrig.editing.sampling import Sampling
from diffusionrig.errors import UsageError
from diffusionrig.faces.alignment import align
from diffusionrig.faces.landmarker import FaceLandmarker
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.image_metrics import psnr, ssim
from diffusionrig.io.files import read_json
from diffusionrig.io.images import find_images, read_image
from diffusionrig.io.resize import resize_square
from diffusionrig.render.buffers import PhysicalBuffers

BATCH = 9
MODES = "pose,exp,light"


@dataclasses.dataclass(frozen=True)
class Task:
    """All edits: their buffers and latents, and the true photographs with the face in them."""

    names: list[str]
    buffers: PhysicalBuffers
    latents: Tensor
    truth: Tensor
    face: Tensor

    def rows(self, rows: slice) -> Task:
        return Task(self.names[rows], self.buffers[rows], self.latents[rows], self.truth[rows], self.face[rows])


def prepare(rig: Rig, folder: Path, cast: Cast) -> Task:
    sources, targets = (rig.capture(list(find_images(folder / "aligned" / name))) for name in ("sources", "targets"))
    landmarker = FaceLandmarker()
    squares = [landmarker.detect(read_image(path))[0].points68 for path in find_images(folder / "photos" / "sources")]
    names, codes, rows, truths, faces = [], [], [], [], []
    for i in range(len(sources)):
        for j in range(len(targets)):
            for edit in parse_modes(MODES):
                photo, region = true_edit(cast, i, j, edit.name)
                mask = np.repeat((region.numpy() * 255).astype(np.uint8)[..., None], 3, 2)
                truths.append(resize_square(align(photo, squares[i], 256).image, rig.size))
                faces.append(resize_square(align(mask, squares[i], 256).image, rig.size))
                codes.append(edited(rig, sources.code[i], targets.code[j], edit))
                names.append(edit.name)
                rows.append(i)
    return Task(names, rig.buffers(FaceCode.concatenate(codes), sources.centre[rows]), sources.latent[rows], images(truths),
                images(faces)[:, :1])


def edited(rig: Rig, source: FaceCode, target: FaceCode, edit: Edit) -> FaceCode:
    return edited_code(source, target, edit, rig.head)


def images(arrays: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float() / 255


def score(rig: Rig, task: Task, sampling: Sampling, seeds: int) -> dict[str, tuple[float, float]]:
    """Mean PSNR and SSIM by mode."""
    found: dict[str, list[tuple[float, float]]] = {}
    for seed in range(seeds):
        for start in range(0, len(task.names), BATCH):
            part = task.rows(slice(start, start + BATCH))
            drawn = rig.draw(part.buffers, part.latents, dataclasses.replace(sampling, seed=seed)) / 2 + 0.5
            for name, *values in zip(part.names, psnr(drawn, part.truth, part.face), ssim(drawn, part.truth, part.face)):
                found.setdefault(name, []).append((float(values[0]), float(values[1])))
    return {name: (mean(v[0] for v in values), mean(v[1] for v in values)) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--demo", type=Path, default=Path("log/demo"), help="folder of a finished demo")
    parser.add_argument("--scales", type=float, nargs="+", default=[1.25, 1.5, 2], help="scales of guidance")
    parser.add_argument("--steps", type=int, default=8, help="steps of the default sampler")
    parser.add_argument("--seeds", type=int, default=1, help="noises to average over")
    args = parser.parse_args()
    if not (args.demo / "report.json").is_file():
        raise SystemExit(f"{args.demo} holds no finished demo; run make demo first, or name one with --demo.")
    report = read_json(args.demo / "report.json")
    settings, model = report["settings"], Path(report["model"])
    rig = Rig.from_pretrained(args.demo / model.parent.name / model.name, device="cpu")
    try:
        rig.check_guidance(Sampling(null_guidance=args.scales[0]))
    except UsageError as error:  # nothing to measure in a model that never saw the null, as that of the usual demo
        print(f"not measured: {error}")
        return
    task = prepare(rig, args.demo, choose_cast(rig.head, settings["seed"], 0, settings["held_out"], settings["strangers"]))
    modes = MODES.split(",")
    print(f"{len(task.names)} edits, {args.seeds} noises each; PSNR in dB / SSIM on the face\n")
    print("| sampler | scale | calls | " + " | ".join(modes) + " |\n| --- | --- | --- |" + " --- |" * len(modes), flush=True)
    for sampling in (*(Sampling(steps=args.steps, null_guidance=scale) for scale in (1.0, *args.scales)),
                     Sampling(respacing="ddim20"), Sampling(steps=20)):
        result = score(rig, task, sampling, args.seeds)
        cells = " | ".join(f"{result[mode][0]:.2f} / {result[mode][1]:.4f}" for mode in modes)
        print(f"| {sampling.chosen_solver} | {sampling.null_guidance:g} | {rig.calls(sampling)} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
