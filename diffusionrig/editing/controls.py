"""What an edit asks for: modes such as ``exp+light``, and sliders such as ``jawOpen=0.6,yaw=+10``."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
from torch import Tensor

from diffusionrig.editing.composites import COMPOSITES, Pairs, expanded_moves, expanded_settings, is_weight
from diffusionrig.editing.lighting import LIGHTS, with_lamp
from diffusionrig.errors import UsageError
from diffusionrig.geometry.arkit import ARKIT_NAMES
from diffusionrig.geometry.expression_map import expression_map
from diffusionrig.geometry.face_code import PARTS, FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.rotations import (
    axis_angle_to_matrix,
    euler_degrees_to_axis_angle,
    matrix_to_euler_degrees,
)

CODE_PARTS = ("pose", "exp", "light")
MODE_PARTS = (*CODE_PARTS, "latent")
MODES = "pose,exp,light"
"""Modes that are drawn when nothing else is said."""
ANGLES = ("pitch", "yaw", "roll")
GAZE = ("gazeUp", "gazeSide")
"""Degrees of both eyes against the head: up, and towards the subject's left."""
GAZE_LIMIT = 45.0
RECONSTRUCTION = "reconstruction"
SLIDERS = "set"
LARGEST = 1000.0
"""Of a slider: far beyond any face; numbers that float32 cannot hold would end as none."""
UNCHANGED = "unchanged"
"""Name of the edit that asks for nothing."""


@dataclasses.dataclass(frozen=True)
class Edit:
    """One edit: which parts come from the target, how strongly, and sliders set afterwards.

    name      how the mode was written ("exp+light"); also part of the output's file name
    parts     taken from the target, out of MODE_PARTS; empty for a reconstruction or sliders alone
    strength  0 keeps the source, 1 takes the target, above 1 exaggerates
    sliders   what is set to these values: expression weights and composites by name, yaw, pitch, roll and gaze in degrees, the lamp
    moves     the same by how much they move from what the face shows after the parts were taken
    strengths of single parts, where they differ from ``strength``
    """

    name: str
    parts: tuple[str, ...] = ()
    strength: float = 1.0
    sliders: Pairs = ()
    moves: Pairs = ()
    strengths: Pairs = ()

    @property
    def needs_target(self) -> bool:
        return bool(self.parts)

    @property
    def nothing(self) -> bool:
        """Whether it leaves every face as it is."""
        return not self.sliders and not any(move for _, move in self.moves) and not any(map(self.strength_of, self.parts))

    def strength_of(self, part: str) -> float:
        """How strongly a part is taken from the target."""
        return dict(self.strengths).get(part, self.strength)

    def record(self) -> dict[str, Any]:
        """What reports and pictures say of it beside its name."""
        further = {"moves": dict(self.moves), "strengths": dict(self.strengths)}
        return {"strength": self.strength, "sliders": dict(self.sliders), **{key: value for key, value in further.items() if value}}


def parse_modes(text: str, strength: float | str = 1.0, sliders: str = "") -> list[Edit]:
    """``pose,exp,light,exp+light`` -> one Edit per comma; UsageError names an unknown or repeated mode. ``strength`` as in
    ``parse_strength``."""
    whole, single = parse_strength(str(strength))
    settings, moves = parse_sliders(sliders)
    edits: list[Edit] = []
    for name in (word.strip() for word in text.split(",") if word.strip()):
        parts = tuple(part.strip() for part in name.split("+"))
        for part in parts:
            if part not in MODE_PARTS:
                raise UsageError(f"--modes has {part!r}; choose from {', '.join(MODE_PARTS)}, joined by + where wanted.")
        if len(set(parts)) != len(parts) or name in {edit.name for edit in edits}:
            raise UsageError(f"--modes names {name!r} with a part or mode repeated; name each once.")
        edits.append(Edit("+".join(parts), parts, whole, settings, moves, tuple(pair for pair in single if pair[0] in parts)))
    return edits


