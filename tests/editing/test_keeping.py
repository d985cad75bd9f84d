"""What an edit keeps of the source: where fresh noise comes in, and that nothing else changes."""

import dataclasses

import numpy as np
import pytest
import torch
from seed_faces import photo

from diffusionrig.cli import main
from diffusionrig.data.synthetic.photographs import render_photographs
from diffusionrig.demo.people import choose_cast
from diffusionrig.editing.controls import RECONSTRUCTION, Edit, parse_modes
from diffusionrig.editing.keeping import CHANGED, mix_noise, renewed
from diffusionrig.editing.rig import Request, Rig, Sampling
from diffusionrig.errors import UsageError
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.sheets import to_uint8
from diffusionrig.render.buffers import PhysicalBuffers

KEEP = Sampling(respacing="ddim20", seed=1, keep="all")


def buffers(size: int = 32) -> PhysicalBuffers:
    """A square head in the middle."""
    alpha = torch.zeros(1, 1, size, size)
    alpha[..., size // 4:-size // 4, size // 4:-size // 4] = 1
    return PhysicalBuffers(0.3 * alpha.expand(1, 3, size, size), alpha * torch.tensor([0.0, 0.0, 1.0])[None, :, None, None],
                           0.5 * alpha.expand(1, 3, size, size), alpha)


def test_noise_is_fresh_only_where_the_head_changed_its_shape():
    own, edited = buffers(), buffers()
    assert renewed("all", own, edited).abs().max() == 0
    rounded = dataclasses.replace(own, normal=own.normal + 2e-5)
    assert renewed("all", own, rounded).abs().max() == 0
    lit = dataclasses.replace(own, rendered=own.rendered * 2)
    assert renewed("all", own, lit).abs().max() == 0
    edited.normal[..., 20:22, 14:18] += CHANGED
    share = renewed("all", own, edited)
    assert share.shape == (1, 1, 32, 32)
    assert (share[0, 0, 20:22, 14:18] == 1).all()
    assert share[0, 0, :17].abs().max() == 0
    assert share[0, 0, 25:].abs().max() == 0
    assert ((share >= 0) & (share <= 1)).all()


def test_background_only_is_kept_when_asked():
    own, moved = buffers(), buffers()
    moved = dataclasses.replace(moved, **{name: getattr(moved, name).roll(4, -1) for name in
                                          ("rendered", "normal", "albedo", "alpha")})
    share = renewed("background", own, moved)[0, 0]
    covered = torch.maximum(own.alpha, moved.alpha)[0, 0] == 1
    assert (share[covered] == 1).all()
    assert share[:, :6].abs().max() == 0
    assert share[:, 31].abs().max() == 0


def test_borders_grow_with_the_picture():
    small, large = (buffers(size) for size in (64, 256))
    share = [renewed("background", one, one).mean() for one in (small, large)]
    assert share[0] == pytest.approx(share[1].item(), abs=0.01)


def test_mixed_noise_keeps_its_variance():
    generator = torch.Generator().manual_seed(0)
    kept, fresh = (torch.randn(1, 3, 64, 64, generator=generator) for _ in range(2))
    for share in (0.0, 0.3, 1.0):
        mixed = mix_noise(kept, fresh, torch.full((1, 1, 64, 64), share))
        assert mixed.std() == pytest.approx(1, abs=0.03)
    assert torch.equal(mix_noise(kept, fresh, torch.zeros(1, 1, 64, 64)), kept)
    assert torch.equal(mix_noise(kept, fresh, torch.ones(1, 1, 64, 64)), fresh)


def test_fifty_calls_bring_synthetic_photographs_back_at_over_35_db():
    rig = Rig.from_pretrained("open64", device="cpu", encoder="FIT")
    cast = choose_cast(load_head(), seed=5, album=1, held_out=1, strangers=1)
    photographs = render_photographs([cast.subject], cast.held_out, cast.head, 64)
    sources = rig.analyse(torch.from_numpy(np.stack(photographs)), cast.held_out[0].code)
    sampling = dataclasses.replace(KEEP, respacing="ddim50")
    start = rig.invert(sources, sampling)
    # Drawn by the network alone: what edits lay around the head would flatter the figure.
    again = rig.draw(rig.buffers(sources.code, sources.centre), sources.latent, sampling, start=start)
    error = to_uint8(again.numpy(), -1, 1)[0].astype(int) - photographs[0]
    assert np.square(error).mean() < 255**2 * 10**-3.5
    assert start.std() == pytest.approx(1, abs=0.15)


def test_the_shipped_prior_gives_back_the_source_and_its_background():
    rig = Rig.from_pretrained("open64", device="cpu", encoder="FIT")
    album = choose_cast(load_head(), seed=3, album=1, held_out=1, strangers=1)
    photographs = render_photographs([album.subject, album.people[0]], [album.held_out[0], album.strangers[0]], album.head, 64)
    sources = rig.analyse(torch.from_numpy(photographs[0])[None], album.held_out[0].code)
    targets = rig.analyse(torch.from_numpy(photographs[1])[None], album.strangers[0].code)
    asked = [Request(0, None, Edit(RECONSTRUCTION)), Request(0, 0, parse_modes("exp")[0])]
    own = to_uint8(sources.images.numpy(), -1, 1)[0].astype(int)
    head = rig.buffers(sources.code, sources.centre).alpha[0, 0].numpy() > 0
    (kept, edited), (plain, redrawn) = ([result.image.astype(int) for result in rig.edit_many(
        sources, targets, asked, sampling=dataclasses.replace(KEEP, keep=keep))] for keep in ("all", "none"))
    assert np.square(kept - own).mean() < 255**2 * 10**-3.5  # 35 dB
    assert np.square(plain - own).mean() > 10 * np.square(kept - own).mean()
    assert np.abs(edited - own)[~head].mean() < 0.4 * np.abs(redrawn - own)[~head].mean()
    assert np.abs(edited - own)[head].mean() > np.abs(kept - own)[head].mean()


def test_each_source_is_inverted_once_and_the_calls_are_counted(rig):
    sources, targets = rig.capture([photo(1), photo(2)]), rig.capture([photo(3), photo(4)])
    sampling = dataclasses.replace(KEEP, respacing="ddim3")
    asked = [Request(i, j, edit) for i in range(2) for j in range(2) for edit in parse_modes("pose,exp,light")]
    calls: list[int] = []
    together = [r.image for r in rig.edit_many(sources, targets, asked, batch_size=5, sampling=sampling, on_call=calls.append)]
    assert sum(calls) == 2 * rig.inversion_calls(sampling) + len(asked) * rig.calls(sampling)
    alone = [r.image for r in rig.edit_many(sources, targets, asked, batch_size=1, sampling=sampling)]
    for one, other in zip(alone, together):
        assert np.abs(one.astype(int) - other).max() <= 1
    assert rig.inversion_calls(Sampling()) == 0


@pytest.mark.parametrize(("settings", "words"), [({"keep": "hair"}, "--keep hair"), ({"keep": "all", "eta": 0.5}, "--eta 0"),
                                                 ({"keep": "background", "solver": "ancestral"}, "only DDIM")])
def test_what_cannot_be_kept_is_said(settings, words):
    with pytest.raises(UsageError, match=words):
        Sampling(**settings)


def test_the_command_refuses_noise_beside_keep(capsys, tmp_path):
    status = main(["edit", "--source", "a.png", "--target", "b.png", "--output_dir", str(tmp_path / "out"), "--keep", "all",
                   "--eta", "0.5"])
    assert status == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--eta 0" in error
