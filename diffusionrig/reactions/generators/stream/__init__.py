"""Ours: causal block diffusion over attributes and coefficients together, K samples at once, personal by low-rank shifts."""

from diffusionrig.reactions.generators.stream.generator import load
from diffusionrig.reactions.generators.stream.settings import StreamSettings
from diffusionrig.reactions.generators.stream.task import build
from diffusionrig.reactions.generators.system import Phase, System

SYSTEM = System("stream", (Phase("motion", StreamSettings, build),), load)