def parse_strength(text: str) -> tuple[float, Pairs]:
    """``0.5`` -> one strength for every part, ``exp=0.6,light=1`` -> those of single parts, the others then 1."""
    whole, single = 1.0, dict[str, float]()
    for item in (word.strip() for word in text.split(",") if word.strip()):
        part, equals, value = (word.strip() for word in item.rpartition("="))
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not abs(number) <= LARGEST:
            raise UsageError(f"--strength has {item!r}, which must be a number within {LARGEST:g}, or PART=NUMBER; 1 takes the "
                             "target fully.")
        if not equals:
            whole = number
        elif part in MODE_PARTS:
            single[part] = number
        else:
            raise UsageError(f"--strength has {part!r}; choose from {', '.join(MODE_PARTS)}.")
    return whole, tuple(single.items())


def parse_sliders(text: str) -> tuple[Pairs, Pairs]:
    """``jawOpen=0.6,yaw=+10`` -> pairs to set, and pairs to move by; names are checked against the head model when applied.

    A number with ``+`` before it moves, also ``+-10``. So does a negative number of a weight of ARKit's or of a composite, as these
    begin at 0; a negative angle, or coefficient of FLAME's, is a value to be set.
    """
    values: dict[str, float] = {}
    moving: set[str] = set()
    for item in (word.strip() for word in text.split(",") if word.strip()):
        name, equals, value = (part.strip() for part in item.partition("="))
        try:
            number = float(value[1:] if value.startswith("+-") else value)
        except ValueError:
            number = math.nan
        if not equals or not math.isfinite(number):
            raise UsageError(f"--set has {item[:60]!r}; write NAME=NUMBER, for instance jawOpen=0.6,yaw=15, or NAME=+NUMBER to "
                             "move from what the face shows.")
        if abs(number) > LARGEST:
            raise UsageError(f"--set has {item[:60]!r}, which no face can show; weights lie between 0 and 1, angles within 90 "
                             "degrees.")
        if name in values:
            raise UsageError(f"--set names {name[:60]!r} twice; give it one value.")
        values[name] = number
        if value.startswith("+") or (value.startswith("-") and is_weight(name)):
            moving.add(name)
    return (tuple((name, number) for name, number in values.items() if name not in moving),
            tuple((name, number) for name, number in values.items() if name in moving))


def apply_sliders(code: FaceCode, sliders: Pairs, head: HeadModel, moves: Pairs = ()) -> FaceCode:
    """Set expression weights, composites, angles in degrees and the lamp to absolute values on every face of ``code``, and move
    others by ``moves`` from what each face shows. Weights of ARKit's that move stay within 0..1.

    Angles that are not named keep their value. A head with other expressions than ARKit's (FLAME) takes ARKit's names too,
    through its expression map. UsageError on a name the head model does not have.
    """
    names = {name: index for index, name in enumerate(head.expression_names)}
    mapped = ARKIT_NAMES if names.keys().isdisjoint(ARKIT_NAMES) else ()
    expression = code.expression.clone()
    turns: list[tuple[str, float, bool]] = []
    gaze: list[tuple[str, float, bool]] = []
    actions: list[tuple[str, float, bool]] = []
    lamp: dict[str, float] = {}
    for name, value, moved in [*((*pair, False) for pair in expanded_settings(sliders)),
                               *((*pair, True) for pair in expanded_moves(moves))]:
        if name in ANGLES:
            turns.append((name, value, moved))
        elif name in GAZE:
            gaze.append((name, value, moved))
        elif name in LIGHTS:
            lamp[name] = value + lamp.get(name, LIGHTS[name][2]) if moved else value
        elif name in names:
            shown = expression[:, names[name]]
            expression[:, names[name]] = _moved(shown, value, name) if moved else value
        elif name in mapped:
            actions.append((name, value, moved))
        else:
            known = (*names, *mapped, *COMPOSITES, *GAZE, *LIGHTS)
            near = [word for word in known if word.lower().startswith(name.lower()[:4])]
            hint = f"did you mean {', '.join(near)}?" if near else f"angles are {', '.join((*ANGLES, *GAZE))}"
            raise UsageError(f"--set names {name!r}, which the head model {head.name} does not have; {hint}")
    code = code.replace(expression=expression, light=with_lamp(code.light, lamp))
    if actions:
        code = _with_actions(code, actions, head)
    if gaze:
        code = code.replace(eyes=torch.cat([_turned(code.eyes[:, half:half + 3], gaze, GAZE_LIMIT) for half in (0, 3)], 1))
    if turns:
        code = code.replace(pose=torch.cat([_turned(code.pose[:, :3], turns, 90.0), code.pose[:, 3:]], 1))
    return code


