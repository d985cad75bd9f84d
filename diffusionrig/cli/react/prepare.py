"""``diffusionrig react prepare``: the features of a split's speakers in one HDF5 file."""

from __future__ import annotations

import argparse

from diffusionrig.cli.arguments import add_device_argument, boolean, positive_int

DESCRIPTION = """Write what generators read of the speakers of a split into one HDF5 file, under UniFR's names where it has
them: faces frame by frame with gaps marked, 3DMM coefficients (our own capture where the corpus has none), log mel
energies and MFCC, ComParE by openSMILE, wav2vec2 and VideoMAE features where the weights are given, and the 25
attributes. What cannot be had here is left out with one sentence, which is kept in the file. Clips are made in parallel;
a run that was interrupted continues when it is started again. See docs/reactions-features.md."""
EXAMPLES = """  diffusionrig react prepare --data data/react2024 --split val --output_dir data/features --workers 8
  diffusionrig react prepare --data data/react2024 --split train --features logmel,mfcc --output_dir data/features
  diffusionrig react prepare --data data/raw --split val --length 750 --frames_every 2 --output_dir data/features
  diffusionrig react prepare --data data/react2024 --split val --wav2vec2 models/wav2vec2-base-960h --output_dir data/features
  diffusionrig react prepare --check data/features/val_sequential.h5"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from diffusionrig.capture.tracking.tracker import TRACKS
    from diffusionrig.reactions.corpus.layout import SPLITS
    from diffusionrig.reactions.features.choosing import NAMES
    from diffusionrig.reactions.features.clip_data import SOUND_RATE

    parser.add_argument("--data", default="", metavar="ROOT", help="the corpus: folder with train, val and test")
    parser.add_argument("--split", default="val", choices=SPLITS, help="which split (val)")
    parser.add_argument("--output_dir", default="", metavar="DIR", help="folder for <split>_sequential.h5")
    parser.add_argument("--features", default=",".join(NAMES), metavar="A,B",
                        help=f"which, of {','.join(NAMES)} (all that can be had)")
    parser.add_argument("--workers", type=positive_int, default=1,
                        help="processes; the numbers are the same whatever their number (1)")
    parser.add_argument("--length", type=positive_int, default=None, metavar="T",
                        help="frames of every clip that count (the corpus's own)")
    parser.add_argument("--face_size", type=int, default=128, metavar="PX", help="side of the face crops, 0 for none (128)")
    parser.add_argument("--frames_every", type=positive_int, default=1, metavar="N",
                        help="capture coefficients of every Nth frame and interpolate those between (1)")
    parser.add_argument("--track", choices=TRACKS, default=TRACKS[0],
                        help="auto follows one person through a clip and steadies what moves, where every frame is captured; off "
                             "captures frames as if there were no others (auto)")
    parser.add_argument("--smooth", type=float, default=0.0, metavar="HZ",
                        help="one-euro filter of captured coefficients: cutoff at rest, 0 for none (0)")
    parser.add_argument("--smooth_beta", type=float, default=1.0, metavar="B", help="its speed coefficient (1)")
    parser.add_argument("--recapture", type=boolean, default=False, metavar="BOOL",
                        help="capture coefficients even where the corpus has them (False)")
    parser.add_argument("--sound_rate", type=positive_int, default=SOUND_RATE, metavar="HZ",
                        help=f"rate that all sound is brought to before features are made of it ({SOUND_RATE})")
    parser.add_argument("--emotion_model", default="arkit-rule", metavar="NAME",
                        help="attributes where the corpus has none: arkit-rule, or package.module:function (arkit-rule)")
    parser.add_argument("--wav2vec2", default="", metavar="DIR",
                        help="folder of a wav2vec2 in safetensors, as transformers reads it")
    parser.add_argument("--videomae", default="", metavar="DIR", help="folder of a VideoMAE likewise")
    parser.add_argument("--shuffled", type=boolean, default=False, metavar="BOOL",
                        help="rows in random order as <split>_shuffled.h5, with the matrix likewise, as UniFR trains from (False)")
    parser.add_argument("--seed", type=int, default=0, help="of that order (0)")
    parser.add_argument("--targets", type=boolean, default=False, metavar="BOOL",
                        help="also write the attributes of speakers and listeners, <split>_s_gt.npy and <split>_l_gt.npy (False)")
    parser.add_argument("--check", default="", metavar="FILE", help="only show what is in this file, and what is wrong with it")
    add_device_argument(parser)


def run(args: argparse.Namespace) -> int:
    from diffusionrig.errors import UsageError

    if args.check:
        return _check(args.check)
    for flag, what in (("data", "corpus"), ("output_dir", "folder to write to")):
        if not getattr(args, flag):
            raise UsageError(f"Give the {what} as --{flag}.")
    from diffusionrig.devices import resolve_device
    from diffusionrig.reactions.features.choosing import Settings
    from diffusionrig.reactions.features.prepare import Job, prepare

    settings = Settings(args.face_size, args.frames_every, args.smooth, args.smooth_beta, args.recapture, args.wav2vec2,
                        args.videomae, args.emotion_model, str(resolve_device(args.device)), args.sound_rate, args.track)
    job = Job(args.data, args.split, tuple(filter(None, args.features.split(","))), settings, args.length, args.shuffled, args.seed,
              args.targets)
    report = prepare(job, args.output_dir, args.workers)
    for name in job.features:
        if name in report["skipped"]:
            print(report["skipped"][name])
    made = f"{report['made']} made now" if report["made"] else "all done before"
    print(f"{report['clips']} clips ({made}), {', '.join(report['features'])}: {report['file']}")
    return 0


def _check(path: str) -> int:
    from diffusionrig.reactions.corpus.check_report import summary, table
    from diffusionrig.reactions.corpus.unifr import UnifrFile, check_unifr
    from diffusionrig.reactions.features.listing import listing

    findings, counts = check_unifr(path)
    if not any(finding.kind == "damaged" and finding.row is None for finding in findings):
        with UnifrFile(path) as file:
            print(listing(file))
    if findings:
        print(table(findings))
    print(summary(findings, counts))
    return int(any(finding.problem for finding in findings))
