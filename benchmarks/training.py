"""Weights of the loss and averages of the weights, by the pictures they lead to: faces of people that no run has seen.

    python benchmarks/training.py [--output_dir log/training] [--steps 800] [--channels 16] [--store STORE]

Trains the shipped prior's plan of channels, half as wide, from scratch with each weight of the loss: none, P2, min-SNR 5. Same
photographs, order, time steps and noise in every run. The runs keep averages of power profiles; the first is trained once more with
averages of a fixed decay, which changes no update. Each model draws held-out people (other seeds) from fixed noise by ten DDIM
steps; the columns are those of metrics.csv. A run that is there already is not repeated, one that was stopped goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.data.synthetic.series import Series, write_series
from diffusionrig.demo.commands import flags, run_step
from diffusionrig.editing.pretrained import load_pretrained
from diffusionrig.io.files import make_folder
from diffusionrig.training.batches import Faces
from diffusionrig.training.metrics import FixedSet

WEIGHTS: dict[str, dict[str, object]] = {"none": {}, "p2": {"p2_weight": True}, "min-snr": {"min_snr": 5}}
DECAYS = (0, 0.999)  # the last weights; the shipped prior's
WIDTHS = (0.03, 0.05, 0.08, 0.12, 0.20)
HELD_OUT_SEED, TRAIN_SEED, SIZE = 77, 2026, 64
COLUMNS = ("texture_frechet", "face_psnr", "face_ssim", "colour_error", "landmark_error")


def train(args: argparse.Namespace, name: str, **what: object) -> Path:
    """Folder of the run ``name``, trained to the end."""
    folder = args.output_dir / f"{name}-{args.channels}-{args.steps}"
    if not (folder / f"model{args.steps:06d}.safetensors").exists():
        run_step("train", *flags(data_dir=args.store or args.output_dir / "people", log_dir=folder, image_size=SIZE,
                                 num_channels=args.channels, channel_mult="1,1,2,4", num_res_blocks=1, norm_groups=8, dropout=0,
                                 predict_v=True, batch_size=16, max_steps=args.steps, lr=1e-3, optimizer="adamw",
                                 warmup_steps=args.steps // 15, decay_steps=args.decay_steps, save_interval=args.steps,
                                 keep_states=1, cache_megabytes=4000, sample_count=0, metric_count=0, seed=1, **what))
    return folder


def models(args: argparse.Namespace) -> Iterator[tuple[str, Path]]:
    """What is compared: words and the model, each made when it is asked for."""
    last = f"model{args.steps:06d}.safetensors"
    for weight, what in WEIGHTS.items():
        folder = train(args, f"power-{weight}", ema_profile="power", ema_snapshots=max(args.steps // 30, 1), **what)
        yield f"{weight}, power 0.05", folder / last
        if weight == "none":
            for width in WIDTHS:
                if width != 0.05:
                    file = folder / f"width{width:g}.safetensors"
                    if not file.exists():
                        run_step("ema", folder, *flags(sigma_rel=width, output=file))
                    yield f"{weight}, power {width:g}", file
    for decay in DECAYS:
        yield f"none, decay {decay:g}", train(args, f"decay{decay:g}", ema_decay=decay) / last


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, default=Path("log/training"), help="folder of stores and runs")
    parser.add_argument("--store", default="", help="store to train on (default: made here)")
    parser.add_argument("--count", type=int, default=2000, help="people in a store that is made here")
    parser.add_argument("--held_out", type=int, default=64, help="people the models are compared on")
    parser.add_argument("--steps", type=int, default=800, help="updates of each run")
    parser.add_argument("--decay_steps", type=int, default=0, help="last updates, over which the learning rate falls to 0")
    parser.add_argument("--channels", type=int, default=16, help="width of the network; the shipped prior has 32")
    args = parser.parse_args()
    make_folder(args.output_dir)
    if not args.store:
        write_series(Series(args.count, SIZE, TRAIN_SEED), str(args.output_dir / "people"), lmdb=True)
    write_series(Series(args.held_out, SIZE, HELD_OUT_SEED), str(args.output_dir / "held_out"), lmdb=True)
    fixed = FixedSet(Faces(FaceStoreDataset(str(args.output_dir / "held_out"))), args.held_out)
    rows = []
    for words, path in models(args):
        model = load_pretrained(path)
        figures = fixed.measure(model.network, model.network.state_dict(), model.diffusion)
        rows.append("| " + " | ".join([words, *(f"{figures.get(column, float('nan')):.4g}" for column in COLUMNS)]) + " |")
        print(rows[-1], flush=True)
    print("\n| weight, average | " + " | ".join(COLUMNS) + " |\n" + "| --- " * (1 + len(COLUMNS)) + "|", *rows, sep="\n")


if __name__ == "__main__":
    main()
