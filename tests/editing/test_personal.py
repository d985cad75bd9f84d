"""Personal models: adapters that find their base, and the consent that both kinds show."""

import numpy as np
import pytest
import torch
from seed_faces import MODEL, photo

from diffusionrig.cli import main
from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.editing import bases, pretrained
from diffusionrig.editing.consent import consent_line, consent_of
from diffusionrig.editing.model_card import describe_model, preview_of
from diffusionrig.editing.pretrained import load_pretrained
from diffusionrig.errors import RigError, UsageError
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.checkpoints import export_legacy, load_checkpoint, save_checkpoint
from diffusionrig.io.files import sha256_of
from diffusionrig.io.images import png_bytes, read_image, write_png
from diffusionrig.model.adapters import AdapterConfig, adapter_part, add_adapters, merged
from diffusionrig.model.network import build_network
from diffusionrig.randomness import torch_stream
from diffusionrig.training.samples import Samples
from diffusionrig.training.saving import preview

CONFIG = AdapterConfig(rank=2, alpha=4.0)


@pytest.fixture(scope="module")
def factors():
    network, generator = build_network(MODEL, seed=3), torch_stream(0, "factors")
    add_adapters(network, CONFIG)
    return {name: (0.1 * torch.randn(tensor.shape, generator=generator)).half()
            for name, tensor in adapter_part(network.state_dict()).items()}


@pytest.fixture
def adapter(checkpoint, factors, tmp_path):
    """An adapter on ``checkpoint``, in a folder of its own."""
    head, path = load_head(), tmp_path / "me" / "model000009.safetensors"
    path.parent.mkdir()
    drawn = torch.linspace(-1, 1, 3 * 32 * 32).view(1, 3, 32, 32)
    meta = {"kind": "adapter", "stage": 2, "step": 9, "model": MODEL.to_dict(), "diffusion": DiffusionConfig().to_dict(),
            "head": {"name": head.name, "hash": head.hash}, "consent": "She said\nyes\x1b[31m.", "adapter": CONFIG.to_dict(),
            "base": {"name": checkpoint.name, "hash": sha256_of(checkpoint), "bytes": checkpoint.stat().st_size,
                     "path": str(checkpoint)},
            "preview": preview(Samples([0], drawn, drawn[:, :1] > 0, (drawn + 1) / 2, drawn)),
            "best": {"held_out": 3, "step": 5, "loss": 0.25, "loss_at_start": 0.5}}
    save_checkpoint(path, {**factors, "mean_shape": torch.full((1, head.n_shape), 0.5)}, meta)
    return path


def rewritten(path, **changes):
    tensors, meta = load_checkpoint(path, dtype=None)
    save_checkpoint(path, tensors, {**meta, **changes})
    return path


def test_an_adapter_loads_as_its_base_with_the_factors_merged_in(adapter, checkpoint, factors):
    loaded, base = load_pretrained(adapter), load_checkpoint(checkpoint)[0]
    expected = merged({**base, **factors}, CONFIG)
    state = loaded.network.state_dict()
    assert state.keys() == base.keys()
    assert all(torch.equal(state[name], expected[name]) for name in base)
    assert float((state["denoisingUNet.out.2.weight"] - base["denoisingUNet.out.2.weight"]).abs().max()) > 0.01
    assert loaded.mean_shape is not None
    assert loaded.mean_shape.flatten()[0] == 0.5
    assert loaded.hash == sha256_of(adapter)


def test_the_base_is_found_by_its_hash(adapter, checkpoint, tmp_path, monkeypatch):
    meta = load_checkpoint(adapter)[1]
    assert bases.find_base(adapter, meta) == checkpoint
    moved = rewritten(adapter, base={**meta["base"], "path": "gone.safetensors"})
    with pytest.raises(RigError, match=f"hash {meta['base']['hash']}, which is neither shipped, nor at gone"):
        load_pretrained(moved)
    assert load_pretrained(moved, base=checkpoint).hash == sha256_of(moved)
    monkeypatch.setattr(pretrained, "shipped_priors", lambda: {"it": checkpoint})
    assert load_pretrained(moved).model == MODEL
    monkeypatch.undo()
    beside = adapter.parent / "another name.safetensors"
    beside.write_bytes(checkpoint.read_bytes())
    (adapter.parent / "decoy.pt").write_bytes(b"0" * checkpoint.stat().st_size)
    assert bases.find_base(moved, load_checkpoint(moved)[1]) == beside


def test_a_wrong_base_is_refused_with_both_hashes(adapter, checkpoint, tmp_path, capsys):
    other = tmp_path / "other.safetensors"
    tensors, meta = load_checkpoint(checkpoint)
    save_checkpoint(other, {name: tensor + 1 for name, tensor in tensors.items()}, meta)
    status = main(["edit", "--model_path", str(adapter), "--base", str(other), "--source", "a.png", "--set", "yaw=5",
                   "--output_dir", str(tmp_path / "out")])
    error = capsys.readouterr().err
    assert status == 1
    assert error.count("\n") == 1
    assert sha256_of(checkpoint) in error
    assert sha256_of(other) in error
    with pytest.raises(UsageError, match="is whole and has no base; leave --base out"):
        load_pretrained(checkpoint, base=other)


