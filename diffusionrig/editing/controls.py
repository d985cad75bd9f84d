"""What an edit asks for: modes such as ``exp+light``, and sliders such as ``jawOpen=0.6,yaw=15``."""

from __future__ import annotations

import dataclasses
import math

import torch

from diffusionrig.errors import UsageError
from diffusionrig.geometry.arkit import ARKIT_NAMES
from diffusionrig.geometry.expression_map import expression_map
from diffusionrig.geometry.face_code import PARTS, FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.rotations import axis_angle_to_matrix, euler_degrees_to_axis_angle, matrix_to_euler_degrees

CODE_PARTS = ("pose", "exp", "light")
MODE_PARTS = (*CODE_PARTS, "latent")
ANGLES = ("pitch", "yaw", "roll")
RECONSTRUCTION = "reconstruction"
SLIDERS = "set"


@dataclasses.dataclass(frozen=True)
class Edit:
    """One edit: which parts come from the target, how strongly, and sliders set afterwards.

    name      how the mode was written ("exp+light"); also part of the output's file name
    parts     taken from the target, out of MODE_PARTS; empty for a reconstruction or sliders alone
    strength  0 keeps the source, 1 takes the target, above 1 exaggerates
    sliders   expression weights by name, and yaw, pitch, roll in degrees
    """

    name: str
    parts: tuple[str, ...] = ()
    strength: float = 1.0
    sliders: tuple[tuple[str, float], ...] = ()

    @property
    def needs_target(self) -> bool:
        return bool(self.parts)


def parse_modes(text: str, strength: float = 1.0, sliders: str = "") -> list[Edit]:
    """``pose,exp,light,exp+light`` -> one Edit per comma; UsageError names an unknown or repeated mode."""
    if not math.isfinite(strength):
        raise UsageError("--strength must be a finite number; 1 takes the target fully.")
    settings = parse_sliders(sliders)
    edits: list[Edit] = []
    for name in (word.strip() for word in text.split(",") if word.strip()):
        parts = tuple(part.strip() for part in name.split("+"))
        for part in parts:
            if part not in MODE_PARTS:
                raise UsageError(f"--modes has {part!r}; choose from {', '.join(MODE_PARTS)}, joined by + where wanted.")
        if len(set(parts)) != len(parts) or name in {edit.name for edit in edits}:
            raise UsageError(f"--modes names {name!r} with a part or mode repeated; name each once.")
        edits.append(Edit("+".join(parts), parts, strength, settings))
    return edits


def parse_sliders(text: str) -> tuple[tuple[str, float], ...]:
    """``jawOpen=0.6,yaw=15`` -> pairs; names are checked against the head model when applied."""
    pairs: dict[str, float] = {}
    for item in (word.strip() for word in text.split(",") if word.strip()):
        name, equals, value = item.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not equals or not math.isfinite(number):
            raise UsageError(f"--set has {item!r}; write NAME=NUMBER, for instance jawOpen=0.6,yaw=15.")
        if name.strip() in pairs:
            raise UsageError(f"--set names {name.strip()!r} twice; give it one value.")
        pairs[name.strip()] = number
    return tuple(pairs.items())


def apply_sliders(code: FaceCode, sliders: tuple[tuple[str, float], ...], head: HeadModel) -> FaceCode:
    """Set expression weights, and head angles in degrees, to absolute values on every face of ``code``.

    Angles that are not named keep their value. A head with other expressions than ARKit's (FLAME) takes ARKit's names too,
    through its expression map. UsageError on a name the head model does not have.
    """
    names = {name: index for index, name in enumerate(head.expression_names)}
    mapped = ARKIT_NAMES if names.keys().isdisjoint(ARKIT_NAMES) else ()
    expression = code.expression.clone()
    angles = matrix_to_euler_degrees(axis_angle_to_matrix(code.pose[:, :3].double()))
    turned = False
    actions: dict[str, float] = {}
    for name, value in sliders:
        if name in ANGLES:
            if abs(value) > 90:
                raise UsageError(f"--set {name}={value:g} turns the head away; give degrees between -90 and 90.")
            angles[:, ANGLES.index(name)] = value
            turned = True
        elif name in names:
            expression[:, names[name]] = value
        elif name in mapped:
            actions[name] = value
        else:
            near = [known for known in (*names, *mapped) if known.lower().startswith(name.lower()[:4])]
            hint = f"did you mean {', '.join(near)}?" if near else f"angles are {', '.join(ANGLES)}"
            raise UsageError(f"--set names {name!r}, which the head model {head.name} does not have; {hint}")
    code = code.replace(expression=expression)
    if actions:
        code = _with_actions(code, actions, head)
    if not turned:
        return code
    rotation = torch.stack([euler_degrees_to_axis_angle(*row) for row in angles.tolist()]).to(code.pose)
    return code.replace(pose=torch.cat([rotation, code.pose[:, 3:]], 1))


def _with_actions(code: FaceCode, actions: dict[str, float], head: HeadModel) -> FaceCode:
    """ARKit's ``actions`` set to absolute weights on a head that has others: what the face shows of them already is counted."""
    known = expression_map(head)
    jaw = code.pose[:, 3:]
    change = torch.zeros(len(code), len(ARKIT_NAMES)).to(code.pose)
    columns = [ARKIT_NAMES.index(name) for name in actions]
    shown = known.weights(code.expression, jaw)[:, columns]
    change[:, columns] = change.new_tensor(list(actions.values())) - shown
    expression, turn = known.apply(change)
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
            code = code.swap(part, target, edit.strength)
    return apply_sliders(code, edit.sliders, head) if edit.sliders else code
