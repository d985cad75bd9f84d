"""Which of DECA's numbers EMOCA's expression network replaces."""

from __future__ import annotations

import pytest
import torch

from diffusionrig.capture.deca.heads import split
from diffusionrig.capture.emoca.layout import HEAD_FLAG, JAW_FLAG, Layout, layout_of
from diffusionrig.errors import RigError


@pytest.mark.parametrize(("outputs", "settings", "expected"), [
    (50, {}, Layout(jaw=False, head=False)),
    (50, {JAW_FLAG: True, HEAD_FLAG: True}, Layout(jaw=False, head=False)),
    (53, {JAW_FLAG: True, HEAD_FLAG: False}, Layout(jaw=True, head=False)),
    (53, {HEAD_FLAG: True}, Layout(jaw=False, head=True)),
    (56, {}, Layout(jaw=True, head=True)),
])
def test_the_count_decides_and_the_flags_only_where_it_cannot(outputs: int, settings: dict, expected: Layout) -> None:
    found = layout_of(outputs, settings, "m")
    assert found == expected
    assert found.outputs == outputs


@pytest.mark.parametrize(("outputs", "settings", "words"), [
    (53, {}, "exactly one must be true"),
    (53, {JAW_FLAG: True, HEAD_FLAG: True}, "exactly one must be true"),
    (100, {}, "100 outputs, where 50, 53 or 56 are known"),
])
def test_what_cannot_be_told_is_one_sentence(outputs: int, settings: dict, words: str) -> None:
    with pytest.raises(RigError, match=words):
        layout_of(outputs, settings, "the model")


@pytest.mark.parametrize("layout", [Layout(jaw, head) for jaw in (False, True) for head in (False, True)])
def test_only_what_the_network_says_is_replaced(layout: Layout) -> None:
    vector = torch.arange(2 * 236.0).view(2, 236)
    outputs = -1.0 - torch.arange(2.0 * layout.outputs).view(2, -1)
    before, after = split(vector), layout.replace(split(vector), outputs)
    for name in ("shape", "tex", "cam", "light"):
        assert torch.equal(getattr(after, name), getattr(before, name)), name
    assert torch.equal(after.exp, outputs[:, :50])
    assert torch.equal(after.pose[:, :3], outputs[:, 50:53] if layout.head else before.pose[:, :3])
    assert torch.equal(after.pose[:, 3:], outputs[:, -3:] if layout.jaw else before.pose[:, 3:])