ENDLESS = {"name": "x", "hash": "0" * 5000, "bytes": 5, "path": "x"}


@pytest.mark.parametrize(("changes", "words"), [
    ({"base": None}, "does not say which base model"), ({"base": {"name": "x"}}, "says of its base is damaged"),
    ({"base": ENDLESS}, "does not say which base model"), ({"adapter": None}, "does not say which base model")])
def test_an_adapter_without_its_description_is_refused(adapter, changes, words):
    with pytest.raises(RigError, match=words):
        load_pretrained(rewritten(adapter, **changes))


def test_consent_is_a_line_of_its_own():
    assert consent_of({"stage": 1, "consent": None}) is None
    assert consent_line({}) == ""
    assert consent_line({"stage": 2, "consent": "Yes."}).endswith("consent of the person in it: Yes.")
    assert "NO consent of the person in it was stated" in consent_line({"stage": 2, "consent": "not stated"})
    # The words come from a file: they must not move the cursor or pretend to be further lines.
    assert consent_of({"stage": 2, "consent": "Yes.\nwarning: \x1b[2Jno\u202e"}) == "Yes. warning: [2Jno"


def test_edit_shows_the_consent_of_both_kinds(rig, adapter, checkpoint, tmp_path, capsys):
    write_png(tmp_path / "a.png", photo(3))
    whole = tmp_path / "whole.safetensors"
    tensors, meta = load_checkpoint(checkpoint)
    save_checkpoint(whole, tensors, {**meta, "stage": 2, "consent": "not stated"})
    for model, words in ((adapter, "consent of the person in it: She said yes [31m."), (whole, "NO consent"), (checkpoint, "")):
        assert main(["edit", "--model_path", str(model), "--source", str(tmp_path / "a.png"), "--set", "yaw=5", "--device", "cpu",
                     "--timestep_respacing", "ddim2", "--output_dir", str(tmp_path / f"out{model.stem}")]) == 0
        lines = [line for line in capsys.readouterr().err.splitlines() if "personal model" in line]
        assert [words in line for line in lines] == ([True] if words else [])
    assert type(rig).from_pretrained(adapter, device="cpu").consent == "She said yes [31m."
    assert rig.consent is None


def test_inspect_shows_a_personal_model(adapter, checkpoint, capsys):
    assert main(["inspect", str(adapter)]) == 0
    out = capsys.readouterr().out
    for words in ("personal adapter", "rank 2, alpha 4, layers conv,attention,linear", f"{checkpoint.name} {sha256_of(checkpoint)}",
                  sha256_of(adapter), "She said yes [31m.", "32 pixels, 32 channels",
                  "after 5 updates: loss 0.25000 on 3 held-out photographs, 0.50000 at the start"):
        assert words in out
    picture = read_image(adapter.parent / "model000009_preview.png")
    expected = preview_of(load_checkpoint(adapter)[1], "it")
    assert expected is not None
    assert np.array_equal(picture, expected)
    assert describe_model(checkpoint)["kind"] == "model"


def test_inspect_shows_a_prior_and_says_when_a_base_is_missing(adapter, tmp_path, capsys):
    assert main(["inspect", "default", "--output", str(tmp_path / "x.png")]) == 0
    out = capsys.readouterr().out
    assert "prior (stage 1)" in out
    assert "consent" not in out
    assert not (tmp_path / "x.png").exists()
    meta = load_checkpoint(adapter)[1]
    assert main(["inspect", str(rewritten(adapter, base={**meta["base"], "path": "gone.pt"}))]) == 0
    assert "NOT FOUND; name it with --base" in capsys.readouterr().out


def test_inspect_takes_files_that_say_nothing(checkpoint, tmp_path, capsys):
    export_legacy(tmp_path / "model000001.pt", load_checkpoint(checkpoint)[0])
    assert main(["inspect", str(tmp_path / "model000001.pt")]) == 0
    out = capsys.readouterr().out
    assert "published .pt file, which does not describe itself" in out
    assert sha256_of(tmp_path / "model000001.pt") in out
    (tmp_path / "model.bin").write_bytes(b"x")
    assert main(["inspect", str(tmp_path / "model.bin")]) == 2
    assert "neither a model (.safetensors or .pt) nor the folder of a store" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["&&&", "aGVsbG8="])
def test_a_damaged_preview_is_said(adapter, text, capsys):
    assert main(["inspect", str(rewritten(adapter, preview=text))]) == 1
    assert "the preview in" in capsys.readouterr().err.lower()


def test_previews_are_small_pictures():
    drawn = torch.zeros(1, 3, 256, 256)
    picture = preview_of({"preview": preview(Samples([0], drawn, drawn[:, :1] > 0, (drawn + 1) / 2, drawn))}, "it")
    assert picture is not None
    assert picture.shape == (96, 96, 3)
    assert len(png_bytes(picture)) < 1000
