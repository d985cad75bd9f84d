"""Landmarks of a known portrait, and how they move when the picture moves."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from diffusionrig.faces.canonical import canonical_face
from diffusionrig.faces.coefficients import coefficients
from diffusionrig.faces.detector import Detections, anchors, merge, overlap
from diffusionrig.faces.landmark_indices import COEFFICIENT_POINTS, POINTS_68
from diffusionrig.faces.landmarker import FaceLandmarker
from diffusionrig.faces.mesh import Region, cut, region_of_points
from diffusionrig.faces.networks import COEFFICIENTS, Network, bundle_member
from diffusionrig.geometry.arkit import ARKIT_NAMES


def eye_distance(points):
    return float(np.linalg.norm(points[33, :2] - points[263, :2]))


def moved_error(points, moved, matrix):
    """Mean distance between moved landmarks and landmarks of the moved picture, as a share of the eye distance."""
    expected = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    return float(np.linalg.norm(expected - moved[:, :2], axis=1).mean()) / eye_distance(moved)


def test_the_portrait(face):
    assert face.score > 0.9
    assert face.presence > 0.99
    assert face.points.shape == (478, 3)
    assert face.points.dtype == np.float32
    assert face.points68.shape == (68, 2)
    assert 100 < face.size < 120
    assert overlap(np.array([175, 70, 275, 178]), face.box[None])[0] > 0.85
    # Looked up by eye in the enlarged picture: pupils, tip of the nose, corners of the mouth.
    for index, place in ((468, (203, 101)), (473, (247, 103)), (4, (223, 127)), (61, (202, 139)), (291, (245, 140))):
        assert np.linalg.norm(face.points[index, :2] - place) < 2.5, index


def test_coefficients_do_not_depend_on_place_size_or_turn(face):
    network = Network(bundle_member(COEFFICIENTS))
    for angle in (0.0, 0.4, 3.0):
        turn = 3.0 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        assert np.allclose(coefficients(network, face.points[:, :2] @ turn.T + 90), face.coefficients, atol=2e-3)


def test_coefficients_are_in_the_common_order(face):
    values = dict(zip(ARKIT_NAMES, face.coefficients, strict=True))
    assert face.coefficients.shape == (52,)
    assert ((face.coefficients >= 0) & (face.coefficients <= 1)).all()
    assert values["tongueOut"] == 0
    assert min(values["mouthSmileLeft"], values["mouthSmileRight"]) > 0.7
    assert min(values["mouthUpperUpLeft"], values["mouthUpperUpRight"]) > 0.3
    assert max(values["jawOpen"], values["mouthPucker"], values["browDownLeft"], values["noseSneerLeft"]) < 0.2


SHIFT = np.array([[1.0, 0, 37], [0, 1, 21]])


@pytest.mark.parametrize(("name", "matrix", "size"), [
    ("shift", SHIFT, (560, 540)),
    ("larger", np.array([[2.5, 0, 0.75], [0, 2.5, 0.75]]), (1280, 1280)),
    ("smaller", np.array([[0.6, 0, -0.2], [0, 0.6, -0.2]]), (307, 307)),
    ("tilted", cv2.getRotationMatrix2D((222, 125), 25, 1.0), (512, 512)),
    ("lying", cv2.getRotationMatrix2D((222, 125), -80, 1.0), (512, 512)),
    ("upside down", np.array([[-1.0, 0, 511], [0, -1, 511]]), (512, 512)),
])
def test_landmarks_move_with_the_picture(portrait, landmarker, face, name, matrix, size):
    flags = cv2.INTER_AREA if name == "smaller" else cv2.INTER_CUBIC
    moved = cv2.warpAffine(portrait, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    found = landmarker.detect(moved)
    assert len(found) == 1
    assert moved_error(face.points, found[0].points, matrix) < 0.02
    assert np.abs(found[0].coefficients - face.coefficients).mean() < 0.05


def test_points_hardly_depend_on_the_region(portrait, landmarker, face):
    stream, good = np.random.default_rng(0), region_of_points(face.points)
    for _ in range(6):
        shift = stream.normal(size=4) * [0.04 * good.side, 0.04 * good.side, 0.1, 0.1]
        region = Region(good.x + shift[0], good.y + shift[1], good.side * np.exp(shift[2]), good.angle + shift[3])
        again = landmarker.landmarks(portrait, region)
        assert np.linalg.norm(again.points[:, :2] - face.points[:, :2], axis=1).mean() < 0.015 * eye_distance(face.points)
    boxed = landmarker.landmarks(portrait, face.box)
    assert np.linalg.norm(boxed.points[:, :2] - face.points[:, :2], axis=1).mean() < 0.015 * eye_distance(face.points)


def test_every_face_of_a_group_is_found(head, landmarker, scene):
    group = scene(900, 1400)
    places = [(60, 40, 110), (250, 500, 90), (700, 60, 300), (1100, 300, 160), (600, 640, 120), (1200, 700, 100)]
    for x, y, side in places:
        group[y:y + side, x:x + side] = cv2.resize(head, (side, side), interpolation=cv2.INTER_AREA)
    found = landmarker.detect(group)
    assert len(found) == len(places)
    centres = np.array([(face.box[:2] + face.box[2:]) / 2 for face in found])
    for x, y, side in places:
        distance = np.linalg.norm(centres - [x + side * 0.49, y + side * 0.57], axis=1)
        assert distance.min() < 0.15 * side
    assert found[0].size == max(face.size for face in found)
    assert len(landmarker.detect(np.ascontiguousarray(np.rot90(group)))) == len(places)


def test_a_small_face_in_a_large_picture(head, landmarker, scene):
    large = scene(1100, 1700)
    large[900:990, 1500:1590] = cv2.resize(head, (90, 90), interpolation=cv2.INTER_AREA)
    found = landmarker.detect(large)
    assert len(found) == 1
    assert 40 < found[0].size < 60


def test_small_faces_beside_a_large_one_only_when_thorough(head, landmarker, scene):
    both = scene(600, 800)
    both[100:500, 50:450] = cv2.resize(head, (400, 400), interpolation=cv2.INTER_CUBIC)
    both[40:120, 600:680] = cv2.resize(head, (80, 80), interpolation=cv2.INTER_AREA)
    assert len(landmarker.detect(both, thorough=True)) == 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 2), (40, 40), (300, 500)])
def test_pictures_without_a_face(landmarker, scene, shape):
    assert landmarker.detect(scene(*shape)) == []
    assert landmarker.detect(np.zeros((*shape, 3), np.uint8)) == []


def test_landmarks_of_a_region_without_a_face(portrait, landmarker):
    assert landmarker.landmarks(portrait, np.array([400.0, 10, 500, 110])) is None
    assert landmarker.landmarks(portrait, np.array([900.0, 900, 990, 990])) is None


def test_same_answer_whatever_came_before_and_in_any_thread(portrait, face, head, landmarker):
    landmarker.detect(head)
    again, fresh = landmarker.detect(portrait)[0], FaceLandmarker().detect(portrait)[0]
    with ThreadPoolExecutor(3) as pool:
        threaded = [found[0] for found in pool.map(landmarker.detect, [portrait] * 4)]
    for other in (again, fresh, *threaded):
        assert np.array_equal(other.points, face.points)
        assert np.array_equal(other.coefficients, face.coefficients)
        assert other.score == face.score


def test_long_pictures_beyond_the_limits_of_opencv(head, landmarker):
    strip = np.zeros((200, 40000, 3), np.uint8)
    strip[:, 33000:33200] = head
    found = landmarker.detect(strip, min_face=100)
    assert len(found) == 1
    assert 33000 < found[0].points68[30, 0] < 33200


def test_region_views_are_exact(portrait):
    """A level region of 256 pixels on whole pixels is a plain crop; a large one is its area average."""
    crop = cut(portrait, Region(255.5, 255.5, 256.0, 0.0))
    assert np.array_equal(crop, portrait[128:384, 128:384])
    view = cut(portrait, Region(255.5, 255.5, 512.0, 0.0), 64).astype(float)
    expected = portrait.reshape(64, 8, 64, 8, 3).mean(axis=(1, 3))
    assert np.abs(view - expected).mean() < 2.5


def test_anchors():
    grid = anchors()
    assert grid.shape == (896, 2)
    assert np.allclose(grid[0], 1 / 32)
    assert np.allclose(grid[2], [3 / 32, 1 / 32])
    assert np.allclose(grid[512], 1 / 16)
    assert np.allclose(grid[-1], 15 / 16)


def test_merging_candidates():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]], np.float32)
    scores = np.array([0.6, 0.9, 0.7], np.float32)
    merged = merge(Detections(scores, boxes, np.zeros((3, 6, 2), np.float32)))
    assert merged.scores.tolist() == pytest.approx([0.9, 0.7])
    assert merged.boxes[0].tolist() == pytest.approx([0.6, 0, 10.6, 10])
    assert merged.boxes[1].tolist() == [50, 50, 60, 60]


def test_index_tables():
    assert len(POINTS_68) == len(set(POINTS_68.tolist())) == 68
    assert len(COEFFICIENT_POINTS) == 146
    assert (np.diff(COEFFICIENT_POINTS) > 0).all()
    assert COEFFICIENT_POINTS[-1] == 477


def test_landmarks_fit_the_canonical_face(face):
    """A scaled rotation of the metric face must explain the landmarks: a wrong index or axis would not fit."""
    canonical = canonical_face()
    source = canonical.vertices.astype(float) * [1, -1, -1]
    target = face.points[:468].astype(float)
    source, target = source - source.mean(axis=0), target - target.mean(axis=0)
    left, values, right = np.linalg.svd(target.T @ source)
    turn = left @ np.diag([1, 1, np.sign(np.linalg.det(left @ right))]) @ right
    scale = values.sum() / (source**2).sum()
    residual = np.linalg.norm(target - scale * source @ turn.T, axis=1).mean()
    assert residual < 0.12 * eye_distance(face.points)
    assert turn[0, 0] > 0.9
