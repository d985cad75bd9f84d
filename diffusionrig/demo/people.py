"""The demo's photographs: an album of one synthetic person, strangers to take from, and what each edit should give."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from torch import Tensor

from diffusionrig.data.synthetic.people import Person, sample_person
from diffusionrig.data.synthetic.photographs import render_photographs
from diffusionrig.data.synthetic.scenes import Scene, sample_scene
from diffusionrig.errors import RigError
from diffusionrig.evaluation.regions import face_region
from diffusionrig.geometry.head import HeadModel
from diffusionrig.io.files import make_folder
from diffusionrig.io.images import write_png
from diffusionrig.progress import track

PHOTO_SIZE = 256
SUBJECT = 0
FIRST_HELD_OUT = 100
FIRST_STRANGER = 1
MOST_STRANGERS = 500
OPEN_MOUTH = 0.5


@dataclasses.dataclass(frozen=True)
class Cast:
    """Who appears, all of it a function of the seed.

    album      photographs of the subject that the personal model learns from
    held_out   further photographs of the subject, the sources of the edits
    strangers  one photograph each of other people with an open mouth, the targets
    """

    head: HeadModel
    subject: Person
    album: list[Scene]
    held_out: list[Scene]
    people: list[Person]
    strangers: list[Scene]


def choose_cast(head: HeadModel, seed: int, album: int, held_out: int, strangers: int) -> Cast:
    """Sample the people and their photographs."""
    subject = sample_person(seed, SUBJECT, head)
    people, scenes = _expressive(head, seed, strangers)
    return Cast(head, subject,
                [sample_scene(subject, seed, i, head) for i in range(album)],
                [sample_scene(subject, seed, FIRST_HELD_OUT + i, head, neutral=True, yaw_limit=15) for i in range(held_out)],
                people, scenes)


def _expressive(head: HeadModel, seed: int, count: int) -> tuple[list[Person], list[Scene]]:
    """The first strangers whose photograph shows an open mouth.

    Towards a relaxed face there would be next to nothing to edit, and so nothing to measure.
    """
    jaw = head.expression_names.index("jawOpen")
    people, scenes = [], []
    for index in range(FIRST_STRANGER, FIRST_STRANGER + MOST_STRANGERS):
        person = sample_person(seed, index, head)
        scene = sample_scene(person, seed, 0, head)
        if scene.code.expression[0, jaw] >= OPEN_MOUTH:
            people.append(person)
            scenes.append(scene)
        if len(people) == count:
            return people, scenes
    raise RigError(f"Fewer than {count} of {MOST_STRANGERS} synthetic strangers open their mouth; choose another seed.")


def write_photographs(cast: Cast, folder: Path) -> None:
    """Write ``album/``, ``sources/`` and ``targets/`` as PNG photographs; files that exist already are kept."""
    groups = {"album": (cast.album, [cast.subject] * len(cast.album)),
              "sources": (cast.held_out, [cast.subject] * len(cast.held_out)),
              "targets": (cast.strangers, cast.people)}
    for name, (scenes, persons) in groups.items():
        place = make_folder(folder / name)
        missing = [i for i in range(len(scenes)) if not (place / f"{i:03d}.png").exists()]
        for i in track(missing, f"photograph {name}"):
            photo = render_photographs([persons[i]], [scenes[i]], cast.head, PHOTO_SIZE)[0]
            write_png(place / f"{i:03d}.png", photo, {"Comment": "synthetic person"})


def true_edit(cast: Cast, source: int, target: int, part: str) -> tuple[np.ndarray, Tensor]:
    """The photograph that the edit should give, (S, S, 3) uint8, and the face in it, (S, S) 0..1.

    Same person, hair, background and camera as the source; ``part`` of the true code comes from the target, and the head
    keeps its place by the same rule that edits follow.
    """
    scene = cast.held_out[source]
    after = scene.code.swap(part, cast.strangers[target].code)
    photo = render_photographs([cast.subject], [scene.replace_code(after)], cast.head, PHOTO_SIZE)[0]
    return photo, face_region(cast.head, after, scene.centre, PHOTO_SIZE)
