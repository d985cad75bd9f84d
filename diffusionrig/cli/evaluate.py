"""``diffusionrig evaluate``: how well a checkpoint does what it is asked."""

from __future__ import annotations

import argparse

from diffusionrig.cli.arguments import (
    add_assets_argument,
    add_device_argument,
    add_speed_arguments,
    boolean,
    positive_int,
)
from diffusionrig.cli.config_arguments import add_dataclass_arguments, given_arguments
from diffusionrig.cli.loaded import show_loaded
from diffusionrig.cli.reenactment_arguments import add_reenactment_arguments, is_reenactment, run_as_reenactment

DESCRIPTION = """Measure a checkpoint. Faces get the pose, expression, light and shape of others; what is captured from the results
is compared with what was asked for, beside the true photographs (the floor) and two baselines: the unchanged source and the bare
rendered buffer. Also: likeness, PSNR and SSIM, background, time and memory. Writes evaluation.json, evaluation.html (one page with
pictures) and contact_sheet.png. Without --data synthetic people are taken, of whom the truth is known.

--video and --pairs measure on real people instead: one picture of a person is edited towards another, which is the truth as well.
The edit stands beside the unchanged source and the ceiling of a 64-pixel result; evaluation.csv has every picture's figures."""
EXAMPLES = """  diffusionrig evaluate --output_dir log/evaluation
  diffusionrig evaluate --model_path log/stage2/model005000.safetensors --data log/held_out --output_dir log/evaluation
  diffusionrig evaluate --model_path stage1.pt --identity dlib --output_dir log/released
  diffusionrig evaluate --video talks/*.mp4 --keep all --output_dir log/real
  diffusionrig evaluate --pairs neutral smiling --modes exp --output_dir log/smiles"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from diffusionrig.capture.identity.embedding import NAMES
    from diffusionrig.diffusion.config import DiffusionConfig
    from diffusionrig.editing.keeping import KEEPS
    from diffusionrig.editing.sampling import DEFAULT_SOLVER, DEFAULT_STEPS, SAMPLERS, Sampling
    from diffusionrig.evaluation.report import Plan
    from diffusionrig.model.config import ModelConfig

    parser.add_argument("--output_dir", default="", metavar="DIR", help="folder for the report")
    parser.add_argument("--model_path", default="", help="checkpoint (.safetensors or released .pt); the shipped prior when empty")
    parser.add_argument("--base", default="", help="base model of a personal adapter (default: looked for)")
    parser.add_argument("--data", default=Plan.data, metavar="PATH",
                        help="face store, or folder of aligned photographs; synthetic people when empty")
    parser.add_argument("--count", type=positive_int, default=None, metavar="N",
                        help=f"pairs of faces ({Plan.count}; of --pairs all)")
    parser.add_argument("--seed", type=int, default=Plan.seed, help=f"which people or pairs, and the noise ({Plan.seed})")
    parser.add_argument("--modes", default="",
                        help=f"comma list of pose, exp, light, shape, joined by + ({Plan.modes}; on real people pose+exp+light)")
    parser.add_argument("--identity", default="", metavar="NAME",
                        help=f"embedding that compares people: {', '.join(NAMES)}, or none ({Plan.identity}; of real people dlib "
                             "where it is installed)")
    parser.add_argument("--lpips", default=Plan.lpips, metavar="DIR",
                        help="folder with alexnet-owt-7be5be79.pth and the alex.pth of lpips 0.1; without it LPIPS is null")
    parser.add_argument("--sampler", choices=SAMPLERS, default=Sampling.solver,
                        help=f"as in diffusionrig edit ({DEFAULT_SOLVER}; ddim with --timestep_respacing or --keep)")
    parser.add_argument("--steps", type=positive_int, default=Sampling.steps, metavar="N",
                        help=f"steps, instead of --timestep_respacing ({DEFAULT_STEPS} of {DEFAULT_SOLVER})")
    parser.add_argument("--null_guidance", type=float, default=Sampling.null_guidance, metavar="W",
                        help="as in diffusionrig edit; 1 is off (1)")
    parser.add_argument("--keep", choices=list(KEEPS), default=Sampling.keep,
                        help=f"what stays as the source shows it, as in diffusionrig edit ({Sampling.keep})")
    parser.add_argument("--use_model", default="", help="encoder that captures: EMOCA, DECA, SMIRK or FIT (the best present)")
    parser.add_argument("--head", default="", help="head model of a released .pt file, which does not name its own")
    parser.add_argument("--batch_size", type=positive_int, default=Plan.batch_size,
                        help=f"pictures drawn together ({Plan.batch_size})")
    parser.add_argument("--overwrite", type=boolean, default=False, help="replace another evaluation in the folder")
    add_reenactment_arguments(parser)
    add_assets_argument(parser)
    add_speed_arguments(parser)
    add_device_argument(parser)
    add_dataclass_arguments(parser, ModelConfig, "model (held against the file; released .pt files hide heads and norm groups)")
    add_dataclass_arguments(parser, DiffusionConfig, "diffusion")


def run(args: argparse.Namespace) -> int:
    from diffusionrig.diffusion.config import DiffusionConfig
    from diffusionrig.editing.rig import Rig
    from diffusionrig.editing.sampling import Sampling
    from diffusionrig.errors import UsageError
    from diffusionrig.evaluation.report import PAGE, Plan, run_evaluation
    from diffusionrig.evaluation.terminal import summary_table
    from diffusionrig.model.config import ModelConfig

    if not args.output_dir:
        raise UsageError("No --output_dir was given; name a folder for the report.")
    real = is_reenactment(args)
    path = args.model_path or "default"
    sampling = Sampling(respacing=getattr(args, "timestep_respacing", None), solver=args.sampler, seed=args.seed, keep=args.keep,
                        steps=args.steps, null_guidance=args.null_guidance)
    rig = Rig.from_pretrained(path, device=args.device, encoder=args.use_model or None, head=args.head, base=args.base,
                              model=given_arguments(ModelConfig, args), diffusion=given_arguments(DiffusionConfig, args),
                              precision=args.precision, compiled=args.compile)
    rig.check_guidance(sampling)
    show_loaded("evaluate", rig.pretrained)
    if real:
        return run_as_reenactment(rig, sampling, args)
    plan = Plan(args.output_dir, path, args.data, args.count or Plan.count, args.seed, args.modes or Plan.modes,
                args.identity or Plan.identity, args.lpips, args.batch_size, args.overwrite)
    report = run_evaluation(rig, plan, sampling)
    print(summary_table(report))
    print(f"\n{len(report['edits'])} edits of {report['pairs']} pairs; look at {args.output_dir}/{PAGE}")
    return 0
