import math

import numpy as np
import pytest
import torch

from diffusionrig.errors import UsageError
from diffusionrig.geometry.arkit import ARKIT_NAMES
from diffusionrig.geometry.camera import image_points
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.heads import load_head
from diffusionrig.geometry.rotations import axis_angle_to_matrix, matrix_to_euler_degrees
from diffusionrig.reactions.frames.codes import (
    Neutral,
    expression_weights,
    faceverse_rotation,
    from_photograph,
    gaze,
    neutral_of,
    reaction_codes,
)
from diffusionrig.reactions.frames.listener import nobody
from diffusionrig.render.physical import placed_vertices, render_buffers

SIDE = 64
LANDMARKS = {"nose": 30, "upper lip": 62, "lower lip": 66, "left upper lid": 44, "left lower lid": 46}
"""iBUG-68 points, counted from 0; ``left`` is the subject's."""


@pytest.fixture(scope="module")
def head():
    return load_head()


@pytest.fixture(scope="module")
def mean_face():
    row = np.zeros(58)
    row[:2], row[52:] = 0.5, (3.191, 0.045, 0.002, -0.006, -0.018, 1.838)
    return row


def resting(frames: int = 1) -> np.ndarray:
    row = np.zeros((frames, 58))
    row[:, 52], row[:, 57] = math.pi, 1.8
    return row


def moving(name: str, values: list[float]) -> np.ndarray:
    rows = resting(len(values))
    column = {"pitch": 52, "yaw": 53, "roll": 54, "x": 55, "y": 56, "depth": 57}.get(name)
    if column is None:
        for column in (i for i, known in enumerate(ARKIT_NAMES) if known in (name, f"{name}Left", f"{name}Right")):
            rows[:, column] += values
    else:
        rows[:, column] += values
    return rows


STILL = Neutral("none", resting()[0])


def codes(head, rows, neutral=STILL, rest="zero", listener=None):
    listener = listener or nobody(head)
    return reaction_codes(rows, neutral, listener.code, listener.centre, head, rest)


def points(head, rows) -> torch.Tensor:
    """(T, 68, 2) of the image plane, x right, y down."""
    code, centre = codes(head, rows)
    vertices, _ = placed_vertices(head, code, centre)
    return image_points(head.landmarks(vertices, code), code)[..., :2]


def test_the_neutral_is_the_listener_as_photographed(head, mean_face):
    still = nobody(head)
    code, centre = codes(head, mean_face[None].repeat(2, 0), Neutral("mean", mean_face))
    torch.testing.assert_close(code.pose, still.code.pose.repeat(2, 1), atol=1e-6, rtol=0)
    torch.testing.assert_close(code.camera, still.code.camera.repeat(2, 1), atol=1e-6, rtol=0)
    torch.testing.assert_close(centre, still.centre.repeat(2, 1), atol=1e-7, rtol=0)
    assert not code.expression.any()
    assert not code.eyes.any()


def test_turns_are_those_of_faceverse_s_camera(head):
    """A point of FaceVerse's model, placed and projected by its published formulas, moves to the side that our head's does."""
    nose = torch.tensor([0.0, 0.0, -1.2], dtype=torch.float64)  # its model has y down and looks to -z

    def faceverse_pixel(row: np.ndarray) -> torch.Tensor:
        a, b, c = (torch.tensor(float(value)) for value in row[52:55])
        x, y, z = (axis_angle_to_matrix(turn * torch.eye(3, dtype=torch.float64)[axis]) for axis, turn in enumerate((a, b, c)))
        place = z @ y @ x @ nose + torch.from_numpy(row[55:58])
        across = 1315 * place[:2] / (10 - place[2])
        return torch.stack([112 + across[0], 224 - (112 + across[1])])

    for name in ("yaw", "pitch", "x", "y"):
        rows = moving(name, [0.0, 0.2])
        theirs = faceverse_pixel(rows[1]) - faceverse_pixel(rows[0])
        ours = (points(head, rows)[1] - points(head, rows)[0])[LANDMARKS["nose"]]
        axis = int(theirs.abs().argmax())
        assert theirs[axis].abs() > 5
        assert torch.sign(ours[axis]) == torch.sign(theirs[axis]), name
        assert ours[axis].abs() > 3 * ours[1 - axis].abs(), name
    rolled = points(head, moving("roll", [0.0, 0.2]))
    eyes = rolled[:, 42:48].mean(1) - rolled[:, 36:42].mean(1)  # from the subject's right eye to the left one
    assert torch.atan2(-eyes[1, 1], eyes[1, 0]) == pytest.approx(0.2, abs=0.02)  # counter-clockwise, y up, as Rz(c) turns


