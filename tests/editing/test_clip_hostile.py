"""Clips that go wrong: a sentence or a marked gap each, never another person's face, and no crash after the work."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from stamped_clips import write_stamped

from diffusionrig.data.synthetic.people import sample_person
from diffusionrig.data.synthetic.photographs import render_photographs
from diffusionrig.data.synthetic.scenes import sample_scene
from diffusionrig.editing.clip import Drive, run_clip
from diffusionrig.editing.controls import parse_modes
from diffusionrig.editing.driving import gap_sentences
from diffusionrig.editing.order import Order
from diffusionrig.editing.sampling import Sampling
from diffusionrig.errors import RigError
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.images import read_image, write_png
from diffusionrig.io.movies import movie_info, write_movie
from diffusionrig.io.resize import resize_square

SIDE = 192
BLANK = np.full((SIDE, SIDE, 3), 90, np.uint8)


@pytest.fixture(scope="module")
def person() -> np.ndarray:
    return resize_square(read_image("diffusionrig/assets/portrait.jpg"), SIDE)


@pytest.fixture(scope="module")
def others() -> list[np.ndarray]:
    """Somebody else, and that person in profile."""
    head = load_head()
    who = sample_person(78, 3, head)
    scene = sample_scene(who, 78, 0, head, yaw_limit=10, neutral=True)
    pose = scene.code.pose.clone()
    pose[:, 1] = 1.45
    return [render_photographs([who], [one], head, SIDE)[0]
            for one in (scene, scene.replace_code(scene.code.replace(pose=pose)))]


@pytest.fixture
def order(tmp_path, person) -> Order:
    write_png(tmp_path / "me.png", person)
    return Order(source=str(tmp_path / "me.png"), target=str(tmp_path / "clip.mp4"), edits=parse_modes("exp+pose"),
                 output_dir=str(tmp_path / "out"), sampling=Sampling(), align_source=None)


def said(report: dict) -> str:
    clip = report["clip"]
    return " ".join(gap_sentences(clip["frames"], clip["frames_without_face"], clip["frames_held"], clip["other_people"],
                                  clip["frames_doubtful"]))


@pytest.mark.slow
def test_two_people_a_cut_to_another_and_nobody_for_seconds(reference_rig, order, person, others):
    """The one who is there at the start is followed, whatever comes."""
    together = np.concatenate([person, others[0]], 1)
    alone, gone = np.concatenate([person, BLANK], 1), np.concatenate([BLANK, BLANK], 1)
    stranger = np.concatenate([others[0], BLANK], 1)
    frames = [alone, together, together, gone, gone, gone, stranger, stranger, alone]
    write_movie(order.target, frames, 2)
    report = run_clip(reference_rig, order, Drive())
    assert report["clip"]["frames_held"] == [3, 4, 5, 6, 7]
    assert "do not show this person for longer than can be bridged" in said(report)
    assert "somebody else is seen" in said(report)
    drawn = [read_image(Path(order.output_dir) / "0_exp+pose" / f"frame_{number}.png").astype(int) for number in range(9)]
    for number in (3, 5, 7):
        assert np.array_equal(drawn[number], drawn[2])


@pytest.mark.slow
def test_one_frame_and_a_hundred_and_twenty_a_second(reference_rig, order, person):
    write_movie(order.target, [person], 25)
    report = run_clip(reference_rig, order, Drive())
    assert report["clip"]["frames"] == 1
    assert movie_info(Path(order.output_dir) / "0_exp+pose.mp4").frames == 1
    fast = dataclasses.replace(order, target=str(Path(order.target).with_name("fast.mp4")), output_dir=order.output_dir + "2")
    write_stamped(Path(fast.target), [np.roll(person, shift, 1) for shift in range(4)], [n / 120 for n in range(4)], rate=120)
    report = run_clip(reference_rig, fast, Drive())
    assert (report["clip"]["frames"], report["clip"]["fps"]) == (4, pytest.approx(120, abs=5))


@pytest.mark.slow
def test_frames_of_four_thousand_pixels(reference_rig, order, person):
    large = np.full((2160, 3840, 3), 90, np.uint8)
    large[300:300 + 8 * SIDE, 1200:1200 + 8 * SIDE] = person.repeat(8, 0).repeat(8, 1)
    write_movie(order.target, [large, large], 25)
    report = run_clip(reference_rig, order, Drive())
    assert report["clip"]["frames_without_face"] == []
    with pytest.raises(RigError, match=r"3840 x 2160 pixels, more than the limit of 5 megapixels"):
        run_clip(reference_rig, dataclasses.replace(order, max_megapixels=5, output_dir=order.output_dir + "2"), Drive())


def test_a_driver_in_profile(reference_rig, order, others):
    """Found or not, it is said."""
    write_movie(order.target, [others[0], others[0], others[1], others[1], others[1]], 2)
    report = run_clip(reference_rig, order, Drive())
    clip = report["clip"]
    assert set(clip["frames_without_face"]) | set(clip["frames_doubtful"]) >= {2, 3, 4}
    assert said(report)
