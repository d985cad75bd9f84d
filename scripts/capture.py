"""The name and the flags of EMOCA's ``test_emoca_on_images.py`` for ``diffusionrig capture``."""

import sys

from diffusionrig.cli import run_command

if __name__ == "__main__":
    sys.exit(run_command("emoca-demo", prog="scripts/capture.py"))