def test_angles_are_never_wrapped(head):
    """Angles on both sides of pi turn the head by their difference, not by almost a full turn."""
    rows = moving("pitch", [-0.1, 0.1])
    assert rows[0, 52] < math.pi < rows[1, 52]
    code, _ = codes(head, rows, neutral_of("percentile", rows, None))
    pitch = matrix_to_euler_degrees(axis_angle_to_matrix(code.pose[:, :3].double()))[:, 0]
    assert pitch.tolist() == pytest.approx([math.degrees(-0.1), math.degrees(0.1)], abs=1e-3)
    x = faceverse_rotation(torch.from_numpy(rows[:, 52:55]))
    assert torch.linalg.det(x).tolist() == pytest.approx([1, 1])


def test_turns_go_on_top_of_the_photographed_head(head):
    listener = nobody(head)
    listener.code.pose[0, 1] = 0.3
    turned, _ = codes(head, moving("yaw", [0.0, 0.25]), listener=listener)
    assert turned.pose[:, 1].tolist() == pytest.approx([0.3, 0.55], abs=1e-5)


def test_depth_and_shift_are_those_of_a_pinhole(head):
    """Towards the camera the face grows as f / (10 - t_z) does, and keeps its place when it is straight ahead."""
    code, centre = codes(head, moving("depth", [0.0, 1.0, -1.0]))
    assert (code.camera[:, 0] / code.camera[0, 0]).tolist() == pytest.approx([1, 8.2 / 7.2, 8.2 / 9.2])
    assert torch.equal(centre[1], centre[0])
    pivot = centre[0] - torch.tensor([0.0, 0.0, 0.08])
    places = code.camera[:, :1] * (pivot[:2] + code.camera[:, 1:])
    torch.testing.assert_close(places, places[:1].expand(3, 2), atol=1e-6, rtol=0)
    shifted, _ = codes(head, moving("x", [0.0, 0.5]))
    # Half a unit is 5 cm; positive is to the right of the picture.
    assert float(shifted.camera[1, 1] - shifted.camera[0, 1]) == pytest.approx(0.05, abs=1e-6)


def test_weights_are_clamped_and_lips_close_no_wider_than_the_jaw_opens():
    rows = resting(2)
    close, jaw = ARKIT_NAMES.index("mouthClose"), ARKIT_NAMES.index("jawOpen")
    rows[:, close], rows[:, jaw], rows[:, 0], rows[:, 1] = 0.8, (0.3, 0.9), 1.7, -0.4
    weights = expression_weights(torch.from_numpy(rows), torch.from_numpy(resting()[0]))
    assert weights[:, close].tolist() == pytest.approx([0.3, 0.8])
    assert weights[:, 0].tolist() == [1, 1]
    assert weights[:, 1].tolist() == [0, 0]


def test_neutrals(mean_face):
    rows = resting(21) + 0.01 * np.arange(21)[:, None]
    low = neutral_of("percentile", rows, None).row
    assert low[0] == pytest.approx(0.01)
    assert low[52] == pytest.approx(math.pi + 0.1)
    assert neutral_of("mean", rows, mean_face).row.tolist() == mean_face.tolist()
    none = neutral_of("none", rows, mean_face).row
    assert not none[:52].any()
    assert none[52:].tolist() == pytest.approx([math.pi, 0, 0, *mean_face[55:]])
    with pytest.raises(UsageError, match="needs the corpus's mean face"):
        neutral_of("mean", rows, None)


def test_the_photograph_s_expression_stays_when_asked(head):
    listener = nobody(head)
    smile = ARKIT_NAMES.index("mouthSmileLeft")
    listener.code.expression[0, smile] = 0.3
    rows = resting(1)
    rows[0, smile] = 0.5
    assert codes(head, rows, listener=listener)[0].expression[0, smile] == pytest.approx(0.5)
    assert codes(head, rows, rest="photo", listener=listener)[0].expression[0, smile] == pytest.approx(0.8)


def test_a_photograph_of_known_coefficients_is_not_counted_twice(head):
    """The listener's own coefficients, from a photograph that is one of the frames, give that photograph's pose in that frame."""
    rows = moving("yaw", [0.2, 0.5])
    rows[:, 55], rows[:, 24] = (0.1, 0.3), (0.4, 0.6)
    listener = nobody(head)
    listener.code.pose[0, 1], listener.code.expression[0, 24] = 0.3, 0.25
    for rest, opened in (("zero", [0.4, 0.6]), ("photo", [0.25, 0.45])):
        code, centre = codes(head, rows, from_photograph(STILL, rows[0], rest), rest, listener)
        assert code.pose[:, 1].tolist() == pytest.approx([0.3, 0.6], abs=1e-5)
        assert code.expression[:, 24].tolist() == pytest.approx(opened, abs=1e-6)
        torch.testing.assert_close(code.camera[:1], listener.code.camera)
        torch.testing.assert_close(centre[:1], listener.centre)


