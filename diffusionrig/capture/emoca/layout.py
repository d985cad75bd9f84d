"""What EMOCA's expression network says, by the number of its outputs, and how it replaces DECA's answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from diffusionrig.capture.deca.heads import SIZES, DecaCode
from diffusionrig.errors import RigError

N_EXPRESSION = SIZES["exp"]
JAW_FLAG, HEAD_FLAG = "exp_deca_jaw_pose", "exp_deca_global_pose"


@dataclasses.dataclass(frozen=True)
class Layout:
    """jaw, head: whether the network says the jaw's rotation, and that of the head, besides the 50 of the expression."""

    jaw: bool
    head: bool

    @property
    def outputs(self) -> int:
        return N_EXPRESSION + 3 * (self.jaw + self.head)

    def replace(self, code: DecaCode, outputs: Tensor) -> DecaCode:
        """``code`` of DECA's network with what ``outputs`` (B, 50, 53 or 56) say instead.

        The expression comes first; then, where they are there, the rotation of the head and that of the jaw.
        """
        parts = list(outputs.split([N_EXPRESSION, *[3] * (self.jaw + self.head)], 1))
        expression, head, jaw = parts.pop(0), code.pose[:, :3], code.pose[:, 3:]
        if self.head:
            head = parts.pop(0)
        if self.jaw:
            jaw = parts.pop(0)
        return dataclasses.replace(code, exp=expression, pose=torch.cat([head, jaw], 1))


def layout_of(outputs: int, settings: Mapping[str, Any], what: str) -> Layout:
    """The layout of a network of ``outputs`` numbers.

    The count decides; of 53 the flags in ``settings`` (the ``detail.model`` section of cfg.yaml) say which rotation the last
    three are. RigError naming ``what`` when no layout has that count, or the flags leave 53 open.
    """
    by_count = {N_EXPRESSION: Layout(jaw=False, head=False), N_EXPRESSION + 6: Layout(jaw=True, head=True)}
    if outputs in by_count:
        return by_count[outputs]
    jaw, head = (bool(settings.get(flag, False)) for flag in (JAW_FLAG, HEAD_FLAG))
    if outputs != N_EXPRESSION + 3:
        raise RigError(f"The expression network of {what} has {outputs} outputs, where 50, 53 or 56 are known; get the model "
                       "again from where you registered.")
    if jaw == head:
        raise RigError(f"The expression network of {what} has 53 outputs, but its cfg.yaml says {JAW_FLAG}: {str(jaw).lower()} "
                       f"and {HEAD_FLAG}: {str(head).lower()}, of which exactly one must be true; get the model's own "
                       "cfg.yaml again.")
    return Layout(jaw, head)
