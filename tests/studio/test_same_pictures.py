"""The page draws what ``edit`` draws: the same code, the same pixels."""

import io
import json
import random
import shlex

import numpy as np
import pytest
import torch
from PIL import Image
from studio_pages import PORTRAIT

from diffusionrig.cli import command_parser
from diffusionrig.cli import edit as edit_command
from diffusionrig.editing.controls import edited_code
from diffusionrig.editing.order import Order
from diffusionrig.editing.presets import preset_from
from diffusionrig.editing.provenance import read_provenance
from diffusionrig.editing.sampling import Sampling
from diffusionrig.editing.session import run_session
from diffusionrig.io.images import read_image
from diffusionrig.studio.recipes import Origin, command_line, python_lines
from diffusionrig.studio.session import Session
from diffusionrig.studio.sliders import sliders
from diffusionrig.studio.state import State

pytestmark = pytest.mark.timeout(200)


@pytest.fixture(scope="module")
def seated(reference_rig):
    session = Session(reference_rig)
    from diffusionrig.studio.sitting import sit

    return sit(reference_rig, session._open(PORTRAIT.read_bytes(), "portrait.jpg"))


def random_preset(dice):
    every = [slider for group in sliders().values() for slider in group]
    chosen = dice.sample(every, dice.randint(1, 9))
    values = {slider["name"]: round(dice.uniform(slider["low"] / 2, slider["high"] / 2), 2) for slider in chosen}
    lamp = {name: value for name, value in values.items() if name.startswith("light")}
    take = {part: round(dice.random(), 2) for part in dice.sample(["exp", "pose", "light"], dice.randint(0, 2))}
    return preset_from({"kind": "diffusionrig preset", "set": lamp, "take": take,
                        "move": {name: value for name, value in values.items() if name not in lamp}})


PARSER = command_parser("edit")


def asked_by(command):
    """The edit that a command line asks for."""
    (edit,) = edit_command._edits(PARSER.parse_args(shlex.split(command)[2:]))
    return edit


def test_a_thousand_states_and_their_command_lines_ask_for_the_same_face(seated, reference_rig):
    dice, face = random.Random(5), seated.prepared.faces.code
    target = face.replace(expression=face.expression.flip(1), light=face.light * 0.7)
    for _ in range(1000):
        second = seated if dice.random() < 0.5 else None
        edit = State(seated, second, random_preset(dice)).edit()
        told = asked_by(command_line(seated, second, edit, 0, Origin()))
        mine, theirs = (edited_code(face, target, one, reference_rig.head) for one in (edit, told))
        for name, tensor in mine.tensors().items():
            assert torch.equal(tensor, getattr(theirs, name)), (name, edit, told)


@pytest.mark.parametrize("seed", range(3))
def test_the_downloaded_picture_is_the_file_that_edit_writes(studio, reference_rig, tmp_path, seed):
    dice = random.Random(seed)
    (tmp_path / "me.jpg").write_bytes(PORTRAIT.read_bytes())
    second = tmp_path / "her.png"
    Image.open(PORTRAIT).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(second)
    studio.photograph(name="me.jpg")
    assert studio.post("api/second?name=her.png", second.read_bytes()).status_code == 200
    preset = random_preset(dice)
    assert studio.post("api/preset?name=p.json", json.dumps(preset.to_json()).encode()).status_code == 200
    data = studio.get("api/picture.png").content
    edit = asked_by(studio.get("api/recipe").json()["command"])
    target = str(second) if edit.parts else ""
    report = run_session(reference_rig, Order(str(tmp_path / "me.jpg"), target, [edit], str(tmp_path / "out"), Sampling(seed=0),
                                              align_source=None))
    written = tmp_path / "out" / report["outputs"][-1]["file"]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), read_image(written))
    (tmp_path / "taken.png").write_bytes(data)
    mine, theirs = read_provenance(tmp_path / "taken.png"), read_provenance(written)
    assert mine["intact"]
    assert {key: mine[key] for key in ("pixels", "mode", "model", "sliders", "photo")} == {
        key: theirs[key] for key in ("pixels", "mode", "model", "sliders", "photo")}


def test_the_lines_of_python_run(studio, reference_rig, tmp_path, monkeypatch):
    studio.photograph(name="me.jpg")
    preset = {"kind": "diffusionrig preset", "move": {"jawOpen": 0.4}}
    studio.post("api/preset?name=p.json", json.dumps(preset).encode())
    (tmp_path / "me.jpg").write_bytes(PORTRAIT.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("diffusionrig.editing.rig.Rig.from_pretrained", lambda name: reference_rig)
    exec(compile(studio.get("api/recipe").json()["python"], "recipe", "exec"), {})
    taken = np.asarray(Image.open(io.BytesIO(studio.get("api/picture.png").content)))
    assert np.array_equal(taken, read_image(tmp_path / "log" / "edit" / "0_set.png"))


def test_recipes_name_files_that_a_shell_could_mistake(seated):
    import dataclasses

    odd = dataclasses.replace(seated, photograph=dataclasses.replace(seated.photograph, name="-rf $(x) it's.jpg"), number=2)
    edit = State(odd, None, preset_from({"kind": "diffusionrig preset", "move": {"smile": -0.25}})).edit()
    origin = Origin("my model.safetensors", use_model="FIT")
    assert shlex.split(command_line(odd, None, edit, 4, origin)) == [
        "diffusionrig", "edit", "./-rf $(x) it's.jpg", "--model_path", "my model.safetensors", "--use_model", "FIT", "--set",
        "smile=-0.25", "--face", "2", "--seed", "4"]
    lines = python_lines(odd, None, edit, 4, Origin("m.pt", precision="fp32"))
    assert "it's.jpg" in lines
    assert "Sampling(seed=4)" in lines
    assert "face=2" in lines
    assert "Rig.from_pretrained('m.pt', precision='fp32')" in lines
