"""A finished edit with a network of the published size (256 pixels, 128 channels): time of a call and of an edit, and memory.

    python benchmarks/edit.py [--rounds 3] [--batch 1] [--device auto] [--compile] [--memory]

Time: the UNet as PyTorch runs it without any choice (float32, NCHW, eager, no autograd) against the ways `edit` runs it; the ways
take turns, and ratios are medians over the rounds. An edit is 20 DDIM steps the plain way against the default solver's few in the
default precision, which come closer to the solution of all steps (benchmarks/solvers.py). Weights are random; no time depends on
them.
Memory: peak resident size of a process of its own that draws with DDIM, or trains one update with --use_checkpoint.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from diffusionrig.devices import resolve_device, resolve_precision
from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.diffusion.process import GaussianDiffusion
from diffusionrig.editing.sampling import Sampling, sample
from diffusionrig.model.config import ModelConfig
from diffusionrig.model.network import DiffusionRig, build_network
from diffusionrig.model.running import Prediction, prediction_of

PUBLISHED = ModelConfig(image_size=256, num_channels=128, num_res_blocks=2, attention_resolutions="16", num_heads=1,
                        use_scale_shift_norm=True, resblock_updown=True)


def plain(network: DiffusionRig) -> Prediction:
    return lambda x, t, buffers, latent: network(x.contiguous(), t, buffers.contiguous(), detail_cond=latent)


def inputs(batch: int, size: int, latent_dim: int, device: torch.device) -> tuple[Tensor, ...]:
    random = torch.Generator().manual_seed(0)
    x, buffers, latent = (torch.randn(batch, *shape, generator=random).to(device)
                          for shape in ((3, size, size), (9, size, size), (latent_dim,)))
    return x, torch.full((batch,), 500, device=device), buffers, latent


def seconds(work: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def draw(predict: Prediction, given: tuple[Tensor, ...], sampling: Sampling) -> Tensor:
    x, _, buffers, latent = given
    with torch.inference_mode():
        return sample(lambda noisy, t: predict(noisy, t, buffers, latent), x, sampling.schedule(DiffusionConfig()), sampling,
                      [torch.Generator() for _ in x])


def times(device: torch.device, batch: int, rounds: int, with_compile: bool) -> None:
    precision = resolve_precision("auto", device)
    given = inputs(batch, PUBLISHED.image_size, PUBLISHED.latent_dim, device)

    def fresh() -> DiffusionRig:
        return awake(build_network(PUBLISHED)).to(device).eval().requires_grad_(False)

    ways: dict[str, Prediction] = {"plain": plain(fresh()), "fp32": prediction_of(fresh())}
    for name in dict.fromkeys(("fp32", precision)):
        if name != "fp32":
            ways[name] = prediction_of(fresh(), name)
        if with_compile:
            ways[f"{name}, compiled"] = prediction_of(fresh(), name, compiled=True)

    def call(predict: Prediction) -> Callable[[], object]:
        def work() -> Tensor:
            with torch.inference_mode():
                return predict(*given)
        return work

    first = {name: seconds(call(predict), device) for name, predict in ways.items()}
    with torch.inference_mode():
        exact = ways["plain"](*given)
        off = {name: float((predict(*given) - exact).square().mean().sqrt() / exact.std()) for name, predict in ways.items()}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, predict in ways.items():
            taken[name].append(seconds(call(predict), device))
    print(f"One call, batch {batch}:")
    for name, values in taken.items():
        ratio = statistics.median(base / own for base, own in zip(taken["plain"], values))
        print(f"  {name:16s} {1e3 * statistics.median(values) / batch:8.0f} ms an image  {ratio:5.2f}x  off by {off[name]:.1e} of "
              f"the spread, first call {first[name]:.1f} s", flush=True)
    best = precision if precision in ways else "fp32"
    base = [seconds(lambda: draw(ways["plain"], given, Sampling(respacing="ddim20")), device) for _ in range(max(rounds // 2, 1))]
    own = [seconds(lambda: draw(ways[best], given, Sampling()), device) for _ in range(max(rounds // 2, 1))]
    print(f"One edit: DDIM-20 plain {statistics.median(base) / batch:.2f} s, default solver in {best} "
          f"{statistics.median(own) / batch:.2f} s: {statistics.median(base) / statistics.median(own):.1f}x", flush=True)


def awake(network: DiffusionRig) -> DiffusionRig:
    """Random weights where training starts from zero, so that outputs can be compared."""
    random = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        if parameter.ndim > 1 and not parameter.any():
            parameter.data = 0.02 * torch.randn(parameter.shape, generator=random)
    return network


def peak_mebibytes() -> float:
    """Most memory that was resident, of this program alone: what ``getrusage`` says goes back to its parent."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def memory(kind: str) -> None:
    """The work of one process; prints its peak."""
    if kind.startswith("draw"):
        network = build_network(PUBLISHED).eval().requires_grad_(False)
        precision = "fp32" if kind.endswith("fp32") else resolve_precision("auto", torch.device("cpu"))
        draw(prediction_of(network, precision), inputs(1, PUBLISHED.image_size, PUBLISHED.latent_dim, torch.device("cpu")),
             Sampling(respacing="ddim3"))
    else:
        network = build_network(dataclasses.replace(PUBLISHED, use_checkpoint=kind == "train, checkpointed")).train()
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = torch.optim.AdamW(network.parameters(), fused=True)
        x, t, buffers, _ = inputs(1, PUBLISHED.image_size, PUBLISHED.latent_dim, torch.device("cpu"))
        terms = GaussianDiffusion(DiffusionConfig()).training_loss(
            lambda noisy, time: network(noisy, time, buffers, x_start=x), x, t, torch.randn_like(x))
        terms["loss"].mean().backward()
        optimizer.step()
    print(peak_mebibytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, nargs="+", default=[1])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compile", action="store_true", help="also measure torch.compile (minutes of preparation)")
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, default=True, help="measure memory on the CPU as well")
    parser.add_argument("--worker", default="", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        memory(args.worker)
        return
    device = resolve_device(args.device)
    print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads")
    for batch in args.batch:
        times(device, batch, args.rounds, args.compile)
    if args.memory:
        print("Peak resident memory at 256 pixels, batch 1:")
        for kind in ("draw", "draw in fp32", "train, checkpointed", "train"):
            done = subprocess.run([sys.executable, __file__, "--worker", kind], capture_output=True, text=True, check=True)
            print(f"  {kind:20s} {float(done.stdout):7.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
