"""The album panel without a browser: photographs in, verdicts, consent, training, its stop and its continuation."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image
from standin_commands import Commands
from studio_pages import BAD, PORTRAIT

from diffusionrig.cli import command_parser
from diffusionrig.studio import album_folder, album_work

pytestmark = pytest.mark.timeout(120)

CONSENT = "--no dashes, \"quotes\" or\nlines end this statement"


def picture(number):
    """PNG of a small picture; no face is needed where curate is stood in for."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((40, 30, 3), 10 * number, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def commands(monkeypatch, reference_checkpoint):
    standin = Commands(reference_checkpoint)
    monkeypatch.setattr(album_work, "Attended", standin)
    monkeypatch.setattr(album_work, "BEAT", 0.02)
    return standin


def photograph(studio, data, name):
    return studio.client.post("/right-token/api/album/photo", params={"name": name}, content=data)


def filled(studio, count=3):
    for number in range(count):
        assert photograph(studio, picture(number), f"{number}.png").status_code == 200


def album(studio):
    (panel,) = [panel for panel in studio.session.panels if type(panel).__name__ == "AlbumPanel"]
    return panel


def looked(page):
    page.say(type="album_look", where="album")
    return page.until(type="album", running="", looked=True)


def trained(page, updates=5, consent=CONSENT):
    page.say(type="album_train", where="album", consent=consent, updates=updates)


def until(page, **wanted):
    """The next state of the album whose training has these values."""
    for _ in range(300):
        message = page.until(type="album")
        if all(message.get("training", {}).get(key, message.get(key)) == value for key, value in wanted.items()):
            return message
    raise AssertionError(f"no album with {wanted}")


@pytest.mark.parametrize("kind", sorted(set(BAD) - {"nobody"}))
def test_a_bad_photograph_is_told_and_ends_nothing(studio, commands, kind):
    data, words = BAD[kind]
    filled(studio, 1)
    answer = photograph(studio, data, "holiday.jpg")
    assert answer.status_code in {400, 422}
    assert words in answer.json()["error"]
    filled(studio, 2)
    with studio.page() as page:
        state = page.until(type="album")
        assert [entry["file"] for entry in state["photographs"]] == ["0.png", "1.png"]
        assert state["refused"] == [{"name": "holiday.jpg", "why": answer.json()["error"]}]
        page.say(type="album_forget_refused")
        assert page.until(type="album")["refused"] == []


def test_too_many_bytes_or_photographs_are_refused(studio, commands, monkeypatch):
    answer = photograph(studio, bytes(2_000_001), "big.jpg")
    assert answer.status_code == 422
    assert "2 MB" in answer.json()["error"]
    monkeypatch.setattr(album_folder, "MOST_PHOTOGRAPHS", 2)
    filled(studio, 2)
    assert "up to 2 photographs" in photograph(studio, picture(5), "one.png").json()["error"]
    assert photograph(studio, picture(1), "copy.png").json() == {"new": False}


@pytest.mark.parametrize(("name", "kept"), [
    ("../../etc/passwd", "passwd.png"), ("..\\..\\boot.ini", "boot.ini.png"), (".hidden.png", "hidden.png"),
    ("..", "photograph.png"), ("", "photograph.png"), ("a\x00b\n.png", "ab.png"), ("me.JPG", "me.jpg")])
def test_names_stay_within_the_album(studio, commands, tmp_path, name, kept):
    before = {path for path in tmp_path.rglob("*") if "work" not in path.parts}
    assert photograph(studio, picture(1), name).status_code == 200
    assert [path.name for path in (tmp_path / "work/albums/My album/photographs").iterdir()] == [kept]
    assert {path for path in tmp_path.rglob("*") if "work" not in path.parts} == before
    assert studio.client.get("/right-token/api/album/photo.jpg", params={"file": kept}).status_code == 200
    for wrong in ("../album.json", "/etc/passwd", "", "none.png"):
        answer = studio.client.get("/right-token/api/album/photo.jpg", params={"file": wrong})
        assert answer.status_code == 400
        assert "no photograph" in answer.json()["error"]


def test_long_and_equal_names_find_their_places():
    name = album_folder.free_name("\N{GRINNING FACE}" * 100 + ".png", b"", [])
    assert len(name.encode()) <= 130
    assert album_folder.free_name("a.png", b"", ["A.png", "a-2.png"]) == "a-3.png"


