"""Synthetic people: photographs with known face codes. A person keeps identity, skin, hair and dress; a scene adds
expression, pose, light, background and camera."""

from diffusionrig.data.synthetic.people import Person, sample_person
from diffusionrig.data.synthetic.photographs import render_photographs
from diffusionrig.data.synthetic.scenes import Scene, sample_scene

__all__ = ["Person", "Scene", "render_photographs", "sample_person", "sample_scene"]
