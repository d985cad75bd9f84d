"""The reference condition on synthetic people, whose true photograph of every edit is known.

    python benchmarks/reference.py [--model default] [--people 32] [--seed 901] [--codes true|captured] [--sheet sheet.png]

Medians of the PSNR on the head (of the true edited code) and of the whole picture, at the model's size: the unchanged source, the
bare carried photograph, and the model's edit. ``--codes captured`` edits by what FIT sees in source and target instead of by the
true codes. People of the seeds 31 and 32 are those that the shipped prior learned from; others it never saw.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch import Tensor

from diffusionrig.data.synthetic.people import Person, sample_person
from diffusionrig.data.synthetic.photographs import render_photographs
from diffusionrig.data.synthetic.scenes import Scene, sample_scene
from diffusionrig.editing.controls import Edit
from diffusionrig.editing.request import Request
from diffusionrig.editing.rig import Analysis, Rig
from diffusionrig.image_metrics import psnr
from diffusionrig.io.images import write_png
from diffusionrig.io.sheets import contact_sheet, to_uint8
from diffusionrig.progress import track

MODES = ("pose", "exp", "light")


def unit(images: np.ndarray | Tensor) -> Tensor:
    """(H, W, 3) uint8, or (3, H, W) in [-1, 1], as (1, 3, H, W) in 0..1."""
    if isinstance(images, Tensor):
        return (images.cpu()[None] + 1) / 2
    return torch.from_numpy(images.astype(np.float32) / 255).permute(2, 0, 1)[None]


def seen(rig: Rig, person: Person, scene: Scene, codes: str) -> Analysis:
    """The photograph of a scene with its true code, or with the captured one."""
    image = render_photographs([person], [scene], rig.head, rig.size)[0]
    if codes == "captured":
        return rig.capture(image)
    return rig.analyse(torch.from_numpy(image)[None], scene.code)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default")
    parser.add_argument("--people", type=int, default=32)
    parser.add_argument("--seed", type=int, default=901)
    parser.add_argument("--codes", choices=["true", "captured"], default="true")
    parser.add_argument("--sheet", default="")
    args = parser.parse_args()
    rig = Rig.from_pretrained(args.model)
    figures: dict[str, list[list[float]]] = {mode: [] for mode in MODES}
    rows, began = [], time.process_time()
    for number in track(range(args.people), "people", unit="person"):
        person, other = sample_person(args.seed, number, rig.head), sample_person(args.seed + 1, number, rig.head)
        scene, aim = sample_scene(person, args.seed, 0, rig.head), sample_scene(other, args.seed + 1, 1, rig.head)
        source, target = seen(rig, person, scene, args.codes), seen(rig, other, aim, args.codes)
        if not (bool(source.found[0]) and bool(target.found[0])):
            continue
        results = rig.edit_many(source, target, [Request(0, 0, Edit(mode, (mode,))) for mode in MODES])
        for mode, result in zip(MODES, results):
            truth_scene = scene.replace_code(scene.code.swap(mode, aim.code))
            truth = render_photographs([person], [truth_scene], rig.head, rig.size)[0]
            head = rig.buffers(truth_scene.code, truth_scene.centre).alpha.cpu()
            if result.carried is None:
                raise SystemExit("the model draws from buffers; this benchmark measures the reference condition")
            pictures = (unit(source.images[0]), unit(result.carried.picture[0]), unit(result.image))
            figures[mode].append([float(psnr(picture, unit(truth), mask)) for mask in (head, None) for picture in pictures])
            if number < 6:
                rows.append([*(to_uint8(picture[0].numpy()) for picture in (pictures[0], unit(truth), *pictures[1:])),
                             to_uint8(result.carried.confidence[0].expand(3, -1, -1).cpu().numpy())])
    print(f"{args.people} people, {args.codes} codes, {rig.size} pixels, {args.model}, {rig.precision}, "
          f"{time.process_time() - began:.0f} s of processor time; medians in dB")
    print(f"{'':8}{'on the head':^30}{'whole picture':^30}")
    print(f"{'mode':8}" + f"{'source':>10}{'carried':>10}{'edit':>10}" * 2)
    for mode, values in figures.items():
        print(f"{mode:8}" + "".join(f"{value:10.2f}" for value in np.median(np.array(values), 0)))
    if args.sheet:
        write_png(args.sheet, contact_sheet(rows, ["source", "truth", "carried", "edit", "confidence"]))


if __name__ == "__main__":
    main()
