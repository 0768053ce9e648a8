"""Drawn chests: dark lungs in a bright body, whose label is told by the lungs and, as in real
films, by the body too.
"""

import numpy as np
import torch
from torch import Tensor

from medinv.data.compose.images import blur

SIZE = 64


def ellipses(down: float, right: float, stretch: float) -> Tensor:
    """Two upright ellipses (SIZE, SIZE), 1 inside."""
    steps = (torch.arange(SIZE) + 0.5) / SIZE
    y = (steps[:, None] - 0.5 - down) / (0.26 * stretch)
    x = steps[None] - 0.5 - right
    return ((y**2 + ((x.abs() - 0.17) / 0.09) ** 2) < 1).float()


def chests(count: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Films (N, 1, SIZE, SIZE) uint8 of dark lungs in a bright body, ill ones with brighter lungs
    and a brighter body; labels; lungs.
    """
    random = np.random.default_rng(seed)
    labels = torch.arange(count) % 2
    lungs = torch.stack(
        [
            ellipses(*random.uniform(-0.07, 0.07, 2), float(random.uniform(0.9, 1.15)))
            for _ in range(count)
        ]
    )
    body = 150 + 20 * labels[:, None, None].float()
    films = body - (80 - 30 * labels[:, None, None]) * blur(lungs[:, None], 0.01)[:, 0]
    films = films + 4 * torch.from_numpy(random.standard_normal(films.shape)).float()
    return films[:, None].clamp(0, 255).to(torch.uint8), labels, lungs
