"""Whether a personal model keeps the colours of the album: what it draws under the album's buffers against its photographs.

Users of the published code report a colour cast after stage 2 that its loss does not show.
"""

from __future__ import annotations

from torch import Tensor

from diffusionrig.training.samples import Samples

DRIFT_LIMIT = 6.0  # CIE76 colour difference of the means; 2.3 is just noticeable side by side
CONTRAST_LIMIT = 0.25  # relative change of the standard deviation of lightness


def lab(images: Tensor) -> Tensor:
    """(B, 3, H, W) sRGB in [-1, 1] to CIE L*a*b* (D65), L* in 0..100."""
    from kornia.color import rgb_to_lab

    return rgb_to_lab((images.clamp(-1, 1) + 1) / 2)


def colour_statistics(images: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of L*, a*, b*, (3,) each, over all pixels, or those where ``mask`` (B, 1, H, W) is true."""
    values = lab(images).movedim(1, -1).flatten(0, 2)
    if mask is not None:
        values = values[mask.movedim(1, -1).flatten()]
    return values.mean(0), values.std(0, correction=0)


def colour_drift(samples: Samples) -> dict[str, float]:
    """How the drawn pictures' colours differ from the photographs', in CIE L*a*b*, as columns of ``metrics.csv``.

    ``colour_drift`` distance of the mean colours, of whole pictures; ``colour_drift_face`` of the rendered face alone, where it
    shows; ``contrast`` the drawn standard deviation of lightness over the photographs', 1 when kept; then the differences of
    mean and standard deviation of each channel.
    """
    face = samples.face
    mean, spread = (drawn - photo for drawn, photo in
                    zip(colour_statistics(samples.drawn), colour_statistics(samples.images)))
    figures = {"colour_drift": float(mean.norm()),
               "contrast": 1 + float(spread[0] / colour_statistics(samples.images)[1][0].clamp(min=1e-3))}
    if bool(face.any()):
        inside = colour_statistics(samples.drawn, face)[0] - colour_statistics(samples.images, face)[0]
        figures["colour_drift_face"] = float(inside.norm())
    for channel, shift, change in zip("Lab", mean.tolist(), spread.tolist()):
        figures |= {f"colour_mean_{channel}": shift, f"colour_std_{channel}": change}
    return figures


def drift_warning(figures: dict[str, float]) -> str:
    """A sentence when the colours have left the album's; nothing when they have not, or ``figures`` say nothing of them."""
    if "colour_drift" not in figures:
        return ""
    drift, contrast = max(figures["colour_drift"], figures.get("colour_drift_face", 0.0)), figures["contrast"]
    if drift <= DRIFT_LIMIT and abs(contrast - 1) <= CONTRAST_LIMIT:
        return ""
    return (f"WARNING: what the model draws differs from the album by {drift:.1f} in mean colour (CIE76; more than {DRIFT_LIMIT:g} "
            f"shows) and has {contrast:.2f} times its contrast: look at the samples, train longer or with a lower --lr, or take "
            "an earlier model.")
