"""Two invertible blocks written from their papers, for the comparison in `stacks`."""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HIDDEN = 32  # channels inside a block


class IRevNetBlock(nn.Module):
    """`(x1, x2) -> (x2, x1 + F(x2))`, F a bottleneck with batch normalisation
    (Jacobsen et al. 2018, 1802.07088).
    """

    def __init__(self, channels: int):
        super().__init__()
        half = channels // 2
        widths = [half, HIDDEN, HIDDEN, half]
        steps = [
            (nn.BatchNorm2d(i), nn.ReLU(), nn.Conv2d(i, o, 3, padding=1, bias=False))
            for i, o in itertools.pairwise(widths)
        ]
        self.residual = nn.Sequential(*[layer for step in steps for layer in step])

    def forward(self, x: Tensor) -> Tensor:
        first, second = x.chunk(2, 1)
        return torch.cat([second, first + self.residual(second)], 1)

    def inverse(self, y: Tensor) -> Tensor:
        second, sum_ = y.chunk(2, 1)
        return torch.cat([sum_ - self.residual(second), second], 1)

    def log_det(self, x: Tensor) -> Tensor:
        return x.new_zeros(x.shape[0])


class IResNetBlock(nn.Module):
    """`y = x + g(x)`, each convolution of g below norm 0.9 by power iteration,
    inverse by fixed point (Behrmann et al. 2019, 1811.00995).
    """

    def __init__(self, channels: int):
        super().__init__()
        shapes = [(HIDDEN, channels, 3), (HIDDEN, HIDDEN, 1), (channels, HIDDEN, 3)]
        self.convolutions = nn.ModuleList(nn.Conv2d(i, o, k, padding=k // 2) for o, i, k in shapes)
        for index, (_, i, _) in enumerate(shapes):
            self.register_buffer(f"v{index}", torch.randn(1, i, 16, 16))

    def residual(self, x: Tensor) -> Tensor:
        for index, conv in enumerate(self.convolutions):
            x = F.conv2d(
                F.elu(x), conv.weight * self._shrink(index, conv), conv.bias, padding=conv.padding
            )
        return x

    def _shrink(self, index: int, conv: nn.Conv2d) -> Tensor:
        v = getattr(self, f"v{index}")
        with torch.no_grad():
            for _ in range(1 if self.training else 0):
                u = F.conv2d(v, conv.weight, padding=conv.padding)
                v.copy_(
                    F.normalize(
                        F.conv_transpose2d(
                            F.normalize(u, dim=(1, 2, 3)), conv.weight, padding=conv.padding
                        ),
                        dim=(1, 2, 3),
                    )
                )
        norm = F.conv2d(v, conv.weight, padding=conv.padding).norm() / v.norm()
        return (0.9 / norm).clamp(max=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.residual(x)

    def inverse(self, y: Tensor) -> Tensor:
        x = y
        for _ in range(500):
            new = y - self.residual(x)
            change, x = (new - x).abs().max(), new
            if change <= torch.finfo(y.dtype).eps * y.abs().max():
                break
        return x

    def log_det(self, x: Tensor) -> Tensor:
        raise NotImplementedError("only estimated, by a truncated series of traces")
