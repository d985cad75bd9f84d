"""``diffusionrig react render``: predicted coefficients -> frames and videos of the listener."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from diffusionrig.cli.arguments import (
    add_assets_argument,
    add_device_argument,
    add_speed_arguments,
    boolean,
    positive_int,
)
from diffusionrig.cli.loaded import show_loaded
from diffusionrig.errors import UsageError

if TYPE_CHECKING:
    from diffusionrig.editing.capturing import Capturing
    from diffusionrig.editing.rig import Rig
    from diffusionrig.reactions.frames.render import Order

DESCRIPTION = """Draw predicted reactions, (T, 58), (K, T, 58) or (N, K, T, 58) coefficients, as the listener: mesh and photo
frames, a video with the speaker's sound, a contact strip, jitter figures, in FaceAIS's layout
OUT/RUN/VERSION/SPLIT/PURPOSE/b*_ind*. A run that was stopped continues where it was. With --mesh_only no model is needed."""
EXAMPLES = """  diffusionrig react render pred_3dmm.npy --listener me.png --model_path log/stage2/model000400.safetensors
      --output_dir log/reactions --audio speaker.wav
  diffusionrig react render pred.npy --data data/react --split val --item 3 --k 0,1,2 --output_dir log/reactions
  diffusionrig react render pred_3dmm.npy --mesh_only True --output_dir log/meshes --neutral percentile --smooth 1.5"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from diffusionrig.editing.keeping import KEEPS
    from diffusionrig.reactions.frames.codes import NEUTRALS, RESTS
    from diffusionrig.reactions.frames.drawing import COLUMNS
    from diffusionrig.reactions.frames.layout import PURPOSES

    parser.add_argument("prediction", metavar="PRED.npy", help="coefficients, or attributes with PRED_3dmm.npy beside them")
    parser.add_argument("--output_dir", required=True, help="folder for the results")
    parser.add_argument("--listener", default="", help="photograph, store, video or folder of frames of the listener (with --data: "
                                                       "the corpus's listener; with --mesh_only: a mean head)")
    parser.add_argument("--listener_record", type=int, default=0, metavar="N", help="record of a store (0)")
    parser.add_argument("--model_path", default="", help="checkpoint of the listener's own model; the shipped prior, which draws "
                                                         "anybody from a photograph, when empty")
    parser.add_argument("--base", default="", help="base model of a personal adapter (default: looked for, see docs/personal.md)")
    parser.add_argument("--album", default="", metavar="STORE",
                        help="store of further photographs of the listener, which lend teeth and open eyes, as in edit")
    parser.add_argument("--mesh_only", type=boolean, default=False, help="draw meshes alone, without a model (False)")
    parser.add_argument("--use_model", default="", help="encoder that captures the listener (default: the best present)")
    parser.add_argument("--k", default="", metavar="0,1,2", help="samples to draw (all)")
    parser.add_argument("--data", default="", metavar="ROOT",
                        help="corpus that speaker, listener, sound and mean face come from (with --item: what PRED.json beside the "
                             "prediction says)")
    parser.add_argument("--split", choices=("val", "test", "train"), default="",
                        help="split of the corpus (what PRED.json says, else val)")
    parser.add_argument("--item", type=int, default=None, metavar="I", help="item, in the mirrored order of the split")
    parser.add_argument("--speaker", default="", help="the speaker's video or folder of frames, shown beside the reaction")
    parser.add_argument("--audio", default="", help="the speaker's sound (default: that of --speaker or of the corpus)")
    parser.add_argument("--run", default="", help="name of the run (default: that of the prediction)")
    parser.add_argument("--version", default="version_0", help="name of the version (version_0)")
    parser.add_argument("--purpose", choices=PURPOSES, default="only_submit_video", help="render_for_fid writes frames alone")
    parser.add_argument("--neutral", choices=NEUTRALS, default="",
                        help="what counts as no expression and no turn: the corpus's mean face, the 5th percentile of the clip, or "
                             "zeros (mean where the mean face is known, else percentile)")
    parser.add_argument("--rest", choices=RESTS, default="zero",
                        help="the expression of the photograph is replaced (zero) or added to (photo)")
    parser.add_argument("--centred", type=boolean, default=False, help="the mean face was taken off the coefficients (False)")
    parser.add_argument("--mean_face", default="", metavar="FILE.npy", help="mean_face.npy of the corpus, (58,)")
    parser.add_argument("--smooth", type=float, default=0.0, metavar="HZ", help="one-euro filter: cutoff at rest, 0 for none (0)")
    parser.add_argument("--smooth_beta", type=float, default=1.0, metavar="B", help="its speed coefficient (1)")
    parser.add_argument("--fps", type=float, default=None, help="frames a second (that of the corpus, else 25)")
    parser.add_argument("--frames", type=positive_int, default=None, metavar="N", help="the first N frames only (all)")
    parser.add_argument("--panel", type=positive_int, default=256, help="side of the columns of the video, pixels (256)")
    parser.add_argument("--columns", default=",".join(COLUMNS), metavar="NAME,...",
                        help=f"of the video and the strip, as far as there are such ({','.join(COLUMNS)})")
    parser.add_argument("--timestep_respacing", default="ddim20",
                        help="steps of the sampler, of models that take several (ddim20)")
    parser.add_argument("--keep", choices=list(KEEPS), default="none",
                        help="what of the listener's picture stays, of models that do not keep it anyway (none)")
    parser.add_argument("--seed", type=int, default=0, help="the one noise of all frames (0)")
    parser.add_argument("--batch_size", type=positive_int, default=8, help="frames drawn together (8)")
    parser.add_argument("--overwrite", type=boolean, default=False, help="replace frames that were made otherwise (False)")
    add_assets_argument(parser)
    add_speed_arguments(parser)
    add_device_argument(parser)


