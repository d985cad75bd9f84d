"""MobileNetV3 "minimal" (Howard et al. 2019) as TensorFlow trained it: no squeeze-and-excitation, ReLU throughout.

Parameter names are those of the ``timm`` models ``tf_mobilenetv3_small_minimal_100`` and ``tf_mobilenetv3_large_minimal_100``
in their feature-extractor form, so that weights trained with them load.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import pad

BATCH_NORM_EPS = 1e-3
"""TensorFlow's; PyTorch's own 1e-5 would change every feature."""

STEM = 16

Row = tuple[int, int, int]

# Per stage, per block: expanded channels, channels out, stride. The first stage has one block without expansion.
SMALL: tuple[tuple[Row, ...], ...] = (
    ((16, 16, 2),),
    ((72, 24, 2), (88, 24, 1)),
    ((96, 40, 2), (240, 40, 1), (240, 40, 1)),
    ((120, 48, 1), (144, 48, 1)),
    ((288, 96, 2), (576, 96, 1), (576, 96, 1)),
)
LARGE: tuple[tuple[Row, ...], ...] = (
    ((16, 16, 1),),
    ((64, 24, 2), (72, 24, 1)),
    ((72, 40, 2), (120, 40, 1), (120, 40, 1)),
    ((240, 80, 2), (200, 80, 1), (184, 80, 1), (184, 80, 1)),
    ((480, 112, 1), (672, 112, 1)),
    ((672, 160, 2), (960, 160, 1), (960, 160, 1)),
)
SMALL_FEATURES, LARGE_FEATURES = 576, 960


class SameConv2d(nn.Conv2d):
    """3 x 3 convolution padded as TensorFlow does ("same"): where the padding is odd, the extra row and column go to the
    bottom and the right. With stride 2 on an even size that is where PyTorch's symmetric padding puts none."""

    def __init__(self, inside: int, outside: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inside, outside, 3, stride, bias=False, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        height, width = (self._total(size) for size in x.shape[-2:])
        return super().forward(pad(x, (width // 2, width - width // 2, height // 2, height - height // 2)))

    def _total(self, size: int) -> int:
        stride, kernel = self.stride[0], self.kernel_size[0]
        return max((-(-size // stride) - 1) * stride + kernel - size, 0)


def _pointwise(inside: int, outside: int) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, 1, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=BATCH_NORM_EPS)


class Separable(nn.Module):
    """Depthwise 3 x 3, then pointwise; the input is added where size and channels stay."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv_dw = SameConv2d(inside, inside, stride, groups=inside)
        self.bn1 = _norm(inside)
        self.conv_pw = _pointwise(inside, outside)
        self.bn2 = _norm(outside)
        self.adds = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv_pw(self.bn1(self.conv_dw(x)).relu()))
        return x + y if self.adds else y


class Inverted(nn.Module):
    """Inverted residual: pointwise to ``wide`` channels, depthwise 3 x 3, pointwise back without activation."""

    def __init__(self, inside: int, wide: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv_pw = _pointwise(inside, wide)
        self.bn1 = _norm(wide)
        self.conv_dw = SameConv2d(wide, wide, stride, groups=wide)
        self.bn2 = _norm(wide)
        self.conv_pwl = _pointwise(wide, outside)
        self.bn3 = _norm(outside)
        self.adds = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv_pw(x)).relu()
        y = self.bn2(self.conv_dw(y)).relu()
        y = self.bn3(self.conv_pwl(y))
        return x + y if self.adds else y


class Last(nn.Module):
    """Pointwise convolution to the features that are pooled."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv = _pointwise(inside, outside)
        self.bn1 = _norm(outside)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn1(self.conv(x)).relu()


class Backbone(nn.Module):
    """Images (B, 3, 224, 224) in 0..1 -> features (B, ``features``, 7, 7); other sizes that are multiples of 32 work too."""

    def __init__(self, stages: tuple[tuple[Row, ...], ...], features: int) -> None:
        super().__init__()
        self.conv_stem = SameConv2d(3, STEM, 2)
        self.bn1 = _norm(STEM)
        blocks, inside = [], STEM
        for number, rows in enumerate(stages):
            stage: list[nn.Module] = []
            for wide, outside, stride in rows:
                stage.append(Separable(inside, outside, stride) if number == 0 else Inverted(inside, wide, outside, stride))
                inside = outside
            blocks.append(nn.Sequential(*stage))
        blocks.append(nn.Sequential(Last(inside, features)))
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.bn1(self.conv_stem(x)).relu())
