"""Every choice of a training run that is not the network's or the diffusion's, with the published flag names."""

from __future__ import annotations

from dataclasses import dataclass

from diffusionrig.devices import PRECISIONS
from diffusionrig.diffusion.config import SCHEDULE_SAMPLERS
from diffusionrig.errors import UsageError
from diffusionrig.settings import setting
from diffusionrig.training.power_profiles import parse_widths

OPTIMIZERS = ("adam", "adamw")
RESUMES = ("auto", "never")
EMA_PROFILES = ("decay", "power")
ADAPTERS = ("none", "lora")


@dataclass(frozen=True)
class TrainOptions:
    """Settings of :func:`diffusionrig.training.loop.train`; wrong ones raise UsageError at once."""

    data_dir: str = setting("", "store of photographs and face codes, as made by create-data or synth")
    data_shares: str = setting("", "several stores in --data_dir, comma separated (--condition reference): how often each is drawn "
                                   "from, comma separated; empty for in proportion to their sizes")
    distinct_samples: int = setting(0, "--condition reference: so many different samples, kept in memory once they are made "
                                       "(1.6 MB each at 256 pixels); 0 makes every sample anew")
    keep_samples: str = setting("", "folder that keeps the distinct samples, for a run that goes on and for others of the "
                                    "same stores, shares and seed")
    log_dir: str = setting("stage1", "folder of the run: models, states, logs; the same command again continues it")
    stage: int = setting(1, "1: everything trains; 2: the encoder is frozen, one person's album")
    resume_checkpoint: str = setting("", "weights to start from, .safetensors or a published .pt; stage 1 also continues "
                                         "its step and optimiser when they stand beside it")
    resume: str = setting("auto", "auto: continue the run in --log_dir when there is one; never: start anew")
    overwrite: bool = setting(False, "with --resume never, delete the files of the run that is in --log_dir")
    batch_size: int = setting(1, "photographs per process and step")
    max_steps: int = setting(0, "updates after which training ends; 0 for endless")
    lr: float = setting(1e-4, "learning rate; on resume too")
    weight_decay: float = setting(0.0, "L2 penalty of adam, decoupled decay of adamw")
    optimizer: str = setting("adam", "adam (published) or adamw")
    warmup_steps: int = setting(0, "updates over which the learning rate rises from 0")
    decay_steps: int = setting(0, "updates before --max_steps over which the learning rate falls to 0; a run that was constant "
                                  "until now can be ended this way at any step")
    auto_scale_grad_clip: float = setting(1.0, "largest global norm of the gradient; 0 for no limit")
    grad_accumulation: int = setting(1, "batches added up to one update")
    schedule_sampler: str = setting("uniform", "which time steps are trained: uniform or loss-second-moment")
    ema_decay: float = setting(0.9999, "decay of the averaged weights that are saved as the model; warmed up; 0 saves the "
                                       "last weights instead")
    ema_profile: str = setting("decay", "decay: one average with --ema_decay; power: averages over fixed shares of the run, of "
                                        "which diffusionrig ema makes any other share after training")
    ema_sigma_rel: str = setting("0.05,0.10", "power: relative widths of the averages; the first one is saved as the model")
    ema_snapshots: int = setting(0, "power: updates between snapshots of the averages besides those at each save; 0 for no more")
    drop_buffers: float = setting(0.0, "share of samples trained with the null (zeros) for buffers, for guidance against it")
    drop_latent: float = setting(0.0, "share of samples trained with the null (zeros) for the latent, drawn independently")
    precision: str = setting("auto", "auto (bf16 where the device computes in it, fp16 on older GPUs, else fp32), fp32, bf16, fp16")
    sync_batchnorm: bool = setting(True, "stage 1: BatchNorm statistics over all processes, so that N processes of batch B "
                                         "equal one of batch N B; False: per process, as published")
    seed: int = setting(0, "seed of initialisation, order, time steps, noise and dropout")
    num_workers: int = setting(16, "threads that read photographs (no more than there are cores)")
    cache_megabytes: int = setting(1024, "keep the rendered store in memory when it is no larger than this")
    log_interval: int = setting(10, "updates between log lines")
    save_interval: int = setting(10000, "updates between saves")
    keep_states: int = setting(2, "full training states kept, newest first; models are all kept")
    sample_count: int = setting(4, "faces in the sample grid drawn at each save; 0 for none")
    metric_count: int = setting(16, "records that are drawn and compared with their photographs at each save; 0 for none")
    export_pt: bool = setting(False, "also write each model as modelNNNNNN.pt for the published code")
    consent: str = setting("", "stage 2: in what words the person in the photographs consented; kept in the model")
    adapter: str = setting("none", "stage 2: none trains every weight of the UNet; lora trains low-rank adapters on frozen weights "
                                   "and saves only these")
    rank: int = setting(8, "rank of the adapters")
    alpha: float = setting(0.0, "the adapters are scaled by alpha / rank; 0 for alpha = rank")
    adapter_layers: str = setting("conv,attention,linear", "what is adapted: conv, attention, linear (maps of time and latent)")
    holdout: float = setting(0.0, "stage 2: photographs of the album kept out of training to tell when it is best, a number or a "
                                  "share below 1; 0 for none")
    validate_every: int = setting(50, "updates between two looks at the held-out photographs")
    patience: int = setting(5, "looks without improvement after which training ends; 0 to keep the best weights but go on")
    device: str = setting("auto", "auto (CUDA when there is one), cpu, cuda, mps")
    compile: bool = setting(False, "compile the network: minutes once, then faster steps")
    channels_last: bool = setting(True, "keep images channels-last in memory, which is faster")

    def __post_init__(self) -> None:
        for name, allowed in (("precision", PRECISIONS), ("optimizer", OPTIMIZERS), ("resume", RESUMES), ("adapter", ADAPTERS),
                              ("schedule_sampler", SCHEDULE_SAMPLERS), ("ema_profile", EMA_PROFILES)):
            _require(getattr(self, name) in allowed,
                     f"--{name} {getattr(self, name)} does not exist; choose from {', '.join(allowed)}.")
        _require(self.stage in (1, 2), f"--stage {self.stage} does not exist; 1 trains on everyone, 2 on one person.")
        for name in ("batch_size", "grad_accumulation", "log_interval", "save_interval", "keep_states", "validate_every"):
            _require(getattr(self, name) >= 1, f"--{name} must be 1 or more, not {getattr(self, name)}.")
        for name in ("max_steps", "weight_decay", "warmup_steps", "decay_steps", "auto_scale_grad_clip", "num_workers",
                     "sample_count", "cache_megabytes", "lr", "ema_snapshots", "metric_count", "holdout", "patience", "alpha"):
            _require(getattr(self, name) >= 0, f"--{name} must not be negative, but is {getattr(self, name):g}.")
        _require(not self.decay_steps or self.max_steps > 0,
                 "--decay_steps needs --max_steps, the step at which the learning rate arrives at 0.")
        _require(0 <= self.ema_decay < 1, f"--ema_decay must lie in [0, 1), not {self.ema_decay:g}.")
        for name in ("drop_buffers", "drop_latent"):
            _require(0 <= getattr(self, name) <= 1, f"--{name} is a share from 0 to 1, not {getattr(self, name):g}.")
        parse_widths(self.ema_sigma_rel)
        _require(self.stage == 2 or (self.adapter == "none" and not self.holdout),
                 "--adapter and --holdout belong to --stage 2, which learns one person.")
        _require(self.holdout < 1 or self.holdout == int(self.holdout),
                 f"--holdout {self.holdout:g} is neither a number of photographs nor a share below 1.")
        _require(bool(self.data_dir), "No --data_dir was given; name the store that create-data or synth made.")


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise UsageError(sentence)
