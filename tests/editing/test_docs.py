"""The examples in the documentation run as written."""

import doctest
from pathlib import Path

import pytest

from diffusionrig.editing import capturing, rig

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("page", ["docs/editing.md"])
def test_examples_of_a_page(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    failed, tried = doctest.testfile(str(ROOT / page), module_relative=False, verbose=False)
    assert tried > 4
    assert failed == 0


@pytest.mark.parametrize("module", [rig, capturing])
def test_examples_of_the_rig(module, monkeypatch):
    monkeypatch.chdir(ROOT)
    failed, tried = doctest.testmod(module)
    assert tried >= 2
    assert failed == 0
