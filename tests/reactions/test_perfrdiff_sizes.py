"""The published sizes, counted without memory; the published names and shapes."""

import pytest
import torch

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.checkpoints import save_state
from diffusionrig.reactions.generators.perfrdiff.denoiser import Denoiser
from diffusionrig.reactions.generators.perfrdiff.embedder import WindowVAE
from diffusionrig.reactions.generators.perfrdiff.person import PersonEncoder
from diffusionrig.reactions.generators.perfrdiff.prior import PriorNetwork
from diffusionrig.reactions.generators.perfrdiff.released import load_published, renamed
from diffusionrig.reactions.generators.perfrdiff.settings import CONDITIONS, GeneratorSettings, PersonalSettings
from diffusionrig.reactions.generators.perfrdiff.shifts import FullShifts, LowRankShifts

SIZES = {"audio": 78, "face": 58, "emotion": 25, "latent": 512, "prior": 512, "past": 25}
EDITED = PersonalSettings().layers(7)


def published_denoiser(names=CONDITIONS):
    return Denoiser(25, 512, 7, 4, 1024, 0.1, {name: SIZES[name] for name in names}, 512 ** -0.5, 500)


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("make", "count"), [
    (lambda: WindowVAE(25, 58, 512, 512, 128), 3_358_675),
    (lambda: WindowVAE(58, 25, 512, 512, 128), 3_464_275),
    (lambda: PersonEncoder(512, 4, 4, 1024, 512, 0.1, False), 8_967_168),
    (lambda: PriorNetwork(512, 4, 8, 64, 78, 58, 50, 1), 15_630_592),
    (published_denoiser, 23_013_401)])
def test_modules_have_the_published_sizes(make, count):
    with torch.device("meta"):
        assert parameters(make()) == count


def test_the_full_hypernetwork_has_1627_million_parameters_and_the_low_rank_one_a_fraction():
    with torch.device("meta"):
        shapes = published_denoiser(("audio", "face", "latent")).shapes(EDITED)
        assert shapes == {"4.cross": (1536, 512), "6.cross": (1536, 512), "output": (25, 512)}
        full, thin = FullShifts(512, 1024, 2, shapes), LowRankShifts(512, 1024, 2, shapes, 16)
        assert parameters(full) == 1_626_880_512
        assert thin.up[0].out_features + thin.down[0].out_features == 32768
        assert parameters(thin) < parameters(full) / 20
        made = full(torch.empty(1, 512))
    assert made["6.cross"].dense().shape == (1, 1536, 512)


def published_names(module):
    """What a published file of the module holds, by its description."""
    names = {name.replace("_l0", ""): torch.zeros(tensor.shape) for name, tensor in module.state_dict().items()}
    if isinstance(module, PriorNetwork):
        names.update({f"causal_transformer.layers.{index}.0.rotary_emb.freqs": torch.zeros(4) for index in range(2)})
    if isinstance(module, Denoiser):
        names.update({"speaker_emotion_proj.weight": torch.zeros(8, 25), "listener_emotion_proj.bias": torch.zeros(8)})
    return names


@pytest.mark.parametrize("module", [
    WindowVAE(25, 58, 8, 6, 4), PersonEncoder(8, 1, 2, 8, 4, 0.1, False), PriorNetwork(8, 2, 2, 4, 5, 58, 6, 1),
    Denoiser(25, 8, 1, 2, 8, 0.0, {"audio": 5, "face": 58, "latent": 8}, 1.0, 40)])
def test_published_files_are_taken_strictly(module, tmp_path):
    tensors = published_names(module)
    save_state(tmp_path / "checkpoint.pth", {"state_dict": tensors, "epoch": 3})
    load_published(module, tmp_path / "checkpoint.pth")
    assert all(tensor.abs().sum() == 0 for tensor in module.state_dict().values())
    first = next(iter(renamed(module, tensors)))
    wrong = {name: tensor for name, tensor in tensors.items() if name.replace("_ih", "_ih_l0") != first and name != first}
    save_state(tmp_path / "other.pth", {"state_dict": wrong})
    with pytest.raises(RigError, match="1 missing"):
        load_published(module, tmp_path / "other.pth")
    save_state(tmp_path / "none.pth", {"epoch": 3})
    with pytest.raises(RigError, match="holds no state_dict"):
        load_published(module, tmp_path / "none.pth")


@pytest.mark.parametrize(("change", "sentence"), [
    ({"conditions": "audio,voice"}, "name some of audio, face"),
    ({"conditions": "prior", "prior": False}, "generator.prior is False"),
    ({"steps": 30}, "must divide 1000"), ({"heads": 7}, "does not divide"), ({"past": 0}, "must be 1 or more")])
def test_settings_that_cannot_be_are_refused(change, sentence):
    with pytest.raises(UsageError, match=sentence):
        GeneratorSettings(**change)


def test_only_parts_that_exist_can_be_shifted():
    with pytest.raises(UsageError, match=r"names '4\.cross'; choose from 0\.cross, 1\.cross, output"):
        PersonalSettings().layers(2)
