"""Train the prior that ships with the package: synthetic people, stage 1 at 64 x 64, stored in half precision.

Run it again after an interruption: it continues. On a GPU raise --count, --steps and --batch_size; on a CPU with AMX add
--precision bf16 --compile True.
"""

import argparse
import sys
from pathlib import Path

import torch

from diffusionrig.cli import run_command
from diffusionrig.io.assets import PACKAGE_ASSETS
from diffusionrig.io.checkpoints import load_checkpoint, save_checkpoint

# The plan of channels is the best that two CPU cores can train in two hours and that stays under 40 MB in half precision.
MODEL = ["--image_size", "64", "--num_channels", "32", "--channel_mult", "1,1,2,4", "--num_res_blocks", "1", "--norm_groups", "8"]
PRIVATE = ("data_dir", "log_dir", "resume_checkpoint", "device", "num_workers")


def call(command: str, words: list[str]) -> None:
    print(f"$ diffusionrig {command} {' '.join(words)}", flush=True)
    status = run_command(command, words)
    if status:
        sys.exit(status)


def export(model: Path, output: Path) -> None:
    """Copy ``model`` to ``output`` in half precision, without the folders of the machine that trained it."""
    tensors, meta = load_checkpoint(model)
    meta["options"] = {name: value for name, value in meta.get("options", {}).items() if name not in PRIVATE}
    output.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(output, tensors, meta, dtype=torch.float16)
    print(f"{output}: {output.stat().st_size / 2**20:.1f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work_dir", type=Path, default=Path("log/prior"), help="store and run (default log/prior)")
    parser.add_argument("--output", type=Path, default=PACKAGE_ASSETS / "priors" / "open64.safetensors")
    parser.add_argument("--count", type=int, default=10_000, help="synthetic photographs, each of another person")
    parser.add_argument("--steps", type=int, default=6200, help="updates")
    parser.add_argument("--decay_steps", type=int, default=1600, help="last updates, over which the learning rate falls to 0")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--start", default="", metavar="MODEL", help="weights to go on from, for instance an earlier prior")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--compile", default="False")
    args = parser.parse_args()
    store, log_dir = args.work_dir / "store", args.work_dir / "stage1"
    call("synth", ["--output_dir", str(store), "--count", str(args.count), "--image_size", "64", "--seed", str(args.seed),
                   "--lmdb", "--workers", "2"])
    call("train", [*MODEL, "--data_dir", str(store), "--log_dir", str(log_dir), "--batch_size", str(args.batch_size),
                   "--max_steps", str(args.steps), "--lr", str(args.lr), "--optimizer", "adamw", "--warmup_steps", "200",
                   "--decay_steps", str(args.decay_steps), "--dropout", "0", "--predict_v", "True", "--ema_decay", "0.999",
                   "--save_interval", "1000", "--channels_last", "False", "--cache_megabytes", "3000", "--seed", str(args.seed),
                   "--precision", args.precision, "--compile", args.compile,
                   *(["--resume_checkpoint", args.start] if args.start else [])])
    # A run that was told to stop (SIGTERM) has saved its last state: that is the prior then.
    export(max(log_dir.glob("model*.safetensors")), args.output)
    for name in ("progress.csv", "metrics.csv", "config.yaml"):
        if not (log_dir / name).exists():  # a run that was finished before there were metrics
            continue
        text = (log_dir / name).read_text().replace(str(args.work_dir), "log/prior")
        args.output.with_name(f"{args.output.stem}.{name}").write_text(text)


if __name__ == "__main__":
    main()
