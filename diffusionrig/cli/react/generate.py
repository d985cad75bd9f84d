"""``diffusionrig react generate``: a trained generator's answers to every item of a split."""

from __future__ import annotations

import argparse
from pathlib import Path

from diffusionrig.cli.arguments import add_device_argument, boolean, positive_int

DESCRIPTION = """Let a generator that 'react train' made answer every item of a split. Writes NAME.npy (items, samples, frames, 25)
in mirrored order, NAME_3dmm.npy (items, samples, frames, 58) and NAME.json about both, for 'react evaluate' and 'react render'."""
EXAMPLES = """  diffusionrig react generate --model_path log/faceais --data log/dyads --split val --output log/faceais.npy
  diffusionrig react generate --model_path log/perfrdiff --data log/dyads --split test --mode online --samples 5 --seed 1 \\
                              --output log/online.npy
  diffusionrig react generate --model_path log/perfrdiff --data log/dyads --listener none --output log/generic.npy"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model_path", default="", help="run folder of 'react train', or a model in it")
    parser.add_argument("--data", default="", metavar="DIR", help="the corpus")
    parser.add_argument("--split", default="val", help="train, val or test (val)")
    parser.add_argument("--variant", default="", help="person_specific takes PerFRDiff's lists and matrices")
    parser.add_argument("--output", default="", metavar="NAME.npy", help="file to write")
    parser.add_argument("--samples", "--k", type=positive_int, default=10, help="reactions for each item, K (10)")
    parser.add_argument("--seed", type=int, default=0, help="which draw (0)")
    parser.add_argument("--mode", choices=["offline", "online"], default="offline",
                        help="online: a frame depends on what the speaker showed before it only (offline)")
    parser.add_argument("--listener", choices=["own", "none", "other"], default="own",
                        help="whose earlier clips personalise the reaction: the listener's own other clips in the split, none, or "
                             "another person's, to see what personalising is worth (own)")
    parser.add_argument("--audio", type=boolean, default=True, help="False for a corpus without sound (True)")
    parser.add_argument("--length", type=positive_int, default=None, metavar="FRAMES",
                        help="use so many frames of every clip; needed where clips differ in length")
    add_device_argument(parser)


def run(args: argparse.Namespace) -> int:
    from diffusionrig.errors import UsageError

    for name in ("model_path", "data", "output"):
        if not getattr(args, name):
            raise UsageError(f"No --{name} was given; give --model_path, --data and --output.")
    from diffusionrig.reactions.corpus import Corpus, Item
    from diffusionrig.reactions.generators.clips import Clips
    from diffusionrig.reactions.generators.running import load_generator
    from diffusionrig.reactions.interface import ListenerHistory, SpeakerClip
    from diffusionrig.reactions.predicting import Request, write_predictions

    split = Corpus.open(args.data, args.length).split(args.split, args.variant)
    generator = load_generator(args.model_path, args.device)
    clips = Clips(split, args.audio)

    def asking(item: Item) -> tuple[SpeakerClip, ListenerHistory | None]:
        heard = {"own": clips.history, "other": clips.stranger}.get(args.listener)
        return clips.speaker(item.speaker), heard(item.listener) if heard else None

    about = write_predictions(split, generator, Request(args.samples, args.seed, args.mode), Path(args.output), asking,
                              {"model_path": args.model_path, "listener": args.listener})
    print(f"{about['samples']} reactions of {about['frames']} frames by {about['generator']} to each of {about['items']} items of "
          f"{about['split']} are in {args.output}.")
    return 0
