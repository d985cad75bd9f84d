"""The published script name of UniFR's preparation: ``-d train|val|test``; other flags are those of ``diffusionrig react prepare``.

The corpus is ``data`` in the project's folder, and the files go there too: ``train_shuffled.h5`` with ``train_appro_shuffled.npy``,
``val_sequential.h5`` with ``val_s_gt.npy`` and ``val_l_gt.npy``, ``test_sequential.h5``.
"""

import argparse
import sys
from pathlib import Path

from diffusionrig.cli import run_command

DATA = str(Path(__file__).resolve().parents[2] / "data")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-d", "--data_type", choices=("train", "val", "test"), default="test")
    known, rest = parser.parse_known_args()
    kind = {"train": ["--shuffled", "True"], "val": ["--targets", "True"], "test": []}[known.data_type]
    flags = ["--data", DATA, "--output_dir", DATA, "--split", known.data_type, *kind, *rest]
    sys.exit(run_command("react prepare", flags, prog="scripts/react/Data_Script.py"))
