"""Two invertible classifiers of the same widths: one that turns with the image, and one that needs
not.
"""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from medinv.layers import (
    C4Conv2d,
    C4Squeeze,
    Chain,
    ChannelPadding,
    Invertible,
    InvertibleConv2d,
    LeakyReLU,
    Squeeze,
)

WIDE, DEPTH, SLOPE = 4, 2, 0.3  # copies of the image at first, convolutions a level, leaky ReLU
SCALE = 16.0  # digits hold levels 0..16


class Classifier(nn.Module):
    """Images (N, 1, 8, 8) -> logits (N, K), by an invertible trunk and a linear head.

    turning: convolutions tied over quarter turns, and a head that sees the mean and the maximum
    over places and directions, so that logits are the same for an image turned by quarters.
    Otherwise free convolutions of the same widths, hence of as many multiplications and four times
    the weights, and a head that sees the mean and the maximum over places.
    """

    def __init__(self, classes: int, *, turning: bool):
        super().__init__()
        self.turning = turning
        fields, layers = WIDE, list[Invertible]([ChannelPadding(1, WIDE - 1)])
        for level in range(2):
            lift = C4Squeeze(fields // 4 if level else 0) if turning else Squeeze()
            layers.append(lift)
            for _ in range(DEPTH):
                conv = C4Conv2d(fields) if turning else InvertibleConv2d(4 * fields)
                layers += [conv, LeakyReLU(SLOPE)]
            fields *= 4
        self.trunk = Chain(*layers)
        width = fields if not turning else fields // 4
        self.head = nn.Linear(2 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        z = self.trunk(x / SCALE)
        values = z.flatten(2)
        if self.turning:
            values = values.unflatten(1, (4, -1)).transpose(1, 2).flatten(2)
        return self.head(torch.cat([values.mean(2), values.amax(2)], 1))


@dataclass(frozen=True)
class Digits:
    """Handwritten digits 0 to 8 without 9, which turned is a 6, in levels 0..16."""

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor

    @classmethod
    def drawn(cls, count: int, seed: int) -> "Digits":
        """`count` training images; a third of all is for testing, the same for every seed."""
        images, labels = load_digits(return_X_y=True)
        kept = labels < 9
        x = torch.from_numpy(images[kept]).float().view(-1, 1, 8, 8)
        y = torch.from_numpy(labels[kept])
        order = torch.from_numpy(np.random.default_rng(0).permutation(len(x)))
        test, rest = order[: len(x) // 3], order[len(x) // 3 :]
        chosen = rest[torch.from_numpy(np.random.default_rng(seed).permutation(len(rest)))][:count]
        return cls(x[chosen], y[chosen], x[test], y[test])


def turns(x: Tensor) -> Tensor:
    """Images in their four positions, (4, N, C, H, W)."""
    return torch.stack([x.rot90(k, (-2, -1)) for k in range(4)])


def fitted(data: Digits, *, turning: bool, augmented: bool, steps: int, seed: int) -> Classifier:
    """Trained by Adam for `steps` batches of 64, of images turned at random where `augmented`."""
    torch.manual_seed(seed)
    model = Classifier(9, turning=turning)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(data.train), (64,))
        x, y = data.train[rows], data.train_labels[rows]
        if augmented:
            x = turns(x)[torch.randint(4, (64,)), torch.arange(64)]
        loss = F.cross_entropy(model(x), y)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return model.eval().requires_grad_(False)
