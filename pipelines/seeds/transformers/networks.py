"""Five image transformers at a small size, for images (N, C, 16, 16) on a grid of 4 x 4 tokens.

Each has `embed`, which makes patches to tokens, and `positions` (1, n, d), which are added to them.
What they share is the block of the vision transformer, normalised before each branch.

- ViT: a class token reads the patches (Dosovitskiy et al. 2021).
- DeiT: a second token learns what a teacher calls (Touvron et al. 2021).
- Swin: attention within windows that shift, halved once on the way (Liu et al. 2021), with its
  option of absolute positions beside the relative bias.
- BEiT: patches are masked and their visual words guessed before classes are learned (Bao et al.
  2022); words are the nearest of 64 means, where BEiT takes those of a trained tokeniser.
- CCT: a convolution makes the tokens, a learned weighting pools them (Hassani et al. 2021).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE, PATCH, GRID = 16, 4, 4
WIDTH, HEADS, DEPTH, WORDS = 32, 4, 2, 64


class Attention(nn.Module):
    """Of tokens (N, n, d) on each other; with `places`, a learned bias by relative place."""

    relative: Tensor

    def __init__(self, width: int, places: int = 0):
        super().__init__()
        self.inner, self.outer = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.bias = nn.Parameter(torch.zeros(HEADS, (2 * places - 1) ** 2)) if places else None
        if places:
            i, j = torch.meshgrid(torch.arange(places), torch.arange(places), indexing="ij")
            at = torch.stack([i.flatten(), j.flatten()])
            gap = at[:, :, None] - at[:, None] + places - 1
            self.register_buffer("relative", gap[0] * (2 * places - 1) + gap[1])

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        queries, keys, values = (
            self.inner(x).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4).unbind()
        )
        if self.bias is not None:
            bias = self.bias[:, self.relative]
            mask = bias if mask is None else bias + mask
        seen = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        return self.outer(seen.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """x + attention(norm(x)), then x + perceptron(norm(x))."""

    def __init__(self, width: int, places: int = 0):
        super().__init__()
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, places)
        self.perceptron = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x + self.attention(self.first(x), mask)
        return x + self.perceptron(self.second(x))


class Transformer(nn.Module):
    """What the five share: tokens of patches with their positions. Gives logits (N, classes)."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.embed: nn.Module = nn.Conv2d(channels, WIDTH, PATCH, PATCH)
        self.positions = nn.Parameter(torch.zeros(1, GRID**2, WIDTH))
        self.blocks = nn.ModuleList(Block(WIDTH) for _ in range(DEPTH))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, classes)

    def patches(self) -> nn.Conv2d:
        """The layer whose rows meet the pixels."""
        return next(each for each in self.embed.modules() if isinstance(each, nn.Conv2d))

    def tokens(self, x: Tensor) -> Tensor:
        """(N, 16, d), positions not yet added."""
        return self.embed(x).flatten(2).mT

    def through(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.through(self.tokens(x) + self.positions).mean(1))


class ViT(Transformer):
    extra = 1

    def __init__(self, channels: int, classes: int):
        super().__init__(channels, classes)
        self.readers = nn.Parameter(torch.zeros(1, self.extra, WIDTH))

    def read(self, x: Tensor) -> Tensor:
        """What the extra tokens (N, extra, d) have become."""
        x = self.tokens(x) + self.positions
        return self.through(torch.cat([self.readers.expand(len(x), -1, -1), x], 1))[:, : self.extra]

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.read(x)[:, 0])


class DeiT(ViT):
    extra = 2

    def __init__(self, channels: int, classes: int):
        super().__init__(channels, classes)
        self.pupil = nn.Linear(WIDTH, classes)

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits by the class token and by the one that hears the teacher."""
        seen = self.read(x)
        return self.head(seen[:, 0]), self.pupil(seen[:, 1])

    def forward(self, x: Tensor) -> Tensor:
        return sum(each.softmax(1) for each in self.both(x)).log()  # type: ignore[union-attr]


class Swin(Transformer):
    """Windows of 2 x 2, whole and shifted by one, then the grid is halved at twice the width."""

    apart: Tensor

    def __init__(self, channels: int, classes: int):
        super().__init__(channels, classes)
        self.blocks = nn.ModuleList([Block(WIDTH, 2), Block(WIDTH, 2)])
        self.merge = nn.Sequential(
            nn.LayerNorm(4 * WIDTH), nn.Linear(4 * WIDTH, 2 * WIDTH, bias=False)
        )
        self.late = Block(2 * WIDTH, 2)
        self.norm, self.head = nn.LayerNorm(2 * WIDTH), nn.Linear(2 * WIDTH, classes)
        region = torch.zeros(GRID, GRID)  # after the shift, what came round is another region
        region[-1] += 1
        region[:, -1] += 2
        own = windows(region[None, None].flatten(2).mT)[..., 0]
        self.register_buffer("apart", (own[:, None] != own[:, :, None]) * -1e9)

    def forward(self, x: Tensor) -> Tensor:
        x = self.tokens(x) + self.positions
        whole, shifted = self.blocks
        x = unwindowed(whole(windows(x)))
        x = rolled(x, -1)
        mask = self.apart.repeat(len(x), 1, 1)[:, None]
        x = rolled(unwindowed(shifted(windows(x), mask)), 1)
        x = self.late(self.merge(windows(x).view(-1, 4, 4 * WIDTH)))
        return self.head(self.norm(x).mean(1))


def windows(x: Tensor) -> Tensor:
    """Tokens (N, 16, d) of the grid as (4 N, 4, d), a window of 2 x 2 each."""
    count, _, width = x.shape
    return x.view(count, 2, 2, 2, 2, width).transpose(2, 3).reshape(-1, 4, width)


def unwindowed(x: Tensor) -> Tensor:
    """The way back."""
    width = x.shape[-1]
    return x.view(-1, 2, 2, 2, 2, width).transpose(2, 3).reshape(-1, GRID**2, width)


def rolled(x: Tensor, by: int) -> Tensor:
    """The grid of tokens moved round in both directions."""
    return x.unflatten(1, (GRID, GRID)).roll((by, by), (1, 2)).flatten(1, 2)


class BEiT(Transformer):
    def __init__(self, channels: int, classes: int):
        super().__init__(channels, classes)
        self.masked = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.words = nn.Linear(WIDTH, WORDS)

    def guesses(self, x: Tensor, hidden: Tensor) -> Tensor:
        """Logits (N, 16, words) where patches `hidden` (N, 16) bool are masked."""
        tokens = torch.where(hidden[..., None], self.masked, self.tokens(x))
        return self.words(self.through(tokens + self.positions))


class CCT(Transformer):
    def __init__(self, channels: int, classes: int):
        super().__init__(channels, classes)
        self.embed = nn.Sequential(nn.Conv2d(channels, WIDTH, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(2))
        self.pool = nn.Linear(WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.through(self.tokens(x) + self.positions)
        return self.head((self.pool(x).softmax(1) * x).sum(1))


KINDS: dict[str, Callable[[int, int], Transformer]] = {
    "ViT": ViT,
    "DeiT": DeiT,
    "Swin": Swin,
    "BEiT": BEiT,
    "CCT": CCT,
}


def teacher(channels: int, classes: int) -> nn.Sequential:
    """An ordinary convolutional network that DeiT hears."""
    layers: list[nn.Module] = []
    for inner, outer in ((channels, 32), (32, 64), (64, 64)):
        layers += [nn.Conv2d(inner, outer, 3, padding=1, bias=False), nn.BatchNorm2d(outer)]
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(256, classes))
