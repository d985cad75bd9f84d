"""Where a split's appropriateness matrix comes from when none was distributed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.files import read_json
from diffusionrig.io.mapped_npy import map_npy
from diffusionrig.io.tables import read_text_table
from diffusionrig.reactions.corpus.attributes import COLUMNS
from diffusionrig.reactions.corpus.corpus import Split
from diffusionrig.reactions.corpus.matrices import cut_blocks, pair_rows
from diffusionrig.reactions.corpus.similarity import similar_speakers

RULES = ("auto", "blocks", "truth", "similarity")
WHOLE_MATRIX, WHOLE_INDEX, TRUTH = "Approprirate_facial_reaction.npy", "data_indices.csv", "truth.json"
"""Matrix and list of all pairs (the spelling is REACT's), and what a synthetic corpus knows of itself."""


def make_matrix(split: Split, rule: str, threshold: float) -> tuple[np.ndarray, str]:
    """The matrix (N, N) bool of ``split``, and a clause on how it came about.

    ``blocks`` cuts REACT's matrix of all pairs, ``truth`` takes a synthetic corpus at its word, ``similarity`` compares
    speakers by our own rule with ``threshold``; ``auto`` is the first of these whose files are there.
    """
    root = split.corpus.root
    can = {"blocks": (root / WHOLE_MATRIX).is_file() and (root / WHOLE_INDEX).is_file(), "truth": (root / TRUTH).is_file(),
           "similarity": True}
    chosen = next(name for name in RULES[1:] if can[name]) if rule == "auto" else rule
    if not can[chosen]:
        needed = f"{WHOLE_MATRIX} and {WHOLE_INDEX}" if chosen == "blocks" else TRUTH
        raise UsageError(f"The rule {chosen} needs {needed} in {root}; put them there or choose another rule.")
    if chosen == "blocks":
        return cut_matrix(split), f"cut out of {WHOLE_MATRIX} by the block rule"
    if chosen == "truth":
        return true_matrix(split), "the truth of the synthetic corpus"
    return (similar_speakers(speaker_behaviour(split), threshold),
            f"our own rule: speakers whose attributes have a concordance of at least {threshold}, since the rule of the corpus's "
            "authors is not published")


def cut_matrix(split: Split) -> np.ndarray:
    """The split's blocks of REACT's matrix of all pairs."""
    matrix_path, index_path = split.corpus.root / WHOLE_MATRIX, split.corpus.root / WHOLE_INDEX
    rows = read_text_table(index_path, "list of all pairs")[1]
    for number, row in enumerate(rows):
        if len(row) != 3:
            raise RigError(f"Row {number} of {index_path} has {len(row)} cells, but site, chat_index and clip_index are needed; "
                           "copy it again.")
    whole = map_npy(matrix_path, "matrix of all pairs")
    if whole.ndim == 2 and len(whole) != 2 * len(rows):
        raise RigError(f"{matrix_path} is of {len(whole)} items, but {index_path.name} lists {len(rows)} pairs, which make "
                       f"{2 * len(rows)}; the two belong to different corpora.")
    return cut_blocks(whole, pair_rows([item.speaker for item in split.items[:split.pairs]], rows))


def true_matrix(split: Split) -> np.ndarray:
    """The neighbours that truth.json lists, for the pairs of the split's list in whatever order."""
    path: Path = split.corpus.root / TRUTH
    known = read_json(path)
    try:
        clips, neighbours = known["splits"][split.name]["clips"], known["splits"][split.name]["neighbours"]
        order = {(clip["speaker"], clip["listener"]): row for row, clip in enumerate(clips)}
        order |= {(listener, speaker): row + len(clips) for (speaker, listener), row in order.items()}
        rows = [order[str(item.speaker), str(item.listener)] for item in split.items]
        dense = np.zeros((len(neighbours), len(neighbours)), bool)
        for row, columns in enumerate(neighbours):
            dense[row, columns] = True
    except (KeyError, TypeError, IndexError) as error:
        raise RigError(f"{path} does not tell of the items of {split.name} ({error}); it belongs to another corpus.") from None
    return dense[np.ix_(rows, rows)]


def speaker_behaviour(split: Split) -> np.ndarray:
    """Attributes (N, T, 25) float32 of all speakers: 75 kB for each item of 750 frames."""
    if split.length is None:
        raise UsageError("Speakers in clips of different lengths cannot be compared; give a length.")
    rows = np.empty((len(split), split.length, len(COLUMNS)), np.float32)
    for item in split.items:
        rows[item.index] = split.emotion(item.speaker)
    return rows
