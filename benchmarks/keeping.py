"""What edits keep of the source picture: reconstruction, background, and pasting into photographs.

    python benchmarks/keeping.py [--people 16] [--model default] [--respacing ddim20] [--sheet sheet.png]

Synthetic people, whose true codes, true photographs after each edit, hair and bodies are known; the network is the shipped prior.
Errors are means of absolute differences from the source picture in grey levels (0..255), over

    beyond heads   all that neither head model covers, before and after: hair, shoulders and scene. Only where the head stays
                   (exp, light) is that to be kept; hair moves with a head that turns.
    scene          what shows neither head, hair, nor body in the source or in the true photograph of the edit, and lies at least a
                   pixel away from them.

"truth" is the PSNR of the whole picture against the true photograph. Baselines: drawn from noise (none), and inverted noise
alone, without the source's own pixels laid around.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from diffusionrig.data.synthetic.people import Person
from diffusionrig.data.synthetic.photographs import Picture, render_photographs
from diffusionrig.data.synthetic.scenes import Scene
from diffusionrig.data.synthetic.stage import set_stage, wardrobe
from diffusionrig.demo.people import Cast, choose_cast
from diffusionrig.editing.background import turned, with_background
from diffusionrig.editing.controls import edited_code, parse_modes
from diffusionrig.editing.keeping import mix_noise, renewed
from diffusionrig.editing.pasting import paste_back
from diffusionrig.editing.rig import Analysis, Rig, Sampling
from diffusionrig.faces.alignment import align
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.io.images import write_png
from diffusionrig.io.sheets import contact_sheet, to_uint8
from diffusionrig.progress import track

PARTS = ("exp", "light", "pose")
FINE = 4


def shows_person(person: Person, scene: Scene, head: HeadModel, size: int) -> Tensor:
    """(size, size) bool: head, hair or body cover some of the pixel, or of a neighbour."""
    with torch.inference_mode():
        solid, hair = set_stage(person, scene, head, wardrobe(person, head, 256))
        seen = Picture(solid, scene.code, size * FINE, wardrobe(person, head, 256)).covered
        if hair is not None:
            seen = seen | Picture(hair, scene.code, size * FINE, wardrobe(person, head, 256)).covered
    share = avg_pool2d(torch.from_numpy(seen).float()[None, None], FINE)
    return max_pool2d((share > 0.02).float(), 3, 1, 1)[0, 0] > 0


def true_results(cast: Cast, size: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Per part: the true photograph of the edit, and where the scene behind the person shows before and after."""
    scene = cast.held_out[0]
    before = shows_person(cast.subject, scene, cast.head, size)
    found = {}
    for part in PARTS:
        after = scene.replace_code(scene.code.swap(part, cast.strangers[0].code))
        behind = ~(before | shows_person(cast.subject, after, cast.head, size))
        found[part] = (render_photographs([cast.subject], [after], cast.head, size)[0], behind.numpy())
    return found


