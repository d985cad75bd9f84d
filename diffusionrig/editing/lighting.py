"""A lamp beside the light that the photograph was taken in, as sliders: where it stands, how strong, in what colour."""

from __future__ import annotations

import math

from torch import Tensor

from diffusionrig.errors import UsageError
from diffusionrig.render.shading import sh_basis

LIGHTS: dict[str, tuple[float, float, float]] = {
    "lightSide": (-90.0, 90.0, 0.0),
    "lightHeight": (-90.0, 90.0, 0.0),
    "lightStrength": (0.0, 3.0, 0.0),
    "lightAmbient": (0.0, 3.0, 1.0),
    "lightRed": (0.0, 1.0, 1.0),
    "lightGreen": (0.0, 1.0, 1.0),
    "lightBlue": (0.0, 1.0, 1.0),
}
"""Least, largest and usual value. Side and height are degrees off the viewer's axis, positive towards the subject's left and up.
Strength 1 lights a surface that faces the lamp as brightly as the photograph's light does the face; ambient is what is left of the
photograph's light; red, green, blue are the lamp's colour. The usual values leave the light as it is."""

# Shading counts its constant band without pi (see ``render.shading``); true light has it.
_ATTENUATION = (1 / math.pi, *(2 * math.pi / 3,) * 3, *(math.pi / 4,) * 5)
_FACING = 1.0625
"""What second-order harmonics of a lamp of irradiance 1 give a surface that faces it."""

_FACE = ((0.0, 0.0, 1.0), (0.5, 0.0, 0.866), (-0.5, 0.0, 0.866), (0.0, 0.5, 0.866), (0.0, -0.5, 0.866))
"""Normals that stand for the front of a face."""


def with_lamp(light: Tensor, values: dict[str, float]) -> Tensor:
    """``light`` (B, 9, 3) with the lamp that ``values`` of ``LIGHTS`` describe; UsageError when one is out of its range."""
    if not values:
        return light
    for name, value in values.items():
        low, high, _ = LIGHTS[name]
        if not low <= value <= high:
            raise UsageError(f"--set {name}={value:g} is beyond what a lamp can do; give a number between {low:g} and {high:g}.")
    settled = {name: values.get(name, usual) for name, (_, _, usual) in LIGHTS.items()}
    side, height = (math.radians(settled[name]) for name in ("lightSide", "lightHeight"))
    direction = light.new_tensor([math.sin(side) * math.cos(height), math.sin(height), math.cos(side) * math.cos(height)])
    lamp = sh_basis(direction) / light.new_tensor(_ATTENUATION) / _FACING
    colour = light.new_tensor([settled[f"light{name}"] for name in ("Red", "Green", "Blue")])
    level = (sh_basis(light.new_tensor(_FACE)) @ light).mean(1).clamp_min(0)
    return settled["lightAmbient"] * light + settled["lightStrength"] * lamp[None, :, None] * (level * colour)[:, None]
