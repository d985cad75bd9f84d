"""Hashes, sharpness, likeness and variety, each by itself."""

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from diffusionrig.capture.curation.duplicates import distance, picture_hash, repeats
from diffusionrig.capture.curation.judging import judge_album
from diffusionrig.capture.curation.looking import KEPT, OTHER, REPEATED, SURPLUS, Limits, Look
from diffusionrig.capture.curation.people import likeness
from diffusionrig.capture.curation.sharpness import SIDE, sharpness
from diffusionrig.capture.curation.variety import appearance, most_different
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.heads import load_head
from diffusionrig.randomness import numpy_stream, torch_stream


@pytest.fixture(scope="module")
def textured():
    """A picture with detail of all sizes."""
    stream = numpy_stream("texture")
    return sum(cv2.resize(stream.random((cells, cells, 3)).astype(np.float32), (SIDE, SIDE)) * (60 / cells ** 0.3)
               for cells in (4, 8, 16, 32, 64, 128, 256)).clip(0, 255).astype(np.uint8)


def test_a_hash_survives_resizing_recompression_and_exposure(textured):
    small = np.asarray(Image.fromarray(textured).resize((100, 100), Image.Resampling.BILINEAR))
    _, packed = cv2.imencode(".jpg", textured, [cv2.IMWRITE_JPEG_QUALITY, 30])
    brighter = np.clip(textured * 1.15 + 5, 0, 255).astype(np.uint8)
    own = picture_hash(textured)
    for changed in (small, cv2.imdecode(packed, cv2.IMREAD_COLOR), brighter):
        assert distance(own, picture_hash(changed)) < 0.08
    assert 0.3 < distance(own, picture_hash(np.ascontiguousarray(textured[::-1]))) < 0.7


def test_the_better_picture_stays_and_chains_do_not_swallow_a_video():
    frames = [(np.arange(100) < 6 * i,) for i in range(5)]  # each differs from the next in 6 of 100 bits
    assert repeats(frames, [0, 1, 2, 3, 4], 0.1) == {1: 0, 3: 2}
    assert repeats(frames, [4, 3, 2, 1, 0], 0.1) == {3: 4, 1: 2}
    assert repeats(frames, [0, 1, 2, 3, 4], -1) == {}


def test_sharpness_falls_with_blur_and_does_not_rise_with_contrast(textured):
    values = [sharpness(cv2.GaussianBlur(textured, (0, 0), sigma) if sigma else textured) for sigma in (0, 1, 2, 4)]
    assert values == sorted(values, reverse=True)
    assert values[2] < 0.7 * values[0]
    flat = (128 + 0.5 * (textured.astype(float) - 128)).astype(np.uint8)
    assert sharpness(flat) == pytest.approx(values[0], rel=0.05)


def crowd(*counts: int) -> torch.Tensor:
    """Unit rows around one random direction per count, cosines of about 0.9 within."""
    generator = torch_stream(1, "crowd")
    rows = [torch.randn(32, generator=generator) + 0.3 * torch.randn(count, 32, generator=generator) for count in counts]
    return torch.nn.functional.normalize(torch.cat(rows), dim=1)


def test_the_person_of_the_album_is_the_majority():
    alike = likeness(crowd(6, 2, 1), 0.6)
    assert (alike >= 0.6).tolist() == [True] * 6 + [False] * 3
    shuffled = torch.tensor([8, 0, 7, 1, 2, 6, 3, 4, 5])
    torch.testing.assert_close(likeness(crowd(6, 2, 1)[shuffled], 0.6), alike[shuffled])
    assert likeness(crowd(3, 3, 3), 0.6) is None  # nobody has more than half
    assert likeness(crowd(3), 0.6) is None  # too few


def test_the_most_different_cover_the_range():
    line = torch.arange(11.0)[:, None]
    assert most_different(line, 3) == [0, 5, 10]
    assert most_different(line, 20) == list(range(11))


def looks_of(head, embeddings: torch.Tensor) -> list[Look]:
    stream, found, light = numpy_stream("looks"), [], torch.zeros(1, 9, 3)
    light[:, 0] = 3
    for i, row in enumerate(embeddings):
        code = FaceCode(shape=torch.zeros(1, head.n_shape), albedo=torch.zeros(1, head.n_albedo),
                        expression=torch.zeros(1, head.n_expression), pose=torch.tensor([[0.0, 0.1 * i, 0, 0, 0, 0]]),
                        camera=torch.tensor([[7.0, 0, 0]]), light=light, head=head.name)
        found.append(Look(f"{i}.png", bytes=100 + i, numbers={"face_pixels": 100.0, "confidence": 0.9},
                          hashes=(stream.random(255) > 0.5,), embedding=row, code=code))
    return found


def test_an_album_is_judged_as_a_whole_whatever_its_order():
    head = load_head()
    looks = looks_of(head, crowd(6, 1))
    looks[2].hashes = looks[4].hashes  # the larger file is the better one
    notes = judge_album(looks, Limits(keep=3), 0.6, head)
    verdicts = [look.verdict for look in looks]
    assert notes == []
    assert verdicts == [KEPT, SURPLUS, REPEATED, KEPT, SURPLUS, KEPT, OTHER]
    assert looks[2].why == "shows the same as 4.png"
    assert "likeness" in looks[6].numbers
    again = looks_of(head, crowd(6, 1))
    again[2].hashes = again[4].hashes
    judge_album(again[::-1], Limits(keep=3), 0.6, head)
    assert [look.verdict for look in again] == verdicts


def test_an_album_without_a_majority_is_left_alone():
    head = load_head()
    looks = looks_of(head, crowd(3, 3))
    notes = judge_album(looks, Limits(), 0.6, head)
    assert all(look.verdict == KEPT for look in looks)
    assert "No person is on most" in notes[0]


def test_appearance_counts_what_it_says():
    head = load_head()
    code = looks_of(head, crowd(2))[0].code
    turned = code.replace(pose=torch.tensor([[0.0, torch.deg2rad(torch.tensor(15.0)), 0, 0, 0, 0]]))
    brighter = code.replace(light=code.light * float(np.exp(0.2)))
    base = appearance(head, code)
    assert (appearance(head, turned) - base).norm().item() == pytest.approx(1, abs=1e-3)
    assert (appearance(head, brighter) - base).norm().item() == pytest.approx(1, abs=1e-3)
    other = code.replace(shape=torch.ones_like(code.shape))
    assert (appearance(head, other) - base).norm().item() == pytest.approx(0, abs=1e-6)
