"""Ordinary counterparts of the invertible models, for comparison."""

from torch import Tensor, nn

from medinv.config import ModelConfig
from medinv.layers import Haar
from medinv.models.base import Calibrated


class Twin(Calibrated):
    """The ordinary network of the same depth: zero-padded 3x3 convolutions, batch normalisation, ReLU, strided by average pooling.

    Images (N, 1, H, W) in grey levels -> logits (N, K). As many 3x3 convolutions a level as the invertible trunk, after the same first halving.
    """

    def __init__(
        self,
        mean: float,
        std: float,
        depths: tuple[int, ...],
        widths: tuple[int, ...],
        classes: tuple[str, ...],
    ):
        super().__init__(classes)
        self.mean, self.std = mean, std
        layers: list[nn.Module] = [nn.PixelUnshuffle(2)]
        channels = 4
        for level, (depth, width) in enumerate(zip(depths, widths)):
            if level:
                layers.append(nn.AvgPool2d(2))
            for _ in range(depth):
                layers += [
                    nn.Conv2d(channels, width, 3, padding=1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                ]
                channels = width
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(channels, len(classes)))

    def features(self, x: Tensor) -> Tensor:
        """Pooled features (N, C)."""
        return self.body((x - self.mean) / self.std).mean((2, 3))

    def logits(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class PooledTwin(Calibrated):
    """The ordinary network of a pooled classifier: zero-padded 3x3 convolutions, batch normalisation, ReLU; what narrows is thrown away.

    Images (N, C, H, W) in grey levels -> logits (N, K). Widths, depth, number of parameters and the halvings are those of `trunk.image_trunk`.
    """

    def __init__(self, model: ModelConfig):
        super().__init__(model.classes)
        self.mean, self.std = model.mean, model.std
        layers: list[nn.Module] = [Haar(), *_block(4 * model.channels, model.hidden[0])]
        for level, (depth, width) in enumerate(zip(model.depths, model.hidden)):
            layers += [Haar(), _Narrow(width)] if level else []
            for _ in range(depth):
                layers += _block(width, width)
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(model.hidden[-1], len(model.classes))

    def features(self, x: Tensor) -> Tensor:
        """Pooled features (N, C)."""
        return self.body((x - self.mean) / self.std).flatten(2).mean(2)

    def logits(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class _Narrow(nn.Module):
    """Keep the first `width` channels."""

    def __init__(self, width: int):
        super().__init__()
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        return x[:, : self.width]


def _block(channels: int, width: int) -> list[nn.Module]:
    conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    return [conv, nn.BatchNorm2d(width), nn.ReLU()]