def test_curates_own_words_stand_beside_each_photograph(studio, commands):
    filled(studio)
    commands.verdicts = {"1.png": ("blurred", "the face is blurred (sharpness 0.10, below 0.24)")}
    with studio.page() as page:
        state = looked(page)
        assert [(entry["verdict"], entry["why"]) for entry in state["photographs"]] == [
            ("kept", ""), commands.verdicts["1.png"], ("kept", "")]
        assert state["notes"] == ["A note."]
        photograph(studio, picture(9), "9.png")
        assert page.until(type="album")["looked"] is False
        page.say(type="album_remove", where="album", file="9.png")
        assert page.until(type="album")["looked"] is True
        page.say(type="album_remove", where="album", file="../album.json")
        assert "no photograph" in page.until(type="error")["text"]


@pytest.mark.parametrize(("change", "words"), [
    ({"consent": " \n "}, "in what words the person"), ({"updates": 0}, "whole number from 1"), ({"updates": True}, "whole number"),
    ({"updates": "many"}, "whole number"), ({"consent": "x" * 501}, "500 letters")])
def test_without_consent_or_sense_nothing_is_trained(studio, commands, change, words):
    filled(studio)
    with studio.page() as page:
        looked(page)
        page.say(type="album_train", where="album", **{"consent": "yes", "updates": 5, **change})
        assert words in page.until(type="error", where="album")["text"]
        assert [command.command for command in commands.begun] == ["curate"]


def test_an_album_that_is_not_fit_is_not_trained(studio, commands):
    with studio.page() as page:
        page.say(type="album_train", where="album", consent="yes", updates=5)
        assert "no album yet" in page.until(type="error")["text"]
        filled(studio)
        trained(page)
        assert "looked at" in page.until(type="error")["text"]
        commands.verdicts = {f"{number}.png": ("no face", "no face was found") for number in range(3)}
        looked(page)
        trained(page)
        assert "No photograph of this album can stay" in page.until(type="error")["text"]


def test_it_asks_what_the_command_line_asks(studio, commands, reference_checkpoint, tmp_path):
    filled(studio)
    with studio.page() as page:
        looked(page)
        trained(page, 40)
        until(page, state="done")
    asked = {command.command: command_parser(command.command).parse_args(command.words) for command in commands.begun}
    work = tmp_path / "work/albums/My album"
    assert asked["curate"].folder == str(work / "photographs")
    assert asked["curate"].faces == 64
    assert asked["create-data"].data_dir == [str(work / "curated/faces")]
    train = asked["train"]
    assert (train.stage, train.max_steps, train.resume_checkpoint) == (2, 40, str(reference_checkpoint))
    assert train.data_dir == asked["create-data"].output_dir
    assert train.consent == " ".join(CONSENT.split())


def test_a_training_is_stopped_and_goes_on_whatever_pages_do(studio, commands):
    filled(studio)
    commands.go.clear()
    with studio.page() as staying:
        with studio.page() as going:
            looked(going)
            trained(going)
            state = until(going, state="running", done=2)
            assert state["training"]["curve"] == [[1, 1.0], [2, 0.5]]
            assert state["training"]["left"] == round(3 * 3 / 2.0)
        assert until(staying, state="running", done=2)["consent"] == " ".join(CONSENT.split())
        answer = photograph(studio, picture(8), "8.png")
        assert "when the training has ended" in answer.json()["error"]
        with studio.page() as again:
            state = again.until(type="album")
            assert (state["training"]["state"], state["training"]["done"], state["running"]) == ("running", 2, "train")
            assert state["refused"] == []
            again.say(type="album_stop")
            state = until(again, state="stopped", running="")
            assert state["training"]["done"] == 2
            words = commands.last("train").words
            commands.go.set()
            trained(again)
            assert until(again, state="done")["training"]["done"] == 5
    assert commands.last("train").words == words
    assert [command.command for command in commands.begun] == ["curate", "create-data", "train", "train"]


