"""An album lends what the source does not show, and says which photographs it took it from."""

import dataclasses

import pytest
import torch

from diffusionrig.cli import main
from diffusionrig.data.synthetic.series import Series, write_series
from diffusionrig.editing.album import INSIDE, Album, acting
from diffusionrig.editing.controls import Edit
from diffusionrig.editing.request import Request
from diffusionrig.editing.sampling import Sampling
from diffusionrig.errors import UsageError
from diffusionrig.geometry.alignment import ffhq_centre
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.render.carrying import carry
from diffusionrig.render.layers import split_layers
from diffusionrig.render.merging import merged, opened
from diffusionrig.render.posing import pose_heads

SIZE = 64


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("album") / "store"
    write_series(Series(6, SIZE, 4, album=2), folder, lmdb=True)
    return folder


@pytest.fixture(scope="module")
def album(store, reference_rig):
    return Album.read(store, SIZE, reference_rig.head, "cpu")


def with_jaw(code, head, weight):
    expression = code.expression.clone()
    expression[:, head.expression_names.index("jawOpen")] = weight
    return code.replace(expression=expression)


def test_the_photographs_with_the_nearest_face_and_pose_are_chosen(album):
    code = album.posed.code
    stranger = code.replace(pose=code.pose + 1)
    assert [rows[0] for rows in album.choose(code, stranger)] == list(range(len(album)))
    assert all(row not in rows for row, rows in enumerate(album.choose(code, code)))  # the source's own photograph lends nothing
    assert album.choose(code[0].swap("exp", code[3]), code[0])[0][0] == 3
    assert 4 in album.choose(code[0].swap("pose", code[4]), code[0])[0]


def test_lending_raises_the_confidence_of_the_face_and_names_the_lenders(album, reference_rig):
    head, code = reference_rig.head, album.posed.code
    edited = pose_heads(head, with_jaw(code[0], head, 0.8), SIZE)
    base = carry(head, album.images[:1], album.layers[:1], album.posed.rows([0]), edited)
    lent, names = album.lend(base, code[0], edited)
    assert float((lent.confidence - base.confidence).min()) >= 0
    if names[0]:
        assert set(names[0]) <= set(album.names)
    still, nobody = album.lend(carry(head, album.images[:1], album.layers[:1], album.posed.rows([0]), album.posed.rows([0])),
                               code[0], album.posed.rows([0]))
    assert nobody == [[]]  # nothing is edited, so nothing is lacking
    assert torch.equal(still.picture, carry(head, album.images[:1], album.layers[:1], album.posed.rows([0]),
                                            album.posed.rows([0])).picture)


def test_what_is_lent_is_matched_in_colour_and_only_where_it_is_lacking(album, reference_rig):
    head, posed = reference_rig.head, album.posed.rows([1])
    photo = album.images[1:2]
    whole = carry(head, photo, split_layers(photo, posed.buffers.alpha, posed.buffers.alpha), posed, posed)
    hole = torch.zeros_like(whole.confidence)
    hole[..., 28:40, 28:40] = 1
    lacking = dataclasses.replace(whole, picture=torch.where(hole > 0, -1.0, whole.picture),
                                  confidence=whole.confidence * (1 - hole))
    darker = dataclasses.replace(whole, picture=(whole.picture + 1) * 0.8 - 1)
    filled = merged(lacking, [darker], whole.buffers.alpha)
    inside = (hole * whole.buffers.alpha).expand(-1, 3, -1, -1) > 0
    assert float((filled.picture - whole.picture)[inside].abs().max()) < 0.02
    assert torch.equal(filled.picture[~inside], lacking.picture[~inside])
    assert float(filled.confidence[inside[:, :1]].min()) > 0.8


def test_a_clip_has_the_same_lenders_throughout(album, reference_rig):
    head, code = reference_rig.head, album.posed.code
    clip = FaceCode.concatenate([with_jaw(code[0], head, weight) for weight in (0.0, 0.2, 0.4, 0.8)])
    centre = ffhq_centre(head.landmarks(head.vertices(clip), clip))
    lenders = album.serve(clip, centre, code[0])
    assert 1 <= len(lenders.rows) <= 2
    assert 0 not in lenders.rows  # the source's own photograph lends nothing
    edited = pose_heads(head, clip, SIZE, centre)
    base = carry(head, album.images[[0] * 4], album.layers[[0] * 4], album.posed.rows([0] * 4), edited)
    _, names = album.lend(base, FaceCode.concatenate([code[0]] * 4), edited, lenders)
    assert names == [[album.names[row] for row in lenders.rows]] * 4
    # Frames that are the source's own need nobody beside another photograph with the same face.
    twice = album.serve(FaceCode.concatenate([code[3]] * 3), centre[:1].expand(3, 3), code[0])
    assert twice.rows[0] == 3


