import pytest
import torch

from diffusionrig.errors import RigError
from diffusionrig.image_metrics import psnr, ssim


def test_psnr_of_a_constant_error_is_its_formula():
    truth = torch.full((2, 3, 16, 16), 0.5)
    images = truth + torch.tensor([0.1, 0.01])[:, None, None, None]
    torch.testing.assert_close(psnr(images, truth), torch.tensor([20.0, 40.0]), atol=1e-3, rtol=0)


def test_a_mask_hides_what_lies_outside_it():
    truth = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    images = truth.clone()
    images[..., 8:] = 1 - images[..., 8:]
    images[..., :8] += 0.1
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., :8] = 1
    torch.testing.assert_close(psnr(images, truth, mask), torch.tensor([20.0]), atol=1e-3, rtol=0)
    assert psnr(images, truth).item() < 15


def test_ssim_agrees_with_scikit_image():
    from skimage.metrics import structural_similarity

    generator = torch.Generator().manual_seed(1)
    truth = torch.rand(1, 1, 40, 40, generator=generator, dtype=torch.float64)
    images = (truth + 0.2 * torch.rand(1, 1, 40, 40, generator=generator, dtype=torch.float64)).clamp(0, 1)
    _, expected = structural_similarity(images[0, 0].numpy(), truth[0, 0].numpy(), data_range=1.0, gaussian_weights=True,
                                        sigma=1.5, use_sample_covariance=False, full=True)
    inner = torch.zeros(1, 1, 40, 40, dtype=torch.float64)
    inner[..., 6:-6, 6:-6] = 1
    assert ssim(images, truth, inner).item() == pytest.approx(expected[6:-6, 6:-6].mean(), abs=1e-6)


def test_an_empty_mask_is_refused():
    with pytest.raises(RigError, match="empty"):
        psnr(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8))
