"""Train the prior that ships with the package: pairs of synthetic people and real faces there and back, 256 x 256.

    python scripts/train_prior.py --faces FOLDER

FOLDER holds ``congress/``, ``generated_sd3/`` and ``generated_sfhq/``, photographs as ``diffusionrig align`` writes them
(docs/prior.md says where they come from); others can be named by --folders. Run it again after an interruption: it continues.
"""

import argparse
import sys
from pathlib import Path

import torch

from diffusionrig.cli import run_command
from diffusionrig.io.assets import PACKAGE_ASSETS
from diffusionrig.io.checkpoints import load_checkpoint, save_checkpoint

# Small, so that two CPU cores show it many samples in an hour: twice the width learned no more from a sample.
MODEL = ["--condition", "reference", "--image_size", "256", "--patch", "4", "--num_channels", "32", "--channel_mult", "1,2,3,4",
         "--num_res_blocks", "1", "--norm_groups", "8", "--attention_resolutions", "", "--encoder_type", "none",
         "--latent_dim", "1", "--predict_xstart", "True", "--one_call", "True", "--dropout", "0"]
PRIVATE = ("data_dir", "log_dir", "resume_checkpoint", "keep_samples", "device", "num_workers")


def call(command: str, words: list[str]) -> None:
    print(f"$ diffusionrig {command} {' '.join(words)}", flush=True)
    status = run_command(command, words)
    if status:
        sys.exit(status)


def export(model: Path, output: Path) -> None:
    """Copy ``model`` to ``output`` in half precision, without the folders of the machine that trained it."""
    tensors, meta = load_checkpoint(model)
    meta["options"] = {name: value for name, value in meta.get("options", {}).items() if name not in PRIVATE}
    meta.pop("started_from", None)
    # What tells the photographs apart is for the run that goes on, not for a file that is given away.
    meta.get("data", {}).pop("stores", None)
    output.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(output, tensors, meta, dtype=torch.float16)
    print(f"{output}: {output.stat().st_size / 2**20:.1f} MiB")


def joined(before: list[str], after: list[str]) -> list[str]:
    """Lines of the table ``after``, and above them those of the one ``before`` whose steps are earlier: a prior that was gone on
    from keeps its curves."""
    if before[0] != after[0] or len(after) < 2:
        return after
    step = before[0].split(",").index("step")
    first = int(after[1].split(",")[step])
    return [before[0], *(line for line in before[1:] if int(line.split(",")[step]) < first), *after[1:]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, default=None, help="folder of the folders of aligned photographs")
    parser.add_argument("--folders", default="congress,generated_sd3,generated_sfhq", help="which of them, comma separated")
    parser.add_argument("--work_dir", type=Path, default=Path("log/prior"), help="stores and run (default log/prior)")
    parser.add_argument("--output", type=Path, default=PACKAGE_ASSETS / "priors" / "open256.safetensors")
    parser.add_argument("--export", type=Path, default=None, metavar="MODEL", help="train nothing; export this model of the run")
    parser.add_argument("--count", type=int, default=1600, help="synthetic pictures, four of each person")
    parser.add_argument("--steps", type=int, default=5000, help="updates")
    parser.add_argument("--decay_steps", type=int, default=1200, help="last updates, over which the learning rate falls to 0")
    parser.add_argument("--distinct_samples", type=int, default=6000,
                        help="kept in the work folder, 1.6 MB each")
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--lr", type=float, default=8e-4)
    parser.add_argument("--seed", type=int, default=31, help="random world of the synthetic people")
    parser.add_argument("--start", default="", metavar="MODEL", help="weights to go on from, for instance an earlier prior")
    args = parser.parse_args()
    run = args.work_dir / "stage1"
    if args.export is None:
        if args.faces is None:
            parser.error("--faces is missing: the folder that holds the folders of aligned photographs")
        edits, photographs = args.work_dir / "edits", args.work_dir / "faces"
        call("synth", ["--output_dir", str(edits), "--count", str(args.count), "--image_size", "256", "--seed", str(args.seed),
                       "--edits", "3", "--lmdb", "--workers", "2"])
        call("create-data", ["--data_dir", *(str(args.faces / name) for name in args.folders.split(",")), "--output_dir",
                             str(photographs), "--image_size", "256"])
        call("train", [*MODEL, "--data_dir", f"{edits},{photographs}", "--data_shares", "1,1", "--log_dir", str(run),
                       "--distinct_samples", str(args.distinct_samples), "--keep_samples", str(args.work_dir / "samples"),
                       "--batch_size", str(args.batch_size), "--max_steps", str(args.steps), "--decay_steps", str(args.decay_steps),
                       "--lr", str(args.lr), "--optimizer", "adamw", "--warmup_steps", "100", "--ema_decay", "0.998",
                       "--save_interval", "400", "--metric_count", "24", "--num_workers", "1", "--compile", "True",
                       "--channels_last", "True", *(["--resume_checkpoint", args.start] if args.start else [])])
    # A run that was told to stop (SIGTERM) has saved its last state: that is the prior then.
    export(args.export or max(run.glob("model*.safetensors")), args.output)
    folder = run if args.export is None else args.export.parent
    for name in ("progress.csv", "metrics.csv", "config.yaml"):
        place = args.output.with_name(f"{args.output.stem}.{name}")
        lines = [line for line in (folder / name).read_text().splitlines()
                 if not line.strip().startswith(("data_dir:", "log_dir:", "resume_checkpoint:", "keep_samples:"))]
        if name.endswith(".csv") and place.exists():
            lines = joined(place.read_text().splitlines(), lines)
        place.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
