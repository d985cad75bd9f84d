import io
import pickle

import numpy as np
import pytest
import torch
from seed_faces import MODEL

from diffusionrig.cli import main
from diffusionrig.editing.pretrained import checkpoint_path, load_pretrained, read_mean_shape
from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.checkpoints import export_legacy, load_checkpoint, load_released, load_weights, save_checkpoint
from diffusionrig.model.config import ModelConfig
from diffusionrig.model.network import build_network

SIZE = {"image_size": MODEL.image_size}
"""All that the shapes of the small network do not show."""


class Creator:
    """Creates a file when unpickled the careless way."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_published_mean_shape_is_read_and_its_successor_found(tmp_path):
    shape = torch.arange(100.0)[None]
    with open(tmp_path / "mean_shape.pkl", "wb") as file:
        pickle.dump(shape, file)
    torch.testing.assert_close(read_mean_shape(tmp_path / "mean_shape.pkl", 100), shape)
    (tmp_path / "new").mkdir()
    np.save(tmp_path / "new" / "mean_shape.npy", 2 * shape.numpy())
    torch.testing.assert_close(read_mean_shape(tmp_path / "new" / "mean_shape.pkl", 100), 2 * shape)
    with pytest.raises(UsageError, match="100 shape coefficients"):
        read_mean_shape(tmp_path / "mean_shape.pkl", 300)
    with pytest.raises(UsageError, match="There is no mean shape"):
        read_mean_shape(tmp_path / "wrong.pkl", 100)


@pytest.mark.parametrize("name", ["mean_shape.pkl", "model.pt", "model.safetensors"])
def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path, name):
    harm = tmp_path / "harm"
    (tmp_path / name).write_bytes(pickle.dumps(Creator(harm)))
    read = (lambda path: read_mean_shape(path, 100)) if name == "mean_shape.pkl" else load_pretrained
    with pytest.raises(RigError) as refusal:
        read(tmp_path / name)
    assert name in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1
    assert not harm.exists()


def test_a_torch_file_that_would_run_code_is_refused(tmp_path):
    harm, buffer = tmp_path / "harm", io.BytesIO()
    torch.save({"weight": Creator(harm)}, buffer)
    (tmp_path / "model.pt").write_bytes(buffer.getvalue())
    with pytest.raises(RigError, match=r"model\.pt"):
        load_pretrained(tmp_path / "model.pt")
    assert not harm.exists()


def test_paths_that_lead_nowhere_are_named(tmp_path):
    with pytest.raises(UsageError, match="There is no model at"):
        checkpoint_path(tmp_path / "none.safetensors")
    (tmp_path / "model.txt").write_text("x")
    with pytest.raises(UsageError, match="neither a"):
        load_pretrained(tmp_path / "model.txt")


def test_the_head_is_the_models_own_else_the_one_asked_for_else_the_encoders(checkpoint, tmp_path):
    tensors, meta = load_checkpoint(checkpoint)
    assert load_pretrained(checkpoint, usual_head="flame-2020").head == meta["head"]["name"] == "open-head-1"
    with pytest.raises(UsageError, match="was trained on the head open-head-1, not on flame-2020; leave --head out"):
        load_pretrained(checkpoint, head="flame-2020")
    export_legacy(tmp_path / "model000001.pt", tensors)
    for asked, usual, expected in (("", "flame-2020", "flame-2020"), ("open-head-1", "flame-2020", "open-head-1")):
        assert load_pretrained(tmp_path / "model000001.pt", model=SIZE, head=asked, usual_head=usual).head == expected


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """A published file of the usual channel plan of 64 pixels."""
    path = tmp_path_factory.mktemp("released") / "model000002.pt"
    config = ModelConfig(image_size=64, num_channels=32, num_res_blocks=1, latent_dim=8, encoder_type="resnet50")
    export_legacy(path, build_network(config, 1).state_dict())
    return path


def test_a_released_file_needs_no_flags_and_contradictions_are_named(released):
    model = load_pretrained(released).model
    assert (model.image_size, model.num_channels, model.num_res_blocks, model.latent_dim, model.encoder_type) == (
        64, 32, 1, 8, "resnet50")
    assert load_pretrained(released, model={"image_size": 64, "num_heads": 2}).model.num_heads == 2
    for settings, sentence in (({"image_size": 256}, "--image_size 256 contradicts .*model000002.pt, whose tensors .* 64"),
                               ({"latent_dim": 64}, "--latent_dim 64 contradicts .* of 8; leave the flag out"),
                               ({"encoder_type": "resnet18"}, "--encoder_type resnet18 contradicts .* of resnet50")):
        with pytest.raises(UsageError, match=sentence):
            load_pretrained(released, model=settings)
    assert load_pretrained(released, diffusion={"noise_schedule": "cosine"}).diffusion.noise_schedule == "cosine"


def test_flags_beside_a_model_that_describes_itself_must_agree(checkpoint):
    loaded = load_pretrained(checkpoint, model={"image_size": 32, "dropout": 0.5}, diffusion={"timestep_respacing": "ddim20"})
    assert (loaded.model, loaded.diffusion.timestep_respacing) == (MODEL, "")
    for words in ({"model": {"image_size": 64}}, {"diffusion": {"noise_schedule": "cosine"}}):
        with pytest.raises(UsageError, match=r"contradicts the checkpoint .*tiny\.safetensors, which was trained with (32|linear)"):
            load_pretrained(checkpoint, **words)


@pytest.mark.parametrize("command", ["edit", "evaluate"])
def test_commands_hold_flags_against_released_files(command, released, tmp_path, capsys):
    words = ["--output_dir", str(tmp_path / "out"), "--model_path", str(released), "--image_size", "128", "--device", "cpu"]
    assert main([command, *words, *(["--source", str(released)] if command == "edit" else [])]) == 2
    assert "--image_size 128 contradicts" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_published_name_of_a_model_of_ours_is_taken_and_said(checkpoint, tmp_path):
    tensors, meta = load_checkpoint(checkpoint)
    save_checkpoint(tmp_path / "model050000.safetensors", tensors, meta)
    loaded = load_pretrained(tmp_path / "model050000.pt")
    assert loaded.model == MODEL
    assert loaded.note == f"{tmp_path / 'model050000.pt'} is not there; model050000.safetensors beside it is taken."
    assert load_pretrained(tmp_path / "model050000.safetensors").note == ""
    export_legacy(tmp_path / "model050000.pt", tensors)
    there = load_pretrained(tmp_path / "model050000.pt", model=SIZE)
    assert (there.note, there.meta) == ("", {})
    with pytest.raises(UsageError, match=r"There is no model at .*model000001.pt; .* holds model050000.pt, model050000.safe"):
        load_pretrained(tmp_path / "model000001.pt")
    with pytest.raises(UsageError, match=r"is a folder, but model is a file; .* holds model050000.pt, model050000.safetensors"):
        load_pretrained(tmp_path)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_words_that_wrappers_put_before_every_name_are_taken_off(prefix, checkpoint, tmp_path):
    tensors, meta = load_checkpoint(checkpoint)
    wrapped = {prefix + name: tensor for name, tensor in tensors.items()}
    export_legacy(tmp_path / "wrapped.pt", wrapped)
    assert load_released(tmp_path / "wrapped.pt").keys() == tensors.keys()
    save_checkpoint(tmp_path / "wrapped.safetensors", wrapped, meta)
    for name, model in (("wrapped.pt", SIZE), ("wrapped.safetensors", {})):
        state = load_pretrained(tmp_path / name, model=model).network.state_dict()
        assert all(torch.equal(state[key], tensor) for key, tensor in tensors.items())
    # Some names alone may begin so.
    mixed = {**tensors, "module.odd": torch.zeros(1)}
    export_legacy(tmp_path / "mixed.pt", mixed)
    assert load_weights(tmp_path / "mixed.pt")[0].keys() == mixed.keys()
