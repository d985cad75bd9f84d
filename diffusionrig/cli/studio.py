"""``diffusionrig studio``: a page where a face is edited by hand, live."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

from diffusionrig.cli.arguments import add_assets_argument, add_device_argument, add_speed_arguments
from diffusionrig.cli.loaded import show_loaded
from diffusionrig.errors import RigError

DESCRIPTION = """Serve a page on this machine, and to this machine alone, where a face is edited by hand: drop a photograph, drag
sliders and watch. Pictures are drawn by the same code as with edit, and nothing leaves the machine. Ends with Ctrl-C."""
EXAMPLES = """  diffusionrig studio
  diffusionrig studio --open
  diffusionrig studio --model_path log/stage2/model005000.safetensors --port 8000"""

PACKAGES = ("starlette", "uvicorn", "websockets")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=7860, help="port of the page; 0 takes any that is free (7860)")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument("--model_path", default="", help="checkpoint (.safetensors or released .pt); the shipped prior when empty")
    parser.add_argument("--base", default="", help="base model of a personal adapter (default: looked for, see docs/personal.md)")
    parser.add_argument("--use_model", default="", help="encoder: EMOCA, DECA, SMIRK or FIT (default: the best present)")
    parser.add_argument("--work_dir", default="", metavar="DIR",
                        help="where albums and the models that are trained on them are kept (diffusionrig/studio below "
                             "$XDG_DATA_HOME or ~/.local/share)")
    parser.add_argument("--listener_model", default="", metavar="RUN",
                        help="who reacts to speakers: a run or model of stream or faceais (default: the small one that is shipped)")
    parser.add_argument("--max_megapixels", type=float, default=100.0, help="larger pictures are refused (default 100)")
    add_assets_argument(parser)
    add_speed_arguments(parser)
    add_device_argument(parser)


def run(args: argparse.Namespace) -> int:
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise RigError(f"The studio needs {', '.join(missing)}, which cannot be found; install what it needs with "
                       'pip install "diffusionrig[studio]".')
    from diffusionrig.editing.rig import Rig
    from diffusionrig.io.user_data import user_data
    from diffusionrig.studio.recipes import Origin
    from diffusionrig.studio.registry import add_panels
    from diffusionrig.studio.server import bound, serve
    from diffusionrig.studio.session import Session

    folder = Path(args.work_dir).absolute() if args.work_dir else user_data() / "studio"
    with bound(args.port) as listening:
        rig = Rig.from_pretrained(args.model_path or "default", device=args.device, encoder=args.use_model or None, base=args.base,
                                  precision=args.precision, compiled=args.compile)
        show_loaded("studio", rig.pretrained)
        origin = Origin(args.model_path, args.base, args.use_model, "" if args.precision == "auto" else args.precision)
        session = Session(rig, args.max_megapixels, origin)
        add_panels(session, folder, args.listener_model)
        serve(session, listening, lambda address: _opened(address, args.open))
    return 0


def _opened(address: str, in_browser: bool) -> None:
    print(f"The studio is open at {address}\nIt answers to this machine alone; Ctrl-C ends it.", flush=True)
    if in_browser:
        import webbrowser

        webbrowser.open(address)
