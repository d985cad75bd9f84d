"""PerFRDiff: a diffusion model of windows of reactions, whose weights are shifted for the person who reacts. Rewritten from its
description; parameter names are the published ones."""

from __future__ import annotations

from diffusionrig.reactions.generators.perfrdiff.embedders_task import build_embedders
from diffusionrig.reactions.generators.perfrdiff.generating import load_perfrdiff
from diffusionrig.reactions.generators.perfrdiff.generator_task import build_generator
from diffusionrig.reactions.generators.perfrdiff.person_task import build_person
from diffusionrig.reactions.generators.perfrdiff.personal_task import build_personal
from diffusionrig.reactions.generators.perfrdiff.settings import (
    EmbedderSettings,
    GeneratorSettings,
    PersonalSettings,
    PersonSettings,
)
from diffusionrig.reactions.generators.system import Phase, System

SYSTEM = System("perfrdiff", (Phase("embedders", EmbedderSettings, build_embedders), Phase("person", PersonSettings, build_person),
                              Phase("generator", GeneratorSettings, build_generator),
                              Phase("personal", PersonalSettings, build_personal)), load_perfrdiff)
