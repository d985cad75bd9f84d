"""The published script name for ``diffusionrig edit``; every flag means the same. What is not said is as published: pictures are
aligned, and every step is taken."""

import sys

from diffusionrig.cli import run_command

if __name__ == "__main__":
    sys.exit(run_command("edit", prog="scripts/inference.py", published=True))
