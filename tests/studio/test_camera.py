"""A page's camera, asked without a browser: frames go in through the socket, and come back drawn."""

import dataclasses
import io
import threading
import time

import numpy as np
import pytest
from moving_faces import jpeg_of, portrait_frames, seat, sitting_of
from PIL import Image

from diffusionrig.studio import camera_face as face_module
from diffusionrig.studio.outbox import framed

pytestmark = pytest.mark.timeout(120)


def send(page, number, image, kind="camera"):
    page.socket.send_bytes(framed({"kind": kind, "n": number}, [jpeg_of(image)]))


def say(page, do, **values):
    page.say(type="camera", where="camera", do=do, **values)


def picture(page):
    return np.asarray(Image.open(io.BytesIO(page.frames[-1][1][0]))).astype(int)


def drawn(page, number, image):
    """Send a frame and wait until it is drawn."""
    send(page, number, image)
    page.until(type="frame", kind="camera", n=number)
    return picture(page)


def live_threads():
    return sum(thread.name.startswith("Thread-") and "_run" in thread.name for thread in threading.enumerate())


def test_the_photograph_moves_as_the_camera_shows_and_rest_is_set(studio):
    seat(studio)
    frames = list(portrait_frames(4))
    before = live_threads()
    with studio.page() as page:
        still = drawn(page, 1, frames[0])
        assert still.shape == (64, 64, 3)
        moved = drawn(page, 2, frames[3])
        assert np.abs(moved - still).mean() > 1
        say(page, "rest")
        again = drawn(page, 3, frames[3])
        assert np.abs(again - still).mean() < np.abs(moved - still).mean() / 2
        page.edit(1, move={"jawOpen": 0.9})
        page.until(type="frame", kind="preview", n=1)
        assert np.abs(drawn(page, 4, frames[3]) - again).max() > 40
        # Another photograph is drawn from then on; the first face of it is at rest.
        old = studio.session.receiver._face
        other = dataclasses.replace(sitting_of(studio.session.rig))
        studio.client.portal.call(studio.session._seat, other)
        assert np.abs(drawn(page, 5, frames[3]) - still).mean() < 1
        assert studio.session.receiver._face is not old
        say(page, "wish", take={})
        say(page, "stop")
        assert page.until(type="camera", running=False)["take"] == {}
    assert live_threads() == before


def test_every_frame_is_answered_and_the_latest_is_drawn(studio, monkeypatch):
    gate = threading.Event()
    paint = face_module.CameraFace._paint
    monkeypatch.setattr(face_module.CameraFace, "_paint", lambda self, code: gate.wait(30) and paint(self, code))
    seat(studio)
    frames = list(portrait_frames(8))
    with studio.page() as page:
        for number, image in enumerate(frames, 1):
            send(page, number, image)
            assert page.until(type="camera_taken")["n"] == number
            time.sleep(0.2)
        gate.set()
        page.until(type="frame", kind="camera", n=8)
        shown = [header["n"] for header, _ in page.frames if header["kind"] == "camera"]
        assert shown == sorted(shown)
        assert len(shown) <= 4


def test_a_frame_without_a_face_is_counted(studio):
    seat(studio)
    with studio.page() as page:
        send(page, 1, np.full((240, 320, 3), 90, np.uint8))
        page.until(type="camera_taken", n=1)
        number = 1
        while True:
            number += 1
            time.sleep(0.1)
            send(page, number, np.full((240, 320, 3), 90, np.uint8))
            if page.until(type="camera_taken", n=number)["unseen"]:
                break
        assert not [header for header, _ in page.frames if header["kind"] == "camera"]


STRANGE = (
    (b"", "no frame of a camera"), (b"\xff\xff\xff\xff{}", "no frame of a camera"), (b"\x02\x00\x00\x00[]", "no frame of a camera"),
    (framed({"kind": "camera", "n": -1}, [b"x"]), "no frame of a camera"), (framed({"kind": "other", "n": 1}, [b"x"]), "no frame"),
    (framed({"kind": "camera", "n": 1}, [b"x", b"y"]), "no frame"),
    (framed({"kind": "camera", "n": 1}, [b"no picture"]), "camera's frame"),
    (framed({"kind": "camera", "n": 1}, [jpeg_of(np.zeros((1500, 1500, 3), np.uint8))]), "2.2 megapixels"))


def test_what_is_no_frame_is_a_sentence_beside_the_camera(studio):
    seat(studio)
    with studio.page() as page:
        for data, words in STRANGE:
            page.socket.send_bytes(data)
            error = page.until(type="error")
            assert words in error["text"]
            assert error["where"] == "camera"
        page.edit(2, move={"smile": 0.1})
        page.until(type="frame", kind="preview", n=2)


def test_without_a_photograph_there_is_nobody_to_draw(studio):
    with studio.page() as page:
        send(page, 1, next(portrait_frames(1)))
        assert "No photograph is open yet" in page.until(type="error")["text"]
        say(page, "explode")
        assert "'explode'" in page.until(type="error")["text"]


def test_one_camera_at_a_time_and_it_goes_with_its_page(studio):
    seat(studio)
    frame = next(portrait_frames(1))
    with studio.page() as other:
        with studio.page() as first:
            drawn(first, 1, frame)
            send(other, 1, frame)
            assert "another page" in other.until(type="error")["text"]
        other.until(type="camera", running=False)
        drawn(other, 2, frame)
    end = time.monotonic() + 20
    while studio.session.receiver._face is not None:
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("step", ["_paint", "end"])
def test_a_fault_while_drawing_is_said_and_the_camera_can_be_started_again(studio, monkeypatch, capsys, step):
    """``end``: what went wrong after the last frame does not keep the camera from being stopped."""
    broken = threading.Event()
    paint = face_module.CameraFace._paint

    def breaking(self, code):
        if not broken.is_set():
            broken.set()
            raise ValueError("a fault")
        return paint(self, code)

    monkeypatch.setattr(face_module.CameraFace, "_paint", breaking)
    seat(studio)
    frame = next(portrait_frames(1))
    with studio.page() as page:
        send(page, 1, frame)
        assert broken.wait(30)
        if step == "end":
            time.sleep(0.2)
            say(page, "stop")
            page.until(type="camera", running=False)
        else:
            number = 1
            while True:
                number += 1
                send(page, number, frame)
                message = page.receive()
                if message["type"] == "error":
                    break
            assert message["text"] == "This failed (ValueError: a fault)."
            assert "ValueError: a fault" in capsys.readouterr().err
            assert [text["running"] for text in page.texts if text["type"] == "camera"][-1] is False
        drawn(page, 100, frame)
