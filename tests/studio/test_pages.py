import asyncio
import io
import threading
import time

import numpy as np
import pytest
from PIL import Image
from studio_pages import PORTRAIT

from diffusionrig.studio import session as session_module
from diffusionrig.studio.latest import Latest
from diffusionrig.studio.outbox import framed, unframed

pytestmark = pytest.mark.timeout(90)


def decoded(jpeg):
    return np.asarray(Image.open(io.BytesIO(jpeg))).astype(int)


def test_a_slider_is_seen_at_once_and_drawn_after_it(studio):
    studio.photograph()
    with studio.page() as page:
        page.until(type="frame", kind="preview")
        page.edit(7, move={"jawOpen": 0.8})
        page.until(type="frame", kind="preview", n=7)
        before, after = (decoded(parts[0]) for _, parts in (page.frames[0], page.frames[-1]))
        assert np.abs(before - after).max() > 40
        page.say(type="draw", n=7)
        assert page.until(type="progress")["total"] == 1
        frame = page.until(type="frame", kind="result")
        assert frame["n"] == 7
        assert page.until(type="progress", ended=True)
        screen = decoded(studio.get("api/photo.jpg").content)
        assert decoded(page.frames[-1][1][0]).shape == screen.shape


def test_at_zero_the_photograph_comes_back(studio):
    studio.photograph()
    with studio.page() as page:
        page.edit(1, move={"smile": 0.5})
        page.edit(2, move={"smile": 0.0, "yaw": 0.0})
        page.until(type="frame", kind="preview", n=2)
    picture = np.asarray(Image.open(io.BytesIO(studio.get("api/picture.png").content)))
    assert np.array_equal(picture, studio.session.state.sitting.photograph.image)


def test_a_page_that_is_loaded_again_has_lost_nothing(studio):
    studio.photograph(name="me.jpg")
    with studio.page() as page:
        page.edit(1, move={"smile": 0.3}, set={"lightStrength": 0.5})
        page.say(type="settle")
        page.until(type="frame", kind="preview", n=1)
        page.say(type="draw", n=1)
        page.until(type="frame", kind="result")
        drawn = page.frames[-1][1][0]
    with studio.page() as page:
        state = page.receive()
        assert state["photo"]["name"] == "me.jpg"
        assert state["preset"]["move"] == {"smile": 0.3}
        assert state["preset"]["set"] == {"lightStrength": 0.5}
        assert state["history"] == {"undo": True, "redo": False}
        page.until(type="frame", kind="result")
        assert page.frames[-1][1][0] == drawn


def test_two_pages_show_the_same_studio(studio):
    with studio.page() as one, studio.page() as other:
        for page in (one, other):
            assert page.receive()["photo"] is None
        studio.photograph()
        for page in (one, other):
            assert page.until(type="state")["photo"]["name"] == "me.jpg"
        one.edit(5, move={"yaw": 10.0})
        one.say(type="settle")
        assert other.until(type="state")["preset"]["move"] == {"yaw": 10.0}
        other.until(type="frame", kind="preview", n=5)
        other.say(type="undo")
        assert one.until(type="state", preset={"kind": "diffusionrig preset", "version": 1, "set": {}, "move": {}, "take": {}})


def test_undo_and_redo_go_through_what_was_settled_on(studio):
    studio.photograph()
    with studio.page() as page:
        for number, value in enumerate((0.1, 0.2, 0.3)):
            page.edit(number, move={"smile": value})
            page.say(type="settle")

        def shown(kind):
            page.say(type=kind)
            return page.until(type="state")["preset"]["move"]

        for _ in range(4):
            page.until(type="state")
        assert [shown(kind) for kind in ("undo", "undo", "redo", "undo", "undo", "undo")] == [
            {"smile": 0.2}, {"smile": 0.1}, {"smile": 0.2}, {"smile": 0.1}, {}, {}]
        page.edit(9, move={"yaw": 5.0})
        page.say(type="settle")
        assert page.until(type="state")["history"] == {"undo": True, "redo": False}
        assert shown("redo") == {"yaw": 5.0}


def held_drawing(monkeypatch):
    """Pictures are drawn when the second event is set; the first says that one was begun."""
    begun, go = threading.Event(), threading.Event()
    draw = session_module.draw

    def slow(*arguments):
        begun.set()
        assert go.wait(60)
        return draw(*arguments)

    monkeypatch.setattr(session_module, "draw", slow)
    return begun, go


def test_a_page_that_goes_in_the_middle_of_a_job_disturbs_nobody(studio, monkeypatch):
    studio.photograph()
    begun, go = held_drawing(monkeypatch)
    with studio.page() as staying:
        with studio.page() as going:
            going.edit(1, move={"smile": 0.4})
            going.until(type="frame", kind="preview", n=1)
            going.say(type="draw", n=1)
            assert begun.wait(60)
        go.set()
        staying.until(type="frame", kind="result")
        staying.edit(2, move={"smile": 0.5})
        staying.until(type="frame", kind="preview", n=2)
    assert studio.session._pages == []


def test_cancelled_pictures_are_not_shown(studio, monkeypatch):
    studio.photograph()
    begun, go = held_drawing(monkeypatch)
    with studio.page() as page:
        page.edit(1, move={"smile": 0.4})
        page.until(type="frame", kind="preview", n=1)
        page.say(type="draw", n=1)
        assert begun.wait(60)
        page.say(type="cancel")
        page.say(type="seed", seed=3)  # answered after the cancel was heard
        page.until(type="state", seed=3)
        go.set()
        page.until(type="progress", ended=True)
        page.until(type="frame", kind="result")
        kinds = [header["n"] for header, _ in page.frames if header["kind"] == "result"]
        assert kinds == [0]


