import json

import pytest
import torch

from diffusionrig.editing.composites import COMPOSITES, expanded_moves, expanded_settings
from diffusionrig.editing.controls import Edit, apply_sliders, edited_code, parse_modes, parse_sliders, parse_strength
from diffusionrig.editing.lighting import LIGHTS, with_lamp
from diffusionrig.editing.presets import Preset, asked_for, preset_from, read_preset
from diffusionrig.errors import RigError, UsageError
from diffusionrig.geometry.arkit import ARKIT_NAMES
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.heads import load_head
from diffusionrig.geometry.rotations import axis_angle_to_matrix
from diffusionrig.render.shading import sh_basis

HEAD = load_head()


def code(expression=0.3):
    light = torch.zeros(1, 9, 3)
    light[:, 0] = 2.0
    light[:, 3] = 0.4
    return FaceCode(shape=torch.zeros(1, HEAD.n_shape), albedo=torch.zeros(1, HEAD.n_albedo), light=light, head=HEAD.name,
                    expression=torch.full((1, 52), expression), pose=torch.zeros(1, 6), camera=torch.ones(1, 3))


def weight(face, name):
    return float(face.expression[0, ARKIT_NAMES.index(name)])


def test_movements_are_mixtures_of_known_actions():
    assert {action for parts in COMPOSITES.values() for action in parts} <= set(ARKIT_NAMES)
    assert COMPOSITES.keys().isdisjoint({*ARKIT_NAMES, *LIGHTS})


def test_a_smile_moves_both_corners_and_takes_the_frown_away():
    smiling = apply_sliders(code(), (), HEAD, (("smile", 0.4),))
    assert weight(smiling, "mouthSmileLeft") == weight(smiling, "mouthSmileRight") == pytest.approx(0.7)
    assert weight(smiling, "mouthFrownLeft") == pytest.approx(0.1)
    assert weight(smiling, "jawOpen") == pytest.approx(0.3)
    sad = apply_sliders(code(), (), HEAD, parse_sliders("smile=-0.4")[1])
    assert weight(sad, "mouthSmileLeft") == 0
    assert weight(sad, "mouthFrownLeft") == pytest.approx(0.5)
    plain = apply_sliders(code(), (("smile", 0.5),), HEAD)
    assert (weight(plain, "mouthSmileLeft"), weight(plain, "mouthFrownRight")) == (0.5, 0.0)


def test_moves_of_one_action_add_up_and_a_named_setting_counts():
    assert dict(expanded_moves((("smile", 0.2), ("mouthSmileLeft", 0.1))))["mouthSmileLeft"] == pytest.approx(0.3)
    assert dict(expanded_settings((("mouthSmileLeft", 0.9), ("smile", 0.2))))["mouthSmileLeft"] == 0.9
    assert parse_sliders("smile=0.4,smile2=1")[0][0] == ("smile", 0.4)


def test_movements_by_nothing_change_not_a_bit():
    face = code(0.123)
    edited = edited_code(face, None, Edit("set", moves=tuple((name, 0.0) for name in (*COMPOSITES, "gazeUp", "yaw"))), HEAD)
    for name, tensor in face.tensors().items():
        assert torch.equal(tensor, getattr(edited, name)), name


def test_gaze_turns_both_eyes_and_no_head():
    edited = apply_sliders(code(), (("gazeUp", 10.0),), HEAD, (("gazeSide", 15.0),))
    forward = torch.tensor([0.0, 0.0, 1.0])
    for half in (0, 3):
        looks = axis_angle_to_matrix(edited.eyes[0, half:half + 3]) @ forward
        assert looks[0] > 0.2  # towards the subject's left
        assert looks[1] > 0.15  # up
    assert torch.equal(edited.pose, code().pose)
    with pytest.raises(UsageError, match="turns the eyes away"):
        apply_sliders(code(), (("gazeSide", 60.0),), HEAD)


def test_a_lamp_from_the_left_lights_the_left():
    light = code().light
    lit = with_lamp(light, {"lightSide": 60.0, "lightStrength": 1.0, "lightAmbient": 0.0})
    left, front, right = (float((sh_basis(torch.tensor(normal)) @ lit)[0].mean()) for normal in (
        [0.87, 0.0, 0.5], [0.0, 0.0, 1.0], [-0.87, 0.0, 0.5]))
    assert left > front > right
    level = float((sh_basis(torch.tensor([0.0, 0.0, 1.0])) @ light)[0].mean())
    facing = with_lamp(light, {"lightStrength": 1.0, "lightAmbient": 0.0})
    assert float((sh_basis(torch.tensor([0.0, 0.0, 1.0])) @ facing)[0].mean()) == pytest.approx(level, rel=0.1)


def test_the_usual_lamp_leaves_the_light_and_a_red_one_is_red():
    light = code().light
    assert torch.allclose(with_lamp(light, {name: usual for name, (_, _, usual) in LIGHTS.items()}), light)
    red = with_lamp(light, {"lightStrength": 1.0, "lightGreen": 0.0, "lightBlue": 0.0}) - light
    assert red[..., 0].abs().max() > 0.1
    assert red[..., 1:].abs().max() == 0
    dim = apply_sliders(code(), (), HEAD, (("lightAmbient", -0.5),))
    assert torch.allclose(dim.light, 0.5 * light)
    with pytest.raises(UsageError, match="lightSide=170"):
        with_lamp(light, {"lightSide": 170.0})


def test_strengths_of_single_parts():
    assert parse_strength("0.5") == (0.5, ())
    assert parse_strength("exp=0.6,light=1") == (1.0, (("exp", 0.6), ("light", 1.0)))
    (edit,) = parse_modes("exp+pose", "exp=0.25")
    assert (edit.strength_of("exp"), edit.strength_of("pose")) == (0.25, 1.0)
    source, target = code(0.2), code(0.6)
    assert weight(edited_code(source, target, edit, HEAD), "jawOpen") == pytest.approx(0.3)
    assert parse_modes("exp", "exp=0")[0].nothing
    for wrong in ("hair=1", "exp=much", "nan"):
        with pytest.raises(UsageError, match="--strength"):
            parse_strength(wrong)


def test_presets_round_trip_and_give_way_to_what_is_written_out(tmp_path):
    preset = Preset((("lightStrength", 0.5),), (("smile", 0.4), ("yaw", 10.0)), (("exp", 0.5),))
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(preset.to_json()))
    assert read_preset(path) == preset
    asked = asked_for(f"@{path},yaw=5,jawOpen=+0.1")
    assert dict(asked.sliders) == {"yaw": 5.0, "lightStrength": 0.5}
    assert dict(asked.moves) == {"jawOpen": 0.1, "smile": 0.4}
    assert asked.taken == (("exp", 0.5),)
    assert asked.edit(True).strengths == (("exp", 0.5),)
    with pytest.raises(UsageError, match="second photograph"):
        asked.edit(False)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"kind": "other"}', '{"kind": "diffusionrig preset", "move": [1]}'])
def test_files_that_are_no_presets_are_told(tmp_path, text):
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(RigError, match=r"mine\.json"):
        asked_for(f"@{path}")
    with pytest.raises(UsageError, match="There is no preset"):
        asked_for(f"@{tmp_path / 'none.json'}")


def test_presets_of_others_are_checked():
    with pytest.raises(UsageError, match="no number within 1000"):
        preset_from({"kind": "diffusionrig preset", "move": {"smile": True}})
    with pytest.raises(UsageError, match="at most"):
        preset_from({"kind": "diffusionrig preset", "move": {f"a{i}": 1 for i in range(1000)}})
