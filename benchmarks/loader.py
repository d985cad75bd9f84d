"""How long training waits for data: the share of the time in which the model had no batch, by kind of store and size.

    python benchmarks/loader.py [--count 64] [--steps 40] [--image_size 64] [--channels 32]

Trains a network of the shipped prior's shape for some updates on synthetic photographs, through the command itself: from a store of
codes whose buffers are rendered as they are needed (--cache_megabytes 0), and from the cache. The first update fills the queue and
is left out. On a CPU the loader and the model share the cores, so a short wait does not mean that decoding and rendering are free:
compare the images a second.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from diffusionrig.demo.commands import flags, run_step
from diffusionrig.io.files import read_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=64, help="photographs")
    parser.add_argument("--steps", type=int, default=40, help="updates")
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--image_size", type=int, default=64)
    parser.add_argument("--channels", type=int, default=32)
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        run_step("synth", *flags(output_dir=root / "people", count=args.count, image_size=args.image_size), "--lmdb")
        for name, megabytes in (("codes, rendered when needed", 0), ("cache", 4000)):
            run_step("train", *flags(data_dir=root / "people", log_dir=root / name.split(",")[0], image_size=args.image_size,
                                     num_channels=args.channels, channel_mult="1,1,2,4", num_res_blocks=1, norm_groups=8,
                                     batch_size=args.batch_size, max_steps=args.steps, save_interval=args.steps, sample_count=0,
                                     metric_count=0, cache_megabytes=megabytes, lr=1e-4))
            report = read_json(root / name.split(",")[0] / "report.json")
            rows.append((name, report["waited_for_data"], report["images_per_second"]))
    print(f"\n{args.image_size} pixels, batch {args.batch_size}:")
    for name, waited, rate in rows:
        print(f"  {name:30s} waits {waited:6.1%} of the time, {rate:6.1f} images/s")


if __name__ == "__main__":
    main()
