"""Small synthetic corpora for the tests of reactions, written once and copied where a test breaks one."""

from __future__ import annotations

import atexit
import shutil
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp

from diffusionrig.reactions.synthetic.options import Options
from diffusionrig.reactions.synthetic.writing import write_corpus

SMALL = Options(seed=3, dyads=(2, 1, 1), clips=2, frames=48, audio="mono", sites=("NoXI", "UDIVA"))


def scratch() -> Path:
    """A folder for what several tests share, gone when they are done."""
    folder = Path(mkdtemp(prefix="diffusionrig-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@lru_cache(maxsize=8)
def written(options: Options = SMALL) -> Path:
    """A corpus of these options, shared: change nothing in it."""
    folder = scratch() / "corpus"
    write_corpus(options, folder)
    return folder


def copied(place: Path, options: Options = SMALL) -> Path:
    """A copy of it at ``place``, to be broken."""
    shutil.copytree(written(options), place)
    return place
