"""Synthetic people: what is fixed, what varies, and that photograph and code tell the same story."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from diffusionrig.data.synthetic import Person, render_photographs, sample_person, sample_scene
from diffusionrig.data.synthetic.anatomy import neutral_code, study
from diffusionrig.data.synthetic.expressions import EXPRESSIONS, sample_expression
from diffusionrig.data.synthetic.hair import SKULL_ROWS, build_hair
from diffusionrig.data.synthetic.people import HAIR_KINDS
from diffusionrig.data.synthetic.skull import measure_skull
from diffusionrig.data.synthetic.stage import _wardrobe
from diffusionrig.errors import RigError, UsageError
from diffusionrig.faces.alignment import ffhq_quad
from diffusionrig.geometry.alignment import ffhq_centre
from diffusionrig.geometry.camera import image_points, pixels
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.heads import load_head
from diffusionrig.geometry.rotations import axis_angle_to_matrix, euler_degrees_to_axis_angle, matrix_to_euler_degrees
from diffusionrig.render.interpolation import interpolate
from diffusionrig.render.physical import placed_vertices, rasterize_points, render_buffers

SIZE = 32


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head()


@pytest.fixture(scope="module")
def crowd(head: HeadModel) -> list[Person]:
    return [sample_person(11, number, head) for number in range(12)]


def test_same_seed_gives_same_bytes_whatever_the_batch(head: HeadModel, crowd: list[Person]) -> None:
    people = crowd[:3]
    scenes = [sample_scene(person, 5, 0, head) for person in people]
    together = render_photographs(people, scenes, head, SIZE)
    _wardrobe.cache_clear()
    for person, expected in zip(reversed(people), reversed(together)):
        again = sample_person(person.seed, person.index, head)
        alone = render_photographs([again], [sample_scene(again, 5, 0, head)], head, SIZE)[0]
        assert alone.dtype == np.uint8
        assert alone.shape == (SIZE, SIZE, 3)
        assert np.array_equal(alone, expected)
    assert not np.array_equal(together[0], together[1])
    bald = dataclasses.replace(people[0], hair=dataclasses.replace(people[0].hair, kind="bald", top=0.0))
    assert not np.array_equal(render_photographs([bald], scenes[:1], head, SIZE)[0], together[0])


def test_an_album_keeps_the_person_and_changes_the_photograph(head: HeadModel, crowd: list[Person]) -> None:
    person = crowd[0]
    scenes = [sample_scene(person, 5, index, head) for index in range(6)]
    for scene in scenes:
        assert torch.equal(scene.code.shape, person.shape)
        assert torch.equal(scene.code.albedo, person.albedo)
    for name in ("expression", "pose", "light", "camera"):
        assert len({getattr(scene.code, name).numpy().tobytes() for scene in scenes}) == len(scenes)
    assert len({scene.backdrop_seed for scene in scenes}) == len({scene.noise_seed for scene in scenes}) == len(scenes)
    other = sample_person(12, 0, head)
    assert not torch.equal(other.shape, person.shape)
    assert other.hair.seed != person.hair.seed


def test_people_are_of_all_sorts(head: HeadModel) -> None:
    people = [sample_person(1, number, head) for number in range(150)]
    assert {person.hair.kind for person in people} == set(HAIR_KINDS)
    bearded, spectacled = (sum(bool(value) for value in values) for values in
                           ((person.beard for person in people), (person.glasses for person in people)))
    assert 8 <= bearded <= 60
    assert 4 <= spectacled <= 40


def test_photographs_lie_as_ffhq_alignment_would_lay_them(head: HeadModel, crowd: list[Person]) -> None:
    corners = np.array([[0, 0], [0, 1], [1, 1], [1, 0]]) * 256.0
    for index in range(24):
        scene = sample_scene(crowd[index % len(crowd)], 7, index, head)
        code = scene.code
        points = head.landmarks(head.vertices(code), code)
        quad = ffhq_quad(pixels(image_points(points, code), 256, 256)[0].numpy())
        off = np.linalg.norm(quad - corners, axis=1)
        edge = quad[3] - quad[0]
        assert off.mean() < 0.12 * 256  # a corner moves by 3 % of the side for each 2.5 degrees of roll
        assert abs(np.linalg.norm(edge) / 256 - 1) < 0.06
        assert np.abs(quad.mean(0) - 128).max() < 0.04 * 256
        assert abs(np.degrees(np.arctan2(edge[1], edge[0]))) < 12.5


def test_pose_stays_within_its_limits(head: HeadModel, crowd: list[Person]) -> None:
    angles = []
    for index in range(60):
        scene = sample_scene(crowd[0], 3, index, head, yaw_limit=25)
        angles.append(matrix_to_euler_degrees(axis_angle_to_matrix(scene.code.pose[0, :3])).numpy())
    spread = np.abs(np.array(angles))
    assert spread[:, 1].max() < 29  # turning the picture upright moves a little between the angles
    assert spread[:, 1].max() > 15
    assert spread[:, 0].max() < 30
    with pytest.raises(UsageError, match="yaw limit"):
        sample_scene(crowd[0], 3, 0, head, yaw_limit=120)


def test_expressions_are_plausible() -> None:
    from diffusionrig.geometry.arkit import ARKIT_NAMES

    known = {name[:-4] if name.endswith("Left") else name[:-5] if name.endswith("Right") else name for name in ARKIT_NAMES}
    for weights in EXPRESSIONS.values():
        assert all(name in ARKIT_NAMES or name in known for name in weights)
    rng = np.random.default_rng(0)
    draws = [sample_expression(rng, ARKIT_NAMES) for _ in range(400)]
    table = dict(zip(ARKIT_NAMES, np.array([weights for weights, _ in draws]).T))
    eyes = np.array([turn for _, turn in draws])
    assert all(column.min() >= 0 and column.max() <= 1 for column in table.values())
    assert (table["mouthClose"] <= table["jawOpen"]).all()
    assert np.corrcoef(table["mouthSmileLeft"], table["mouthSmileRight"])[0, 1] > 0.8
    assert (table["mouthSmileLeft"] != table["mouthSmileRight"]).any()
    # Both lids and both eyeballs look the same way: out on the left is in on the right.
    assert np.allclose(table["eyeLookOutLeft"], table["eyeLookInRight"])
    assert (eyes[table["eyeLookOutLeft"] > 0.01, 1] > 0).all()
    assert (eyes[table["eyeLookUpLeft"] > 0.01, 0] < 0).all()
    assert np.array_equal(eyes[:, :3], eyes[:, 3:])


def test_neutral_scenes_are_neutral(head: HeadModel, crowd: list[Person]) -> None:
    scene = sample_scene(crowd[0], 3, 0, head, neutral=True)
    assert not scene.code.expression.any()
    assert not scene.code.eyes.any()
    assert torch.equal(scene.code.light, sample_scene(crowd[0], 3, 0, head).code.light)


def _face(head: HeadModel, code: FaceCode, centre: torch.Tensor, size: int) -> np.ndarray:
    """Pixels that show the middle of the face, between brows and chin."""
    _, points = placed_vertices(head, code, centre)
    fragments = rasterize_points(points, head.faces, size)
    face = interpolate(fragments, head.faces, head.regions["face"][:, None])[0, 0].numpy() > 0.95
    marks = pixels(image_points(head.landmarks(placed_vertices(head, code, centre)[0], code), code),
                   size, size)[0].numpy()
    rows, columns = np.mgrid[0:size, 0:size]
    inside = (rows > marks[17:27, 1].max()) & (rows < marks[8, 1]) & (columns > marks[36, 0]) & (columns < marks[45, 0])
    return face & inside


def test_photograph_and_buffers_agree_on_the_face(head: HeadModel, crowd: list[Person]) -> None:
    found = []
    for person in [person for person in crowd if person.glasses is None][:6]:
        scene = sample_scene(person, 9, 1, head)
        photo = render_photographs([person], [scene], head, 64)[0].astype(np.float64)
        rendered = render_buffers(head, scene.code, 64).rendered[0].permute(1, 2, 0).numpy()
        face = _face(head, scene.code, scene.centre, 64)
        assert face.sum() > 150
        found.append(np.corrcoef(photo[face].mean(1), rendered[face].mean(1))[0, 1])
        # A photograph is more than its buffers.
        assert np.abs(photo / 255 - rendered.clip(0, 1)).mean() > 0.02
    assert np.median(found) > 0.75
    assert min(found) > 0.4


def test_a_true_edit_changes_what_was_edited_and_nothing_behind(head: HeadModel, crowd: list[Person]) -> None:
    person = crowd[1]
    scene, other = sample_scene(person, 5, 0, head), sample_scene(crowd[2], 5, 3, head)
    before = render_photographs([person], [scene], head, 64)[0].astype(int)
    same = render_photographs([person], [scene.replace_code(scene.code)], head, 64)[0]
    assert np.array_equal(before, same)
    turned = scene.replace_code(scene.code.swap("pose", other.code))
    after = render_photographs([person], [turned], head, 64)[0].astype(int)
    assert np.abs(after - before)[16:48, 16:48].mean() > 4
    # The head keeps its place: the FFHQ centre projects to where it was.
    vertices, _ = placed_vertices(head, turned.code, scene.centre)
    assert torch.allclose(ffhq_centre(head.landmarks(vertices, turned.code)), scene.centre, atol=1e-6)
    lit = scene.replace_code(scene.code.swap("light", other.code))
    relit = render_photographs([person], [lit], head, 64)[0].astype(int)
    assert np.abs(relit - before)[:6, :6].mean() < 3  # the corner shows background
    with pytest.raises(RigError, match="one face code"):
        scene.replace_code(scene.code.repeat(2))


def test_hair_stands_on_the_skull_and_never_inside_it(head: HeadModel) -> None:
    anatomy = study(head)
    seen = set()
    for number in range(60):
        person = sample_person(1, number, head)
        if person.hair.kind in seen:
            continue
        seen.add(person.hair.kind)
        code = neutral_code(head, person.shape)
        vertices = head.vertices(code)
        skull = measure_skull(vertices[0].numpy(), anatomy.rays, head.landmarks(vertices, code)[0].numpy())
        hair = build_hair(person.hair, skull)
        if hair is None:
            assert person.hair.kind == "bald"
            continue
        assert np.isfinite(hair.vertices).all()
        rows = len(hair.vertices) // (len(np.unique(hair.strand)))
        scalp = hair.vertices.reshape(rows, -1, 3)[:SKULL_ROWS].reshape(-1, 3) - skull.centre
        distance = np.linalg.norm(scalp, axis=1)
        clear = distance - skull.distance(scalp / distance[:, None])
        assert clear.min() > 0.0005
        assert clear.max() < 0.09
    assert len(seen) >= 8


def test_errors_are_one_sentence(head: HeadModel, crowd: list[Person]) -> None:
    scene = sample_scene(crowd[0], 5, 0, head)
    with pytest.raises(UsageError, match="at least 16"):
        render_photographs([crowd[0]], [scene], head, 8)
    with pytest.raises(RigError, match="one person for each scene"):
        render_photographs(crowd[:2], [scene], head, 32)

    class Foreign:
        name, expression_names, n_expression = "flame-2020", ("exp000",), 1

    with pytest.raises(UsageError, match="52 ARKit expressions"):
        sample_person(0, 0, Foreign())  # type: ignore[arg-type]


def test_framing_ignores_how_the_head_was_turned_in_the_plane() -> None:
    from diffusionrig.data.synthetic.framing import ffhq_square, framing_camera, upright_rotation
    from diffusionrig.geometry.camera import project

    generator = torch.Generator().manual_seed(0)
    rest = torch.randn(1, 68, 3, generator=generator) * 0.01
    rest[:, 36:42] += torch.tensor([-0.032, 0.0, 0.0])
    rest[:, 42:48] += torch.tensor([0.032, 0.0, 0.0])
    rest[:, 48:] += torch.tensor([0.0, -0.07, 0.0])
    for roll in (-30.0, 0.0, 25.0):
        rotation = euler_degrees_to_axis_angle(5, 10, roll)[None].float()
        turned = rest @ axis_angle_to_matrix(rotation).mT
        upright = upright_rotation(rotation, turned, torch.zeros(1))
        points = rest @ axis_angle_to_matrix(upright).mT
        camera = framing_camera(points, torch.ones(1), torch.zeros(1, 2))
        centre, edge = ffhq_square(project(points, camera))
        assert torch.allclose(centre, torch.zeros(1, 2), atol=1e-5)
        assert torch.allclose(edge, torch.tensor([[1.0, 0.0]]), atol=1e-5)
