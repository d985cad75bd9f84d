import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

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


def pair(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise, and the same with more of it towards the rim, where a padded border would count it otherwise."""
    generator = torch.Generator().manual_seed(1)
    truth = torch.rand(*shape, generator=generator, dtype=torch.float64)
    strength = torch.linspace(-1, 1, shape[-1], dtype=torch.float64).abs()
    return (truth + strength * torch.rand(*shape, generator=generator, dtype=torch.float64)).clamp(0, 1), truth


def test_ssim_agrees_with_scikit_image_over_the_valid_region():
    images, truth = pair(2, 3, 40, 33)
    for image, reference, ours in zip(images, truth, ssim(images, truth)):
        # Its mean leaves out the same rim of half a window.
        theirs = structural_similarity(image.numpy(), reference.numpy(), data_range=1.0, gaussian_weights=True, sigma=1.5,
                                       use_sample_covariance=False, channel_axis=0)
        assert ours.item() == pytest.approx(theirs, abs=1e-9)


def test_ssim_inside_a_mask_weighs_the_map_of_the_valid_region():
    images, truth = pair(1, 1, 40, 33)
    _, full = structural_similarity(images[0, 0].numpy(), truth[0, 0].numpy(), data_range=1.0, gaussian_weights=True, sigma=1.5,
                                    use_sample_covariance=False, full=True)
    mask = torch.zeros(1, 1, 40, 33, dtype=torch.float64)
    mask[..., :20, :9], mask[..., 20:, 3:30] = 1, 0.25  # reaches into the rim, which does not count
    inner = (slice(5, -5), slice(5, -5))
    assert ssim(images, truth, mask).item() == pytest.approx(np.average(full[inner], weights=mask[0, 0].numpy()[inner]), abs=1e-9)
    assert abs(ssim(images, truth, mask).item() - np.average(full, weights=mask[0, 0].numpy())) > 0.01


def test_ssim_is_one_for_equal_pictures_and_finite_for_flat_ones():
    flat = torch.full((1, 3, 11, 11), 0.3)
    assert ssim(flat, flat).item() == pytest.approx(1)
    assert ssim(flat, torch.zeros_like(flat)).item() == pytest.approx(1e-4 / (0.09 + 1e-4), rel=1e-3)


def test_what_cannot_be_measured_is_refused():
    blank, mask = torch.zeros(1, 3, 24, 24), torch.zeros(1, 1, 24, 24)
    for measure in (psnr, ssim):
        with pytest.raises(RigError, match="empty"):
            measure(blank, blank, mask)
        with pytest.raises(RigError, match="does not fit"):
            measure(blank, blank, mask[..., 1:])
    mask[..., :5, :] = 1  # rim alone
    with pytest.raises(RigError, match="empty"):
        ssim(blank, blank, mask)
    with pytest.raises(RigError, match="windows of 11 pixels, but an image has 24 x 10"):
        ssim(blank[:, :, :10], blank[:, :, :10])
