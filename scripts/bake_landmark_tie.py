"""Find the 478 landmarks on the open head and write ``diffusionrig/assets/open_head_landmarks.npz``.

Run after the head has been baked: ``python scripts/bake_landmark_tie.py``. The same head gives the same file.
"""

from __future__ import annotations

import argparse

import numpy as np

from diffusionrig.capture.fit.correspondence import ASSET, probe, tie_landmarks
from diffusionrig.geometry.heads import DEFAULT_HEAD, load_head
from diffusionrig.io.array_files import write_array_file
from diffusionrig.io.assets import PACKAGE_ASSETS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--head", default=DEFAULT_HEAD)
    parser.add_argument("--output", default=str(PACKAGE_ASSETS / ASSET))
    args = parser.parse_args()
    head = load_head(args.head)
    tie = tie_landmarks(head)
    write_array_file(args.output, {
        "face": tie.face.numpy().astype(np.uint16), "barycentric": tie.barycentric.numpy(),
        "reliability": tie.reliability.numpy(), "probe": probe(tie, head).numpy()})
    print(f"{args.output}: {len(tie.face)} landmarks, reliability {tie.reliability.min():.2f} to "
          f"{tie.reliability.max():.2f}, median {tie.reliability.median():.2f}")


if __name__ == "__main__":
    main()
