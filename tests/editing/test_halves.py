"""The two halves of a rig: capturing without a network, and painting, which is told by the checkpoint what its condition is."""

import dataclasses
import types
import weakref

import numpy as np
import pytest
import torch
from seed_faces import photo

from diffusionrig.editing import painting
from diffusionrig.editing.capturing import Capturing
from diffusionrig.editing.clip_drawing import draw_clip
from diffusionrig.editing.conditions import KINDS, Condition, Kind
from diffusionrig.editing.controls import RECONSTRUCTION, Edit, parse_modes
from diffusionrig.editing.painting import Painter
from diffusionrig.editing.prepared import Prepared
from diffusionrig.editing.request import Request
from diffusionrig.editing.sampling import Sampling
from diffusionrig.errors import RigError, UsageError

QUICK = Sampling(respacing="ddim2", seed=1)
KEEP = dataclasses.replace(QUICK, keep="all")


def requests(sources: int) -> list[Request]:
    return [request for i in range(sources) for request in
            (Request(i, None, Edit(RECONSTRUCTION)), *(Request(i, 0, edit) for edit in parse_modes("pose,exp")))]


def test_capturing_sees_what_a_rig_sees_and_needs_no_network(rig):
    seen = Capturing(device="cpu", size=rig.size).capture([photo(1), photo(255)])
    known = rig.capture([photo(1), photo(255)])
    assert seen.latent is None
    assert known.latent.shape == (2, rig.network.encode_cond(known.images).shape[1])
    for name in ("images", "centre", "found"):
        assert torch.equal(getattr(seen, name), getattr(known, name))
    assert torch.equal(seen.code.expression, known.code.expression)
    assert seen.notes == known.notes == ["", "no face was found"]
    assert seen[0].latent is None
    assert len(seen.rows([1, 0, 0])) == 3


def test_what_was_captured_alone_can_be_edited(rig):
    seen, known = (half.capture(photo(1)) for half in (Capturing(device="cpu", size=rig.size), rig))
    one, other = (rig.edit(face, sliders="jawOpen=0.5", sampling=QUICK).image for face in (seen, known))
    assert np.array_equal(one, other)
    with pytest.raises(UsageError, match=r"captured at 256 pixels, but the model draws 32; .* Capturing\(size=32\)"):
        rig.edit(Capturing(device="cpu").capture(photo(1)), sliders="jawOpen=0.5", sampling=QUICK)


def test_a_source_is_rendered_and_inverted_once_for_all_its_edits(rig, monkeypatch):
    rendered, calls = [], []

    def counted(head, code, *args, **settings):
        rendered.append(len(code))
        return render(head, code, *args, **settings)

    render = painting.render_buffers
    monkeypatch.setattr(painting, "render_buffers", counted)
    sources, targets = rig.capture([photo(1), photo(2)]), rig.capture(photo(3))
    asked = requests(2) + requests(2)[::-1]
    results = list(rig.edit_many(sources, targets, asked, batch_size=5, sampling=KEEP, on_call=calls.append))
    assert len(results) == len(asked) == 12
    assert sum(rendered) == 2 + 12
    assert sum(calls) == 2 * rig.inversion_calls(KEEP) + 12 * rig.calls(KEEP)
    rendered.clear()
    list(rig.edit_many(sources, targets, asked, batch_size=5, sampling=QUICK))
    assert sum(rendered) == 12
    source = rig.painter.prepare(sources[0], KEEP)
    rendered.clear()
    for _ in range(2):  # as live frames come, patch by patch
        list(draw_clip(rig, source, sources.code, sources.centre, [0, 1], KEEP))
    assert sum(rendered) == 4


def test_prepared_sources_are_let_go_after_their_last_edit(rig, monkeypatch):
    made, most, initialise = [], 0, Prepared.__init__

    def noted(self, *args):
        initialise(self, *args)
        made.append(weakref.ref(self))

    monkeypatch.setattr(Prepared, "__init__", noted)
    sources, targets = rig.capture([photo(seed) for seed in range(1, 13)]), rig.capture(photo(20))
    for _ in rig.edit_many(sources, targets, requests(12), batch_size=3, sampling=KEEP):
        most = max(most, sum(one() is not None for one in made))
    assert len(made) >= 2 * 12
    assert 1 <= most <= 4


def test_a_prior_of_one_call_draws_the_clean_image_from_zeros(rig, monkeypatch):
    monkeypatch.setitem(KINDS, "carried", Kind(keep=False, background=False))
    rig.pretrained = dataclasses.replace(
        rig.pretrained, model=types.SimpleNamespace(condition="carried", image_size=rig.size),
        diffusion=dataclasses.replace(rig.pretrained.diffusion, one_call=True, predict_xstart=True))
    painter, seen = Painter(rig.pretrained, rig.head, precision="fp32"), []
    predict = painter._predict

    def watched(x, t, condition, latent):
        seen.append((x, t, condition))
        return predict(x, t, condition, latent)

    monkeypatch.setattr(painter, "_predict", watched)
    monkeypatch.setattr(painter, "condition", lambda sources, code, centre, buffers=None, lenders=None: Condition(
        painter.buffers(code, centre), values=sources.faces.images.repeat(1, 3, 1, 1)))
    face = rig.capturing.capture(photo(1))
    assert (painter.calls(KEEP), painter.calls(Sampling(steps=20)), painter.inversion_calls(KEEP)) == (1, 1, 0)
    source = painter.prepare(face, KEEP)
    assert (source.own, source.noise) == (None, None)
    drawn = painter.paint(source, face.code, face.centre, Sampling(steps=20)).pictures
    (x, t, condition), = seen
    assert not x.any()
    assert t.tolist() == [999]
    assert torch.equal(condition, face.images.repeat(1, 3, 1, 1))
    torch.testing.assert_close(drawn, predict(x, t, condition, source.faces.latent)[:, :3].clamp(-1, 1), atol=1e-5, rtol=1e-5)
    with pytest.raises(UsageError, match="use edit or edit_many"):
        rig.draw(rig.buffers(face.code), source.faces.latent, QUICK)


def test_an_unknown_condition_is_refused(rig):
    rig.pretrained = dataclasses.replace(rig.pretrained, model=types.SimpleNamespace(condition="wireframe"))
    with pytest.raises(RigError, match=r"trained on the condition 'wireframe', but .* knows only buffers"):
        Painter(rig.pretrained, rig.head)
