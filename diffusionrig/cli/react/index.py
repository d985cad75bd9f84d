"""``diffusionrig react index``: the lists and matrices that a corpus lacks."""

from __future__ import annotations

import argparse

DESCRIPTION = """Write the lists of pairs (train.csv ...) and appropriateness matrices (neighbour_emotion_train.npy ...) that
a corpus lacks, from its folders: a pair is one clip of both roles of a session. Matrices are cut out of REACT's matrix of
all pairs where that and data_indices.csv are there, or follow truth.json of a synthetic corpus; else speakers are compared
by a rule of our own, since that of the corpus's authors is not published. For MARS, lists of ten targets an item are drawn.
index.json records how each file was made. Nothing that is there is replaced without --overwrite."""
EXAMPLES = """  diffusionrig react index data/react2024
  diffusionrig react index data/mine --rule similarity --threshold 0.4
  diffusionrig react index data/mars --seed 0"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from diffusionrig.reactions.corpus.matrix_rules import RULES
    from diffusionrig.reactions.corpus.similarity import DEFAULT_THRESHOLD

    parser.add_argument("root", metavar="ROOT", help="folder with train, val and test")
    parser.add_argument("--rule", choices=RULES, default="auto", help="where matrices come from (auto: the first that can be done)")
    parser.add_argument("--threshold", type=float, default=DEFAULT_THRESHOLD,
                        help=f"concordance from which speakers are alike, for the rule similarity ({DEFAULT_THRESHOLD})")
    parser.add_argument("--seed", type=int, default=0, help="which targets are drawn for MARS (0)")
    parser.add_argument("--overwrite", action="store_true", help="replace lists and matrices that are there")


def run(args: argparse.Namespace) -> int:
    from diffusionrig.reactions.corpus.indexing import index_corpus

    made = index_corpus(args.root, args.rule, args.threshold, args.overwrite, args.seed)
    for entry in made:
        print(f"{'written' if entry.written else 'kept   '}  {entry.file}: {entry.note}")
    return 0
