"""Every choice that shapes the diffusion process, with the published flag names and defaults."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diffusionrig.errors import UsageError
from diffusionrig.settings import from_mapping, setting

NOISE_SCHEDULES = ("linear", "cosine")
SCHEDULE_SAMPLERS = ("uniform", "loss-second-moment")


@dataclass(frozen=True)
class DiffusionConfig:
    """Settings of :class:`diffusionrig.diffusion.process.GaussianDiffusion`; wrong ones raise UsageError at once."""

    diffusion_steps: int = setting(1000, "steps of the full noise schedule")
    noise_schedule: str = setting("linear", "shape of the noise schedule: linear or cosine")
    timestep_respacing: str = setting("", "steps that are used: ddimN for an even stride, or counts per section such "
                                          "as 10,15,20; empty for all")
    use_kl: bool = setting(False, "train on the variational bound instead of the squared error")
    predict_xstart: bool = setting(False, "the network predicts the clean image instead of the noise")
    predict_v: bool = setting(False, "the network predicts the velocity sqrt(abar) noise - sqrt(1 - abar) image, which is "
                                     "the noise where there is little of it and the image where there is much")
    rescale_timesteps: bool = setting(False, "scale the step numbers that the network sees to 0..1000")
    rescale_learned_sigmas: bool = setting(False, "weigh the variance term of --learn_sigma by steps/1000")
    p2_weight: bool = setting(False, "weigh the loss of each step by 1 / (p2_k + SNR)^p2_gamma")
    p2_gamma: float = setting(1.0, "exponent of the P2 weight")
    p2_k: float = setting(1.0, "offset of the P2 weight")
    one_call: bool = setting(False, "regression: the clean image is predicted from the condition alone, by one call without noise")
    min_snr: float = setting(0.0, "weigh the error of the clean image at each step by min(SNR, this) (5 is usual); 0 for off")

    def __post_init__(self) -> None:
        if self.noise_schedule not in NOISE_SCHEDULES:
            raise UsageError(f"--noise_schedule {self.noise_schedule!r} is unknown; choose "
                             f"{' or '.join(NOISE_SCHEDULES)}")
        fewest = 21 if self.noise_schedule == "linear" else 2
        if self.diffusion_steps < fewest:
            raise UsageError(f"--diffusion_steps {self.diffusion_steps} is too few: the {self.noise_schedule} schedule "
                             f"needs {fewest} or more, otherwise one step would remove the whole image")
        if self.p2_k <= 0 or self.p2_gamma < 0:
            raise UsageError(f"--p2_k must be above zero and --p2_gamma zero or more, not {self.p2_k:g} and "
                             f"{self.p2_gamma:g}")
        if self.predict_xstart and self.predict_v:
            raise UsageError("--predict_xstart True and --predict_v True exclude each other: choose what the network predicts")
        if self.one_call and (not self.predict_xstart or self.use_kl or self.p2_weight or self.min_snr):
            raise UsageError("--one_call True predicts the clean image and has no noise levels to weigh; give --predict_xstart "
                             "True with it, and neither --use_kl, --p2_weight nor --min_snr")
        if self.min_snr < 0:
            raise UsageError(f"--min_snr must be zero or more, not {self.min_snr:g}")
        if self.min_snr and (self.p2_weight or self.use_kl):
            other = "--p2_weight True" if self.p2_weight else "--use_kl True"
            raise UsageError(f"--min_snr {self.min_snr:g} and {other} exclude each other: each fixes the weight of every step; "
                             "choose one")
        if self.use_kl and self.p2_weight:
            raise UsageError("--use_kl True and --p2_weight True exclude each other: the variational bound fixes the "
                             "weight of every step; choose one")

    @property
    def prediction(self) -> str:
        """What the network predicts: "noise", "image" or "velocity"."""
        return "image" if self.predict_xstart else "velocity" if self.predict_v else "noise"

    def to_dict(self) -> dict[str, Any]:
        """Plain values by flag name, fit for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str = "the diffusion configuration") -> DiffusionConfig:
        """The inverse of :meth:`to_dict`; absent keys keep their defaults, unknown ones raise UsageError."""
        return from_mapping(cls, values, source)
