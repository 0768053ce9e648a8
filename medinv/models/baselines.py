"""Published ordinary networks, for comparison.

They are LeNet-5, MobileNetV2, ResNet-18 and a scattering front end under a linear head.
"""

from torch import Tensor, nn

from medinv.config import FlatBaselineConfig, ModelConfig, ResNet18Config
from medinv.models.base import Calibrated, Kind, label_loss
from medinv.models.scattering import Scattering


class Baseline(Calibrated):
    """An ordinary network that takes standardised images.

    Images (N, C, *size) in grey levels -> logits (N, K).
    """

    def __init__(self, model: ModelConfig, network: nn.Module):
        super().__init__(model.classes)
        self.mean, self.std, self.network = model.mean, model.std, network

    def logits(self, x: Tensor) -> Tensor:
        """Uncalibrated logits (N, K) of images (N, C, *size) in grey levels."""
        return self.network((x - self.mean) / self.std)


def _flat(model: FlatBaselineConfig, image_shape: tuple[int, ...]) -> Baseline:
    networks = {
        "lenet": lenet,
        "mobilenetv2": mobilenet_v2,
        "scattering": scattering,
    }
    return Baseline(
        model, networks[model.kind](model.channels, image_shape[-1], len(model.classes))
    )


def _resnet(model: ResNet18Config, image_shape: tuple[int, ...]) -> Baseline:
    from monai.networks.nets import resnet18  # brings seconds of imports

    network = resnet18(
        spatial_dims=model.axes,
        n_input_channels=model.channels,
        num_classes=len(model.classes),
        conv1_t_size=3,
        conv1_t_stride=1,
        no_max_pool=True,
    )
    return Baseline(model, network)


def scattering(channels: int, size: int, classes: int) -> nn.Sequential:
    """A linear head on scattering coefficients of two scales and eight orientations."""
    front = Scattering(size, scales=2, orientations=8)
    width = channels * front.paths
    head = nn.Linear(width * (size // 4) ** 2, classes)
    return nn.Sequential(front, nn.BatchNorm2d(width), nn.Flatten(), head)


def lenet(channels: int, size: int, classes: int) -> nn.Sequential:
    """LeNet-5 (LeCun et al. 1998) with ReLU and maximum pooling.

    Images smaller than 32 pixels a side are set in a frame of zeros.
    """
    frame = max(0, (32 - size) // 2)
    side = ((size + 2 * frame - 4) // 2 - 4) // 2
    convolutions = [
        nn.ZeroPad2d(frame),
        nn.Conv2d(channels, 6, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
    ]
    return nn.Sequential(
        *convolutions,
        nn.Flatten(),
        nn.Linear(16 * side**2, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, classes),
    )


# Expansion, width, blocks, stride.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2(channels: int, size: int, classes: int) -> nn.Sequential:
    """MobileNetV2 of width 1 (Sandler et al. 2018, 1801.04381, table 2).

    For images below 64 pixels the first two halvings are left out.
    """
    small = size < 64
    layers: list[nn.Module] = _conv(channels, 32, 3, stride=1 if small else 2)
    width = 32
    for index, (expansion, out, blocks, stride) in enumerate(STAGES):
        for block in range(blocks):
            first = stride if block == 0 and not (small and index == 1) else 1
            layers.append(InvertedResidual(width, out, expansion, first))
            width = out
    return nn.Sequential(
        *layers,
        *_conv(width, 1280, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(1280, classes),
    )


class InvertedResidual(nn.Module):
    """Widen by 1x1, filter each channel by 3x3, narrow by 1x1 without activation.

    The result is added to the input where the shapes agree.
    """

    def __init__(self, channels: int, out: int, expansion: int, stride: int):
        super().__init__()
        wide = channels * expansion
        widen = [] if expansion == 1 else _conv(channels, wide, 1)
        narrow = [nn.Conv2d(wide, out, 1, bias=False), nn.BatchNorm2d(out)]
        self.body = nn.Sequential(
            *widen, *_conv(wide, wide, 3, stride=stride, groups=wide), *narrow
        )
        self.shortcut = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, out, H / stride, W / stride)."""
        return x + self.body(x) if self.shortcut else self.body(x)


def _conv(
    channels: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU6(),
    ]


RESNET18 = Kind(ResNet18Config, _resnet, label_loss)
FLAT = Kind(FlatBaselineConfig, _flat, label_loss)
