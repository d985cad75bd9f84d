"""``diffusionrig capture``: photographs -> face codes, overlays, meshes."""

from __future__ import annotations

import argparse

from diffusionrig.cli.arguments import add_device_argument, boolean, positive_int

DESCRIPTION = """Capture the face in each photograph: head rotation, expression, identity, skin and light as a face code.
Writes an overlay per photograph, codes.npz, a mesh with texture, a contact sheet and report.json. Aligned photographs
(diffusionrig align) work best; in others the large face nearest the middle is taken."""
EXAMPLES = """  diffusionrig capture photo.jpg -o log/capture
  diffusionrig capture aligned/ -o log/capture --save_mesh False
  diffusionrig capture a.png b.png -o log/capture --image_size 512 --use_model FIT"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="photographs, or folders of them")
    parser.add_argument("-o", "--output_dir", required=True, help="folder for the results")
    parser.add_argument("--use_model", "--model_name", default="", metavar="NAME",
                        help="DECA, EMOCA or FIT; default: the best whose files are present")
    parser.add_argument("--image_size", type=positive_int, default=256, help="side of the overlays, pixels (256)")
    parser.add_argument("--save_images", type=boolean, default=True, help="write overlays and renders (True)")
    parser.add_argument("--save_mesh", type=boolean, default=True, help="write an OBJ with its texture (True)")
    parser.add_argument("--save_codes", type=boolean, default=True, help="write codes.npz (True)")
    parser.add_argument("--batch_size", type=positive_int, default=8, help="photographs at a time (8)")
    parser.add_argument("--max_megapixels", type=float, default=100.0, help="refuse larger images (100)")
    add_device_argument(parser)


def run(args: argparse.Namespace) -> int:
    from diffusionrig.capture.batch import capture_files

    report = capture_files(args.images, args.output_dir, use_model=args.use_model, image_size=args.image_size,
                           save_images=args.save_images, save_mesh=args.save_mesh, save_codes=args.save_codes,
                           batch_size=args.batch_size, max_megapixels=args.max_megapixels, device=args.device)
    for row in report["images"]:
        if row["note"]:
            print(f"{row['file']}: {row['note']}")
    counts = report["counts"]
    print(f"{counts['captured']} of {counts['images']} photographs captured, {counts['flagged']} doubtful, "
          f"{counts['without_face']} without a face, {counts['unreadable']} unreadable; results are in {args.output_dir}.")
    return 0 if counts["captured"] else 1
