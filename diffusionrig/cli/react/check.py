"""``diffusionrig react check``: what is wrong in a corpus."""

from __future__ import annotations

import argparse

from diffusionrig.cli.arguments import positive_int

DESCRIPTION = """Read every file of a corpus and report each that is missing, short, misnamed or damaged (wrong columns, values
that are not finite), lists that pair the wrong clips, and matrices that are not square, of the right size, binary and
symmetric with a unit diagonal. Mono sound and clips that no list speaks of are noted. Ends with status 1 when there are
problems, 0 when there are only notes. See docs/reactions-data.md."""
EXAMPLES = """  diffusionrig react check data/react2024
  diffusionrig react check data/react2024 --split val --report log/check.csv
  diffusionrig react check log/dyads --report log/check.json
  diffusionrig react check data/unifr/val_sequential.h5"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", metavar="ROOT", help="folder with train, val and test; or a file of UniFR's features (.h5)")
    parser.add_argument("--split", action="append", default=[], metavar="NAME", help="only this split; may be given again")
    parser.add_argument("--length", type=positive_int, default=None, metavar="T",
                        help="frames that every clip should have (those that most have)")
    parser.add_argument("--report", default="", metavar="FILE", help="write all rows to this .json or .csv file as well")
    parser.add_argument("--most", type=positive_int, default=200, help="rows shown at most (200); the report has all")


def run(args: argparse.Namespace) -> int:
    from diffusionrig.errors import UsageError
    from diffusionrig.reactions.corpus.check_report import summary, table, write_report
    from diffusionrig.reactions.corpus.checking import check_corpus
    from diffusionrig.reactions.corpus.unifr import check_unifr

    if args.report and not args.report.endswith((".json", ".csv")):
        raise UsageError(f"--report {args.report} ends in neither .json nor .csv.")
    if args.root.endswith(".h5"):
        findings, counts = check_unifr(args.root)
    else:
        findings, counts = check_corpus(args.root, args.split, args.length)
    if findings:
        print(table(findings[:args.most]))
    if len(findings) > args.most:
        print(f"... and {len(findings) - args.most} more")
    print(summary(findings, counts))
    if args.report:
        write_report(args.report, findings, counts)
    return int(any(finding.problem for finding in findings))
