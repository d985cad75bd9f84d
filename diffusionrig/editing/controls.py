"""What an edit asks for: modes such as ``exp+light``, and sliders such as ``jawOpen=0.6,yaw=+10``."""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

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
    sliders   expression weights by name, and yaw, pitch, roll in degrees, that are set to these values
    moves     the same by how much they move from what the face shows after the parts were taken
    """

    name: str
    parts: tuple[str, ...] = ()
    strength: float = 1.0
    sliders: tuple[tuple[str, float], ...] = ()
    moves: tuple[tuple[str, float], ...] = ()

    @property
    def needs_target(self) -> bool:
        return bool(self.parts)

    @property
    def nothing(self) -> bool:
        """Whether it leaves every face as it is."""
        return not self.sliders and not any(move for _, move in self.moves) and (not self.parts or self.strength == 0)


def parse_modes(text: str, strength: float = 1.0, sliders: str = "") -> list[Edit]:
    """``pose,exp,light,exp+light`` -> one Edit per comma; UsageError names an unknown or repeated mode."""
    if not abs(strength) <= LARGEST:
        raise UsageError(f"--strength must be a number within {LARGEST:g}; 1 takes the target fully.")
    settings, moves = parse_sliders(sliders)
    edits: list[Edit] = []
    for name in (word.strip() for word in text.split(",") if word.strip()):
        parts = tuple(part.strip() for part in name.split("+"))
        for part in parts:
            if part not in MODE_PARTS:
                raise UsageError(f"--modes has {part!r}; choose from {', '.join(MODE_PARTS)}, joined by + where wanted.")
        if len(set(parts)) != len(parts) or name in {edit.name for edit in edits}:
            raise UsageError(f"--modes names {name!r} with a part or mode repeated; name each once.")
        edits.append(Edit("+".join(parts), parts, strength, settings, moves))
    return edits


def parse_sliders(text: str) -> tuple[tuple[tuple[str, float], ...], tuple[tuple[str, float], ...]]:
    """``jawOpen=0.6,yaw=+10`` -> pairs to set, and pairs to move by; names are checked against the head model when applied.

    A number with ``+`` before it moves, also ``+-10``. So does a negative number of a weight of ARKit's, as weights begin at 0; a
    negative angle, or coefficient of FLAME's, is a value to be set.
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
        if value.startswith("+") or (value.startswith("-") and name in ARKIT_NAMES):
            moving.add(name)
    return (tuple((name, number) for name, number in values.items() if name not in moving),
            tuple((name, number) for name, number in values.items() if name in moving))


def apply_sliders(code: FaceCode, sliders: tuple[tuple[str, float], ...], head: HeadModel,
                  moves: tuple[tuple[str, float], ...] = ()) -> FaceCode:
    """Set expression weights, and head angles in degrees, to absolute values on every face of ``code``, and move others by
    ``moves`` from what each face shows. Weights of ARKit's that move stay within 0..1.

    Angles that are not named keep their value. A head with other expressions than ARKit's (FLAME) takes ARKit's names too,
    through its expression map. UsageError on a name the head model does not have.
    """
    names = {name: index for index, name in enumerate(head.expression_names)}
    mapped = ARKIT_NAMES if names.keys().isdisjoint(ARKIT_NAMES) else ()
    expression = code.expression.clone()
    angles = matrix_to_euler_degrees(axis_angle_to_matrix(code.pose[:, :3].double()))
    turned = False
    actions: dict[str, tuple[float, bool]] = {}
    for name, value, moved in [*((*pair, False) for pair in sliders), *((*pair, True) for pair in moves)]:
        if name in ANGLES:
            column = angles[:, ANGLES.index(name)]
            wanted = column + value if moved else torch.full_like(column, value)
            if float(wanted.abs().max()) > 90:
                raise UsageError(f"--set {name}={'+' * moved}{value:g} turns the head away; give degrees between -90 and 90.")
            angles[:, ANGLES.index(name)] = wanted
            # Angles and back would round, and a face that moves by nothing is to stay what it is.
            turned = turned or not moved or value != 0
        elif name in names:
            shown = expression[:, names[name]]
            expression[:, names[name]] = _moved(shown, value, name) if moved else value
        elif name in mapped:
            actions[name] = value, moved
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


def _moved(shown: Tensor, move: float, name: str) -> Tensor:
    """What a coefficient (B,) becomes; a weight of ARKit's leaves 0..1 no farther than it had already."""
    if name not in ARKIT_NAMES:
        return shown + move
    return torch.minimum(torch.maximum(shown + move, shown.clamp(max=0)), shown.clamp(min=1))


def _with_actions(code: FaceCode, actions: dict[str, tuple[float, bool]], head: HeadModel) -> FaceCode:
    """ARKit's ``actions`` set to weights, or moved by them, on a head that has others: what the face shows already is counted."""
    known = expression_map(head)
    jaw = code.pose[:, 3:]
    change = torch.zeros(len(code), len(ARKIT_NAMES)).to(code.pose)
    weights = known.weights(code.expression, jaw)
    for name, (value, moved) in actions.items():
        shown = weights[:, ARKIT_NAMES.index(name)]
        change[:, ARKIT_NAMES.index(name)] = (_moved(shown, value, name) if moved else value) - shown
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
    return apply_sliders(code, edit.sliders, head, edit.moves) if edit.sliders or edit.moves else code