def test_the_inside_of_a_mouth_is_lent_in_all_frames_of_a_clip_or_in_none(album, reference_rig):
    """By photographs of closed mouths to an open one: not at all."""
    head, code = reference_rig.head, album.posed.code
    shut = Album(album.images[:2], with_jaw(code[[0, 1]], head, 0.0), album.names[:2], head)
    clip = FaceCode.concatenate([with_jaw(code[0], head, weight) for weight in (0.0, 0.9, 1.0)])
    centre = ffhq_centre(head.landmarks(head.vertices(clip), clip))
    lenders = shut.serve(clip, centre, shut.posed.code[0])
    assert not lenders.mouth
    edited = pose_heads(head, clip[[1]], SIZE, centre[1:2])
    base = carry(head, shut.images[:1], shut.layers[:1], shut.posed.rows([0]), edited)
    lent, _ = shut.lend(base, shut.posed.code[0], edited, lenders)
    mouth = shut._face(edited, INSIDE) > 0.9
    assert bool(mouth.any())
    assert torch.equal(lent.picture.masked_select(mouth), base.picture.masked_select(mouth))
    still = FaceCode.concatenate([shut.posed.code[0]] * 2)
    assert shut.serve(still, centre[:2], shut.posed.code[0]).mouth  # no mouth is open


def test_live_frames_have_lenders_before_they_come(album, reference_rig):
    """The same for all, chosen by what a face may come to do."""
    head, painter = reference_rig.head, reference_rig.painter
    assert len(acting(album.posed.code[0], head)) == 6
    faces = reference_rig.analyse(((album.images[:1] + 1) * 127.5).round().byte().permute(0, 2, 3, 1), album.posed.code[0])
    sources = painter.prepare(faces, Sampling())
    assert painter.usual_lenders(sources) is None
    painter.album = album
    try:
        lenders = painter.usual_lenders(sources)
        painted = [painter.paint(sources, with_jaw(faces.code, head, weight), faces.centre, Sampling(), lenders=lenders)
                   for weight in (0.1, 0.9)]
    finally:
        painter.album = None
    assert lenders.rows
    names = [album.names[row] for row in lenders.rows]
    assert [one.condition.lenders for one in painted] == [[names], [names]]


def test_lines_of_single_pixels_are_not_lent():
    share = torch.zeros(1, 1, 256, 256)
    share[..., 20:22, :] = 1
    share[..., 60:90, 30:90] = 0.7
    kept = opened(share)
    assert not kept[..., 20:22, :].any()
    assert torch.equal(kept[..., 60:90, 30:90], share[..., 60:90, 30:90])
    assert torch.equal(opened(share[..., :64, :64]), share[..., :64, :64])


def test_edits_tell_their_lenders_and_differ_by_them(reference_rig, store):
    faces = reference_rig.analyse(((Album.read(store, SIZE, reference_rig.head, "cpu").images[:1] + 1) * 127.5).round().byte()
                                  .permute(0, 2, 3, 1), Album.read(store, SIZE, reference_rig.head, "cpu").posed.code[0])
    request = Request(0, None, Edit("set", (), 1.0, (("yaw", 35.0),)))
    alone = next(reference_rig.edit_many(faces, None, [request]))
    reference_rig.use_album(store)
    try:
        lent = next(reference_rig.edit_many(faces, None, [request]))
    finally:
        reference_rig.painter.album = None
    assert alone.lenders == []
    assert lent.lenders
    assert (alone.image != lent.image).any()


def test_an_album_for_a_model_of_buffers_is_refused(rig, store):
    with pytest.raises(UsageError, match="--album lends photographs to models of the reference condition"):
        rig.use_album(store)


def test_the_command_says_what_is_wrong_with_an_album(reference_checkpoint, tmp_path, capsys):
    from diffusionrig.io.assets import asset_path

    picture = str(asset_path("portrait.jpg"))
    words = ["edit", picture, "--model_path", str(reference_checkpoint), "--set", "jawOpen=0.5",
             "--output_dir", str(tmp_path / "out")]
    assert main([*words, "--album", str(tmp_path / "absent")]) != 0
    said = capsys.readouterr().err
    assert "absent" in said
    assert "Traceback" not in said
