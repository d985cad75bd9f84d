"""``diffusionrig edit``: the published inference script, and what it lacked."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from diffusionrig.cli.arguments import (
    add_assets_argument,
    add_device_argument,
    add_speed_arguments,
    boolean,
    positive_int,
)
from diffusionrig.cli.clip_arguments import add_clip_arguments, is_clip, run_as_clip
from diffusionrig.cli.config_arguments import add_dataclass_arguments, given_arguments
from diffusionrig.cli.live_arguments import USUAL_MODE, add_live_arguments, is_live, run_as_live
from diffusionrig.cli.loaded import show_loaded
from diffusionrig.errors import UsageError
from diffusionrig.shown import some_lines

if TYPE_CHECKING:
    from diffusionrig.editing.controls import Edit
    from diffusionrig.editing.rig import Rig
    from diffusionrig.editing.sampling import Sampling

DESCRIPTION = """Draw the person of the source picture with the expression, pose, light or latent of the target picture. Both may be
folders. A photograph comes back whole, in its own size, with its largest face edited; of an aligned face (see diffusionrig align)
the aligned picture is written. Writes {index}_{mode}.png, contact sheets and report.json. A .safetensors model describes itself,
a released .pt file by its shapes. A video or an animated picture as target drives the source frame by frame, {index}_{mode}.mp4
with sound; camera as target, or - for frames on standard input, drives it live, live.mp4."""
EXAMPLES = """  diffusionrig edit me.jpg --target smile.jpg --modes exp
  diffusionrig edit me.jpg --set jawOpen=0.6,yaw=15 --output_dir log/sliders
  diffusionrig edit me.jpg --set smile=+0.3,yaw=+-10,lightSide=60,lightStrength=0.8,lightAmbient=0.5 --face 2
  diffusionrig edit me.jpg --set @preset.json
  diffusionrig edit me.jpg --target smile.jpg --output both
  diffusionrig edit --model_path log/stage2/model005000.safetensors --source me.png --target faces --modes pose,exp,light,exp+light
      --timestep_respacing ddim20 --output_dir log/edit
  diffusionrig edit --source me.png --target clip.mp4 --modes exp+pose --timestep_respacing ddim20 --output_dir log/clip
  diffusionrig edit me.jpg --target camera --relative True --output_dir log/live
  ffmpeg -re -i clip.mp4 -f mjpeg - | diffusionrig edit me.jpg --target - --frames_out mjpeg | ffplay -f mjpeg -
  diffusionrig edit --source photo.jpg --align_source True --paste_back --keep all --set jawOpen=0.6 --timestep_respacing ddim20
      --output_dir log/photo"""

USUAL_FOLDER = "log/edit"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from diffusionrig.diffusion.config import DiffusionConfig
    from diffusionrig.editing.composites import COMPOSITES
    from diffusionrig.editing.controls import MODES
    from diffusionrig.editing.keeping import KEEPS
    from diffusionrig.editing.lighting import LIGHTS
    from diffusionrig.editing.order import OUTPUTS
    from diffusionrig.editing.sampling import DEFAULT_RESPACING, DEFAULT_SOLVER, DEFAULT_STEPS, SAMPLERS
    from diffusionrig.faces.backends import BACKENDS
    from diffusionrig.model.config import ModelConfig

    # scripts/inference.py sets it: everything that is not said is then as published.
    parser.set_defaults(published=False)
    parser.add_argument("picture", nargs="?", default="", metavar="SOURCE", help="picture or folder of pictures to edit")
    parser.add_argument("--source", default="", help="the same as a flag")
    parser.add_argument("--target", default="",
                        help="picture or folder to take from, clip, camera, or - for standard input; may be absent with --set")
    parser.add_argument("--output_dir", default="",
                        help=f"folder for the results ({USUAL_FOLDER}, or {USUAL_FOLDER}-2 ... where other results lie there)")
    parser.add_argument("--model_path", default="", help="checkpoint (.safetensors or released .pt); the shipped prior when empty")
    parser.add_argument("--base", default="", help="base model of a personal adapter (default: looked for, see docs/personal.md)")
    parser.add_argument("--album", default="", metavar="STORE",
                        help="store of further photographs of the source's person (create-data): edits take teeth, open eyes or "
                             "the other cheek from them where the source does not show these; reference condition only")
    parser.add_argument("--modes", default=None,
                        help=f"comma list out of pose, exp, light, latent, joined by + where wanted (default {MODES}, or what the "
                             "preset in --set takes)")
    parser.add_argument("--strength", default="1", metavar="X|PART=X,...",
                        help="0 source, 1 target, above 1 exaggerates; for single parts exp=0.6,light=1 (default 1)")
    parser.add_argument("--set", dest="sliders", default="", metavar="NAME=X,...",
                        help="expression weights (0..1), yaw, pitch, roll, gazeSide, gazeUp in degrees, the movements "
                             f"{', '.join(COMPOSITES)}, and a lamp ({', '.join(LIGHTS)}), set on every output: jawOpen=0.6 and "
                             "yaw=-15 to these values; smile=+0.4, jawOpen=-0.2, yaw=+10, yaw=+-10 move from what the face shows; "
                             "@FILE takes a preset that the studio saved")
    parser.add_argument("--meanshape", default="", help="mean_shape.pkl or .npy that replaces the captured shape")
    parser.add_argument("--use_model", default="",
                        help="encoder of both sides: EMOCA, DECA, SMIRK or FIT (default: the best present)")
    parser.add_argument("--source_model", default="", help="encoder of the source, when it differs")
    parser.add_argument("--target_model", default="", help="encoder of the target, when it differs")
    parser.add_argument("--head", default="",
                        help="head model of a released .pt file, which does not name its own (default: that of the encoder)")
    parser.add_argument("--landmarks", choices=list(BACKENDS), default="mediapipe",
                        help="who finds the face that DECA and EMOCA look at; the published code uses fan (mediapipe)")
    parser.add_argument("--sampler", choices=SAMPLERS, default="",
                        help=f"how the image is reached (default: {DEFAULT_SOLVER} with {DEFAULT_STEPS} steps, or ddim with "
                             f"{DEFAULT_RESPACING} where something is kept; in scripts/inference.py ddim, as published)")
    parser.add_argument("--steps", type=positive_int, default=0, metavar="N",
                        help=f"steps, each one network call, denser where there is little noise; instead of --timestep_respacing, "
                             f"which in scripts/inference.py uses all when both are absent ({DEFAULT_STEPS} come closer to the "
                             "result of all than ddim20)")
    parser.add_argument("--use_ddim", type=boolean, default=None, help="DDIM, or ancestral sampling when false (default True)")
    parser.add_argument("--eta", type=float, default=0.0, help="DDIM noise, 0 is deterministic (default 0)")
    parser.add_argument("--keep", choices=list(KEEPS), default="none",
                        help="what stays as the source shows it: none (as published), background, or all but what changes its "
                             "shape; inverts the sampler, three more network calls a step and source (none). Uses DDIM")
    parser.add_argument("--null_guidance", type=float, default=1.0, metavar="W",
                        help="classifier-free guidance, for models trained with --drop_buffers: each prediction is that without "
                             "buffers plus W times the difference; 1 is off, else one more network call a step (1)")
    parser.add_argument("--clip_denoised", type=boolean, default=True, help="clamp the predicted image (default True)")
    parser.add_argument("--num_samples", type=positive_int, default=10000,
                        help="at most this many outputs (default 10000)")
    parser.add_argument("--seed", type=int, default=0, help="noise of the outputs; the same seed, the same pictures")
    parser.add_argument("--batch_size", type=positive_int, default=4, help="pictures drawn together (default 4)")
    parser.add_argument("--rasterizer", default="torch", choices=["torch", "pytorch3d"], help="renderer of the buffers")
    parser.add_argument("--max_megapixels", type=float, default=100.0, help="larger pictures are refused (default 100)")
    parser.add_argument("--overwrite", type=boolean, default=False, help="replace the results of another edit in the folder")
    parser.add_argument("--save_buffers", type=boolean, default=False, help="write the buffers of every output to buffers/")
    add_clip_arguments(parser)
    add_live_arguments(parser)
    parser.add_argument("--align_source", type=boolean, default=None,
                        help="the sources are whole photographs: cut a face out first, as align does (default: looked at, picture "
                             "by picture; in scripts/inference.py False)")
    parser.add_argument("--face", type=positive_int, default=1, metavar="N",
                        help="which face of a photograph, counted by size from 1, the largest; others are left as they are (1)")
    parser.add_argument("--output", choices=OUTPUTS, default="",
                        help="what is written: the aligned square of the face as drawn, the whole photograph in its own size, or "
                             "both (photo for whole photographs, aligned for faces that were aligned already)")
    parser.add_argument("--paste_back", "--paste-back", nargs="?", const="", default=None, metavar="PHOTO",
                        help="also write every result into its whole photograph, to pasted/: PHOTO is the photograph or folder "
                             "that the sources were aligned from; without a value beside --align_source True")
    add_assets_argument(parser)
    add_speed_arguments(parser)
    add_device_argument(parser)
    add_dataclass_arguments(parser, ModelConfig, "model (held against the file; released .pt files hide heads and norm groups)")
    add_dataclass_arguments(parser, DiffusionConfig, "diffusion")


def run(args: argparse.Namespace) -> int:
    from diffusionrig.editing.order import Order, free_folder
    from diffusionrig.editing.sampling import DEFAULT_STEPS
    from diffusionrig.editing.session import run_session

    source = _source(args)
    if not args.output_dir and args.published:
        raise UsageError("No --output_dir was given; name a folder for the results.")
    edits = _edits(args)
    sampling = _sampling(args)
    rig = _load(args)
    rig.check_guidance(sampling)
    if rig.calls(sampling) >= 250:
        print(f"diffusionrig edit: {rig.calls(sampling)} network calls per picture; --timestep_respacing ddim20 needs 20, "
              f"--steps {DEFAULT_STEPS} needs {DEFAULT_STEPS}.", file=sys.stderr)
    align, output = args.align_source, args.output
    if args.published:
        align, output = bool(align), output or "aligned"
    order = Order(
        source=source, target=args.target, edits=edits, output_dir=args.output_dir, sampling=sampling,
        batch_size=args.batch_size, source_model=args.source_model or None, target_model=args.target_model or None,
        max_megapixels=args.max_megapixels, limit=args.num_samples, overwrite=args.overwrite,
        save_buffers=args.save_buffers, align_source=align, face=args.face, output="" if args.paste_back is not None else output,
        paste_back=args.paste_back, notes={"meanshape": args.meanshape, **({"album": args.album} if args.album else {}),
                                          "precision": rig.precision})
    if not args.output_dir:
        order = dataclasses.replace(order, output_dir=str(free_folder(Path(USUAL_FOLDER), order.request(rig.pretrained.hash))))
    if is_live(args):
        return run_as_live(rig, order, args)
    if is_clip(args):
        return run_as_clip(rig, order, args)
    report = run_session(rig, order)
    problems = [f"diffusionrig edit: {problem['file']}: {problem['problem']}" for problem in report["problems"]]
    doubts = [f"diffusionrig edit: {doubt['file']}: {doubt['doubt']} Look at the result before you use it."
              for doubt in report["doubts"]]
    for line in [*some_lines(problems, where=f"{order.output_dir}/report.json"),
                 *some_lines(doubts, where=f"{order.output_dir}/report.json")]:
        print(line, file=sys.stderr)
    if all(edit.nothing for edit in edits):
        print("diffusionrig edit: nothing was asked, so nothing was changed; give a --target with --modes, or sliders with --set.",
              file=sys.stderr)
    done = sum(entry["mode"] != "reconstruction" for entry in report["outputs"])
    print(f"{done} edited pictures in {order.output_dir}, {len(report['problems'])} problems; "
          f"look at {Path(order.output_dir) / report['sheets'][0]}")
    return 0


def _source(args: argparse.Namespace) -> str:
    if args.picture and args.source and args.picture != args.source:
        raise UsageError(f"Two sources were given, {args.picture} and --source {args.source}; leave one of them out.")
    return args.picture or args.source


def _edits(args: argparse.Namespace) -> list[Edit]:
    """What the flags ask for; one edit of nothing where they ask for nothing, so that a photograph comes back as it is."""
    from diffusionrig.editing.controls import MODES, SLIDERS, UNCHANGED, Edit, parse_modes
    from diffusionrig.editing.presets import asked_for

    asked = asked_for(args.sliders)
    if asked.taken and args.modes is None:
        return [asked.edit(bool(args.target))]
    if args.target:
        usual = USUAL_MODE if is_live(args) else MODES
        edits = parse_modes(usual if args.modes is None else args.modes, args.strength)
        if not edits:
            raise UsageError("--modes names nothing to take from the --target; write for instance --modes exp.")
        return [dataclasses.replace(edit, sliders=asked.sliders, moves=asked.moves) for edit in edits]
    if args.sliders:
        return [Edit(SLIDERS, (), 1.0, asked.sliders, asked.moves)]
    if args.published or not _source(args):
        raise UsageError("Nothing to edit: give a --target with --modes, or sliders with --set.")
    return [Edit(UNCHANGED)]


def _sampling(args: argparse.Namespace) -> Sampling:
    """What the flags say about sampling; where they say nothing, what ``Sampling`` chooses, or all steps of DDIM if published."""
    from diffusionrig.editing.sampling import MULTISTEP, Sampling

    solver, respacing = args.sampler, getattr(args, "timestep_respacing", None)
    if args.use_ddim is not None:
        published = "ddim" if args.use_ddim else "ancestral"
        if solver not in {"", published}:
            raise UsageError(f"--use_ddim {args.use_ddim} means --sampler {published}, which --sampler {solver} contradicts; "
                             "leave --use_ddim out.")
        solver = published
    if args.published and respacing is None and not args.steps and solver not in MULTISTEP:
        respacing = ""
    return Sampling(respacing, solver, args.eta, args.clip_denoised, args.seed, args.keep, args.steps,
                    args.null_guidance)


def _load(args: argparse.Namespace) -> Rig:
    from diffusionrig.diffusion.config import DiffusionConfig
    from diffusionrig.editing.pretrained import read_mean_shape
    from diffusionrig.editing.rig import Rig
    from diffusionrig.model.config import ModelConfig

    rig = Rig.from_pretrained(args.model_path or "default", device=args.device, encoder=args.use_model or None,
                              model=given_arguments(ModelConfig, args), diffusion=given_arguments(DiffusionConfig, args),
                              rasterizer=args.rasterizer, head=args.head, landmarks=args.landmarks, base=args.base,
                              precision=args.precision, compiled=args.compile)
    show_loaded("edit", rig.pretrained)
    if args.album:
        rig.use_album(args.album)
    if args.meanshape:
        rig.pretrained.mean_shape = read_mean_shape(args.meanshape, rig.head.n_shape)
    return rig
