"""``diffusionrig capture``: photographs and videos -> face codes, overlays, meshes."""

from __future__ import annotations

import argparse
from typing import Any

from diffusionrig.cli.arguments import add_assets_argument, add_device_argument, boolean, positive_int
from diffusionrig.shown import some_lines

DESCRIPTION = """Capture the face in each photograph and video frame: head rotation, expression, identity, skin and light as a
face code. Writes an overlay per photograph, codes.npz, a mesh with texture, a contact sheet and report.json. Aligned
photographs (diffusionrig align) work best; in others the large face nearest the middle is taken. With EMOCA, DECA and SMIRK
there is a folder per face, OUT/MODEL/NAME00/, with what EMOCA's demo writes."""
EXAMPLES = """  diffusionrig capture photo.jpg -o log/capture
  diffusionrig capture aligned/ -o log/capture --save_mesh False
  diffusionrig capture a.png b.png -o log/capture --image_size 512 --use_model FIT
  diffusionrig capture photos/ clip.mp4 -o log/capture --model_name EMOCA_v2_lr_mse_20 --every 5"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from diffusionrig.capture.tracking.tracker import TRACKS
    from diffusionrig.faces.backends import BACKENDS

    parser.add_argument("images", nargs="+", metavar="IMAGE", help="photographs, videos, or folders of them")
    parser.add_argument("-o", "--output_dir", required=True, help="folder for the results")
    parser.add_argument("--use_model", default="", metavar="NAME",
                        help="EMOCA, DECA, SMIRK or FIT; default: the best whose files are present")
    parser.add_argument("--model_name", default="", metavar="NAME",
                        help="the same, or the folder of an EMOCA model (EMOCA, which is version 1, EMOCA_v2_mp, "
                             "EMOCA_v2_lr_cos_1.5, EMOCA_v2_lr_mse_20)")
    parser.add_argument("--path_to_models", default="", metavar="DIR",
                        help="folder of EMOCA's models (emoca among the registered files)")
    parser.add_argument("--head", default="", metavar="NAME",
                        help="head model of the codes; default: flame-2020 for DECA, EMOCA and SMIRK, open-head-1 for FIT")
    parser.add_argument("--landmarks", choices=list(BACKENDS), default="mediapipe",
                        help="who finds the face that DECA and EMOCA look at; the published code uses fan (mediapipe)")
    parser.add_argument("--mode", choices=("detail", "coarse"), default="detail",
                        help="coarse leaves out the wrinkles of EMOCA and DECA (detail)")
    parser.add_argument("--track", choices=TRACKS, default=TRACKS[0],
                        help="auto follows one person through a video and steadies what moves, with FIT; off captures every frame "
                             "as if there were no other (auto)")
    parser.add_argument("--every", type=positive_int, default=1, metavar="N", help="every N-th frame of a video (1)")
    parser.add_argument("--image_size", type=positive_int, default=256, help="side of the overlays, pixels (256)")
    parser.add_argument("--save_images", type=boolean, default=True, help="write overlays and renders (True)")
    parser.add_argument("--save_mesh", type=boolean, default=True, help="write an OBJ with its texture (True)")
    parser.add_argument("--save_codes", type=boolean, default=True, help="write codes.npz, and codes per face (True)")
    parser.add_argument("--batch_size", type=positive_int, default=8, help="photographs at a time (8)")
    parser.add_argument("--max_megapixels", type=float, default=100.0, help="refuse larger images (100)")
    add_assets_argument(parser)
    add_device_argument(parser)


def run(args: argparse.Namespace) -> int:
    from diffusionrig.capture.batch import Outputs, capture_files
    from diffusionrig.capture.choosing import Choice

    choice = Choice(args.use_model, args.model_name, args.path_to_models, args.head, args.landmarks)
    outputs = Outputs(args.image_size, args.save_images, args.save_mesh, args.save_codes, args.mode == "detail")
    report = capture_files(args.images, args.output_dir, choice, outputs, args.batch_size, args.max_megapixels, args.every,
                           args.device, args.track)
    return tell(report, args.output_dir)


def tell(report: dict[str, Any], output_dir: str) -> int:
    """Print what was captured and what was not; the exit status."""
    from diffusionrig.io.unread import unread_sentence

    for line in some_lines([f"{row['file']}{'#' + str(row['frame']) if 'frame' in row else ''}: {row['note']}"
                            for row in report["images"] if row["note"]], where=f"{output_dir}/report.json"):
        print(line)
    if report["missing_files"]:
        print(f"Without DECA's {' and '.join(report['missing_files'])} the details and the edge of the face differ from the "
              "published ones; put them beside the other registered files.")
    counts = report["counts"]
    print(f"{counts['captured']} of {counts['images']} photographs captured, {counts['flagged']} doubtful, "
          f"{counts['without_face']} without a face, {counts['unreadable']} unreadable; results are in {output_dir}. "
          f"{unread_sentence(report['unread'])}".rstrip())
    return 0 if counts["captured"] else 1
