"""The flags of EMOCA's demo script (``scripts/capture.py``) for ``diffusionrig capture``; not in the table of commands."""

from __future__ import annotations

import argparse

from diffusionrig.cli.arguments import add_assets_argument, add_device_argument, boolean, positive_int

DESCRIPTION = """Capture the faces of a folder as EMOCA's demo does: a folder OUTPUT_FOLDER/MODEL_NAME/NAME00/ per face with
pictures of its crop and, when asked for, codes and meshes. Takes the flags of the published script, and its defaults; videos
in the folder are captured too. 'diffusionrig capture' does the same and more."""
EXAMPLES = """  python scripts/capture.py --input_folder photos --output_folder image_output --model_name EMOCA_v2_lr_mse_20
  python scripts/capture.py --input_folder photos --output_folder image_output --save_codes True --save_mesh True --mode coarse"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from diffusionrig.capture.emoca.encoder import DEFAULT_MODEL

    parser.add_argument("--input_folder", default="assets/data/EMOCA_test_example_data/images/affectnet_test_examples",
                        metavar="DIR", help="folder of photographs, or one photograph or video")
    parser.add_argument("--output_folder", default="image_output", metavar="DIR", help="folder for the results (image_output)")
    parser.add_argument("--model_name", default=DEFAULT_MODEL, metavar="NAME",
                        help=f"folder of an EMOCA model, or DECA, SMIRK or FIT ({DEFAULT_MODEL})")
    parser.add_argument("--path_to_models", default="", metavar="DIR",
                        help="folder of EMOCA's models (emoca among the registered files)")
    # The published script takes any word, False too, for yes.
    parser.add_argument("--save_images", type=boolean, default=True, help="write pictures (True)")
    parser.add_argument("--save_codes", type=boolean, default=False, help="write codes (False)")
    parser.add_argument("--save_mesh", type=boolean, default=False, help="write meshes (False)")
    parser.add_argument("--mode", choices=("detail", "coarse"), default="detail", help="with or without wrinkles (detail)")
    parser.add_argument("--landmarks", default="mediapipe", help="who finds the face; the published script uses fan (mediapipe)")
    parser.add_argument("--batch_size", type=positive_int, default=8, help="photographs at a time (8)")
    add_assets_argument(parser)
    add_device_argument(parser)


def run(args: argparse.Namespace) -> int:
    from diffusionrig.capture.batch import Outputs, capture_files
    from diffusionrig.capture.choosing import Choice
    from diffusionrig.cli.capture import tell

    choice = Choice("", args.model_name, args.path_to_models, "", args.landmarks)
    outputs = Outputs(images=args.save_images, mesh=args.save_mesh, codes=args.save_codes, detail=args.mode == "detail")
    report = capture_files([args.input_folder], args.output_folder, choice, outputs, args.batch_size, device=args.device)
    return tell(report, args.output_folder)
