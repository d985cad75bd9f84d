"""The published script name for ``diffusionrig.cli.react.faceais_tokenizer``; every flag means the same."""

import sys

from diffusionrig.cli import run_command

if __name__ == "__main__":
    sys.exit(run_command("react faceais_tokenizer", prog="scripts/react/faceais/p1_face_tokenizer.py"))