def test_gaze_turns_both_eyes_as_the_lids_go():
    weights = torch.zeros(1, 52)
    for name in ("eyeLookOutLeft", "eyeLookInRight", "eyeLookDownLeft", "eyeLookDownRight"):
        weights[0, ARKIT_NAMES.index(name)] = 0.5
    turns = gaze(weights)[0]
    assert turns.tolist() == pytest.approx([math.radians(15), math.radians(15), 0] * 2)  # down, and to the subject's left


def test_the_mouth_opens_steadily_and_a_blink_closes_the_lids(head):
    opened = points(head, moving("jawOpen", [0.0, 0.25, 0.5, 0.75, 1.0]))
    gap = opened[:, LANDMARKS["lower lip"], 1] - opened[:, LANDMARKS["upper lip"], 1]
    assert (gap.diff() > 0.01).all()
    blinking = points(head, moving("eyeBlink", [0.0, 0.5, 1.0]))
    lids = blinking[:, LANDMARKS["left lower lid"], 1] - blinking[:, LANDMARKS["left upper lid"], 1]
    assert (lids.diff() < 0).all()
    assert lids[2] < 0.2 * lids[0]


def mirrored(rows: np.ndarray) -> np.ndarray:
    names = [name.replace("Left", "?").replace("Right", "Left").replace("?", "Right") for name in ARKIT_NAMES]
    result = rows[:, [*(ARKIT_NAMES.index(name) for name in names), *range(52, 58)]].copy()
    result[:, [53, 54, 55]] *= -1
    return result


def test_mirrored_coefficients_give_mirrored_buffers(head):
    rng = np.random.default_rng(3)
    rows = resting(3)
    rows[:, :52] = 0.6 * rng.random((3, 52)) ** 2
    rows[:, 52:55] += rng.uniform(-0.25, 0.25, (3, 3))
    rows[:, 55:58] += rng.uniform(-0.2, 0.2, (3, 3))

    def drawn(values: np.ndarray):
        code, centre = codes(head, values)
        with torch.inference_mode():
            return render_buffers(head, code, SIDE, centre=centre)

    there, back = drawn(rows), drawn(mirrored(rows))
    flipped = back.rendered.flip(3), back.alpha.flip(3)
    # The head itself is not quite symmetric: a few pixels of its outline, and some of its features, differ.
    overlap = (there.alpha * flipped[1]).sum((1, 2, 3)) / torch.maximum(there.alpha, flipped[1]).sum((1, 2, 3))
    assert overlap.min() > 0.97
    apart, unlike = ((there.rendered - other).abs().mean((1, 2, 3)) for other in (flipped[0], back.rendered))
    assert (apart < 0.25 * unlike).all()
    turned = there.normal * there.normal.new_tensor([-1.0, 1.0, 1.0])[:, None, None] - back.normal.flip(3)
    assert turned.abs().mean() < 0.03


class FlameLike:
    """Stands for a head with other expressions: what its map is asked, and what it answers."""

    name, expression_names = "flame-2020", ("exp000", "exp001")


def test_heads_of_other_expressions_are_driven_through_their_map(monkeypatch):
    from diffusionrig.reactions.frames import codes as module

    class Map:
        def apply(self, weights):
            return weights[:, :2] * 2, weights[:, 24:25] * torch.tensor([0.3, 0, 0]).double()

    monkeypatch.setattr(module, "expression_map", lambda head: Map())
    listener = FaceCode(shape=torch.zeros(1, 3), albedo=torch.zeros(1, 2), expression=torch.tensor([[0.1, 0.2]]),
                        pose=torch.tensor([[0, 0, 0, 0.05, 0, 0]]), camera=torch.tensor([[8.0, 0, 0]]), light=torch.zeros(1, 9, 3),
                        head="flame-2020")
    rows = moving("jawOpen", [0.5])
    rows[:, 0] = 0.4
    zero, _ = reaction_codes(rows, STILL, listener, torch.zeros(1, 3), FlameLike())
    assert zero.expression[0].tolist() == pytest.approx([0.8, 0])
    assert zero.pose[0, 3:].tolist() == pytest.approx([0.15, 0, 0])
    photo, _ = reaction_codes(rows, STILL, listener, torch.zeros(1, 3), FlameLike(), "photo")
    assert photo.expression[0].tolist() == pytest.approx([0.9, 0.2])
    assert photo.pose[0, 3:].tolist() == pytest.approx([0.2, 0, 0])
