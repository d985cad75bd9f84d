"""How images are drawn: the solver, its steps, and the seed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import torch
from torch import Tensor

from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.diffusion.grid import quadratic_steps
from diffusionrig.diffusion.process import Denoiser
from diffusionrig.diffusion.samplers import ancestral, ddim, ipndm, unipc
from diffusionrig.diffusion.schedule import Schedule, make_schedule
from diffusionrig.editing.keeping import KEEPS
from diffusionrig.errors import UsageError

PUBLISHED = ("ddim", "ancestral")
"""Samplers of the published scripts, which take every step when nothing else is said."""

MULTISTEP: dict[str, Callable[..., Tensor]] = {"unipc": unipc, "ipndm": ipndm}
"""Deterministic solvers that reach the same image in fewer calls."""

SAMPLERS = (*PUBLISHED, *MULTISTEP)
DEFAULT_SOLVER = "ipndm"
DEFAULT_STEPS = 6
"""Of DEFAULT_SOLVER: the fewest that come closer to the solution with all steps than 20 of DDIM (``benchmarks/solvers.py``)."""

DEFAULT_RESPACING = "ddim20"
"""Of DDIM and ancestral sampling in Python."""


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How images are drawn. Two seeds draw two images; the same seed the same one, whatever else is in the batch.

    respacing      steps by a published string (``ddim20``, ``""`` for every step), or None
    solver         one of SAMPLERS. "" chooses: DDIM where ``respacing``, ``eta`` or ``keep`` is given, else DEFAULT_SOLVER
    eta            noise of DDIM
    clip_denoised  clamp the predicted image
    seed           of the noise
    keep           a word of ``editing.keeping.KEEPS``: what of the source picture stays; all but "none" need DDIM without noise,
                   and do not clamp, since both would lose what was kept
    steps          steps on the grid of ``diffusion.grid``, instead of ``respacing``; 0 and no respacing: the default
    null_guidance  above 1 exaggerates what the buffers say (classifier-free guidance); 1 is off; for networks that were trained
                   with dropped buffers
    """

    respacing: str | None = None
    solver: str = ""
    eta: float = 0.0
    clip_denoised: bool = True
    seed: int = 0
    keep: str = "none"
    steps: int = 0
    null_guidance: float = 1.0

    def __post_init__(self) -> None:
        if self.solver and self.solver not in SAMPLERS:
            raise UsageError(f"There is no sampler {self.solver!r}; choose from {', '.join(SAMPLERS)}.")
        if self.keep not in KEEPS:
            raise UsageError(f"--keep {self.keep} does not exist; choose from {', '.join(KEEPS)}.")
        if self.keep != "none" and (self.chosen_solver != "ddim" or self.eta):
            raise UsageError(f"--keep {self.keep} inverts the sampler, which only DDIM with --eta 0 allows; change one of them.")
        if self.eta and self.chosen_solver in MULTISTEP:
            raise UsageError(f"--eta {self.eta:g} adds noise, which the sampler {self.chosen_solver} has none of; use ddim.")
        if self.steps and self.respacing is not None:
            raise UsageError(f"--steps {self.steps} and --timestep_respacing {self.respacing!r} both say which steps are taken; "
                             "give one of them.")
        if not math.isfinite(self.null_guidance) or self.null_guidance < 0:
            raise UsageError(f"--null_guidance {self.null_guidance} is no scale; 1 is off, 1.25 a usual choice.")

    @property
    def chosen_solver(self) -> str:
        """The sampler that is used: one of SAMPLERS."""
        if self.solver:
            return self.solver
        return "ddim" if self.respacing is not None or self.eta or self.keep != "none" else DEFAULT_SOLVER

    @property
    def calls_a_step(self) -> int:
        """Network calls each step takes: one, and one more for guidance."""
        return 1 + (self.null_guidance != 1)

    def resolved(self) -> Sampling:
        """The same with every choice written out."""
        if self.steps or self.respacing is not None:
            return dataclasses.replace(self, solver=self.chosen_solver)
        if self.chosen_solver in MULTISTEP:
            return dataclasses.replace(self, solver=self.chosen_solver, steps=DEFAULT_STEPS)
        return dataclasses.replace(self, solver=self.chosen_solver, respacing=DEFAULT_RESPACING)

    def schedule(self, config: DiffusionConfig) -> Schedule:
        """The steps of ``config`` that are taken."""
        settled = self.resolved()
        if settled.steps:
            return make_schedule(config, quadratic_steps(config.diffusion_steps, settled.steps))
        return make_schedule(dataclasses.replace(config, timestep_respacing=settled.respacing or ""))


def sample(denoiser: Denoiser, noise: Tensor, schedule: Schedule, sampling: Sampling,
           generators: list[torch.Generator]) -> Tensor:
    """Images (B, 3, S, S) in [-1, 1] from ``noise`` by the sampler that ``sampling`` names; one generator for each."""
    clip = sampling.clip_denoised and sampling.keep == "none"
    solver = sampling.chosen_solver
    if solver == "ancestral":
        return ancestral(denoiser, noise, schedule, generators=generators, clip_denoised=clip)
    if solver == "ddim":
        drawn = ddim(denoiser, noise, schedule, eta=sampling.eta, generators=generators, clip_denoised=clip)
    else:
        drawn = MULTISTEP[solver](denoiser, noise, schedule, clip_denoised=clip)
    return drawn.clamp(-1, 1)
