"""The same picture without the page: as a command line, and as lines of Python."""

from __future__ import annotations

import dataclasses
import shlex

from diffusionrig.editing.composites import Pairs, is_weight
from diffusionrig.editing.controls import Edit
from diffusionrig.studio.sitting import Sitting


@dataclasses.dataclass(frozen=True)
class Origin:
    """With what the studio draws, by the flags of ``edit``; those that are empty were not given."""

    model_path: str = ""
    base: str = ""
    use_model: str = ""
    precision: str = ""
    album: str = ""

    def words(self) -> list[str]:
        """Flags and values."""
        return [word for name, value in dataclasses.asdict(self).items() if value for word in (f"--{name}", value)]

    def arguments(self) -> str:
        """The same for ``Rig.from_pretrained``, but for the album."""
        further = {"base": self.base, "encoder": self.use_model, "precision": self.precision}
        return ", ".join([repr(self.model_path or "default"), *(f"{name}={value!r}" for name, value in further.items() if value)])


def command_line(sitting: Sitting, target: Sitting | None, edit: Edit, seed: int, origin: Origin) -> str:
    """The command that writes the picture which the page shows, for a shell in the folder of the photographs."""
    words = ["diffusionrig", "edit", as_file(sitting.photograph.name), *origin.words()]
    if edit.parts and target is not None:
        words += ["--target", as_file(target.photograph.name), "--modes", edit.name]
        words += ["--strength", ",".join(f"{part}={number_text(edit.strength_of(part))}" for part in edit.parts)]
    asked = sliders_text(edit)
    if asked:
        words += ["--set", asked]
    if sitting.number != 1:
        words += ["--face", str(sitting.number)]
    if not sitting.cut.whole:
        words += ["--output", "photo"]
    if seed:
        words += ["--seed", str(seed)]
    return shlex.join(words)


def python_lines(sitting: Sitting, target: Sitting | None, edit: Edit, seed: int, origin: Origin) -> str:
    """The same in Python."""
    lends = f"rig.use_album({origin.album!r})\n" if origin.album else ""
    second = target.photograph.name if edit.parts and target is not None else ""
    return f"""from diffusionrig.editing.controls import Edit
from diffusionrig.editing.order import Order
from diffusionrig.editing.rig import Rig
from diffusionrig.editing.sampling import Sampling
from diffusionrig.editing.session import run_session

edit = {edit!r}
order = Order(source={sitting.photograph.name!r}, target={second!r}, edits=[edit], output_dir="log/edit",
              sampling=Sampling(seed={seed}), align_source=None, face={sitting.number}, output="photo")
rig = Rig.from_pretrained({origin.arguments()})
{lends}run_session(rig, order)
"""


def sliders_text(edit: Edit) -> str:
    """What ``--set`` is to say."""
    return ",".join([*(f"{name}={number_text(value)}" for name, value in edit.sliders), *_moves(edit.moves)])


def _moves(moves: Pairs) -> list[str]:
    return [f"{name}={'' if value < 0 and is_weight(name) else '+'}{number_text(value)}" for name, value in moves]


def number_text(value: float) -> str:
    """As short as the value allows."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


def as_file(name: str) -> str:
    """The name of a file, which a command cannot mistake for a flag."""
    return f"./{name}" if name.startswith("-") else name
