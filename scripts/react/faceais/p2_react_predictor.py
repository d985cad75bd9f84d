"""The published script name for ``diffusionrig.cli.react.faceais_predictor``; every flag means the same."""

import sys

from diffusionrig.cli import run_command

if __name__ == "__main__":
    sys.exit(run_command("react faceais_predictor", prog="scripts/react/faceais/p2_react_predictor.py"))
