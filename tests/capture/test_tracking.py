"""One person through clips: real and synthetic faces that stand, move, vanish, and are somebody else."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from diffusionrig.capture.batch import Outputs, capture_files
from diffusionrig.capture.choosing import Choice
from diffusionrig.capture.fit.encoder import FitEncoder
from diffusionrig.capture.saved_codes import load_codes
from diffusionrig.capture.tracking.following import Follower, shape_change
from diffusionrig.capture.tracking.gaps import BRIDGED, HELD, SEEN
from diffusionrig.capture.tracking.portraits import Gallery, kind_of, portrait, worth_of
from diffusionrig.capture.tracking.tracker import NoFaceError, Track, Tracker, tracker_of
from diffusionrig.errors import RigError
from diffusionrig.faces.face import Face
from diffusionrig.faces.mesh import Region
from diffusionrig.geometry.camera import image_points, pixels
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.io.images import write_png
from diffusionrig.io.movies import write_movie

Photographs = tuple[list[np.ndarray], FaceCode]
BLANK = np.full((256, 256, 3), 90, np.uint8)


def moved(image: np.ndarray, x: int) -> np.ndarray:
    return np.roll(image, x, 1)


def track(encoder: FitEncoder, frames: list[np.ndarray], fps: float = 25) -> Track:
    return Tracker(encoder).track(frames, len(frames), fps, "clip")


def landmarks(encoder: FitEncoder, code: FaceCode) -> torch.Tensor:
    return pixels(image_points(encoder.head.landmarks(encoder.head.vertices(code), code), code), 256, 256)


def test_a_face_that_moves_is_followed_as_one_person(encoder: FitEncoder, person: np.ndarray) -> None:
    frames = [moved(person, 2 * t) for t in range(8)]
    found = track(encoder, frames)
    assert found.state.tolist() == [SEEN] * 8
    for part in ("shape", "albedo"):
        assert torch.equal(getattr(found.code, part), getattr(found.code, part)[:1].expand(8, -1))
    # It goes along, and is where a capture of the frame alone has it.
    places = landmarks(encoder, found.code).mean(1)
    torch.testing.assert_close(places[7] - places[0], torch.tensor([14.0, 0.0]), atol=0.4, rtol=0)
    alone = encoder.encode(frames[4:5]).code
    assert (landmarks(encoder, found.code[4]) - landmarks(encoder, alone)).norm(dim=-1).mean() < 1.5
    assert (found.code.expression[4] - alone.expression[0]).abs().mean() < 0.05
    assert found.code.confidence.min() > 0.8
    again = track(encoder, frames)
    for name, tensor in found.code.tensors().items():
        assert torch.equal(tensor, getattr(again.code, name)), name


def test_a_short_gap_is_bridged_a_long_one_held_and_somebody_else_left_out(encoder: FitEncoder, person: np.ndarray,
                                                                          other: np.ndarray) -> None:
    frames = [person] * 3 + [BLANK] * 2 + [moved(person, 6)] * 3 + [other] * 3 + [moved(person, 6)] * 2 + [BLANK] * 4
    found = track(encoder, frames, 10)
    state = found.state.tolist()
    assert state[:8] == [SEEN] * 3 + [BRIDGED] * 2 + [SEEN] * 3
    x = landmarks(encoder, found.code)[..., 0].mean(1)
    assert (x[2:6].diff() > 1).all()
    assert state[8:11] == [HELD] * 3
    assert state[11:] == [SEEN] * 2 + [HELD] * 4
    assert found.others == [8]
    for t in (8, 10):
        assert torch.equal(found.code.expression[t], found.code.expression[7])
        assert torch.equal(found.code.pose[t], found.code.pose[7])
    assert found.code.confidence[8:11].tolist() == [0, 0, 0]


def test_of_two_people_the_first_is_followed(encoder: FitEncoder, person: np.ndarray, other: np.ndarray) -> None:
    alone = np.concatenate([person, BLANK], 1)
    both = np.concatenate([person, other], 1)
    left = np.concatenate([BLANK, other], 1)
    found = track(encoder, [alone, both, left, left, both, both], 25)
    assert found.state.tolist()[:2] == found.state.tolist()[4:] == [SEEN, SEEN]
    assert (found.state[2:4] != SEEN).all()
    assert (landmarks(encoder, found.code)[..., 0].mean(1) < 128).all()


def test_clips_that_show_nothing_or_little(encoder: FitEncoder, person: np.ndarray) -> None:
    with pytest.raises(NoFaceError, match="No face was found in any frame of clip"):
        track(encoder, [BLANK, BLANK])
    one = track(encoder, [person])
    assert one.state.tolist() == [SEEN]
    late = track(encoder, [BLANK, person])
    assert late.state.tolist() == [HELD, SEEN]
    assert torch.equal(late.code.pose[0], late.code.pose[1])
    assert tracker_of(encoder, "off") is None
    assert issubclass(NoFaceError, RigError)


class _Finder:
    """A landmarker whose faces are written into the first pixel of each frame: their place, 0 for none."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self.detections = 0

    def _at(self, image: np.ndarray) -> Face | None:
        x = float(image[0, 0, 0])
        assert self._face.points is not None
        step = np.array([x, 0, 0], np.float32)
        return dataclasses.replace(self._face, box=self._face.box + np.array([x, 0, x, 0], np.float32),
                                   points=self._face.points + step, points68=self._face.points68 + step[:2]) if x else None

    def follow(self, image: np.ndarray, last: Face, check: bool = False) -> Face | None:
        return self._at(image)

    def landmarks(self, image: np.ndarray, region: Region) -> Face | None:
        return None

    def detect(self, image: np.ndarray, *args: object, **kwargs: object) -> list[Face]:
        self.detections += 1
        return [face] if (face := self._at(image)) is not None else []


