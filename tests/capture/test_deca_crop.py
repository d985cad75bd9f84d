"""DECA's crops against an evaluation of the formulas in float64, and against scikit-image."""

from __future__ import annotations

import math

import numpy as np
import pytest

from diffusionrig.capture.deca.crop import Square, cut, square_of_box, square_of_landmarks, square_of_picture
from diffusionrig.capture.deca.preparing import prepare
from diffusionrig.capture.deca.published_resize import published_resize
from diffusionrig.faces.face import Face

SQUARES = {"inside": Square(128.0, 150.0, 203), "over the top left": Square(5.3, 7.7, 80), "far outside": Square(-500.0, 3.0, 90),
           "enlarged": Square(101.25, 99.5, 37), "around all": Square(128.0, 64.0, 901), "a sliver out": Square(99.4, 100.0, 199),
           "last pixel": Square(129.5, 149.5, 261)}


def picture(height: int, width: int, low: int = 0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, 256, (height, width, 3), dtype=np.uint8)


def pixel_by_pixel(image: np.ndarray, square: Square) -> np.ndarray:
    """The crop (224, 224, 3) by the formula x = j / a + cx - size / 2, a = 223 / size, one pixel after another."""
    height, width = image.shape[:2]

    def value(y: int, x: int) -> np.ndarray:
        return image[y, x] / 255.0 if 0 <= y < height and 0 <= x < width else np.zeros(3)

    crop = np.zeros((224, 224, 3))
    for i in range(224):
        for j in range(224):
            x = j * square.size / 223 + square.centre_x - square.size / 2
            y = i * square.size / 223 + square.centre_y - square.size / 2
            left, top = math.floor(x), math.floor(y)
            u, v = x - left, y - top
            crop[i, j] = ((1 - v) * ((1 - u) * value(top, left) + u * value(top, left + 1))
                          + v * ((1 - u) * value(top + 1, left) + u * value(top + 1, left + 1)))
    return crop


@pytest.mark.parametrize("name", ["inside", "over the top left", "around all"])
def test_a_crop_is_the_bilinear_formula_with_zeros_outside(name):
    image = picture(140, 250)
    crop = cut(image, SQUARES[name])
    assert crop.shape == (3, 224, 224)
    assert crop.dtype == np.float32
    np.testing.assert_allclose(crop.transpose(1, 2, 0), pixel_by_pixel(image, SQUARES[name]), rtol=0, atol=1e-7)


@pytest.mark.parametrize("square", SQUARES.values(), ids=SQUARES.keys())
@pytest.mark.parametrize(("height", "width", "low"), [(256, 256, 0), (300, 260, 60), (40, 210, 30)])
def test_a_crop_equals_scikit_image(square, height, width, low):
    transform = pytest.importorskip("skimage.transform")
    image = picture(height, width, low)
    matrix = transform.SimilarityTransform(matrix=square.transform())
    expected = transform.warp(image / 255.0, matrix.inverse, output_shape=(224, 224))
    np.testing.assert_allclose(cut(image, square).transpose(1, 2, 0), expected, rtol=0, atol=1e-6)


def test_the_worked_example():
    points = np.array([[60.0, 70.0], [196.0, 230.0], [128.0, 150.0]])
    square = square_of_landmarks(points)
    assert square == Square(128.0, 150.0, 203)
    expected = [[1.0985222, 0, -29.11084], [0, 1.0985222, -53.27833], [0, 0, 1]]
    np.testing.assert_allclose(square.transform(), expected, rtol=0, atol=1e-5)
    # The camera's points count 224 across: the crop's middle lies here in the picture.
    back = np.linalg.inv(square.transform()) @ [112, 112, 1]
    assert back[0] == pytest.approx(128.4552, abs=1e-4)
    assert back[0] / 256 * 2 - 1 == pytest.approx(0.0035562, abs=1e-6)


def test_a_detectors_box_is_not_widened_but_moved_down():
    square = square_of_box(np.array([60.0, 70.0, 196.0, 230.0]))
    assert square == Square(128.0, pytest.approx(150 + 0.12 * 148), int(148 * 1.25))


