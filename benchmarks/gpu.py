"""What a GPU does: training and edits against its own matrix multiplication, rendering, capture.

    python benchmarks/gpu.py [--sizes 64 128 256] [--batches 64 32 8] [--edits 1 8 32] [--compile] [--rounds 5] [--device cuda]

Training: images a second of one stage 1 update (forward, backward, fused AdamW, in the precision that `train` chooses here) of the
published network of each size, and the TFLOP/s that its multiplications come to, counted by torch, beside the ceiling: the best
rate of a bf16 product of two square matrices. Edits: a default edit at the last size for each batch, from buffers to pixels.
Rendering: face codes of the open head to buffers. Capture: FIT on the portrait in the package. Medians; without a GPU it says so
and measures nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
from collections.abc import Callable

import torch
from edit import draw, inputs, seconds
from torch.utils.flop_counter import FlopCounterMode

from diffusionrig.data.batches import render_codes
from diffusionrig.devices import resolve_device, resolve_precision
from diffusionrig.editing.rig import Rig
from diffusionrig.editing.sampling import Sampling
from diffusionrig.faces.alignment import align_face
from diffusionrig.faces.landmarker import FaceLandmarker
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.io.assets import asset_path
from diffusionrig.io.images import read_image
from diffusionrig.model.config import ModelConfig
from diffusionrig.model.network import build_network
from diffusionrig.model.running import DTYPES, prediction_of


def median(work: Callable[[], object], device: torch.device, rounds: int) -> float:
    """Seconds, after two calls that warm up."""
    for _ in range(2):
        seconds(work, device)
    return statistics.median(seconds(work, device) for _ in range(rounds))


def ceiling(device: torch.device, side: int, rounds: int) -> float:
    """TFLOP/s of a bf16 product of two matrices."""
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 / median(lambda: a @ b, device, rounds) / 1e12


def training(device: torch.device, config: ModelConfig, batch: int, rounds: int, compiled: bool) -> tuple[float, float]:
    """Images a second, TFLOP/s."""
    precision = resolve_precision("auto", device)
    network = build_network(config).to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    run = torch.compile(network) if compiled else network
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    x, t, buffers, _ = inputs(batch, config.image_size, config.latent_dim, device)
    x, buffers = (tensor.contiguous(memory_format=torch.channels_last) for tensor in (x, buffers))

    def update(module: torch.nn.Module) -> None:
        with torch.autocast(device.type, DTYPES[precision]) if precision != "fp32" else contextlib.nullcontext():
            loss = (module(x, t, buffers, x_start=x) - x).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    with FlopCounterMode(display=False) as counter:
        update(network)
    taken = median(lambda: update(run), device, rounds)
    return batch / taken, counter.get_total_flops() / taken / 1e12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 32, 8], help="of training, one for each size")
    parser.add_argument("--edits", type=int, nargs="+", default=[1, 8, 32], help="batches of edits")
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--side", type=int, default=8192, help="of the matrices of the ceiling")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    device = resolve_device(args.device)
    if device.type == "cpu" and args.device == "auto":
        print("There is no GPU here, so nothing is measured; --device cpu measures the CPU, slowly.")
        return
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    top = ceiling(device, args.side, args.rounds)
    print(f"{name}, torch {torch.__version__}, {resolve_precision('auto', device)}; ceiling {top:.1f} TFLOP/s", flush=True)
    for size, batch in zip(args.sizes, args.batches):
        config = ModelConfig(image_size=size, num_channels=args.channels)
        rate, work = training(device, config, batch, args.rounds, args.compile)
        print(f"training at {size}, batch {batch}: {rate:.1f} images/s, {work:.1f} TFLOP/s, {work / top:.0%} of the ceiling",
              flush=True)
    predict = prediction_of(build_network(config).to(device).eval().requires_grad_(False), resolve_precision("auto", device),
                            args.compile)
    for batch in args.edits:
        given = inputs(batch, size, config.latent_dim, device)
        taken = median(lambda given=given: draw(predict, given, Sampling()), device, args.rounds)
        print(f"edit at {size}, batch {batch}: {taken:.3f} s, {batch / taken:.1f} images/s", flush=True)
    rig = Rig.from_pretrained(device=str(device), encoder="FIT")
    photo = read_image(asset_path("portrait.jpg"))
    face = align_face(photo, FaceLandmarker().detect(photo)[0].points68)
    taken = median(lambda: rig.capture([face] * 8), device, args.rounds)
    print(f"capture: {8 / taken:.1f} faces/s in batches of 8")
    codes = FaceCode.concatenate([rig.capture([face]).code] * 8)
    for size in args.sizes:
        taken = median(lambda size=size: render_codes(codes, rig.head, size), device, args.rounds)
        print(f"codes to buffers at {size}: {8 / taken:.1f} faces/s in batches of 8")


if __name__ == "__main__":
    main()
