"""Find the 478 landmarks on a head model and write them down: what FIT needs to know of a head.

Run after the open head has been baked: ``python scripts/bake_landmark_tie.py`` writes
``diffusionrig/assets/open_head_landmarks.npz``. For FLAME, ``--head flame-2020`` writes beside the registered files, where FIT
looks before it finds the landmarks itself (some ten seconds in every run). The same head gives the same file.
"""

from __future__ import annotations

import argparse

import numpy as np

from diffusionrig.capture.fit.correspondence import ASSET, probe, tie_file_name, tie_landmarks
from diffusionrig.geometry.heads import DEFAULT_HEAD, load_head
from diffusionrig.io.array_files import write_array_file
from diffusionrig.io.assets import PACKAGE_ASSETS, user_assets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--head", default=DEFAULT_HEAD)
    parser.add_argument("--output", help="file to write (default: where it is looked for)")
    args = parser.parse_args()
    head = load_head(args.head)
    tie = tie_landmarks(head)
    kept = PACKAGE_ASSETS / ASSET if args.head == DEFAULT_HEAD else user_assets() / tie_file_name(head)
    output = args.output or str(kept)
    write_array_file(output, {
        "face": tie.face.numpy().astype(np.uint16), "barycentric": tie.barycentric.numpy(),
        "reliability": tie.reliability.numpy(), "probe": probe(tie, head).numpy()})
    print(f"{output}: {len(tie.face)} landmarks, reliability {tie.reliability.min():.2f} to "
          f"{tie.reliability.max():.2f}, median {tie.reliability.median():.2f}")


if __name__ == "__main__":
    main()
