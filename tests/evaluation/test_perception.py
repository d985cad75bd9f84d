import pytest
import torch
from torch import nn

from diffusionrig.errors import RigError, UsageError
from diffusionrig.evaluation.perception import BACKBONE, HEADS, Lpips


def layers() -> nn.Sequential:
    """AlexNet's features, as torchvision numbers them."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(64, 192, 5, 1, 2), nn.ReLU(),
                         nn.MaxPool2d(3, 2), nn.Conv2d(192, 384, 3, 1, 1), nn.ReLU(), nn.Conv2d(384, 256, 3, 1, 1), nn.ReLU(),
                         nn.Conv2d(256, 256, 3, 1, 1), nn.ReLU()).requires_grad_(False)


@pytest.fixture(scope="module")
def weights():
    features = layers()
    generator = torch.Generator().manual_seed(1)
    heads = {f"lin{i}.model.1.weight": torch.rand(1, width, 1, 1, generator=generator)
             for i, width in enumerate((64, 192, 384, 256, 256))}
    return {f"features.{name}": tensor for name, tensor in features.state_dict().items()}, heads


def test_it_is_the_published_formula(weights):
    """Zhang et al. 2018, equation 1, written out in float64 with torch's own layers."""
    backbone, heads = weights
    generator = torch.Generator().manual_seed(2)
    images, truth = (torch.rand(2, 3, 64, 64, generator=generator) for _ in range(2))
    network = layers().double()
    mean, scale = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in ((-.030, -.088, -.188), (.458, .448, .450)))
    expected = torch.zeros(2, dtype=torch.float64)
    a, b = ((2 * x.double() - 1 - mean) / scale for x in (images, truth))
    number = 0
    for layer in network:
        a, b = layer(a), layer(b)
        if isinstance(layer, nn.ReLU):
            apart = (a / (a.norm(dim=1, keepdim=True) + 1e-10) - b / (b.norm(dim=1, keepdim=True) + 1e-10)).square()
            expected += (apart * heads[f"lin{number}.model.1.weight"].double()).sum(1).mean((1, 2))
            number += 1
    measure = Lpips(backbone, heads)
    torch.testing.assert_close(measure(images, truth).double(), expected, rtol=1e-4, atol=1e-6)
    assert measure(images, images).abs().max() == 0


def test_its_files_are_named_when_they_are_absent_or_wrong(weights, tmp_path):
    with pytest.raises(UsageError, match=BACKBONE):
        Lpips.load(tmp_path)
    backbone, heads = weights
    torch.save(backbone, tmp_path / BACKBONE)
    torch.save(heads, tmp_path / HEADS)
    with torch.inference_mode():
        Lpips.load(tmp_path)(torch.zeros(1, 3, 64, 64), torch.ones(1, 3, 64, 64))
    torch.save(backbone, tmp_path / HEADS)
    with pytest.raises(RigError, match=r"holds no lin0\.model\.1\.weight"):
        Lpips.load(tmp_path)
