"""An album lends what the source does not show, and says which photographs it took it from."""

import dataclasses

import pytest
import torch

from diffusionrig.cli import main
from diffusionrig.data.synthetic.series import Series, write_series
from diffusionrig.editing.album import Album
from diffusionrig.editing.controls import Edit
from diffusionrig.editing.request import Request
from diffusionrig.errors import UsageError
from diffusionrig.render.carrying import carry
from diffusionrig.render.layers import split_layers
from diffusionrig.render.merging import merged
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
