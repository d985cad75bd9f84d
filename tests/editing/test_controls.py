import types

import pytest
import torch
from flame_arrays import flame_code, open_flame

from diffusionrig.editing.controls import Edit, apply_sliders, edited_code, parse_modes, parse_sliders
from diffusionrig.errors import UsageError
from diffusionrig.geometry.arkit import ARKIT_NAMES
from diffusionrig.geometry.expression_map import expression_map
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.rotations import axis_angle_to_matrix, euler_degrees_to_axis_angle, matrix_to_euler_degrees

HEAD = types.SimpleNamespace(name="toy", expression_names=("browInnerUp", "jawOpen", "mouthSmileLeft"))


def code(seed: int, head: str = "toy") -> FaceCode:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.rand(2, *shape, generator=generator, dtype=torch.float64)

    return FaceCode(shape=draw(4), albedo=draw(3), expression=draw(3), pose=0.5 * draw(6), camera=draw(3), light=draw(9, 3),
                    head=head)


def test_modes_are_read_in_order_and_may_be_joined():
    edits = parse_modes("pose, exp+light,latent", strength=0.5, sliders="jawOpen=0.6")
    assert [edit.parts for edit in edits] == [("pose",), ("exp", "light"), ("latent",)]
    assert {edit.strength for edit in edits} == {0.5}
    assert edits[0].sliders == (("jawOpen", 0.6),)


@pytest.mark.parametrize(("text", "part"), [("smile", "'smile'"), ("exp,exp", "repeated"), ("exp+exp", "repeated")])
def test_wrong_modes_are_named(text, part):
    with pytest.raises(UsageError, match=part):
        parse_modes(text)


@pytest.mark.parametrize("text", ["jawOpen", "jawOpen=wide", "yaw=nan", "yaw=1,yaw=2"])
def test_wrong_sliders_are_named(text):
    with pytest.raises(UsageError, match="--set"):
        parse_sliders(text)


def test_joined_modes_take_each_part_and_nothing_else():
    source, target = code(1), code(2)
    edited = edited_code(source, target, Edit("exp+light", ("exp", "light")), HEAD)
    torch.testing.assert_close(edited.expression, target.expression)
    torch.testing.assert_close(edited.pose[:, 3:], target.pose[:, 3:])
    torch.testing.assert_close(edited.light, target.light)
    for kept in ("shape", "albedo", "camera"):
        assert torch.equal(getattr(edited, kept), getattr(source, kept))
    assert torch.equal(edited.pose[:, :3], source.pose[:, :3])


def test_strength_half_turns_half_of_the_way():
    source, target = code(1), code(2)
    edited = edited_code(source, target, Edit("pose", ("pose",), 0.5), HEAD)
    between = axis_angle_to_matrix(edited.pose[:, :3])
    step = between @ axis_angle_to_matrix(source.pose[:, :3]).mT
    torch.testing.assert_close(step @ between, axis_angle_to_matrix(target.pose[:, :3]))


def test_sliders_set_absolute_values_and_keep_the_other_angles():
    source = code(3)
    edited = apply_sliders(source, (("jawOpen", 0.6), ("yaw", 15.0)), HEAD)
    assert (edited.expression[:, 1] == 0.6).all()
    assert torch.equal(edited.expression[:, [0, 2]], source.expression[:, [0, 2]])
    before = matrix_to_euler_degrees(axis_angle_to_matrix(source.pose[:, :3]))
    after = matrix_to_euler_degrees(axis_angle_to_matrix(edited.pose[:, :3]))
    torch.testing.assert_close(after[:, 1], torch.full((2,), 15.0, dtype=torch.float64))
    torch.testing.assert_close(after[:, [0, 2]], before[:, [0, 2]])


def test_numbers_are_values_or_moves():
    assert parse_sliders("jawOpen=0.6,yaw=-15,exp003=-1.5") == ((("jawOpen", 0.6), ("yaw", -15.0), ("exp003", -1.5)), ())
    assert parse_sliders("jawOpen=+0.2, mouthSmileLeft=-0.2, yaw=+10, roll=+-10, exp003=+-1") == (
        (), (("jawOpen", 0.2), ("mouthSmileLeft", -0.2), ("yaw", 10.0), ("roll", -10.0), ("exp003", -1.0)))
    (edit,) = parse_modes("exp", sliders="jawOpen=+0.2,yaw=5")
    assert (edit.sliders, edit.moves) == ((("yaw", 5.0),), (("jawOpen", 0.2),))


