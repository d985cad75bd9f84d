"""The published script name for ``diffusionrig train``; every flag means the same."""

import sys

from diffusionrig.cli import run_command

if __name__ == "__main__":
    sys.exit(run_command("train", prog="scripts/train.py"))
