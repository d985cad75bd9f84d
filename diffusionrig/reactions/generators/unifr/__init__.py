"""UniFR: reactions as words of action units, expression, and valence with arousal, by one transformer for offline and online."""

from diffusionrig.reactions.generators.system import Phase, System
from diffusionrig.reactions.generators.unifr.generator import load
from diffusionrig.reactions.generators.unifr.settings import Coefficients, Finetune, Pretrain
from diffusionrig.reactions.generators.unifr.tasks import build_coefficients, build_finetune, build_pretrain

SYSTEM = System("unifr", (Phase("coefficients", Coefficients, build_coefficients), Phase("pretrain", Pretrain, build_pretrain),
                          Phase("finetune", Finetune, build_finetune, optional=True)), load)