def test_moves_go_on_from_what_the_face_shows():
    source = code(3)
    edited = apply_sliders(source, (), HEAD, (("jawOpen", 0.1), ("yaw", -10.0)))
    torch.testing.assert_close(edited.expression[:, 1], (source.expression[:, 1] + 0.1).clamp(max=1))
    before, after = (matrix_to_euler_degrees(axis_angle_to_matrix(one.pose[:, :3])) for one in (source, edited))
    torch.testing.assert_close(after[:, 1], before[:, 1] - 10)
    torch.testing.assert_close(after[:, [0, 2]], before[:, [0, 2]])
    closed = apply_sliders(source, (), HEAD, (("jawOpen", -2.0),))
    assert (closed.expression[:, 1] == 0).all()
    exaggerated = source.replace(expression=source.expression + 1)
    assert torch.equal(apply_sliders(exaggerated, (), HEAD, (("jawOpen", 0.0),)).expression, exaggerated.expression)
    with pytest.raises(UsageError, match=r"--set yaw=\+89 turns the head away"):
        apply_sliders(source.replace(pose=edited_code(source, None, Edit("set", (), 1.0, (("yaw", 20.0),)), HEAD).pose), (), HEAD,
                      (("yaw", 89.0),))


def test_a_move_by_nothing_changes_not_a_bit():
    source = code(3)
    edited = edited_code(source, None, Edit("set", moves=(("jawOpen", 0.0), ("yaw", 0.0))), HEAD)
    assert torch.equal(edited.expression, source.expression)
    assert torch.equal(edited.pose, source.pose)
    assert [edit.nothing for edit in (Edit("set", moves=(("yaw", 0.0),)), Edit("exp", ("exp",), 0.0), Edit("exp", ("exp",)),
                                      Edit("set", sliders=(("yaw", 0.0),)))] == [True, True, False, False]


def test_moves_follow_the_target_and_act_on_flame_through_its_map():
    source, target = code(1), code(2)
    edited = edited_code(source, target, Edit("exp", ("exp",), moves=(("jawOpen", -0.1),)), HEAD)
    torch.testing.assert_close(edited.expression[:, 1], (target.expression[:, 1] - 0.1).clamp(min=0))
    head = open_flame()
    opened = apply_sliders(flame_code(head), (("jawOpen", 0.6),), head)
    shown = expression_map(head).weights(opened.expression, opened.pose[:, 3:])[0, ARKIT_NAMES.index("jawOpen")]
    further = apply_sliders(opened, (), head, (("jawOpen", 0.2),))
    again = apply_sliders(opened, (("jawOpen", float(shown) + 0.2),), head)
    torch.testing.assert_close(further.expression, again.expression)


def test_a_slider_the_head_lacks_is_named_with_its_neighbours():
    with pytest.raises(UsageError, match="did you mean jawOpen"):
        apply_sliders(code(3), (("jawopened", 0.6),), HEAD)
    with pytest.raises(UsageError, match="degrees between"):
        apply_sliders(code(3), (("yaw", 170.0),), HEAD)


def test_expressions_of_another_head_model_are_refused_but_its_light_is_not():
    source, target = code(1), code(2, head="other")
    with pytest.raises(UsageError, match="head model 'other'"):
        edited_code(source, target, Edit("exp", ("exp",)), HEAD)
    torch.testing.assert_close(edited_code(source, target, Edit("light", ("light",)), HEAD).light, target.light)


def test_positive_angles_turn_as_documented():
    forward = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    up = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    turn = axis_angle_to_matrix(euler_degrees_to_axis_angle(0, 30, 0))
    nod = axis_angle_to_matrix(euler_degrees_to_axis_angle(30, 0, 0))
    tilt = axis_angle_to_matrix(euler_degrees_to_axis_angle(0, 0, 30))
    assert (turn @ forward)[0] > 0.4  # towards the subject's left
    assert (nod @ forward)[1] < -0.4  # looks down
    assert (tilt @ up)[0] < -0.4  # towards the subject's right


def test_flame_takes_arkit_names_and_counts_what_the_face_shows_already():
    head = open_flame()
    neutral = flame_code(head)
    fitted = expression_map(head)
    opened = apply_sliders(neutral, (("jawOpen", 0.6), ("yaw", 10.0)), head)
    weights = torch.zeros(1, 52)
    weights[0, ARKIT_NAMES.index("jawOpen")] = 0.6
    expression, jaw = fitted.apply(weights)
    torch.testing.assert_close(opened.expression, expression)
    torch.testing.assert_close(opened.pose[:, 3:], jaw)
    assert matrix_to_euler_degrees(axis_angle_to_matrix(opened.pose[:, :3]))[0, 1] == pytest.approx(10, abs=1e-4)

    again = apply_sliders(opened, (("jawOpen", 0.6),), head)
    closed = apply_sliders(opened, (("jawOpen", 0.0),), head)

    def gap(code):
        points = head.landmarks(head.vertices(code), code)[0]
        return float(points[62, 1] - points[66, 1])

    assert gap(again) == pytest.approx(gap(opened), rel=0.1)
    assert abs(gap(closed) - gap(neutral)) < 0.1 * (gap(opened) - gap(neutral))
    assert torch.equal(closed.shape, neutral.shape)


def test_flame_takes_its_own_names_too_and_wrong_ones_are_told():
    head = open_flame()
    edited = apply_sliders(flame_code(head), (("exp003", 1.5),), head)
    assert edited.expression[0, 3] == 1.5
    assert edited.expression.abs().sum() == 1.5
    with pytest.raises(UsageError, match=r"did you mean .*mouthSmileLeft"):
        apply_sliders(flame_code(head), (("mouthSmirk", 1.0),), head)
