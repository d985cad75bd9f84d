"""``python -m diffusionrig`` is the ``diffusionrig`` command."""

import sys

from diffusionrig.cli import main

if __name__ == "__main__":
    sys.exit(main())
