import pytest
import torch
from training.tiny import SMALL, lone_world, tiny_network, tiny_trainer, write_store

from diffusionrig.cli import main
from diffusionrig.errors import UsageError
from diffusionrig.io.checkpoints import load_checkpoint
from diffusionrig.model.null_condition import null_share
from diffusionrig.training.options import TrainOptions
from diffusionrig.training.order import drawn_below


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("store") / "faces")


def test_which_samples_are_dropped_depends_on_their_number_alone():
    whole = drawn_below(0.3, "drop_buffers", 7, range(2000))
    assert torch.equal(whole[500:520], drawn_below(0.3, "drop_buffers", 7, range(500, 520)))
    assert whole.float().mean().item() == pytest.approx(0.3, abs=0.03)
    latent = drawn_below(0.3, "drop_latent", 7, range(2000))
    assert (whole & latent).float().mean().item() == pytest.approx(0.09, abs=0.02)
    assert not drawn_below(0.0, "x", 7, range(50)).any()
    assert drawn_below(1.0, "x", 7, range(50)).all()


class Recorder(torch.nn.Module):
    """The UNet, noting the conditions it is given."""

    def __init__(self, unet):
        super().__init__()
        self.unet, self.buffers, self.latents = unet, [], []

    def forward(self, x, t, latent):
        self.buffers.append(x[:, 3:].detach().clone())
        self.latents.append(latent.detach().clone())
        return self.unet(x, t, latent)


def seen(store, **options):
    """(samples, 9, S, S) buffers and (samples, 8) latents that the UNet was given over 24 samples."""
    network = tiny_network(0.0)
    network.denoisingUNet = Recorder(network.denoisingUNet)
    trainer = tiny_trainer(store, lone_world(), network, lr=0.0, **options)
    for _ in range(24 // trainer.samples_per_step):
        assert trainer.update().applied
    trainer.close()
    return torch.cat(network.denoisingUNet.buffers), torch.cat(network.denoisingUNet.latents)


@pytest.mark.parametrize("stage", [1, 2])
def test_the_network_sees_zeros_where_conditions_are_dropped(store, stage):
    full = seen(store, stage=stage)
    some = seen(store, stage=stage, drop_buffers=0.4, drop_latent=0.5)
    for part, share, whole, got in zip(("drop_buffers", "drop_latent"), (0.4, 0.5), full, some):
        dropped = drawn_below(share, part, 0, range(24))
        assert 4 < dropped.sum() < 20
        assert not got[dropped].any()
        assert torch.equal(got[~dropped], whole[~dropped])
    # Two batches of two see what one batch of four sees (in stage 2, where BatchNorm couples nothing).
    if stage == 2:
        parts = seen(store, stage=stage, drop_buffers=0.4, drop_latent=0.5, batch_size=2, grad_accumulation=2)
        for one, other in zip(some, parts):
            torch.testing.assert_close(one, other)


def test_a_whole_batch_without_latents_still_trains(store):
    trainer = tiny_trainer(store, lone_world(), drop_latent=1.0, drop_buffers=1.0)
    assert trainer.update().applied
    trainer.close()
    assert all(parameter.grad is not None for parameter in trainer.parameters)
    assert not any(parameter.grad.any() for name, parameter in zip(trainer.names, trainer.parameters)
                   if name.startswith("encoder."))


def test_the_checkpoint_says_whether_the_null_was_learnt(store, tmp_path):
    def meta_of(name, *flags):
        words = [*SMALL, "--data_dir", store, "--log_dir", tmp_path / name, "--max_steps", 1, *flags]
        assert main(["train", *map(str, words)]) == 0
        return load_checkpoint(tmp_path / name / "model000001.safetensors")[1]

    first = meta_of("one", "--drop_buffers", 0.2)
    assert (null_share(first, "buffers"), null_share(first, "latent")) == (0.2, 0.0)
    start = ["--stage", 2, "--resume_checkpoint", tmp_path / "one" / "model000001.safetensors"]
    second = meta_of("two", *start, "--drop_latent", 0.1)
    assert (null_share(second, "buffers"), null_share(second, "latent")) == (0.2, 0.1)
    assert null_share({}, "buffers") == 0


def test_shares_outside_of_zero_to_one():
    with pytest.raises(UsageError, match=r"--drop_latent is a share from 0 to 1, not 1.5"):
        TrainOptions(data_dir="x", drop_latent=1.5)