def test_sides_are_truncated_and_never_vanish():
    assert square_of_landmarks(np.array([[0.0, 0.0], [99.9, 99.9]])).size == int(99.9 * 1.1 * 1.25) == 137
    assert square_of_landmarks(np.zeros((68, 2))).size == 1


def test_corners_of_the_square_are_corner_pixels_of_the_crop():
    square = Square(70.5, 31.25, 90)
    corners = np.array([[70.5 - 45, 31.25 - 45, 1], [70.5 + 45, 31.25 + 45, 1]])
    np.testing.assert_allclose(corners @ square.transform().T, [[0, 0, 1], [223, 223, 1]], atol=1e-12)


@pytest.mark.parametrize("shape", [(256, 256), (512, 512), (300, 260), (100, 130), (1030, 700)])
def test_the_published_resize_equals_scikit_image_to_the_last_level(shape):
    transform = pytest.importorskip("skimage.transform")
    image = picture(*shape)
    image[:shape[0] // 3] = 255  # flat parts tell whether the sums run in the same order
    expected = (transform.resize(image, (256, 256), anti_aliasing=True) * 255.0).astype(np.uint8)
    np.testing.assert_array_equal(published_resize(image, 256), expected)


def test_the_published_resize_darkens_even_pictures_of_the_right_size():
    image = picture(256, 256)
    changed = image.astype(int) - published_resize(image, 256)
    assert set(np.unique(changed)) == {0, 1}
    assert 0.085 < changed.mean() < 0.1


class OneFace:
    """A finder that knows one face, or none."""

    def __init__(self, points: np.ndarray | None) -> None:
        self.points = points

    def detect(self, image: np.ndarray, min_face: float = 40.0, thorough: bool = False) -> list[Face]:
        if self.points is None:
            return []
        box = np.concatenate([self.points.min(0), self.points.max(0)])
        return [Face(box, 0.9, self.points.astype(np.float32), presence=0.8)]


def face_points(scale: float = 1.0) -> np.ndarray:
    spots = np.random.default_rng(3).uniform(0, 1, (68, 2))
    spots[:2] = [[0, 0], [1, 1]]
    return (spots * [136, 160] + [60, 70]) * scale


def test_a_prepared_image_is_the_crop_around_its_landmarks():
    image = picture(256, 256)
    prepared = prepare(image, OneFace(face_points()))
    np.testing.assert_array_equal(prepared.crop, cut(image, Square(128.0, 150.0, 203)))
    np.testing.assert_allclose(prepared.transform, Square(128.0, 150.0, 203).transform(), rtol=1e-6)
    assert prepared.frame == (256, 256)
    assert prepared.presence == pytest.approx(0.72)
    known = prepare(image, OneFace(None), points=face_points())
    np.testing.assert_array_equal(known.crop, prepared.crop)


def test_the_published_size_changes_what_is_seen_but_not_where_it_lies():
    image = picture(512, 512)
    prepared = prepare(image, OneFace(face_points()), published_side=256)
    small = published_resize(image, 256)
    np.testing.assert_array_equal(prepared.crop, cut(small, Square(128.0, 150.0, 203)))
    assert prepared.frame == (512, 512)
    # As published the camera's plane goes to shares of the small picture; shares of the given one are the same.
    published = np.linalg.inv(Square(128.0, 150.0, 203).transform()) @ [50, 60, 1] / 256
    ours = np.linalg.inv(prepared.transform.astype(np.float64)) @ [50, 60, 1] / 512
    np.testing.assert_allclose(ours[:2], published[:2], atol=1e-6)
    np.testing.assert_allclose(prepared.points, (face_points() + 0.5) * 2 - 0.5, atol=1e-4)


def test_without_a_face_the_whole_picture_is_cut_out():
    image = picture(100, 160)
    prepared = prepare(image, OneFace(None))
    assert prepared.points is None
    assert prepared.presence == 0
    square = square_of_picture(100, 160)
    assert square == Square(79.5, 49.5, int((159 + 99) / 2 * 1.1 * 1.25))
    np.testing.assert_array_equal(prepared.crop, cut(image, square))
