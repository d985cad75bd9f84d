import numpy as np
import pytest
from evaluation.people import moved, portraits

from diffusionrig.errors import RigError
from diffusionrig.evaluation.reenactment.framing import SIDE, frame_source, frame_truth, head_size
from diffusionrig.faces.alignment import align
from diffusionrig.faces.landmarker import FaceLandmarker


@pytest.fixture(scope="module")
def finder():
    return FaceLandmarker()


@pytest.fixture(scope="module")
def source(finder):
    return frame_source(moved(portraits()[0]), finder)


def grey_levels(first, second):
    """Mean absolute difference well inside the frame."""
    inner = slice(SIDE // 8, -SIDE // 8)
    return np.abs(first.astype(float) - second)[inner, inner].mean()


def turn_of(square):
    return np.degrees(np.arctan2(*(square[3] - square[0])[::-1]))


def side_of(square):
    return np.hypot(*(square[3] - square[0]))


def test_a_source_is_cut_as_align_cuts_it(finder):
    photo = moved(portraits()[0], turn=7)
    framed = frame_source(photo, finder)
    assert (framed.image == align(photo, finder.detect(photo)[0].points68, SIDE).image).all()


def test_a_picture_that_is_aligned_already_is_left_as_it_is(finder, source):
    again = frame_source(source.image, finder)
    assert (again.image == source.image).all()


@pytest.mark.parametrize(("scale", "shift"), [(1.0, (37, -22)), (0.9, (0, 0)), (1.12, (-20, 15))])
def test_the_frame_follows_a_head_that_moves_or_comes_nearer(finder, source, scale, shift):
    photo = moved(portraits()[0], scale, 0, shift)
    still = frame_truth(photo, source, finder, "clip", one_camera=True)
    followed = frame_truth(photo, source, finder, "head", one_camera=True)
    assert grey_levels(followed.image, source.image) < 3
    assert grey_levels(still.image, source.image) > 12
    assert side_of(followed.square) / side_of(source.square) == pytest.approx(scale, rel=0.02)
    assert (still.square == source.square).all()


def test_before_one_camera_a_turned_head_stays_turned(finder, source):
    photo = moved(portraits()[0], turn=15)
    kept = frame_truth(photo, source, finder, "head", one_camera=True)
    level = frame_truth(photo, source, finder, "head", one_camera=False)
    own = frame_truth(photo, source, finder, "own", one_camera=True)
    assert turn_of(kept.square) == pytest.approx(turn_of(source.square), abs=1e-6)
    for framed in (level, own):
        assert turn_of(framed.square) - turn_of(source.square) == pytest.approx(-15, abs=1.5)
        assert grey_levels(framed.image, source.image) < 6
    assert grey_levels(kept.image, source.image) > 12


def test_the_true_result_of_an_edit_is_framed_as_the_edit_is(finder):
    """An edit keeps place and size of the head; so of the true picture of another pose and expression nothing is to be followed,
    whereas aligning it by itself takes a turned or laughing face for a nearer or farther one."""
    errors = {"head": [], "own": []}
    for index in (3, 4, 6):
        before, *after = portraits(index, (1, 2, 4))
        source = frame_source(moved(before), finder)
        for true in after:
            for framing, found in errors.items():
                framed = frame_truth(moved(true), source, finder, framing, one_camera=True)
                found.append(abs(side_of(framed.square) / side_of(source.square) - 1))
                if framing == "head":
                    assert np.abs(framed.square - source.square).max() < 0.06 * side_of(source.square)
    assert np.median(errors["head"]) < 0.025
    assert np.median(errors["own"]) > 1.5 * np.median(errors["head"])


def test_the_size_of_a_head_does_not_depend_on_its_turn(finder):
    straight, tilted = (finder.detect(moved(portraits()[0], turn=turn))[0] for turn in (0, 25))
    assert head_size(tilted) == pytest.approx(head_size(straight), rel=0.02)


def test_of_two_faces_in_a_clip_the_nearest_is_meant(finder):
    one, other = portraits(3, ())[0], portraits(6, ())[0]
    first = np.concatenate([moved(one, size=(260, 260)), moved(other, size=(260, 260))], 1)
    source = frame_source(np.concatenate([moved(one, size=(260, 260)), np.full((260, 260, 3), 90, np.uint8)], 1), finder)
    framed = frame_truth(first, source, finder, "head", one_camera=True)
    assert grey_levels(framed.image, source.image) < 3
    swapped = np.concatenate([moved(other, size=(260, 260)), moved(one, size=(260, 260))], 1)
    assert grey_levels(frame_truth(swapped, source, finder, "head", one_camera=True).image, source.image) > 12


def test_what_cannot_be_framed_says_why(finder, source):
    with pytest.raises(RigError, match="no face was found"):
        frame_source(np.full((300, 300, 3), 127, np.uint8), finder)
    photo = moved(portraits()[0])
    with pytest.raises(RigError, match="no face was found"):
        frame_source(photo, finder, least=1.01)
    with pytest.raises(RigError, match="cut off by the edge"):
        frame_truth(moved(portraits()[0], shift=(205, 0)), source, finder, "head", one_camera=True)
