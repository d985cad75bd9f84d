"""A small synthetic corpus that all tests of this folder share."""

import pytest

from diffusionrig.reactions.corpus import Corpus
from diffusionrig.reactions.synthetic.options import Options
from diffusionrig.reactions.synthetic.writing import write_corpus


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Two classes; every channel moves; train has 16 directed items, val 8, of 110 frames."""
    folder = tmp_path_factory.mktemp("dyads") / "corpus"
    write_corpus(Options(seed=3, dyads=(4, 2, 1), clips=2, frames=110, classes=2, micro=0.02, audio="none"), folder)
    return Corpus.open(folder)
