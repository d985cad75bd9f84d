"""``diffusionrig create-data``: folders of aligned photographs -> a face store for training."""

from __future__ import annotations

import argparse

from diffusionrig.cli.arguments import add_assets_argument, add_device_argument, boolean, positive_int
from diffusionrig.shown import some_lines

DESCRIPTION = """Capture every photograph below the data folders and store pictures and face codes for training.
Photographs should be aligned (diffusionrig align) and square; of others the centred square is taken. A run that was
interrupted continues when it is started again. The store gets a report.json with what was left out and why."""
EXAMPLES = """  diffusionrig create-data --data_dir log/aligned --output_dir log/album.lmdb
  diffusionrig create-data --data_dir ffhq1024 affectnet/train_set --output_dir log/faces.lmdb --image_size 256
  mpiexec -n 8 diffusionrig create-data --data_dir ffhq1024 --output_dir log/ffhq.lmdb
  diffusionrig create-data --data_dir log/aligned --output_dir log/album.lmdb --use_meanshape True
  diffusionrig create-data --data_dir log/aligned --output_dir log/deca.lmdb --use_model DECA"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from diffusionrig.faces.backends import BACKENDS
    from diffusionrig.io.stored_buffers import KINDS

    parser.add_argument("--data_dir", nargs="+", default=[], metavar="DIR",
                        help="folders of photographs; sub-folders are searched too")
    parser.add_argument("--output_dir", default="", metavar="DIR", help="folder of the store (LMDB)")
    parser.add_argument("--image_size", type=positive_int, default=256, help="side of the stored pictures, pixels (256)")
    parser.add_argument("--batch_size", type=positive_int, default=8,
                        help="photographs captured, and written in one transaction, at a time (8)")
    parser.add_argument("--use_meanshape", type=boolean, default=False,
                        help="one person: use the mean of all captured shapes for every photograph (False)")
    parser.add_argument("--use_model", default="", metavar="NAME",
                        help="EMOCA, DECA, SMIRK or FIT; default: the best whose files are present")
    parser.add_argument("--head", default="", metavar="NAME",
                        help="head model of the codes; default: flame-2020 for DECA, EMOCA and SMIRK, open-head-1 for FIT")
    parser.add_argument("--landmarks", choices=list(BACKENDS), default="mediapipe",
                        help="who finds the face that DECA and EMOCA look at; the published code uses fan (mediapipe)")
    parser.add_argument("--store_buffers", choices=KINDS, default="none",
                        help="keep rendered buffers in the store instead of rendering them for each batch (none)")
    parser.add_argument("--min_confidence", type=float, default=0.5, help="flag captures below this confidence (0.5)")
    parser.add_argument("--drop_flagged", type=boolean, default=False, help="leave flagged photographs out (False)")
    parser.add_argument("--labels", nargs="+", default=[], metavar="CSV",
                        help="label tables (AffectNet's columns); those in or beside the data folders are found without")
    parser.add_argument("--max_megapixels", type=float, default=100.0, help="refuse larger images (100)")
    parser.add_argument("--num_workers", type=positive_int, default=2, help="threads that read photographs ahead (2)")
    add_assets_argument(parser)
    add_device_argument(parser)


def run(args: argparse.Namespace) -> int:
    from diffusionrig.errors import UsageError

    if not args.data_dir or not args.output_dir:
        raise UsageError("Give the folders of photographs as --data_dir and the folder of the store as --output_dir.")
    import copy

    from diffusionrig.capture.encoder import Encoder, EncoderOptions
    from diffusionrig.capture.registry import best_encoder, check_usable, make_encoder, usual_head
    from diffusionrig.data.creation import CreationOptions, create_store
    from diffusionrig.data.sources import find_sources
    from diffusionrig.geometry.head import HeadModel
    from diffusionrig.geometry.heads import load_head
    from diffusionrig.io.unread import unread_sentence
    from diffusionrig.training.distributed import start_world

    options = CreationOptions(tuple(args.data_dir), args.output_dir, args.image_size, args.batch_size, args.use_meanshape,
                              args.store_buffers, args.max_megapixels, args.num_workers, args.min_confidence,
                              args.drop_flagged, tuple(args.labels))
    with start_world(args.device) as world, world.holding(args.output_dir, "create-data"):
        def load() -> None:
            # A mistyped folder should be known at once, not after the encoder is loaded.
            find_sources(options.data_dir, options.output_dir)
            name = check_usable(args.use_model or best_encoder(args.head))
            head = load_head(args.head or usual_head(name))
            settings = EncoderOptions.as_published(args.image_size, args.landmarks)
            loaded.append((make_encoder(name, head, str(world.device), settings), head))

        loaded: list[tuple[Encoder, HeadModel]] = []
        # Rank 0 first, so that one sentence says what is missing.
        world.on_main(load)
        if not world.main:
            load()
        encoder, head = loaded[0]
        report = create_store(options, encoder, copy.deepcopy(head).to(world.device), world, world.device)
    if world.main:
        for line in some_lines([f"{row['source']}: {row['reason']}" for row in report["refused_images"]],
                               where=f"{args.output_dir}/report.json"):
            print(line)
        print(f"{report['found']} images found: {report['used']} used ({report['flagged']} of them flagged as doubtful), "
              f"{report['refused']} refused; the store is {args.output_dir}. {unread_sentence(report['unread'])}".rstrip())
    return 0
