"""PerFRDiff's ``train_rewrite_weight.py``: see ``diffusionrig/cli/react/perfrdiff.py``."""

import sys

from diffusionrig.cli import run_command

if __name__ == "__main__":
    sys.exit(run_command("react perfrdiff", ["--script", "train_rewrite_weight", *sys.argv[1:]]))
