import numpy as np
import pytest

from diffusionrig.demo.report import score_table
from diffusionrig.demo.score import Scored, summarise, wins


def scored(mode: str, edit: float, source: float, buffer: float) -> Scored:
    image = np.zeros((2, 2, 3), np.uint8)
    values = {"edit": edit, "carried photograph": 17.0, "unchanged source": source, "rendered buffer": buffer}
    return Scored(mode, image, image, image, image, image, image, values, {name: value / 100 for name, value in values.items()})


def test_means_are_taken_per_mode():
    summary = summarise([scored("exp", 24, 20, 18), scored("exp", 26, 22, 19), scored("pose", 21, 15, 16)])
    assert summary["exp"]["psnr"] == pytest.approx({"edit": 25, "carried photograph": 17, "unchanged source": 21,
                                                     "rendered buffer": 18.5})
    assert summary["exp"]["edits"]["count"] == 2
    assert summary["pose"]["ssim"]["edit"] == pytest.approx(0.21)


def test_an_edit_wins_only_against_both_baselines():
    summary = summarise([scored("exp", 24, 20, 18), scored("pose", 21, 22, 16), scored("light", 21, 15, 21)])
    assert wins(summary) == {"exp": True, "pose": False, "light": False}


def test_the_table_shows_every_number():
    text = score_table(summarise([scored("exp", 24, 20, 18)]))
    for number in ("24", "20", "18", "0.24"):
        assert f" {number} " in text
