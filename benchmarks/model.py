"""Time of the 64x64 network: forward pass and training step, plain against how `edit` and `train` run it.

    python benchmarks/model.py [--channels 32 64] [--mult 1,2,3,4] [--blocks 2] [--batch 8] [--groups 32] [--rounds 5] [--compile]

Plain is float32, NCHW, eager, with PyTorch's own AdamW; the others are channels-last with the fused AdamW, in float32 and bf16,
eager and compiled. The variants take turns, so that other load on the machine falls on all alike; the ratio is the median over the
rounds of plain time / variant time (above 1 is faster than plain).
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable

import torch

from diffusionrig.model.config import ModelConfig
from diffusionrig.model.network import build_network
from diffusionrig.model.running import prediction_of

SIZE = 64


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to run the same network."""

    plain: bool = False
    bf16: bool = False
    compiled: bool = False


def work_of(config: ModelConfig, batch: int, how: Variant, train: bool) -> Callable[[], None]:
    """A function that does one forward pass, or one training step with AdamW."""
    memory_format = torch.contiguous_format if how.plain else torch.channels_last
    network = build_network(config).to(memory_format=memory_format).train(train)
    compiled = torch.compile(network) if how.compiled and train else network

    def forward(*args: torch.Tensor, **more: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=how.bf16):
            return compiled(*args, **more)

    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=not how.plain)
    generator = torch.Generator().manual_seed(0)
    x, buffers, photo = (torch.randn(batch, channels, SIZE, SIZE, generator=generator)
                         .contiguous(memory_format=memory_format) for channels in (3, 9, 3))
    t = torch.arange(batch) * 7
    latent = network.encoder(photo).detach()
    predict = prediction_of(network, "bf16" if how.bf16 else "fp32", how.compiled) if not (how.plain or train) else None

    def infer() -> None:
        with torch.inference_mode():
            if predict is None:
                network(x, t, buffers, detail_cond=latent)
            else:
                predict(x, t, buffers, latent)

    def step() -> None:
        (forward(x, t, buffers, x_start=photo) - x).square().mean().backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step if train else infer


def seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(config: ModelConfig, batch: int, rounds: int, with_compile: bool) -> None:
    variants = {"plain": Variant(plain=True), "fp32": Variant(), "bf16": Variant(bf16=True)}
    if with_compile:
        variants["compiled"] = Variant(compiled=True)
        variants["bf16, compiled"] = Variant(bf16=True, compiled=True)
    for train in (False, True):
        works = {name: work_of(config, batch, how, train) for name, how in variants.items()}
        first = {name: seconds(work) for name, work in works.items()}
        times: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(rounds):
            for name, work in works.items():
                times[name].append(seconds(work))
        for name, taken in times.items():
            ratio = statistics.median(plain / own for plain, own in zip(times["plain"], taken))
            print(f"{config.num_channels:3d} channels  mult {config.channel_mult or 'usual':9s} blocks "
                  f"{config.num_res_blocks}  {'step   ' if train else 'forward'} {name:22s} "
                  f"median {statistics.median(taken):7.3f} s  best {min(taken):7.3f} s  "
                  f"{batch / statistics.median(taken):6.1f} images/s  {ratio:4.2f}x  first call {first[name]:.1f} s",
                  flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--channels", type=int, nargs="+", default=[32, 64], help="values of num_channels")
    parser.add_argument("--mult", default="", help="channel multipliers")
    parser.add_argument("--blocks", type=int, default=2, help="residual blocks per resolution")
    parser.add_argument("--groups", type=int, default=32, help="groups of every norm")
    parser.add_argument("--batch", type=int, default=8, help="images per call")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each variant")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves PyTorch's choice")
    parser.add_argument("--compile", action="store_true", help="also measure torch.compile (minutes of preparation)")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, batch {args.batch}")
    for channels in args.channels:
        config = ModelConfig(image_size=SIZE, num_channels=channels, channel_mult=args.mult, num_res_blocks=args.blocks,
                             norm_groups=args.groups)
        measure(config, args.batch, args.rounds, args.compile)


if __name__ == "__main__":
    main()
