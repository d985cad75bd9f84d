"""FaceAIS (winner of REACT 2024, online): faces as tokens of finite scalars, and a cross-modal predictor of the listener's next
patch of tokens. Rewritten from its description; parameter names are the published ones where the published form is built."""

from __future__ import annotations

from diffusionrig.reactions.generators.faceais.generating import load_faceais
from diffusionrig.reactions.generators.faceais.published_task import build_predictor_task
from diffusionrig.reactions.generators.faceais.settings import EmotionSettings, PredictorSettings, TokenizerSettings
from diffusionrig.reactions.generators.faceais.tokenizer_task import build_emotion_task, build_tokenizer_task
from diffusionrig.reactions.generators.system import Phase, System

SYSTEM = System("faceais", (Phase("tokenizer", TokenizerSettings, build_tokenizer_task),
                            Phase("emotion", EmotionSettings, build_emotion_task),
                            Phase("predictor", PredictorSettings, build_predictor_task)), load_faceais)
