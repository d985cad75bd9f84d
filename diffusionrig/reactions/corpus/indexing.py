"""Building what a corpus's folders lack: lists of pairs, appropriateness matrices, MARS's target lists."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np

from diffusionrig import __version__
from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.arrays import write_npy
from diffusionrig.io.files import read_json, write_json
from diffusionrig.io.tables import write_text_table
from diffusionrig.reactions.corpus.clips import ClipId, other_role, side
from diffusionrig.reactions.corpus.corpus import VARIANTS, Corpus, Split
from diffusionrig.reactions.corpus.layout import MODALITIES
from diffusionrig.reactions.corpus.mars import target_lists
from diffusionrig.reactions.corpus.matrix_rules import RULES, make_matrix
from diffusionrig.reactions.corpus.similarity import DEFAULT_THRESHOLD
from diffusionrig.reactions.corpus.walking import clips_on_disk

INDEX = "index.json"


@dataclasses.dataclass(frozen=True)
class Made:
    """One file that was written or found: ``what`` it is and one sentence on how it came about."""

    file: str
    written: bool
    note: str


def index_corpus(root: str | Path, rule: str = "auto", threshold: float = DEFAULT_THRESHOLD, overwrite: bool = False,
                 seed: int = 0) -> list[Made]:
    """Write the lists and matrices that are absent (all, with ``overwrite``) and ``index.json``, which tells how.

    ``rule`` for matrices: ``blocks`` cuts REACT's matrix of all pairs, ``truth`` takes a synthetic corpus at its word,
    ``similarity`` compares speakers (our own rule, with ``threshold``), ``auto`` the first of these that can be done.
    """
    if rule not in RULES:
        raise UsageError(f"There is no rule {rule!r}; choose from {', '.join(RULES)}.")
    if not 0 < threshold <= 1:
        raise UsageError(f"The threshold {threshold} must lie above 0 and at most at 1.")
    corpus = Corpus.open(root)
    made: list[Made] = []
    for split in corpus.splits:
        if corpus.layout.name == "mars":
            made.append(_targets(corpus.split(split), seed, overwrite))
            continue
        table = corpus.root / f"{split}.csv"
        matrix = corpus.root / VARIANTS[""][1].format(split=split)
        if matrix.exists() and not table.exists() and not overwrite:
            raise UsageError(f"{matrix} is there without {table.name}, whose order it follows; put that list back, or make both "
                             "anew with --overwrite.")
        made.append(_list(corpus, split, table, overwrite))
        made.append(_matrix(corpus.split(split), rule, threshold, overwrite))
    if not made:
        raise UsageError(f"{root} holds no split; there is no folder train, val or test in it.")
    previous = read_json(corpus.root / INDEX) if (corpus.root / INDEX).is_file() else {}
    files = previous.get("files", {}) if isinstance(previous, dict) else {}
    files.update({entry.file: entry.note for entry in made if entry.written})
    write_json(corpus.root / INDEX, {"software": f"diffusionrig {__version__}", "files": files})
    return made


def _list(corpus: Corpus, split: str, table: Path, overwrite: bool) -> Made:
    if table.exists() and not overwrite:
        return Made(table.name, False, "it was there")
    pairs, alone = find_pairs(corpus, split)
    if not pairs:
        raise RigError(f"No pair of clips is in {corpus.root / split}; a pair is one clip of both roles of a session.")
    write_text_table(table, ["", "speaker_path", "listener_path"],
                     [[number, *map(str, pair)] for number, pair in enumerate(pairs)])
    left = ""
    if alone:
        more = " ..." if len(alone) > 5 else ""
        left = f"; {len(alone)} left out, since a partner or a file is absent: {', '.join(alone[:5])}{more}"
    return Made(table.name, True, f"{len(pairs)} pairs by session and clip{left}")


def find_pairs(corpus: Corpus, split: str) -> tuple[list[tuple[ClipId, ClipId]], list[str]]:
    """Pairs (first participant of the site first) of the clips that are in every modality of the split, in natural order, and
    the clips that have no partner or lack a modality."""
    found: dict[tuple[str, str, str], dict[str, set[str]]] = {}
    present = [modality for modality in MODALITIES if corpus.layout.folder(corpus.root, split, modality).is_dir()]
    names: dict[tuple[str, str, str], dict[int | str, str]] = {}
    # The Emotion folder renames roles: the others come first, and theirs are the names that count.
    for modality in sorted(present, key=lambda modality: modality == "emotion"):
        for entry in clips_on_disk(corpus.layout, corpus.root, split, modality):
            if entry.clip is None:
                continue
            number = side(entry.clip)
            who: int | str = entry.clip.role if number is None else number
            role = names.setdefault(entry.clip.pair, {}).setdefault(who, entry.clip.role)
            found.setdefault(entry.clip.pair, {}).setdefault(role, set()).add(modality)
    pairs, alone = [], []
    for key in sorted(found, key=lambda key: (key[0], natural(key[1]), natural(key[2]))):
        site, session, clip = key
        whole = [role for role, has in found[key].items() if has == set(present)]
        ids = sorted((ClipId(site, session, role, clip) for role in whole), key=lambda one: (side(one) or 0, one.role))
        if len(ids) == 2 and (other_role(ids[0]) in (None, ids[1].role)):
            pairs.append((ids[0], ids[1]))
        else:
            alone.append("/".join(key))
    return pairs, alone


def natural(text: str) -> list[tuple[int, int | str]]:
    """A key that sorts numbers within names by value: 2 before 10."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", text) if part]


def _matrix(split: Split, rule: str, threshold: float, overwrite: bool) -> Made:
    path = split.matrix_path
    assert path is not None
    if path.exists() and not overwrite:
        return Made(path.name, False, "it was there")
    matrix, note = make_matrix(split, rule, threshold)
    write_npy(path, matrix.astype(np.uint8))
    degree = matrix.sum(1)
    return Made(path.name, True, f"{note}; {degree.mean():.1f} neighbours on average, {(degree == 1).mean():.0%} of the items "
                "have none but themselves")


def _targets(split: Split, seed: int, overwrite: bool) -> Made:
    path = split.corpus.root / f"targets_{split.name}.csv"
    if path.exists() and not overwrite:
        return Made(path.name, False, "it was there")
    lists = target_lists(split, seed)
    write_text_table(path, ["", "speaker_path", "listener_path", *(f"target_{k}" for k in range(len(lists[0])))],
                     [[item.index, item.speaker, item.listener, *(split.items[target].listener for target in targets)]
                      for item, targets in zip(split.items, lists)])
    return Made(path.name, True, f"{len(lists)} items with {len(lists[0])} targets each, drawn with seed {seed} among the "
                "listeners of the session")
