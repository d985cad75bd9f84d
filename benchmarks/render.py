"""Time of the renderer: milliseconds per image, beside a loop over triangles and beside images one by one.

    python benchmarks/render.py [--sizes 64 128 256] [--batch 8] [--rounds 7] [--threads 2] [--rasterizer torch]

The variants take turns, so that other load on the machine falls on all alike; every figure is the median over the rounds.
"rasterize" is the rasteriser alone, "buffers" the whole way from face codes to physical buffers (open head only); "cpu"
is processor time over all threads. "carry" is everything that an edit of a photograph costs before a network sees it: the
edited head posed and rendered and the photograph carried to it, in batches of 4 at 256 pixels (at most 40 ms a face on two
cores is wanted; 60 ms of processor time on one); "source" is what is done once for each photograph. "loop"
rasterises one image by a plain loop over triangles, the slow reference of the tests, and "singly" renders the batch image by
image; the ratios are their time / ours per image.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from diffusionrig.errors import RigError
from diffusionrig.faces.matting import person_matte
from diffusionrig.geometry.alignment import ffhq_centre
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.heads import load_head
from diffusionrig.render.carrying import carry
from diffusionrig.render.layers import split_layers
from diffusionrig.render.physical import DEPTH_OFFSET, RASTERIZERS, find_rasterizer, placed_vertices, render_buffers
from diffusionrig.render.posing import Posed, pose_heads

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "render"))
from ball_head import sphere
from slow_rasterizer import rasterize_slowly


def sphere_scene(batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Spheres of 10,000 triangles, turned at random, covering 57 % of the image."""
    points, faces, _ = sphere(50, 100)
    turn, _ = torch.linalg.qr(torch.randn(batch, 3, 3, generator=generator))
    return 0.85 * points @ turn + torch.tensor([0, 0, DEPTH_OFFSET]), faces


def head_codes(head: HeadModel, batch: int, generator: torch.Generator) -> FaceCode:
    """Random people looking about, as large as in an aligned photograph."""
    light = 0.2 * torch.randn(batch, 9, 3, generator=generator)
    light[:, 0] += 3.5
    code = FaceCode(shape=torch.randn(batch, head.n_shape, generator=generator), light=light, head=head.name,
                    albedo=0.5 * torch.randn(batch, head.n_albedo, generator=generator),
                    expression=0.3 * torch.rand(batch, head.n_expression, generator=generator),
                    pose=torch.randn(batch, 6, generator=generator) * torch.tensor([0.15, 0.3, 0.1, 0, 0, 0]),
                    camera=torch.tensor([[8.0, 0, 0]]).repeat(batch, 1))
    face = head.landmarks(head.vertices(code), code).mean(1)
    return code.replace(camera=torch.cat([code.camera[:, :1], -face[:, :2]], 1))


def measure(variants: dict[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, float]]:
    """Median wall-clock and processor milliseconds of each variant."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    for turn in range(rounds + 1):
        for name, variant in variants.items():
            wall, cpu = time.perf_counter(), time.process_time()
            variant()
            if turn:  # the first warms up
                times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {name: (1e3 * statistics.median(w for w, _ in pairs), 1e3 * statistics.median(c for _, c in pairs))
            for name, pairs in times.items()}


def report(mesh: str, points: Tensor, faces: Tensor, size: int, args: argparse.Namespace,
           whole: tuple[HeadModel, FaceCode] | None = None) -> None:
    """One line of the table."""
    rasterize, batch = find_rasterizer(args.rasterizer), args.batch
    covered = (rasterize(points, faces, size, size).face >= 0).float().mean().item()
    vertices, triangles = points[0].numpy(), faces.numpy()
    variants: dict[str, Callable[[], object]] = {"rasterize": lambda: rasterize(points, faces, size, size)}
    if whole:
        variants["buffers"] = lambda: render_buffers(*whole, size, rasterizer=args.rasterizer)
        variants["singly"] = lambda: [render_buffers(whole[0], one, size, rasterizer=args.rasterizer) for one in whole[1]]
    else:
        variants["singly"] = lambda: [rasterize(one[None], faces, size, size) for one in points]
    times = measure(variants, args.rounds)
    loop = measure({"loop": lambda: rasterize_slowly(vertices, triangles, size, size)}, 3)["loop"][0]
    wall, cpu = (value / batch for value in times["rasterize"])
    buffers = times["buffers"][0] / batch if whole else math.nan
    singly = times["singly"][0] / times["buffers" if whole else "rasterize"][0]
    print(f"{mesh:<12} {len(faces):>6} {size:>5} {covered:>8.0%} {wall:>12.2f} {cpu:>8.2f} {buffers:>10.2f} "
          f"{loop / wall:>9.0f}x {singly:>9.2f}x", flush=True)


def report_carry(head: HeadModel, args: argparse.Namespace, generator: torch.Generator, size: int = 256, batch: int = 4) -> None:
    """Two more lines: a photograph taken in, and carried to an edit of pose, expression and light."""
    code, other = (head_codes(head, batch, generator) for _ in range(2))
    edited = code.swap("pose", other).swap("exp", other).swap("light", other)
    centre = ffhq_centre(head.landmarks(head.vertices(code), code))
    photo = torch.rand(batch, 3, size, size, generator=generator) * 2 - 1

    def take_in() -> tuple[Posed, Tensor]:
        source = pose_heads(head, code, size, rasterizer=args.rasterizer)
        return source, split_layers(photo, source.buffers.alpha, person_matte(photo))

    source, background = take_in()
    times = measure({"source": take_in, "carry": lambda: carry(
        head, photo, background, source, pose_heads(head, edited, size, centre, args.rasterizer))}, args.rounds)
    for name, (wall, cpu) in times.items():
        print(f"{name:<12} {len(head.faces):>6} {size:>5} {'':>8} {wall / batch:>12.2f} {cpu / batch:>8.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256], help="sides of the images in pixels")
    parser.add_argument("--batch", type=int, default=8, help="images rendered together")
    parser.add_argument("--rounds", type=int, default=7, help="repetitions; the median is printed")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    parser.add_argument("--rasterizer", choices=RASTERIZERS, default="torch")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    generator = torch.Generator().manual_seed(0)
    print(f"torch {torch.__version__}, {args.threads} threads, batch {args.batch}; milliseconds per image")
    print(f"{'mesh':<12} {'faces':>6} {'size':>5} {'covered':>8} {'rasterize':>12} {'cpu':>8} {'buffers':>10} "
          f"{'loop':>10} {'singly':>10}")
    with torch.no_grad():
        points, faces = sphere_scene(args.batch, generator)
        for size in args.sizes:
            report("sphere", points, faces, size, args)
        try:
            head = load_head()
        except RigError as error:
            print(f"The open head is left out: {error}")
            return
        code = head_codes(head, args.batch, generator)
        points = placed_vertices(head, code)[1] + torch.tensor([0, 0, DEPTH_OFFSET])
        for size in args.sizes:
            report(head.name, points, head.faces, size, args, (head, code))
        report_carry(head, args, generator)


if __name__ == "__main__":
    main()
