"""Running the steps of the demo through the command line, echoed so that a reader can repeat each by hand."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from diffusionrig.cli import run_command
from diffusionrig.errors import RigError


def run_step(command: str, *words: object) -> None:
    """Run ``diffusionrig COMMAND WORDS`` in this process; RigError when it does not succeed."""
    argv = [str(word) for word in words]
    print(f"\n$ diffusionrig {command} {shlex.join(argv)}", flush=True)
    status = run_command(command, argv)
    if status != 0:
        raise RigError(f"The demo stopped because its step 'diffusionrig {command}' ended with status {status}.")


def flags(**values: object) -> Sequence[object]:
    """``flags(image_size=64)`` -> ``["--image_size", 64]``."""
    return [word for name, value in values.items() for word in (f"--{name}", value)]
