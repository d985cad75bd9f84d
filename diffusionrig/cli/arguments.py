"""Argument types shared by the commands."""

from __future__ import annotations

import argparse


def boolean(text: str) -> bool:
    """``yes/true/t/y/1`` or ``no/false/f/n/0``, any case, as in the published scripts."""
    word = text.strip().lower()
    if word in {"yes", "true", "t", "y", "1"}:
        return True
    if word in {"no", "false", "f", "n", "0"}:
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")


def positive_int(text: str) -> int:
    """An integer above zero."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return value


def thread_count(text: str) -> int:
    """``auto`` as 0, or a number of threads."""
    if text.strip().lower() == "auto":
        return 0
    try:
        return positive_int(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither auto nor a whole number above zero") from None


def add_threads_argument(parser: argparse.ArgumentParser) -> None:
    """``--threads``: acted upon by ``run_command``, before the command is loaded; a command needs not look at it."""
    parser.add_argument("--threads", type=thread_count, default=0, metavar="auto|N",
                        help="that compute on the CPU: a number, or as many as there are idle processors when the command starts, "
                             "unless OMP_NUM_THREADS says (auto)")


def add_device_argument(parser: argparse.ArgumentParser) -> None:
    """``--device``: where tensors live; resolved by ``diffusionrig.devices.resolve_device``."""
    parser.add_argument("--device", default="auto", help="auto (CUDA when there is one), cpu, cuda, cuda:1, mps")


def add_speed_arguments(parser: argparse.ArgumentParser) -> None:
    """``--precision`` and ``--compile``: how the denoising network is run; for ``Rig.from_pretrained``."""
    from diffusionrig.devices import PRECISIONS

    parser.add_argument("--precision", choices=PRECISIONS, default="auto",
                        help="of the denoising network: fp32, bf16, fp16, or auto: bf16 where the device computes in it, fp16 on "
                             "older GPUs, else fp32 (auto)")
    parser.add_argument("--compile", type=boolean, default=False,
                        help="compile the network: a minute or two once, then faster pictures, which pays for many (False)")


def add_assets_argument(parser: argparse.ArgumentParser) -> None:
    """``--assets``: the folder of registered files; the command then runs within ``io.assets.assets_in``."""
    parser.add_argument("--assets", default="", metavar="DIR",
                        help="folder of the files you registered for (DIFFUSIONRIG_DATA, else data)")