def test_a_follower_detects_only_what_it_lost(encoder: FitEncoder, person: np.ndarray) -> None:
    finder = _Finder(encoder.landmarker.detect(person)[0])

    def frame(x: int) -> np.ndarray:
        image = moved(person, x)
        image[0, 0, 0] = x
        return image

    follow = Follower(finder, 25, lambda image, faces: faces[0])  # type: ignore[arg-type]
    seen = [follow(frame(x)) for x in (1, 2, 3, 0, 0, 4, 5)]
    assert [one and one.shot for one in seen] == [0, 0, 0, None, None, 1, 1]
    assert [one and one.near for one in seen] == [False, False, False, None, None, True, False]
    assert finder.detections == 4
    # A picture taken elsewhere begins a shot although a face is there at once.
    cut = np.ascontiguousarray(255 - frame(5))
    cut[0, 0, 0] = 5
    after = follow(cut)
    assert after is not None
    assert (after.shot, after.near) == (2, False)


def test_another_head_has_another_shape(encoder: FitEncoder, photographs: Photographs) -> None:
    faces = [encoder.landmarker.detect(image)[0] for image in photographs[0][:3]]
    assert shape_change(faces[0], faces[1]) > 0.02
    assert faces[0].points is not None
    turned = dataclasses.replace(faces[0], points=faces[0].points[:, [1, 0, 2]] * np.array([-1, 1, 1]) * 1.3 + 7)
    assert shape_change(faces[0], turned) < 1e-5


def test_a_gallery_keeps_the_sharpest_of_each_kind(encoder: FitEncoder, person: np.ndarray) -> None:
    face = encoder.landmarker.detect(person)[0]
    soft = cv2.GaussianBlur(person, (0, 0), 3)
    assert worth_of(soft, face) < 0.7 * worth_of(person, face)
    assert face.coefficients is not None
    wide = dataclasses.replace(face, coefficients=np.where(np.arange(52) == 24, 0.9, face.coefficients))
    assert kind_of(wide) != kind_of(face)
    gallery = Gallery()
    for number, (image, shown) in enumerate([(soft, face), (person, face), (soft, wide), (person, face)]):
        gallery.look(image, shown, number)
    assert [one.number for one in gallery.best(6)] == [1, 2]


def test_a_portrait_shows_its_face_where_it_says(encoder: FitEncoder, person: np.ndarray) -> None:
    large = cv2.resize(person, (1400, 1400), interpolation=cv2.INTER_CUBIC)
    face = encoder.landmarker.detect(large)[0]
    cut = portrait(large, face, 0)
    assert max(cut.image.shape[:2]) <= 448
    again = encoder.landmarker.detect(cut.image)[0]
    assert again.points is not None
    assert cut.face.points is not None
    assert np.linalg.norm(again.points[:, :2] - cut.face.points[:, :2], axis=1).mean() < 0.01 * cut.face.size


def test_videos_are_tracked_by_the_command(person: np.ndarray, tmp_path: Path) -> None:
    write_movie(tmp_path / "clip.mp4", [person, moved(person, 2), BLANK, moved(person, 4)], 10)
    write_png(tmp_path / "alone.png", person)
    paths = [str(tmp_path / "alone.png"), str(tmp_path / "clip.mp4")]
    report = capture_files(paths, str(tmp_path / "out"), Choice("FIT"), Outputs(64, False, False), device="cpu")
    assert report["track"] == "auto"
    assert [row["status"] for row in report["images"]] == ["captured", "captured", "captured", "bridged", "captured"]
    assert report["counts"]["bridged"] == 1
    code, files = load_codes(tmp_path / "out" / "codes.npz")
    assert [file.rpartition("#")[2] for file in files[1:]] == ["0", "1", "2", "3"]
    assert torch.equal(code.shape[1:], code.shape[1:2].expand(4, -1))
    assert not torch.equal(code.shape[0], code.shape[1])
