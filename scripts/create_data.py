"""The published script name for ``diffusionrig create-data``; every flag means the same."""

import sys

from diffusionrig.cli import run_command

if __name__ == "__main__":
    sys.exit(run_command("create-data", prog="scripts/create_data.py"))
