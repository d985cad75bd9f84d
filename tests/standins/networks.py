"""Random weights under the published names and shapes: ResNet-50 encoders, the detail decoder, SMIRK's MobileNets.

The names follow from how the networks are built, so they are derived here and not listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

Names = Iterator[tuple[str, tuple[int, ...]]]


def _batch_norm(name: str, channels: int) -> Names:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (channels,)
    yield f"{name}.num_batches_tracked", ()


def resnet50_names() -> Names:
    """Names and shapes of a ResNet-50 without its classifier: stages of 3, 4, 6, 3 bottlenecks."""
    yield "conv1.weight", (64, 3, 7, 7)
    yield from _batch_norm("bn1", 64)
    channels = 64
    for stage, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), 1):
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            for index, (outs, ins, side) in enumerate(((width, channels, 1), (width, width, 3), (4 * width, width, 1)), 1):
                yield f"{name}.conv{index}.weight", (outs, ins, side, side)
                yield from _batch_norm(f"{name}.bn{index}", outs)
            if block == 0:
                yield f"{name}.downsample.0.weight", (4 * width, channels, 1, 1)
                yield from _batch_norm(f"{name}.downsample.1", 4 * width)
            channels = 4 * width


def encoder_names(outputs: int) -> Names:
    """DECA's encoder: the trunk and two linear layers."""
    for name, shape in resnet50_names():
        yield f"encoder.{name}", shape
    for index, shape in ((0, (1024, 2048)), (2, (outputs, 1024))):
        yield f"layers.{index}.weight", shape
        yield f"layers.{index}.bias", shape[:1]


def detail_decoder_names() -> Names:
    """DECA's detail decoder: one linear layer, then convolutions between up-samplings."""
    yield "l1.0.weight", (8192, 181)
    yield "l1.0.bias", (8192,)
    yield from _batch_norm("conv_blocks.0", 128)
    for index, (outs, ins) in ((2, (128, 128)), (6, (64, 128)), (10, (64, 64)), (14, (32, 64)), (18, (16, 32))):
        yield f"conv_blocks.{index}.weight", (outs, ins, 3, 3)
        yield f"conv_blocks.{index}.bias", (outs,)
        yield from _batch_norm(f"conv_blocks.{index + 1}", outs)
    yield "conv_blocks.21.weight", (1, 16, 3, 3)
    yield "conv_blocks.21.bias", (1,)


# One stage a row; one block an entry: (kind, expansion, outputs).
_LARGE = ((("ds", 1, 16),), (("ir", 4, 24), ("ir", 3, 24)), (("ir", 3, 40),) * 3,
          (("ir", 6, 80), ("ir", 2.5, 80), ("ir", 2.3, 80), ("ir", 2.3, 80)), (("ir", 6, 112),) * 2, (("ir", 6, 160),) * 3,
          (("cn", 1, 960),))
_SMALL = ((("ds", 1, 16),), (("ir", 4.5, 24), ("ir", 3.67, 24)), (("ir", 4, 40), ("ir", 6, 40), ("ir", 6, 40)),
          (("ir", 3, 48),) * 2, (("ir", 6, 96),) * 3, (("cn", 1, 576),))


def _eighths(channels: float) -> int:
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def mobilenet_names(stages: Sequence[Sequence[tuple[str, float, int]]]) -> Names:
    """A minimal MobileNet v3: plain 3x3 depthwise convolutions, no squeeze-and-excite."""
    yield "conv_stem.weight", (16, 3, 3, 3)
    yield from _batch_norm("bn1", 16)
    ins = 16
    for stage, blocks in enumerate(stages):
        for block, (kind, expansion, outs) in enumerate(blocks):
            name, wide = f"blocks.{stage}.{block}", _eighths(ins * expansion)
            layers = {"ds": (("conv_dw", (ins, 1, 3, 3)), ("conv_pw", (outs, ins, 1, 1))),
                      "ir": (("conv_pw", (wide, ins, 1, 1)), ("conv_dw", (wide, 1, 3, 3)), ("conv_pwl", (outs, wide, 1, 1))),
                      "cn": (("conv", (outs, ins, 1, 1)),)}[kind]
            for index, (layer, shape) in enumerate(layers, 1):
                yield f"{name}.{layer}.weight", shape
                yield from _batch_norm(f"{name}.bn{index}", shape[0])
            ins = outs


def smirk_names() -> Names:
    """SMIRK's three encoders, without the prefix that its file puts before them."""
    for part, stages, head, features, outputs in (("pose", _SMALL, "pose_cam", 576, 6), ("shape", _LARGE, "shape", 960, 300),
                                                  ("expression", _LARGE, "expression", 960, 55)):
        for name, shape in mobilenet_names(stages):
            yield f"{part}_encoder.encoder.{name}", shape
        yield f"{part}_encoder.{head}_layers.0.weight", (outputs, features)
        yield f"{part}_encoder.{head}_layers.0.bias", (outputs,)


def random_weights(names: Names, generator: torch.Generator) -> dict[str, Tensor]:
    """Weights that keep activations of ordinary size: He initialisation, batch norms that change little."""
    weights: dict[str, Tensor] = {}
    for name, shape in names:
        last = name.rsplit(".", 1)[1]
        if last == "num_batches_tracked":
            value = torch.tensor(1000)
        elif last == "running_var":
            value = torch.empty(shape).uniform_(0.8, 1.2, generator=generator)
        elif last == "weight" and len(shape) > 1:
            fan = shape[1] * (shape[2] * shape[3] if len(shape) == 4 else 1)
            value = torch.empty(shape).normal_(0, (2 / fan) ** 0.5, generator=generator)
        elif last == "weight":
            # The last batch norm of a residual branch is small, as after training.
            quiet = "bn3." in name
            value = torch.empty(shape).uniform_(*((0.1, 0.3) if quiet else (0.8, 1.2)), generator=generator)
        else:
            value = torch.empty(shape).normal_(0, 0.02, generator=generator)
        weights[name] = value
    return weights


def count(names: Names, trainable: bool = True) -> int:
    """Number of parameters (of all state entries when not ``trainable``)."""
    total = 0
    for name, shape in names:
        if trainable and not name.endswith(("running_mean", "running_var", "num_batches_tracked")):
            total += int(torch.Size(shape).numel())
        elif not trainable:
            total += 1
    return total
