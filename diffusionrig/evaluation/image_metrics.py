"""PSNR and SSIM, under the name they have among the evaluations; they live where training can measure by them too."""

from diffusionrig.image_metrics import psnr, ssim

__all__ = ["psnr", "ssim"]
