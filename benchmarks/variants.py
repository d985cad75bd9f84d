"""Which network finishes carried photographs best when all are trained for the same time.

    python benchmarks/variants.py --stores EDITS,FACES --unseen EDITS2 [--size 128] [--seconds 240] [--only NAME,...]

EDITS and EDITS2 are stores of ``synth --edits 3 --lmdb`` (other seeds), FACES one of single photographs (create-data); every tenth
of FACES is kept for measuring. Each variant starts from new weights and learns from the same kept samples for so many seconds of
processor time, one thread; then its averaged weights draw the unseen pairs, and the kept photographs there and back. Printed: GFLOP
of a call, updates made, mean PSNR on the head and of the whole picture for synthetic pairs and real photographs, beside the bare
carried photograph. Diffusion is drawn with 1, 2, 4 and 8 calls.
"""

from __future__ import annotations

import argparse
import dataclasses
import time

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.data.kept_pairs import KeptPairs
from diffusionrig.data.pairs import Examples, PairMaker
from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.diffusion.process import GaussianDiffusion, beginning
from diffusionrig.diffusion.samplers import ddim
from diffusionrig.diffusion.schedule import make_schedule
from diffusionrig.geometry.heads import load_head
from diffusionrig.image_metrics import psnr
from diffusionrig.model.config import PICTURE, ModelConfig
from diffusionrig.model.network import DiffusionRig, build_network
from diffusionrig.randomness import torch_stream
from diffusionrig.training.ema import WeightAverage
from diffusionrig.training.pair_batches import HEAD
from diffusionrig.training.picture_loss import FLOOR, picture_loss, relative_loss

BATCH = 8


@dataclasses.dataclass(frozen=True)
class Variant:
    """``model`` and ``diffusion`` settings that differ from the base, and the loss: "weighted" (with gradients, more on
    mouth and eyes, over the root of the carried photograph's), "unweighted", "absolute size" (over nothing), "relative" (over the
    carried photograph's itself), or "squares"."""

    model: dict[str, object] = dataclasses.field(default_factory=dict)
    diffusion: dict[str, object] = dataclasses.field(default_factory=dict)
    loss: str = "weighted"


VARIANTS = {
    "base": Variant(),
    "patch 2": Variant({"patch": 2, "num_channels": 16, "channel_mult": "1,2,4,6"}),
    "width 48": Variant({"num_channels": 48}),
    "width 24": Variant({"num_channels": 24}),
    "diffusion": Variant(diffusion={"one_call": False}),
    "loss without weights": Variant(loss="unweighted"),
    "loss not relative": Variant(loss="absolute size"),
    "loss relative": Variant(loss="relative"),
    "loss of squares": Variant(loss="squares"),
}


def loss_of(kind: str, predicted: Tensor, batch: Examples) -> Tensor:
    weight = torch.ones_like(batch.weight) if kind == "unweighted" else batch.weight
    if kind == "squares":
        return (predicted - batch.truth).square().flatten(1).mean(1)
    if kind == "absolute size":
        return picture_loss(predicted, batch.truth, weight)
    if kind == "relative":
        nothing_done = picture_loss(batch.condition[:, PICTURE], batch.truth, weight)
        return picture_loss(predicted, batch.truth, weight) / (nothing_done + FLOOR)
    return relative_loss(predicted, batch.truth, weight, batch.condition[:, PICTURE])


