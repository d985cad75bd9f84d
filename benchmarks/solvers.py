"""Distance of every sampler to the 1000-step DDIM solution from the same noise, by number of network calls.

    python benchmarks/solvers.py [--model PATH] [--pictures 8] [--calls 4 6 8 10 12 20] [--seed 77]

Buffers and latents are those of synthetic people, another one for each picture, under their true codes. The distance is the
root mean square over the picture, in grey levels of 0..255: the median over the pictures, and the worst of them in brackets.
Both grids are measured: the even stride of ddimN, and the quadratic one of --steps N.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from diffusionrig.data.synthetic.people import sample_person
from diffusionrig.data.synthetic.photographs import render_photographs
from diffusionrig.data.synthetic.scenes import sample_scene
from diffusionrig.diffusion.grid import quadratic_steps
from diffusionrig.diffusion.process import Denoiser
from diffusionrig.diffusion.samplers import ddim, draw_noise, ipndm, unipc
from diffusionrig.diffusion.schedule import make_schedule
from diffusionrig.editing.rig import Rig
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.randomness import torch_stream

SOLVERS: dict[str, Callable[..., Tensor]] = {
    "DDIM": ddim, "UniPC-3": unipc, "iPNDM-2": partial(ipndm, order=2), "iPNDM-3": ipndm, "iPNDM-4": partial(ipndm, order=4)}


def denoiser_of_people(rig: Rig, seed: int, count: int) -> Denoiser:
    """The rig's network under the buffers and latents of ``count`` synthetic people."""
    persons = [sample_person(seed, index, rig.head) for index in range(count)]
    scenes = [sample_scene(person, seed, 0, rig.head) for person in persons]
    photographs = np.stack(render_photographs(persons, scenes, rig.head, rig.size))
    faces = rig.analyse(torch.from_numpy(photographs), FaceCode.concatenate([scene.code for scene in scenes]))
    condition = rig.buffers(faces.code, faces.centre).stack().contiguous(memory_format=torch.channels_last)
    return lambda x, t: rig.network(x, t, condition, detail_cond=faces.latent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="open64", help="checkpoint; the shipped prior when left out")
    parser.add_argument("--pictures", type=int, default=8, help="synthetic people (8)")
    parser.add_argument("--calls", type=int, nargs="+", default=[4, 6, 8, 10, 12, 20], help="network calls")
    parser.add_argument("--seed", type=int, default=77, help="who the people are, and the noise")
    args = parser.parse_args()
    rig = Rig.from_pretrained(args.model, device="cpu", encoder="FIT", precision="fp32")
    denoiser = denoiser_of_people(rig, args.seed, args.pictures)
    generators = [torch_stream(args.seed, "solvers", index) for index in range(args.pictures)]
    noise = draw_noise(generators, (3, rig.size, rig.size)).contiguous(memory_format=torch.channels_last)
    config = rig.pretrained.diffusion

    began = time.perf_counter()
    with torch.inference_mode():
        solution = ddim(denoiser, noise, make_schedule(config)).clamp(-1, 1)
        print(f"{args.pictures} pictures at {rig.size} pixels; all {config.diffusion_steps} steps took "
              f"{time.perf_counter() - began:.0f} s\n", flush=True)
        print("| solver | grid | " + " | ".join(f"{calls} calls" for calls in args.calls) + " |")
        print("| --- | --- |" + " --- |" * len(args.calls), flush=True)
        for grid in ("stride", "quadratic"):
            for name, solver in SOLVERS.items():
                cells = []
                for calls in args.calls:
                    schedule = (make_schedule(dataclasses.replace(config, timestep_respacing=f"ddim{calls}")) if grid == "stride"
                                else make_schedule(config, quadratic_steps(config.diffusion_steps, calls)))
                    apart = solver(denoiser, noise, schedule).clamp(-1, 1) - solution
                    levels = (apart.square().mean((1, 2, 3)).sqrt() * 127.5).tolist()
                    cells.append(f"{statistics.median(levels):.2f} ({max(levels):.1f})")
                print(f"| {name} | {grid} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