def _turned(rotation: Tensor, asked: list[tuple[str, float, bool]], limit: float) -> Tensor:
    """A rotation (B, 3) with angles of ``ANGLES`` or ``GAZE`` set or moved, each with its value and whether it moves."""
    angles = matrix_to_euler_degrees(axis_angle_to_matrix(rotation.double()))
    # Angles and back would round, and a face that moves by nothing is to stay what it is.
    changed = False
    for name, value, moved in asked:
        # Pitch looks down where it is positive.
        column, sign = (ANGLES.index(name), 1) if name in ANGLES else (GAZE.index(name), -1 if name == "gazeUp" else 1)
        wanted = angles[:, column] + sign * value if moved else torch.full_like(angles[:, column], sign * value)
        if float(wanted.abs().max()) > limit:
            what = "head" if name in ANGLES else "eyes"
            raise UsageError(f"--set {name}={'+' * moved}{value:g} turns the {what} away; give degrees between {-limit:g} and "
                             f"{limit:g}.")
        angles[:, column] = wanted
        changed = changed or not moved or value != 0
    if not changed:
        return rotation
    return torch.stack([euler_degrees_to_axis_angle(*row) for row in angles.tolist()]).to(rotation)


def _moved(shown: Tensor, move: float, name: str) -> Tensor:
    """What a coefficient (B,) becomes; a weight of ARKit's leaves 0..1 no farther than it had already."""
    if name not in ARKIT_NAMES:
        return shown + move
    return torch.minimum(torch.maximum(shown + move, shown.clamp(max=0)), shown.clamp(min=1))


def _with_actions(code: FaceCode, actions: list[tuple[str, float, bool]], head: HeadModel) -> FaceCode:
    """ARKit's ``actions`` set to weights, or moved by them, on a head that has others: what the face shows already is counted."""
    known = expression_map(head)
    jaw = code.pose[:, 3:]
    weights = known.weights(code.expression, jaw)
    wanted = weights.clone()
    for name, value, moved in actions:
        shown = wanted[:, ARKIT_NAMES.index(name)].clone()
        wanted[:, ARKIT_NAMES.index(name)] = _moved(shown, value, name) if moved else value
    expression, turn = known.apply((wanted - weights).to(code.pose))
    return code.replace(expression=code.expression + expression, pose=torch.cat([code.pose[:, :3], jaw + turn], 1))


def edited_code(source: FaceCode, target: FaceCode | None, edit: Edit, head: HeadModel) -> FaceCode:
    """The source's code with the parts of ``edit`` taken from the target, then the sliders set.

    Camera, shape and albedo stay the source's unless ``edit`` names them, which modes cannot. The part ``latent`` changes no
    code: it exchanges the global latent, which is the network's affair.
    """
    code = source
    for part in edit.parts:
        if part in PARTS:
            if target is None:
                raise UsageError(f"The mode {edit.name!r} needs a target; give one, or use sliders alone.")
            code = code.swap(part, target, edit.strength_of(part))
    return apply_sliders(code, edit.sliders, head, edit.moves) if edit.sliders or edit.moves else code
