"""UniFR's published command; every flag means the same. See docs/reactions.md."""

import sys

from diffusionrig.cli import run_command

if __name__ == "__main__":
    sys.exit(run_command("react unifr_test", prog="scripts/react/unifr/test.py"))
