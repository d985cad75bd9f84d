"""Stage C: spherical-harmonic light and albedo coefficients from the colours of visible skin.

Colour = (albedo + coefficients . albedo basis) * (SH basis . light), the shading model of the renderer. Bilinear in light
and albedo, so it is solved by Gauss-Newton over both together; alternating them would creep along the valley in which a
brighter light and a darker skin explain one picture.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor


@dataclasses.dataclass(frozen=True)
class SkinSamples:
    """P visible pixels of each of B faces.

    colour  (B, P, 3)     image, 0..1
    weight  (B, P)        0..1, zero for padding and for places that are not skin
    bands   (B, P, 9)     spherical-harmonic basis at the surface normal, constants included
    albedo  (B, P, 3)     mean albedo
    basis   (K, P, 3)     albedo change per unit coefficient
    """

    colour: Tensor
    weight: Tensor
    bands: Tensor
    albedo: Tensor
    basis: Tensor


@dataclasses.dataclass(frozen=True)
class LightPrior:
    """Gaussian prior of the light: ``mean`` (9, 3) and ``precision`` (27, 27), bands slowest, RGB fastest."""

    mean: Tensor
    precision: Tensor


def _residual(samples: SkinSamples, light: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    albedo = samples.albedo + torch.einsum("bk,kpc->bpc", coefficients, samples.basis)
    shading = samples.bands @ light
    return albedo * shading - samples.colour, albedo, shading


@dataclasses.dataclass(frozen=True)
class ColourNoise:
    """What is expected of colours (0..1) that the model does not explain, for each of B faces.

    sigma   (B,)  error of a sample, inflated because neighbouring errors go together
    robust  (B,)  error at which a sample (a highlight, hair, a cast shadow) pulls at a quarter of its force
    """

    sigma: Tensor
    robust: Tensor

    def pull(self, square: Tensor) -> Tensor:
        """Weights (B, P) 0..1 of samples with squared errors (B, P): Geman & McClure."""
        scale = self.robust.square()[:, None]
        return (scale / (scale + square)).square()


def fit_light_and_albedo(samples: SkinSamples, prior: LightPrior, noise: ColourNoise,
                         iterations: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    """Maximum a posteriori light (B, 9, 3) and albedo coefficients (B, K), and the residual (B,).

    Albedo coefficients have a unit normal prior. The residual is the robust root mean square error of the colours, in 0..1.
    """
    batch, count = samples.colour.shape[0], samples.basis.shape[0]
    light = prior.mean.expand(batch, 9, 3).clone()
    coefficients = samples.colour.new_zeros(batch, count)
    identity = torch.eye(count, dtype=light.dtype, device=light.device)
    for _ in range(iterations):
        error, albedo, shading = _residual(samples, light, coefficients)
        weight = samples.weight * noise.pull(error.square().sum(-1)) / noise.sigma.square()[:, None]
        hessian, gradient = light.new_zeros(batch, 27 + count, 27 + count), light.new_zeros(batch, 27 + count)
        for colour in range(3):
            # A colour of a sample depends on the nine light numbers of that colour only, and on all albedo coefficients.
            columns = torch.cat([torch.arange(colour, 27, 3), torch.arange(27, 27 + count)]).to(light.device)
            jacobian = torch.cat([albedo[..., colour, None] * samples.bands,
                                  shading[..., colour, None] * samples.basis[..., colour].T], 2)
            scaled = jacobian * weight[..., None]
            hessian[:, columns[:, None], columns] += scaled.transpose(1, 2) @ jacobian
            gradient[:, columns] += (scaled.transpose(1, 2) @ error[..., colour, None])[..., 0]
        hessian[:, :27, :27] += prior.precision
        hessian[:, 27:, 27:] += identity
        gradient[:, :27] += (light - prior.mean).flatten(1) @ prior.precision
        gradient[:, 27:] += coefficients
        step = torch.linalg.solve(hessian, gradient[..., None])[..., 0]
        light = light - step[:, :27].reshape(batch, 9, 3)
        coefficients = coefficients - step[:, 27:]
    error, _, _ = _residual(samples, light, coefficients)
    weight = samples.weight * noise.pull(error.square().sum(-1))
    square = (weight * error.square().mean(-1)).sum(1) / weight.sum(1).clamp_min(1e-6)
    return light, coefficients, square.sqrt()
