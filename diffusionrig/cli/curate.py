"""``diffusionrig curate``: an album, and which of its photographs are worth training on."""

from __future__ import annotations

import argparse
from collections import Counter

from diffusionrig.cli.arguments import add_device_argument, positive_int

DESCRIPTION = """Look at the photographs of one person and say which are worth training on, and why the others are not: duplicates,
blur, other people, extreme poses, faces that are too small, cut off or absent. Without -o it only tells. With -o DIR
copies of what stays are put into DIR/kept, beside report.json and a contact sheet. Originals are never deleted."""
EXAMPLES = """  diffusionrig curate album
  diffusionrig curate album -o log/album
  diffusionrig curate album -o log/album --keep 20
  diffusionrig curate album -o log/album --faces 256
  diffusionrig curate album -o log/album --apply --max_yaw 60 --min_sharpness 0.2"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from diffusionrig.capture.curation.looking import Limits
    from diffusionrig.capture.identity.embedding import DEFAULT, NAMES

    parser.add_argument("folder", metavar="FOLDER", help="photographs of one person, aligned or not; sub-folders too")
    parser.add_argument("-o", "--output_dir", default="", metavar="DIR", help="where copies of what stays and the report go")
    parser.add_argument("--apply", action="store_true", help="also move what does not stay from FOLDER to DIR/rejected")
    parser.add_argument("--link", action="store_true", help="symbolic links in DIR/kept instead of copies")
    parser.add_argument("--faces", type=positive_int, default=0, metavar="SIDE",
                        help="also write the face that was judged of what stays, aligned, of so many pixels, to DIR/faces (no)")
    parser.add_argument("--keep", type=positive_int, default=0, metavar="N",
                        help="at most so many stay: the most different in pose, expression and light (all)")
    parser.add_argument("--min_face", type=float, default=Limits.min_face, help=f"smallest face, pixels ({Limits.min_face:g})")
    parser.add_argument("--min_sharpness", type=float, default=Limits.min_sharpness,
                        help=f"least detail; sharp faces have 0.3 to 0.45, 0 takes any ({Limits.min_sharpness})")
    parser.add_argument("--max_yaw", type=float, default=Limits.max_yaw, help=f"largest turn to the side ({Limits.max_yaw:g})")
    parser.add_argument("--max_pitch", type=float, default=Limits.max_pitch, help=f"largest turn up or down ({Limits.max_pitch:g})")
    parser.add_argument("--min_confidence", type=float, default=Limits.min_confidence,
                        help=f"least confidence of the capture, 0..1 ({Limits.min_confidence})")
    parser.add_argument("--duplicate", type=float, default=Limits.duplicate,
                        help=f"two pictures are one when this share of their hashes differs, or less ({Limits.duplicate})")
    parser.add_argument("--identity", default=DEFAULT, metavar="NAME",
                        help=f"embedding that tells people apart: {', '.join(NAMES)} ({DEFAULT})")
    parser.add_argument("--same", type=float, default=None, metavar="COSINE",
                        help="likeness from which a face is the album's person (what the embedding says)")
    parser.add_argument("--max_megapixels", type=float, default=100.0, help="larger pictures are not read (100)")
    add_device_argument(parser)


def run(args: argparse.Namespace) -> int:
    from diffusionrig.capture.curation.album import Curation, curate_album, curation_table
    from diffusionrig.capture.curation.looking import KEPT, VERDICTS, Limits
    from diffusionrig.devices import resolve_device

    limits = Limits(args.min_face, args.min_sharpness, args.max_yaw, args.max_pitch, args.min_confidence, args.duplicate, args.same,
                    args.keep)
    request = Curation(args.folder, args.output_dir, args.apply, args.link, args.identity, args.max_megapixels,
                       str(resolve_device(args.device)), args.faces)
    looks, notes = curate_album(request, limits)
    print(curation_table(looks))
    for note in notes:
        print(note)
    counts = Counter(look.verdict for look in looks)
    where = f"; copies of what stays are in {args.output_dir}/{KEPT}" if args.output_dir else "; -o DIR makes copies of what stays"
    print(f"{len(looks)} photographs: {', '.join(f'{counts[name]} {name}' for name in VERDICTS if counts[name])}{where}")
    return 0
