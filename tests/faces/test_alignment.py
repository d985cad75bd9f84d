"""The FFHQ square: its geometry by hand, its pixels against Pillow's own quadrilateral sampling."""

import cv2
import numpy as np
import pytest
from PIL import Image

from diffusionrig.faces.alignment import align, align_face, ffhq_quad, quad_matrix, share_outside


def landmarks(right_eye, left_eye, right_mouth, left_mouth):
    points = np.zeros((68, 2))
    points[36:42], points[42:48], points[48], points[54] = right_eye, left_eye, right_mouth, left_mouth
    return points


def psnr(a, b):
    return 10 * np.log10(255**2 / max(((a.astype(float) - b) ** 2).mean(), 1e-12))


def test_the_square_of_a_level_face():
    # Eyes 60 apart, mouth 50 below: half side = max(2.0 * 60, 1.8 * 50) = 120 about (130, 100 + 5).
    quad = ffhq_quad(landmarks((100, 100), (160, 100), (110, 150), (150, 150)))
    assert np.allclose(quad, [[10, -15], [10, 225], [250, 225], [250, -15]])
    # A long face: 1.8 x eye-to-mouth is larger.
    quad = ffhq_quad(landmarks((100, 100), (140, 100), (105, 200), (135, 200)))
    assert np.allclose(quad[2] - quad[0], [360, 360])


def test_the_square_turns_and_scales_with_the_face():
    points = np.random.default_rng(0).normal(size=(68, 2)) * 2
    points[36:42] += (-30, 0)
    points[42:48] += (30, 2)
    points[48] += (-20, 50)
    points[54] += (22, 48)
    angle, scale, shift = 0.7, 1.9, np.array([400.0, 300.0])
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assert np.allclose(ffhq_quad(points @ turn.T + shift), ffhq_quad(points) @ turn.T + shift)
    with pytest.raises(ValueError, match="do not span a face"):
        ffhq_quad(np.zeros((68, 2)))


def test_the_matrix_takes_corners_to_corners():
    quad = ffhq_quad(landmarks((100, 90), (160, 110), (110, 150), (150, 160)))
    matrix = quad_matrix(quad, 128)
    # Corners of the square lie on the outer corners of the result's corner pixels.
    for corner, place in zip(quad + 0.0, ([-0.5, -0.5], [-0.5, 127.5], [127.5, 127.5], [127.5, -0.5])):
        got = matrix @ [*(corner), 1]
        assert np.allclose(got, [*place, 1], atol=1e-9)


@pytest.mark.parametrize("size", [64, 256])
def test_pixels_match_pillows_quadrilateral(portrait, face, size):
    quad = ffhq_quad(face.points68)
    fine = Image.fromarray(portrait).transform((2048, 2048), Image.Transform.QUAD, tuple((quad + 0.5).ravel()),
                                               Image.Resampling.BILINEAR)
    expected = np.asarray(fine.resize((size, size), Image.Resampling.LANCZOS))
    assert psnr(align_face(portrait, face.points68, size), expected) > 48
    assert psnr(align_face(portrait, face.points68, size, exact=True), expected) > 48


def test_a_dot_lands_where_the_matrix_says(portrait, face):
    dotted = portrait // 4
    dotted[118:122, 230:234] = 255
    result = align(dotted, face.points68, 512)
    y, x = np.mgrid[0:512, 0:512]
    weight = np.clip(result.image.astype(float).min(axis=2) - 120, 0, None)
    found = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
    assert np.linalg.norm(found - (result.matrix @ [231.5, 119.5, 1])[:2]) < 0.3


def test_large_photographs_are_shrunk_to_the_same_result(portrait, face):
    large = cv2.resize(portrait, None, fx=9, fy=9, interpolation=cv2.INTER_LINEAR)
    points = (face.points68 + 0.5) * 9 - 0.5
    small, big = align(portrait, face.points68, 64), align(large, points, 64)
    assert psnr(small.image, big.image) > 30
    assert np.allclose((big.matrix @ [9 * 50 + 4, 9 * 60 + 4, 1]), small.matrix @ [50, 60, 1], atol=1e-3)
    assert big.side == pytest.approx(9 * small.side, rel=1e-5)


def test_the_square_beyond_the_photo_is_mirrored(portrait, face):
    cut = np.ascontiguousarray(portrait[55:])
    points = face.points68 - [0, 55]
    whole, part = align(portrait, face.points68, 128), align(cut, points, 128)
    assert whole.outside < 0.01
    assert 0.1 < part.outside < 0.4
    # What is in the photo stays as it is; what is not is neither black nor a copy of one row.
    first = int(np.ceil((part.matrix @ [222, 0, 1])[1])) + 12
    assert psnr(part.image[first:], whole.image[first:]) > 35
    assert part.image[:4].mean() > 40


def test_share_outside():
    square = np.array([[0, 0], [0, 10], [10, 10], [10, 0]]) - 0.5
    assert share_outside(square, 10, 10) == pytest.approx(0, abs=1e-6)
    assert share_outside(square, 5, 10) == pytest.approx(0.5, abs=1e-6)
    assert share_outside(square + 5.0, 10, 10) == pytest.approx(0.75, abs=1e-6)
    assert share_outside(square + 100, 10, 10) == 1.0
    with pytest.raises(ValueError, match="wholly outside"):
        align(np.zeros((20, 20, 3), np.uint8), landmarks((500, 500), (560, 500), (510, 550), (550, 550)), 32)