def train(network: DiffusionRig, diffusion: GaussianDiffusion, kind: str, samples: KeptPairs, seconds: float) -> int:
    """Updates made in so many seconds of processor time; the averaged weights are put into ``network``."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=8e-4, weight_decay=0.0)
    average, began, step = WeightAverage(network, 0.995, frozenset()), time.process_time(), 0
    while time.process_time() - began < seconds:
        waited = time.process_time()
        batch = samples.make(range(step * BATCH, (step + 1) * BATCH))
        began += time.process_time() - waited  # making samples is the same work for all
        generator = torch_stream("variant", step)
        index = torch.randint(len(diffusion.schedule), (BATCH,), generator=generator)
        noise = torch.randn(batch.truth.shape, generator=generator)
        rate = 8e-4 * min(1.0, (step + 1) / 50) * min(1.0, 4 * (1 - (time.process_time() - began) / seconds) + 0.02)
        for group in optimizer.param_groups:
            group["lr"] = rate

        def predict(x: Tensor, t: Tensor, batch: Examples = batch) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return network(x, t, batch.condition, x_start=batch.truth).float()

        def distance(predicted: Tensor, truth: Tensor, batch: Examples = batch) -> Tensor:
            return loss_of(kind, predicted, batch)

        optimizer.zero_grad(set_to_none=True)
        diffusion.training_loss(predict, batch.truth, index, noise, distance)["loss"].mean().backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        average.update()
        step += 1
    network.load_state_dict({**network.state_dict(), **average.tensors})
    return step


@torch.inference_mode()
def measure(network: DiffusionRig, config: DiffusionConfig, calls: int, held: Examples) -> list[float]:
    """Mean PSNR on the head and of the whole picture, dB."""
    respaced = config if config.one_call else dataclasses.replace(config, timestep_respacing=str(calls))
    drawn = []
    for start in range(0, len(held.truth), BATCH):
        condition = held.condition[start:start + BATCH]
        noise = torch.randn(len(condition), *held.truth.shape[1:], generator=torch_stream("variant noise", start))

        def predict(x: Tensor, t: Tensor, condition: Tensor = condition) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return network(x, t, condition, x_start=condition[:, PICTURE]).float()

        drawn.append(ddim(predict, beginning(config, noise), make_schedule(respaced)))
    return figures(torch.cat(drawn), held)


def figures(drawn: Tensor, held: Examples) -> list[float]:
    mask = (held.condition[:, HEAD:HEAD + 1] > 0.5).float()
    pictures, truth = (drawn.clamp(-1, 1) + 1) / 2, (held.truth + 1) / 2
    return [float(psnr(pictures, truth, weight).clamp(max=60).mean()) for weight in (mask, torch.ones_like(mask))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stores", required=True)
    parser.add_argument("--unseen", required=True)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--distinct", type=int, default=1500)
    parser.add_argument("--keep", default="", metavar="FOLDER", help="keeps the samples for the next time")
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    torch.set_num_threads(1)
    head = load_head()
    edits, faces = (FaceStoreDataset(path, args.size, head) for path in args.stores.split(","))
    rest = [record for record in range(len(faces)) if record % 10]
    kept = KeptPairs(PairMaker([edits, faces.only(rest)], head, 5, (1, 1)), args.distinct, args.keep)
    unseen = FaceStoreDataset(args.unseen, args.size, head)
    with torch.no_grad():
        pairs = PairMaker([unseen], head, 0).make_records(range(min(len(unseen), 64)))
        there_and_back = PairMaker([faces.only(list(range(0, len(faces), 10)))], head, 0).make_records(range(64))
    print(f"{args.size} pixels, {args.seconds:g} s each, batches of {BATCH}")
    print(f"{'':24}{'GFLOP':>7}{'updates':>9}{'pairs head':>12}{'whole':>8}{'real head':>12}{'whole':>8}")
    print(f"{'carried alone':40}" + "".join(f"{value:10.2f}" for held in (pairs, there_and_back)
                                            for value in figures(held.condition[:, PICTURE], held)), flush=True)
    for name, variant in VARIANTS.items():
        if args.only and name not in args.only.split(","):
            continue
        model = ModelConfig(**{"image_size": args.size, "condition": "reference", "patch": 4, "num_channels": 32,
                               "channel_mult": "1,2,3,4", "num_res_blocks": 1, "norm_groups": 8, "attention_resolutions": "",
                               "encoder_type": "none",
                               "latent_dim": 1, "dropout": 0.0, **variant.model})
        config = DiffusionConfig(**{"predict_xstart": True, "one_call": True, **variant.diffusion})
        network = build_network(model)
        one = torch.zeros(1, model.condition_channels, args.size, args.size)
        with FlopCounterMode(display=False) as flops, torch.no_grad():
            network(one[:, :3], torch.zeros(1), one, x_start=one[:, :3])
        updates = train(network, GaussianDiffusion(config), variant.loss, kept, args.seconds)
        network.eval()
        for calls in (1,) if config.one_call else (1, 2, 4, 8):
            found = [value for held in (pairs, there_and_back) for value in measure(network, config, calls, held)]
            print(f"{name + ('' if config.one_call else f', {calls} calls'):24}{flops.get_total_flops() / 1e9:7.2f}{updates:9}"
                  + "".join(f"{value:10.2f}" for value in found), flush=True)


if __name__ == "__main__":
    main()
