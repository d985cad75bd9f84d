"""What a model's file says of itself."""

import pytest

from diffusionrig.errors import RigError
from diffusionrig.io.descriptions import checked_description

WHOLE = {"head": {"name": "open", "hash": None}, "data": {"records": 3}, "stage": 2, "best": None}


def test_a_description_may_lack_parts_and_leave_words_unsaid():
    assert checked_description(WHOLE, "a") == WHOLE
    assert checked_description({}, "a") == {}


@pytest.mark.parametrize("changed", [{"head": {"name": "open"}}, {"head": {"hash": "0"}}, {"head": {}}, {"head": 3}, {"data": {}},
                                     {"stage": True}, {"step": 1 << 63}, {"best": {"step": 1}}, {"base": {"name": "x"}}])
def test_what_it_says_must_be_of_its_kind(changed):
    with pytest.raises(RigError, match=f"says of its {next(iter(changed))} is damaged"):
        checked_description({**WHOLE, **changed}, "a")
