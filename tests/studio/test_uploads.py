import json

import pytest
from studio_pages import BAD, PORTRAIT


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_photograph_is_a_sentence_that_names_it(studio, kind):
    data, words = BAD[kind]
    answer = studio.post("api/photo?name=holiday.jpg", data)
    assert answer.status_code in {400, 422}
    text = answer.json()["error"]
    assert words in text
    assert "holiday.jpg" in text
    assert "\n" not in text
    assert studio.session.state.sitting is None


def test_a_bad_photograph_leaves_the_one_that_is_open(studio):
    studio.photograph()
    before = studio.session.state.sitting
    assert studio.post("api/photo?name=x.jpg", b"nothing").status_code == 422
    assert studio.post("api/second?name=x.jpg", b"nothing").status_code == 422
    assert studio.session.state.sitting is before
    assert studio.session.state.target is None


@pytest.mark.parametrize("told", [True, False])
def test_more_bytes_than_allowed_are_not_even_read(studio, told):
    def stream():
        for number in range(1000):
            sent.append(number)
            yield bytes(10_000)

    sent = []
    headers = {"Content-Length": "10000000"} if told else {}
    answer = studio.post("api/photo?name=big.jpg", stream(), headers=headers)
    assert answer.status_code == 422
    assert "2 MB" in answer.json()["error"]


@pytest.mark.parametrize(("name", "kept"), [
    ("../../etc/passwd", "passwd"), ("..\\..\\boot.ini", "boot.ini"), ("/abs/me.jpg", "me.jpg"), ("..", "photograph"),
    ("", "photograph"), ("a\x00b\n.jpg", "ab.jpg"), ('x"; filename="y.png', "x; filename=y.png"),
    ("ü" * 300 + ".jpg", "ü" * 96 + ".jpg")])
def test_names_lead_nowhere(studio, name, kept):
    answer = studio.client.post("/right-token/api/photo", params={"name": name}, content=PORTRAIT.read_bytes())
    assert answer.status_code == 200
    assert studio.session.state.sitting.photograph.name == kept
    header = studio.get("api/picture.png").headers["content-disposition"]
    assert header.startswith("attachment; filename*=UTF-8''")
    assert not {'"', "\n", "/", "\\"} & set(header.removeprefix("attachment; "))


@pytest.mark.parametrize("path", ["api/photo.jpg", "api/picture.png", "api/recipe", "api/face.jpg?number=1"])
def test_before_a_photograph_there_is_nothing_to_give(studio, path):
    answer = studio.get(path)
    assert answer.status_code == 400
    assert "No photograph is open yet" in answer.json()["error"]


@pytest.mark.parametrize(("text", "words"), [
    ("{", "not valid JSON"), ("[]", "not a preset"), ('{"kind": "diffusionrig preset", "move": {"smile": "much"}}', "'smile'"),
    ('{"kind": "diffusionrig preset", "move": {"smirk": 1}}', "'smirk'"), ("[" * 20_000, "JSON"),
    ('{"kind": "diffusionrig preset", "take": {"hair": 1}}', "'hair'"),
    ('{"kind": "diffusionrig preset", "set": {"yaw": 1e400}}', "'yaw'"),
    ('{"kind": "diffusionrig preset", "set": {"yaw": ' + "9" * 400 + "}}", "'yaw'")])
def test_a_bad_preset_is_a_sentence_and_changes_nothing(studio, text, words):
    studio.photograph()
    answer = studio.post("api/preset?name=mine.json", text.encode())
    assert answer.status_code in {400, 422}
    assert words in answer.json()["error"]
    assert studio.session.state.preset.moves == ()


def test_a_preset_comes_back_as_it_went(studio):
    studio.photograph()
    preset = {"kind": "diffusionrig preset", "version": 1, "set": {"lightStrength": 0.5}, "move": {"smile": 0.4}, "take": {}}
    assert studio.post("api/preset?name=mine.json", json.dumps(preset).encode()).status_code == 200
    assert studio.get("api/preset.json").json() == preset