def test_the_studios_end_stops_a_training_and_the_next_finds_it(studio, commands, reference_rig, reference_checkpoint, tmp_path):
    from diffusionrig.studio.album_panel import AlbumPanel
    from diffusionrig.studio.recipes import Origin
    from diffusionrig.studio.session import Session

    filled(studio)
    commands.go.clear()
    with studio.page() as page:
        looked(page)
        trained(page)
        until(page, state="running", done=2)
    studio.client.portal.call(studio.session.shut)
    assert commands.last("train").stopped
    later = AlbumPanel(Session(reference_rig, origin=Origin(str(reference_checkpoint))), tmp_path / "work")
    (state,) = later.whole()
    assert (state["name"], state["running"]) == ("My album", "")
    assert (state["training"]["state"], state["training"]["done"], state["training"]["total"]) == ("stopped", 2, 5)
    assert state["consent"] == " ".join(CONSENT.split())


def test_a_command_that_fails_is_told_in_its_words_and_may_be_tried_again(studio, commands):
    filled(studio)
    commands.fails = {"create-data": "The disk is full."}
    with studio.page() as page:
        looked(page)
        trained(page)
        assert until(page, running="", problem="The disk is full.")["training"]["state"] == "none"
        with studio.page() as again:
            assert again.until(type="album")["problem"] == "The disk is full."
        commands.fails = {}
        trained(page)
        assert until(page, state="done")["problem"] == ""


def test_other_photographs_make_another_model(studio, commands):
    filled(studio)
    with studio.page() as page:
        looked(page)
        trained(page)
        first = until(page, state="done")
        photograph(studio, picture(7), "7.png")
        looked(page)
        trained(page, 6)
        second = until(page, state="done")
    assert len({model["path"] for model in second["models"]}) == 2
    assert first["models"][0] in second["models"]


def test_a_model_is_used_and_the_first_one_again(studio, commands, reference_checkpoint):
    studio.photograph()
    filled(studio)
    with studio.page() as page:
        looked(page)
        trained(page)
        (model,) = until(page, state="done")["models"]
        page.edit(3, move={"smile": 0.5})
        page.until(type="frame", kind="preview", n=3)
        # What a stand-in leaves is no store.
        shutil.rmtree(model["store"])
        assert studio.client.post("/right-token/api/album/use", params={"model": model["path"]}).status_code == 200
        assert page.until(type="model")["name"] == "My album"
        assert page.until(type="state")["preset"]["move"] == {"smile": 0.5}
        page.until(type="frame", kind="result")
        assert f"--model_path '{model['path']}'" in studio.get("api/recipe").json()["command"]
        assert studio.get("api/about").json()["model"]["name"] == "My album"
        for wrong in ("/etc/passwd", str(reference_checkpoint), model["path"] + "/../x"):
            answer = studio.client.post("/right-token/api/album/use", params={"model": wrong})
            assert answer.status_code == 400
        assert studio.post("api/album/use?model=").status_code == 200
        assert page.until(type="model")["name"] == reference_checkpoint.name
    assert studio.session.origin.model_path == str(reference_checkpoint)


def test_albums_have_names_of_their_own(studio, commands, tmp_path):
    with studio.page() as page:
        page.say(type="album_new", where="album", name="../../Ann")
        assert page.until(type="album", name="Ann")["albums"] == ["Ann"]
        page.say(type="album_new", where="album", name="ann")
        assert "an album ann already" in page.until(type="error")["text"]
        page.say(type="album_new", where="album", name=" .. ")
        assert "needs a name" in page.until(type="error")["text"]
        filled(studio, 1)
        page.say(type="album_new", where="album", name="Bob")
        assert page.until(type="album", name="Bob")["photographs"] == []
        page.say(type="album_open", where="album", name="Ann")
        assert len(page.until(type="album", name="Ann")["photographs"]) == 1
        page.say(type="album_open", where="album", name="../albums/Ann")
        assert "no album" in page.until(type="error")["text"]
    assert sorted(path.name for path in (tmp_path / "work/albums").iterdir()) == ["Ann", "Bob"]


def test_an_album_that_was_moved_is_looked_at_anew(tmp_path):
    old = album_folder.AlbumFolder(tmp_path / "old")
    old.add(PORTRAIT.read_bytes(), "me.jpg", 100)
    (old.curated / "kept").mkdir(parents=True)
    (old.curated / "report.json").write_text('{"folder": "elsewhere"}')
    old.forget_strange_look()
    assert not old.curated.exists()
