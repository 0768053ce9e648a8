"""What is reconstructed, and the ordinary decoder that features are taken from."""

import itertools

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medinv.data.sets.phantoms import bodies

SIDE = 64


def blocks(seed: int, *, count: int = 12) -> Tensor:
    """An image (64, 64) of unit length, the sum of `count` aligned squares: sparse in Haar."""
    generator = np.random.default_rng(seed)
    x = torch.zeros(SIDE, SIDE, dtype=torch.float64)
    for _ in range(count):
        width = 2 ** int(generator.integers(2, 5))
        i, j = (width * int(generator.integers(SIDE // width)) for _ in range(2))
        x[i : i + width, j : j + width] += generator.standard_normal()
    return x / torch.linalg.vector_norm(x)


def radiographs(count: int, seed: int) -> Tensor:
    """Simulated radiographs (count, 1, 64, 64) in grey levels, float64."""
    return torch.from_numpy(bodies(count, SIDE, seed).images).double()


class Autoencoder(nn.Module):
    """An ordinary encoder of four strided convolutions and its decoder, for images (N, 1, 64, 64).

    `features` are (N, latent); `decode` gives grey levels.
    """

    def __init__(self, latent: int, mean: float, std: float):
        super().__init__()
        self.mean, self.std = mean, std
        widths = (1, 16, 32, 64, 64)
        pairs = list(itertools.pairwise(widths))
        down = [m for a, b in pairs for m in (nn.Conv2d(a, b, 4, 2, 1), nn.ReLU())]
        up = [m for a, b in reversed(pairs) for m in (nn.ReLU(), nn.ConvTranspose2d(b, a, 4, 2, 1))]
        self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(1024, latent))
        self.decoder = nn.Sequential(nn.Linear(latent, 1024), nn.Unflatten(1, (64, 4, 4)), *up)

    def features(self, x: Tensor) -> Tensor:
        return self.encoder((x - self.mean) / self.std)

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z) * self.std + self.mean


def autoencoder(images: Tensor, *, latent: int, steps: int, seed: int) -> Autoencoder:
    """Trained by Adam on the mean square error of images (N, 1, 64, 64), then in float64."""
    torch.manual_seed(seed)
    model = Autoencoder(latent, images.mean().item(), images.std().item())
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        x = images[torch.randint(len(images), (32,))].float()
        loss = F.mse_loss(model.decode(model.features(x)) / model.std, x / model.std)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return model.double().eval().requires_grad_(False)
