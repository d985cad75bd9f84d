"""Choosing the device tensors live on, and the precision networks compute in there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffusionrig.errors import UsageError

if TYPE_CHECKING:  # flags are named from here, also where nothing is computed
    import torch

PRECISIONS = ("auto", "fp32", "bf16", "fp16")


def computes_bf16(device: torch.device) -> bool:
    """Whether ``device`` multiplies matrices in bf16: CUDA from compute capability 8, CPUs with AMX or AVX-512 BF16.

    Other CPUs emulate it, about three times slower than float32.
    """
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    able = torch.cpu.get_capabilities()
    return bool(able.get("amx_bf16") or able.get("avx512_bf16"))


def resolve_precision(name: str, device: torch.device) -> str:
    """``auto``: bf16 where the device computes in it, fp16 on older GPUs, fp32 elsewhere."""
    if name not in PRECISIONS:
        raise UsageError(f"--precision {name} does not exist; choose from {', '.join(PRECISIONS)}.")
    if name != "auto":
        return name
    if computes_bf16(device):
        return "bf16"
    return "fp16" if device.type == "cuda" else "fp32"


def resolve_device(name: str = "auto") -> torch.device:
    """``auto`` is CUDA when there is one, else the CPU; a device that is absent gives one sentence."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"--device {name} is not a device name; use auto, cpu, cuda, cuda:1 or mps.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"--device {name} was asked for, but this torch sees no CUDA device; use --device cpu.")
    if device.type == "cuda" and device.index is not None and device.index >= torch.cuda.device_count():
        raise UsageError(f"--device {name} does not exist: there are {torch.cuda.device_count()} CUDA devices.")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("--device mps was asked for, but this machine has no MPS device; use --device cpu.")
    return device
