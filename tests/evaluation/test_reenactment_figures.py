import numpy as np
import pytest
import torch
from evaluation.people import portraits
from seed_faces import face_code

from diffusionrig.capture.encoder import Capture
from diffusionrig.evaluation.reenactment.contestants import resized
from diffusionrig.evaluation.reenactment.figures import MEASURES, Truth, expression_distance, landmark_distance
from diffusionrig.evaluation.reenactment.framing import SIDE
from diffusionrig.evaluation.reenactment.looking import Look, Looker
from diffusionrig.evaluation.reenactment.summary import quartiles
from diffusionrig.geometry.heads import load_head
from diffusionrig.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle

PICTURE = np.random.default_rng(0).integers(40, 200, (SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def head():
    return load_head()


def points(eye_distance=50.0):
    found = np.random.default_rng(1).uniform(60, 190, (68, 2))
    found[36:42], found[42:48] = [100, 100], [100 + eye_distance, 100]
    return found


def look(code, identity=(1.0, 0.0)):
    return Look(points(), code, torch.tensor(identity))


@pytest.fixture(scope="module")
def truth(head):
    return Truth(PICTURE, look(face_code(1)), head, None)


def test_the_truth_itself_has_nothing_to_mend(truth):
    figures = truth.compare(PICTURE, look(face_code(1)))
    assert list(figures) == list(MEASURES)
    expected = {"psnr_head": 100, "ssim_head": 1, "psnr": 100, "ssim": 1, "identity": 1, "landmarks": 0, "pose": 0, "expression": 0}
    assert {name: figures[name] for name in expected} == pytest.approx(expected, abs=0.03)
    assert figures["lpips"] is None


def test_what_lies_beyond_the_true_head_counts_for_the_whole_picture_alone(truth):
    outside = truth.mask[0, 0].numpy() == 0
    assert 0.2 < outside.mean() < 0.9
    image = PICTURE.copy()
    image[outside] += 20
    figures = truth.compare(image, look(face_code(1)))
    assert figures["psnr_head"] == 100
    assert figures["psnr"] == pytest.approx(-10 * np.log10((20 / 255) ** 2 * outside.mean()), abs=1e-3)
    image = PICTURE.copy()
    image[~outside] += 20
    assert truth.compare(image, look(face_code(1)))["psnr_head"] == pytest.approx(-20 * np.log10(20 / 255), abs=1e-3)


def test_landmarks_are_measured_by_the_distance_of_the_eyes():
    step = np.array([3, 4])
    assert landmark_distance(points() + step, points()) == pytest.approx(10)
    assert landmark_distance(points(25) + step, points(25)) == pytest.approx(20)


def test_pose_expression_and_identity_are_those_of_the_codes(truth, head):
    code = face_code(1)
    turn = matrix_to_axis_angle(axis_angle_to_matrix(code.pose[:, :3]) @ axis_angle_to_matrix(torch.tensor([[0.0, 0.2, 0.0]])))
    smile = code.expression.clone()
    smile[:, 3] += 0.52
    other = code.replace(pose=torch.cat([turn, code.pose[:, 3:]], 1), expression=smile)
    figures = truth.compare(PICTURE, look(other, (0.6, 0.8)))
    assert figures["pose"] == pytest.approx(np.degrees(0.2), abs=0.02)
    assert figures["expression"] == pytest.approx(0.01, abs=1e-6)
    assert expression_distance(other, code, head) == pytest.approx(0.01, abs=1e-6)
    assert figures["identity"] == pytest.approx(0.6)


def test_a_face_that_is_not_found_leaves_its_figures_out(truth):
    figures = truth.compare(PICTURE, Look(None, None, None))
    assert [name for name, value in figures.items() if value is None] == ["lpips", "identity", "landmarks", "pose", "expression"]
    assert figures["psnr"] == 100


def test_lpips_is_asked_where_it_is_there(head):
    def lpips(images, truth):
        return (images - truth).abs().mean((1, 2, 3))

    measured = Truth(PICTURE, look(face_code(1)), head, lpips).compare(PICTURE + np.uint8(51), look(face_code(1)))
    assert measured["lpips"] == pytest.approx(0.2, abs=1e-4)


def test_quartiles_count_what_is_missing():
    assert quartiles([4.0, None, 1.0, 2.0, 3.0, 5.0, None]) == {
        "median": 3, "q1": 2, "q3": 4, "mean": 3, "count": 5, "missing": 2}
    assert quartiles([None]) is None


def test_a_small_picture_is_enlarged_and_a_large_one_averaged():
    small = np.random.default_rng(2).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert (resized(np.repeat(np.repeat(small, 4, 0), 4, 1), 8) == small).all()
    flat = np.full((8, 8, 3), 77, np.uint8)
    assert (resized(flat, 32) == 77).all()
    assert resized(small, 8) is small
    ramp = np.repeat(np.arange(0, 256, 16, dtype=np.uint8)[None, :, None], 16, 0).repeat(3, 2)
    inner = resized(ramp, 64)[30, 16:-16, 0].astype(float)
    assert np.abs(np.diff(inner) - 4).max() <= 1


class Counting:
    """An encoder that counts the pictures it is shown, and finds no face in dark ones."""

    name = "COUNTING"

    def __init__(self):
        self.seen = 0

    def encode(self, images):
        self.seen += len(images)
        found = torch.tensor([image.mean() > 10 for image in images])
        codes = [face_code(1) for _ in images]
        return Capture(codes[0].concatenate(codes), found, [""] * len(images))


def test_a_picture_is_read_once():
    encoder = Counting()
    looker = Looker(encoder, None)
    face, black = portraits()[0], np.zeros((64, 64, 3), np.uint8)
    looker.read([face, black, face])
    assert looker.look(face.copy()).points.shape == (68, 2)
    assert looker.look(black) == Look(None, None, None)
    assert looker.look(face).identity is None
    assert encoder.seen == 2
    known = portraits()[1]
    looker.remember(known, face_code(7))
    assert torch.equal(looker.look(known).code.pose, face_code(7).pose)
    assert encoder.seen == 2