def decibels(images: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """PSNR of each of (B, S, S, 3) uint8."""
    return -10 * np.log10(np.square((images.astype(float) - truth) / 255).mean((1, 2, 3)))


def reconstruction(rig: Rig, sources: Analysis, respacing: str) -> np.ndarray:
    """PSNR of each source drawn again from its inverted noise, nothing laid over it."""
    sampling = Sampling(respacing=respacing, keep="all")
    start = rig.invert(sources, sampling)
    again = rig.draw(rig.buffers(sources.code, sources.centre), sources.latent, sampling, start=start)
    return decibels(to_uint8(again.cpu().numpy(), -1, 1), to_uint8(sources.images.cpu().numpy(), -1, 1))


def draw_edit(rig: Rig, sources: Analysis, targets: Analysis, part: str, sampling: Sampling,
              noise: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every source edited, as drawn and with the background laid around, and (B, S, S) bool beyond both heads."""
    edit = parse_modes(part)[0]
    code = FaceCode.concatenate([edited_code(sources.code[i], targets.code[i], edit, rig.head) for i in range(len(sources))])
    own, buffers = rig.buffers(sources.code, sources.centre), rig.buffers(code, sources.centre)
    start = None if sampling.keep == "none" else mix_noise(noise, rig.painter.noise(len(sources), sampling),
                                                           renewed(sampling.keep, own, buffers))
    drawn = rig.draw(buffers, sources.latent, sampling, start=start)
    laid = with_background(sources.images, drawn, own, buffers, turned(sources.code, code))
    beyond = (torch.maximum(own.alpha, buffers.alpha)[:, 0] == 0).cpu().numpy()
    return to_uint8(drawn.cpu().numpy(), -1, 1), to_uint8(laid.cpu().numpy(), -1, 1), beyond


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=16)
    parser.add_argument("--model", default="open64")
    parser.add_argument("--respacing", default="ddim20")
    parser.add_argument("--seed", type=int, default=20, help="of the first person; the others follow")
    parser.add_argument("--sheet", default="", help="PNG to write the pose edits to")
    args = parser.parse_args()
    rig = Rig.from_pretrained(args.model, device="auto", encoder="FIT")
    casts = [choose_cast(rig.head, args.seed + number, 1, 1, 1) for number in range(args.people)]
    truths = [true_results(cast, rig.size) for cast in track(casts, "photograph people")]
    sources, targets = (
        rig.analyse(torch.from_numpy(np.stack([render_photographs([p], [s], rig.head, rig.size)[0] for p, s in pairs])),
                    FaceCode.concatenate([s.code for _, s in pairs]))
        for pairs in ([(cast.subject, cast.held_out[0]) for cast in casts],
                      [(cast.people[0], cast.strangers[0]) for cast in casts]))
    shown = to_uint8(sources.images.cpu().numpy(), -1, 1)
    for respacing in ("ddim20", "ddim50"):
        found = reconstruction(rig, sources, respacing)
        print(f"reconstruction at {respacing}: mean {found.mean():.1f} dB, worst of {args.people} {found.min():.1f} dB", flush=True)
    noise = rig.invert(sources, Sampling(respacing=args.respacing, keep="all"))
    print(f"\n{'mode':<7}{'kept':<42}{'beyond heads':>13}{'scene':>8}{'truth':>9}")
    rows: list[list[np.ndarray]] = [[shown[i], truths[i]["pose"][0]] for i in range(args.people)]
    for part in PARTS:
        for keep in ("none", "background", "all"):
            drawn, laid, beyond = draw_edit(rig, sources, targets, part, Sampling(respacing=args.respacing, keep=keep), noise)
            candidates = [(f"--keep {keep}", drawn)] if keep == "none" else [(f"--keep {keep}, inverted noise alone", drawn),
                                                                             (f"--keep {keep}", laid)]
            for name, images in candidates:
                apart = np.abs(images.astype(float) - shown).mean(3)
                heads = np.mean([one[where].mean() for one, where in zip(apart, beyond)])
                scene = np.mean([one[truth[part][1]].mean() for one, truth in zip(apart, truths)])
                close = decibels(images, np.stack([truth[part][0] for truth in truths])).mean()
                print(f"{part:<7}{name:<42}{heads:>13.2f}{scene:>8.2f}{close:>6.1f} dB", flush=True)
            if part == "pose":
                for row, image in zip(rows, laid if keep != "none" else drawn):
                    row.append(image)
    if args.sheet:
        write_png(args.sheet, contact_sheet(rows, ["source", "truth", "none", "background", "all"], cell=128),
                  {"Comment": "AI-edited"})
    photo = np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), dtype=np.uint8)
    points = np.zeros((68, 2))
    points[36:42], points[42:48], points[48], points[54] = (900, 600), (1100, 600), (930, 800), (1070, 800)
    cut = align(photo, points, 256)
    began = time.process_time()
    for _ in range(5):
        paste_back(photo, shown[0], shown[-1], cut.matrix, 256)
    used = (time.process_time() - began) / 5
    print(f"\npasting a face of {cut.side:.0f} pixels into 3 megapixels: {used * 1e3:.0f} ms of processor time")


if __name__ == "__main__":
    main()
