import pytest
import torch
from seed_faces import face_code

from diffusionrig.evaluation.control import UNITS, control_errors, light_error, pose_error, shape_error
from diffusionrig.geometry.heads import load_head
from diffusionrig.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle


@pytest.fixture(scope="module")
def head():
    return load_head()


def test_a_code_has_no_distance_from_itself(head):
    code = face_code(1)
    assert {part: error.item() for part, error in control_errors(head, code, code).items()} == pytest.approx(
        dict.fromkeys(UNITS, 0.0), abs=1e-3)


def test_a_turn_is_measured_in_degrees_from_any_pose(head):
    code = face_code(2)
    step = axis_angle_to_matrix(torch.tensor([[0.0, 0.3, 0.0]]))
    turned = matrix_to_axis_angle(axis_angle_to_matrix(code.pose[:, :3]) @ step)
    other = code.replace(pose=torch.cat([turned, code.pose[:, 3:]], 1))
    assert pose_error(head, other, code).item() == pytest.approx(0.3 * 180 / torch.pi, abs=1e-3)


def test_a_light_that_is_a_fifth_brighter_is_20_per_cent_off(head):
    code = face_code(3)
    assert light_error(head, code.replace(light=1.2 * code.light), code).item() == pytest.approx(20, abs=1e-3)


@pytest.mark.parametrize("part", list(UNITS))
def test_each_part_is_measured_by_itself(head, part):
    wanted, other = face_code(4), face_code(5)
    errors = control_errors(head, wanted.swap(part, other), wanted)
    assert errors[part].item() > 1
    assert max(error.item() for name, error in errors.items() if name != part) < 1e-3


def test_expressions_are_compared_on_the_requested_head(head):
    wanted = face_code(6)
    found = wanted.swap("shape", face_code(7)).swap("exp", face_code(8))
    alone = wanted.swap("exp", face_code(8))
    assert control_errors(head, found, wanted)["exp"].item() == pytest.approx(control_errors(head, alone, wanted)["exp"].item())


def test_shape_is_measured_in_millimetres_of_its_vertices(head):
    wanted, other = face_code(9), face_code(10)
    rest = [code.replace(expression=0 * code.expression, pose=0 * code.pose, eyes=0 * code.eyes) for code in (other, wanted)]
    face = torch.stack([head.regions[name] for name in ("face", "lips", "eyelids")]).amax(0) > 0.5
    a, b = (head.vertices(code)[0, face].double() for code in rest)
    a, b = a - a.mean(0), b - b.mean(0)
    scales = torch.linspace(0.8, 1.25, 4501, dtype=torch.float64)
    best = scales[torch.stack([(s * a - b).square().sum() for s in scales]).argmin()]
    expected = 1000 * (best * a - b).norm(dim=1).mean()
    assert shape_error(head, other, wanted).item() == pytest.approx(expected.item(), rel=1e-3)
