"""The network under the reference condition: patches, what it may change, and its settings."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from diffusionrig.errors import UsageError
from diffusionrig.model.config import CHANGE, CONFIDENCE, PICTURE, REFERENCE_CHANNELS, ModelConfig
from diffusionrig.model.network import DiffusionRig, build_network, finished
from diffusionrig.model.patches import PatchHead, folded
from diffusionrig.randomness import torch_stream
from diffusionrig.render.condition import CHANNELS

PLAIN = ModelConfig(image_size=32, num_channels=16, norm_groups=4, channel_mult="1,2", num_res_blocks=1, attention_resolutions="",
                    dropout=0.0)
REFERENCE = dataclasses.replace(PLAIN, condition="reference", encoder_type="none", patch=2)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch_stream("reference network", seed))


def condition(batch: int = 2, size: int = 32, change: float | None = None) -> Tensor:
    made = draw(batch, REFERENCE_CHANNELS, size, size, seed=1)
    made[:, PICTURE] = made[:, PICTURE].tanh()
    made[:, CHANGE] = torch.rand(batch, 1, size, size, generator=torch_stream("change")) if change is None else change
    return made


def trained(config: ModelConfig) -> DiffusionRig:
    """As after training: no layer is zero."""
    network = build_network(config).eval()
    with torch.no_grad():
        for place, parameter in enumerate(network.parameters()):
            parameter.add_(0.05 * draw(*parameter.shape, seed=place))
    return network


def drawn(network: DiffusionRig, seen: Tensor, x: Tensor | None = None, steps: int = 500) -> Tensor:
    x = draw(len(seen), 3, *seen.shape[2:]) if x is None else x
    with torch.no_grad():
        return network(x, torch.full((len(seen),), steps), seen, x_start=torch.zeros_like(x))


def test_the_channels_are_those_of_the_condition():
    assert sum(CHANNELS.values()) == REFERENCE_CHANNELS
    before = dict(zip(CHANNELS, torch.tensor([0, *CHANNELS.values()]).cumsum(0).tolist()))
    assert (before["picture"], CHANNELS["picture"]) == (PICTURE.start, PICTURE.stop - PICTURE.start)
    assert (before["change"], CHANNELS["change"]) == (CHANGE.start, CHANGE.stop - CHANGE.start)


@pytest.mark.parametrize(("patch", "encoder"), [(1, "none"), (2, "none"), (4, "none"), (2, "resnet18")])
def test_before_training_the_carried_photograph_comes_out(patch, encoder):
    network = build_network(dataclasses.replace(REFERENCE, patch=patch, encoder_type=encoder)).eval()
    seen = condition()
    assert torch.equal(drawn(network, seen), seen[:, PICTURE])


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_nothing_changes_where_nothing_may(patch):
    network = trained(dataclasses.replace(REFERENCE, patch=patch))
    still = condition(change=0.0)
    assert torch.equal(drawn(network, still), still[:, PICTURE])
    half = still.clone()
    half[:, CHANGE, :, 16:] = 1.0
    out = drawn(network, half)
    assert out.shape == (2, 3, 32, 32)
    assert torch.equal(out[..., :16], half[:, PICTURE, :, :16])
    assert (out[..., 16:] - half[:, PICTURE, :, 16:]).abs().mean() > 1e-3


def test_what_the_output_means():
    seen, output = condition(), draw(2, 3, 32, 32, seed=3)
    lost = seen.clone()
    lost[:, CONFIDENCE] = -1
    lost[:, CHANGE] = 1
    torch.testing.assert_close(finished(output, lost, REFERENCE), seen[:, :3] + output)
    # Half a say is half of the shades, and a quarter of the detail.
    lost[:, CHANGE] = 0.5
    squares = output.reshape(2, 3, 8, 4, 8, 4)
    detail = (squares - squares.mean((3, 5), keepdim=True)).reshape(2, 3, 32, 32)
    torch.testing.assert_close(finished(detail, lost, REFERENCE), seen[:, :3] + detail / 4)
    torch.testing.assert_close(finished(torch.ones_like(output), lost, REFERENCE), seen[:, :3] + 0.5)
    assert finished(output, seen[:, :9], PLAIN) is output


def test_what_the_photograph_shows_keeps_its_detail():
    sure = condition(change=1.0)
    sure[:, CONFIDENCE] = 1
    checks = torch.ones(32, 32)
    checks[::2, ::2] = checks[1::2, 1::2] = -1
    output = checks.expand(2, 3, 32, 32)
    torch.testing.assert_close(finished(output, sure, REFERENCE), sure[:, PICTURE], rtol=0, atol=1e-6)  # detail is not drawn over
    torch.testing.assert_close(finished(torch.full_like(output, 0.3), sure, REFERENCE), sure[:, PICTURE] + 0.3)  # shades are


@pytest.mark.parametrize("patch", [2, 4])
def test_patches_fold_and_shrink_the_network(patch):
    image = draw(2, 3, 16, 16)
    small = folded(image, patch)
    assert small.shape == (2, 3 * patch**2, 16 // patch, 16 // patch)
    assert torch.equal(torch.nn.functional.pixel_shuffle(small, patch), image)
    assert folded(image, 1) is image
    network = build_network(dataclasses.replace(REFERENCE, patch=patch))
    sizes: list[int] = []
    for block in network.denoisingUNet.input_blocks:
        block.register_forward_hook(lambda _, __, out: sizes.append(out.shape[-1]))
    drawn(network.eval(), condition())
    assert max(sizes) == 32 // patch
    assert network.denoisingUNet.input_blocks[0][0].weight.shape[1] == (3 + REFERENCE_CHANNELS) * patch**2


def test_the_head_sees_the_picture_itself():
    head = PatchHead(8, 4, 5, 3)
    for place, parameter in enumerate(head.parameters()):
        parameter.data.copy_(draw(*parameter.shape, seed=place))
    features, seen = draw(1, 8, 4, 4), draw(1, 5, 16, 16)
    out = head(features, seen)
    assert out.shape == (1, 3, 16, 16)
    other = seen.clone()
    other[..., 9, 9] += 1
    moved = (head(features, other) - out).abs().amax((0, 1)) > 1e-5
    assert moved[9, 9]
    assert not moved[:3].any()
    assert not moved[:, :3].any()
    assert (head(features + 1, seen) - out).abs().amin() > 0


def test_names_without_patches_are_the_published_ones():
    def shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
        with torch.device("meta"):
            return {name: tuple(tensor.shape) for name, tensor in build_network(config).state_dict().items()}

    published, same = shapes(PLAIN), shapes(dataclasses.replace(PLAIN, patch=1))
    assert published == same
    reference = shapes(dataclasses.replace(REFERENCE, patch=1, encoder_type="resnet18"))
    assert set(reference) == set(published)
    assert {name for name in published if reference[name] != published[name]} == {"denoisingUNet.input_blocks.0.0.weight"}
    patched = shapes(REFERENCE)
    gone = {name for name in published if name not in patched}
    assert {name for name in gone if not name.startswith("encoder.")} == {"denoisingUNet.out.2.weight", "denoisingUNet.out.2.bias"}
    assert all(name.startswith("denoisingUNet.finish.") for name in patched if name not in published)


def test_batched_equals_single():
    network, seen, x = trained(REFERENCE), condition(3), draw(3, 3, 32, 32)
    whole = drawn(network, seen, x)
    for row in range(3):
        torch.testing.assert_close(drawn(network, seen[row:row + 1], x[row:row + 1]), whole[row:row + 1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("settings", "words"), [
    ({"condition": "photo"}, "--condition 'photo' is unknown; choose buffers or reference"),
    ({"encoder_type": "vit"}, "--encoder_type 'vit' is unknown; choose resnet18 or resnet50 or none"),
    ({"encoder_type": "none"}, "--encoder_type none leaves the buffers without the person; it belongs to --condition reference"),
    ({"condition": "reference", "learn_sigma": True}, "--learn_sigma True has no meaning for --condition reference"),
    ({"patch": 0}, "--patch must be 1 or more, not 0"),
    ({"patch": 3}, "--patch must be 1 or even, not 3"),
    ({"patch": 32}, "--image_size 32 cannot be halved .* of patches of 32; use a multiple of 64")])
def test_wrong_settings(settings, words):
    with pytest.raises(UsageError, match=words):
        dataclasses.replace(PLAIN, **settings)


def test_descriptions_from_before_load_unchanged():
    new = {"condition", "patch"}
    old = {name: value for name, value in PLAIN.to_dict().items() if name not in new}
    assert ModelConfig.from_dict(old) == PLAIN
    assert ModelConfig.from_dict({}) == ModelConfig()
    assert (ModelConfig().condition, ModelConfig().patch, ModelConfig().encoder_type) == ("buffers", 1, "resnet18")
    assert ModelConfig.from_dict(REFERENCE.to_dict()) == REFERENCE
    assert (PLAIN.input_channels, PLAIN.condition_channels) == (12, 9)
    assert (REFERENCE.input_channels, REFERENCE.condition_channels) == (24, 21)