@pytest.mark.parametrize(("text", "words"), [
    ("{", "not valid JSON"), ("[1]", "JSON object"), ('{"type": "explode"}', "'explode'"), ('{"type": "edit"}', "not a preset"),
    ('{"type": "edit", "n": -1, "preset": {"kind": "diffusionrig preset"}}', "whole number"),
    ('{"type": "look", "inset": "../etc"}', "'../etc'"), ('{"type": "face", "number": 7}', "--face 7"),
    ('{"type": "edit", "n": 1, "preset": {"kind": "diffusionrig preset", "move": {"yaw": 170}}}', "turns the head away"),
    ('{"type": "edit", "n": 1, "preset": {"kind": "diffusionrig preset", "set": {"smirk": 1}}}', "'smirk'")])
def test_messages_that_make_no_sense_are_answered_with_a_sentence(studio, text, words):
    studio.photograph()
    with studio.page() as page:
        page.socket.send_text(text)
        assert words in page.until(type="error")["text"]
        page.edit(2, move={"smile": 0.1})
        page.until(type="frame", kind="preview", n=2)


def test_a_second_photograph_lends_its_expression(studio):
    studio.photograph()
    with studio.page() as page:
        assert studio.post("api/second?name=her.jpg", PORTRAIT.read_bytes()).status_code == 200
        page.until(type="state")
        page.edit(3, take={"exp": 1.0, "pose": 0.5})
        page.until(type="frame", kind="preview", n=3)
        recipe = studio.get("api/recipe").json()
        assert "--target her.jpg --modes pose+exp --strength pose=0.5,exp=1" in recipe["command"]
        page.say(type="no_second")
        page.until(type="state", target=None)
        assert "--target" not in studio.get("api/recipe").json()["command"]


def test_only_the_latest_of_what_waits_is_done():
    async def play():
        done, go = [], asyncio.Event()

        async def work(item):
            await go.wait()
            done.append(item)

        latest = Latest(work)
        for item in range(100):
            latest.offer(item)
            await asyncio.sleep(0)
        go.set()
        await latest.settled()
        assert done == [0, 99]
        assert latest.dropped == 98
        latest.offer(5)
        await latest.settled()
        assert done == [0, 99, 5]

    asyncio.run(play())


def test_frames_hold_their_parts():
    header, parts = unframed(framed({"kind": "x", "n": 3}, [b"one", b"", b"three"]))
    assert (header["kind"], header["n"], parts) == ("x", 3, [b"one", b"", b"three"])


def test_a_stream_of_events_builds_no_queue(studio):
    studio.photograph()
    with studio.page() as page:
        page.until(type="frame", kind="preview")
        began = time.monotonic()
        for number in range(1, 101):
            page.edit(number, move={"smile": number / 200})
        page.until(type="frame", kind="preview", n=100)
        shown = [header["n"] for header, _ in page.frames]
        assert shown == sorted(shown)
        assert len(shown) < 80
        assert time.monotonic() - began < 60


def test_of_several_faces_any_can_sit(studio):
    portrait = Image.open(PORTRAIT).convert("RGB")
    group = Image.new("RGB", (768, 512), (120, 120, 120))
    group.paste(portrait.crop((60, 0, 428, 512)), (0, 0))
    group.paste(portrait.crop((60, 0, 428, 512)).resize((276, 384)), (430, 64))
    buffer = io.BytesIO()
    group.save(buffer, "PNG")
    studio.photograph(buffer.getvalue(), "group.png")
    with studio.page() as page:
        first = page.until(type="state")["photo"]
        assert (first["faces"], first["number"]) == (2, 1)
        assert 0.5 < first["confidence"] <= 1
        page.say(type="face", number=2)
        second = page.until(type="state")["photo"]
        assert second["number"] == 2
        # The face's square begins farther to the right in the same photograph.
        assert -second["matrix"][0][2] / second["matrix"][0][0] > -first["matrix"][0][2] / first["matrix"][0][0] + 200
        assert "--face 2" in studio.get("api/recipe").json()["command"]
        assert studio.get("api/face.jpg?number=2").headers["content-type"] == "image/jpeg"
        assert studio.get("api/face.jpg?number=3").status_code == 400


def test_previews_make_nothing_that_is_not_shown(studio, monkeypatch):
    from diffusionrig.editing import painting
    from diffusionrig.studio import drawing

    studio.photograph()
    made = []

    def pictures(result, names):
        found = buffer_pictures(result, names)
        made.append(sorted(found))
        return found

    buffer_pictures = drawing.buffer_pictures
    monkeypatch.setattr(drawing, "buffer_pictures", pictures)
    with studio.page() as page:
        page.until(type="frame", kind="preview")
        with monkeypatch.context() as patch:
            patch.setattr(painting, "reference_condition", None)  # the network's affair
            page.edit(1, move={"smile": 0.4})
            page.until(type="frame", kind="preview", n=1)
            page.say(type="look", inset="confidence")
            page.until(type="frame", kind="preview", n=0)
    assert made[-1] == ["confidence"]
    assert all(len(names) == 1 for names in made)
