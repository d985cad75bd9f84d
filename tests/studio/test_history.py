"""The history: where the face has been, what changed, what it looked like, and the way back."""

import io

import pytest
from PIL import Image

from diffusionrig.editing.presets import Preset
from diffusionrig.errors import UsageError
from diffusionrig.studio.history import LONGEST, MOST_CHANGES, History

pytestmark = pytest.mark.timeout(90)


def test_it_tells_what_changed_from_step_to_step():
    history = History()
    history.commit(Preset(moves=(("smile", 0.4),)))
    history.commit(Preset(moves=(("smile", 0.4), ("yaw", 10.0)), sliders=(("lightSide", 30.0),)))
    history.commit(Preset(moves=(("yaw", 10.0),), sliders=(("lightSide", 30.0),)))
    history.commit(Preset(moves=tuple((f"m{number}", 1.0) for number in range(9))))
    history.commit(Preset())
    told = history.to_json()["steps"]
    assert [step["changes"] for step in told[:4]] == [[], [["smile", 0.4]], [["lightSide", 30.0], ["yaw", 10.0]], [["smile", None]]]
    assert (len(told[4]["changes"]), told[4]["more"]) == (MOST_CHANGES, 11 - MOST_CHANGES)
    assert [step["empty"] for step in told] == [True, False, False, False, False, True]


def test_it_goes_back_to_any_step_and_is_bounded():
    history = History()
    for number in range(1, 2 * LONGEST):
        history.commit(Preset(moves=(("yaw", float(number)),)))
    told = history.to_json()
    assert [step["number"] for step in told["steps"]] == list(range(LONGEST, 2 * LONGEST))
    assert history.go_to(LONGEST + 3).moves == (("yaw", LONGEST + 3.0),)
    assert history.ways() == {"undo": True, "redo": True}
    with pytest.raises(UsageError, match="no step 5 in"):
        history.go_to(5)
    history.commit(Preset(moves=(("yaw", 0.5),)))
    assert [step["number"] for step in history.to_json()["steps"]] == [*range(LONGEST, LONGEST + 4), 2 * LONGEST]
    assert history.ways()["redo"] is False


def test_pages_see_the_steps_and_go_back_to_one(studio):
    studio.photograph()
    with studio.page() as page:
        for number, move in enumerate(({"smile": 0.5}, {"smile": 0.5, "yaw": 20.0}), 1):
            page.edit(number, move=move)
            page.until(type="frame", kind="preview", n=number)
            page.say(type="settle")
            page.until(type="history", now=number)
        steps = page.texts[-1]["steps"]
        assert [step["seen"] for step in steps] == [True, True, True]
        pictures = [Image.open(io.BytesIO(studio.get(f"api/step.jpg?number={number}").content)) for number in range(3)]
        assert len({picture.tobytes() for picture in pictures}) == 3
        assert all(max(picture.size) <= 96 for picture in pictures)
        page.say(type="step", where="edit", number=1)
        assert page.until(type="state")["preset"]["move"] == {"smile": 0.5}
        assert page.until(type="history")["now"] == 1
        page.until(type="frame", kind="result")
        page.say(type="step", where="edit", number=77)
        assert "no step 77" in page.until(type="error")["text"]
    with studio.page() as again:
        assert again.until(type="history")["now"] == 1
    for wrong in ("9", "-1", "x", "", "1" * 400):
        assert studio.get(f"api/step.jpg?number={wrong}").status_code == 400
    studio.photograph()
    with studio.page() as page:
        assert [step["number"] for step in page.until(type="history")["steps"]] == [0]


def test_a_step_that_is_settled_before_it_is_seen_gets_its_picture_later(studio):
    studio.photograph()
    with studio.page() as page:
        page.until(type="frame", kind="preview")
        page.edit(1, move={"yaw": 9.0})
        page.say(type="settle")
        page.until(type="frame", kind="preview", n=1)
        while not (last := page.until(type="history"))["steps"][-1]["seen"]:
            pass
        assert last["now"] == 1