def run(args: argparse.Namespace) -> int:
    from diffusionrig.reactions.frames.render import render

    report = render(_order(args), _seeing(args))
    for name in report["drawn"]:
        for note in report["clips"][name]["notes"]:
            print(f"diffusionrig react render: {name}: {note}", file=sys.stderr)
        ratio = report["clips"][name]["jitter"].get("ratio")
        jitter = "" if ratio is None else f", jitter {ratio:.2f} times that of the buffers"
        print(f"{name}: {report['clips'][name]['frames']} frames{jitter}")
    print(f"{len(report['drawn'])} reactions in {report['folder']}")
    return 0


def _order(args: argparse.Namespace) -> Order:
    import math

    from diffusionrig.editing.sampling import Sampling
    from diffusionrig.editing.smoothing import Smoothing
    from diffusionrig.reactions.frames.drawing import COLUMNS, Look
    from diffusionrig.reactions.frames.render import Order, Reading

    try:
        samples = [int(word) for word in args.k.split(",") if word.strip()] or None
    except ValueError:
        raise UsageError(f"--k {args.k} is no list of samples; write for instance --k 0,1,2.") from None
    if args.fps is not None and not (math.isfinite(args.fps) and args.fps > 0):
        raise UsageError(f"--fps {args.fps:g} is not above zero; give frames a second, for instance 25.")
    columns = [word.strip() for word in args.columns.split(",") if word.strip()]
    unknown = [word for word in columns if word not in COLUMNS]
    if unknown or not columns:
        raise UsageError(f"--columns {args.columns} names {unknown[0] if unknown else 'none'}; choose from {', '.join(COLUMNS)}.")
    reading = Reading(args.neutral, args.rest, args.centred, args.mean_face, Smoothing(args.smooth, args.smooth_beta), args.fps,
                      args.frames)
    look = Look(args.panel, Sampling(respacing=args.timestep_respacing, seed=args.seed, keep=args.keep), args.batch_size,
                args.overwrite, columns=columns)
    return Order(args.prediction, args.output_dir, args.listener, args.listener_record, samples, args.data, args.split, args.item,
                 args.speaker, args.audio, args.run, args.version, args.purpose, reading, look=look,
                 notes={"album": args.album} if args.album else {})


def _seeing(args: argparse.Namespace) -> Rig | Capturing:
    """What looks at the listener: a rig, or its seeing half where only meshes are drawn."""
    if args.mesh_only:
        from diffusionrig.editing.capturing import Capturing

        return Capturing(encoder=args.use_model or None, device=args.device)
    from diffusionrig.editing.rig import Rig

    rig = Rig.from_pretrained(args.model_path or "default", device=args.device, encoder=args.use_model or None, base=args.base,
                              precision=args.precision, compiled=args.compile)
    show_loaded("react render", rig.pretrained)
    if args.album:
        rig.use_album(args.album)
    return rig
