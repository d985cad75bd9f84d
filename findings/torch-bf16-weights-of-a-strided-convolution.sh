#!/bin/bash
# torch 2.13.0 (oneDNN) on an Intel CPU with amx_bf16: the weight gradient of a 3x3 convolution of stride 2 on maps of one pixel,
# computed in bfloat16, holds uninitialised memory: not finite in most repetitions where the heap was left full of NaN, else numbers
# that differ from run to run. float32, and maps of two pixels, are right. ResNet-18 has such maps in its last stage on images of 16
# pixels, so that runs on these skipped updates as not finite at random; images from 32 pixels up do not meet it.
#
# Seen: 52 to 114 of 150 on maps of 1 x 1, 0 of 150 on maps of 2 x 2.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6
cat > "$work/weights.py" <<'PY'
import sys

import torch
from torch import nn

torch.manual_seed(0)
torch.set_num_threads(1)


def spoilt(side):
    layer, image, bad = nn.Conv2d(32, 64, 3, stride=2, padding=1), torch.randn(2, 32, side, side), 0
    for _ in range(150):
        junk = [torch.full((1 << (4 + power % 16),), float("nan")) for power in range(48)]
        del junk
        layer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16):
            made = layer(image)
        made.float().square().mean().backward()
        bad += not bool(torch.isfinite(layer.weight.grad).all())
    return bad


found = {side: spoilt(side) for side in (1, 2)}
print(found)
sys.exit(not (found[1] > 0 and found[2] == 0))
PY
"$work/venv/bin/python" "$work/weights.py"
