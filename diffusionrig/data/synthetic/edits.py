"""True edits of a synthetic photograph: the same moment with the pose, the expression or the light of somebody else's."""

from __future__ import annotations

import dataclasses

from diffusionrig.data.synthetic.people import Person, sample_person
from diffusionrig.data.synthetic.scenes import Scene, sample_scene
from diffusionrig.geometry.alignment import ffhq_centre
from diffusionrig.geometry.head import HeadModel
from diffusionrig.randomness import numpy_stream

KINDS = {("pose",): 0.3, ("exp",): 0.25, ("light",): 0.25, ("pose", "exp"): 0.1, ("pose", "exp", "light"): 0.1}
"""Parts of the code that are taken over together, and how often."""

_OTHERS = 1 << 20


def edited_scene(scene: Scene, person: Person, seed: int, photograph: int, edit: int, head: HeadModel) -> Scene:
    """Edit number ``edit`` (from 1) of photograph ``photograph`` of ``person`` in the series ``seed``: always the same one.

    Parts as in ``KINDS``, from a random other person's photograph. It is ``scene.replace_code`` of such a code, but the code of the
    result stands for itself: what keeps the head in place is its camera.
    """
    rng = numpy_stream(seed, "synthetic edit", person.seed, person.index, photograph, edit)
    other = sample_scene(sample_person(seed, _OTHERS + int(rng.integers(_OTHERS)), head), seed, edit, head)
    parts = list(KINDS)[int(rng.choice(len(KINDS), p=list(KINDS.values())))]
    code = scene.code
    for part in parts:
        code = code.swap(part, other.code)
    centre = ffhq_centre(head.landmarks(head.vertices(code), code))
    # Editing keeps the head's centre where it was. A code that stands for itself says so by its camera.
    camera = code.camera.clone()
    camera[:, 1:] += (scene.centre - centre)[:, :2]
    return dataclasses.replace(scene, code=code.replace(camera=camera), centre=centre)
