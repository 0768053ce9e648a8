"""A Wasserstein GAN with gradient penalty (Gulrajani et al. 2017, 1704.00028) for vectors."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

LATENT, WIDTH, BATCH, CRITIC_STEPS, PENALTY = 8, 64, 128, 5, 10.0


def perceptron(inputs: int, outputs: int) -> nn.Sequential:
    """Two hidden layers."""
    return nn.Sequential(
        nn.Linear(inputs, WIDTH), nn.LeakyReLU(0.2),
        nn.Linear(WIDTH, WIDTH), nn.LeakyReLU(0.2),
        nn.Linear(WIDTH, outputs),
    )  # fmt: skip


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, made: Tensor, share: Tensor
) -> Tensor:
    """Mean of (|slope| - 1)^2 at `share` (N, 1) of the way from `real` (N, n) to `made`."""
    between = (share * made + (1 - share) * real).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (torch.linalg.vector_norm(slope, dim=1) - 1).square().mean()


def learned(samples: NDArray, steps: int, seed: int) -> Callable[[int], NDArray]:
    """A sampler of the law of samples (N, n), after `steps` of the generator."""
    torch.manual_seed(seed)
    centre, spread = samples.mean(0), samples.std(0)
    real = torch.from_numpy((samples - centre) / spread).float()
    generator, critic = perceptron(LATENT, samples.shape[1]), perceptron(samples.shape[1], 1)
    rate = {"lr": 1e-3, "betas": (0.5, 0.9)}
    makes, judges = (torch.optim.Adam(net.parameters(), **rate) for net in (generator, critic))
    falls = [torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.02, steps) for o in (makes, judges)]
    for _ in range(steps):
        for _ in range(CRITIC_STEPS):
            some = real[torch.randint(len(real), (BATCH,))]
            with torch.no_grad():
                made = generator(torch.randn(BATCH, LATENT))
            penalty = gradient_penalty(critic, some, made, torch.rand(BATCH, 1))
            loss = critic(made).mean() - critic(some).mean() + PENALTY * penalty
            judges.zero_grad()
            loss.backward()
            judges.step()
        makes.zero_grad()
        (-critic(generator(torch.randn(BATCH, LATENT))).mean()).backward()
        makes.step()
        for fall in falls:
            fall.step()

    @torch.no_grad()
    def sample(count: int) -> NDArray:
        return generator(torch.randn(count, LATENT)).double().numpy() * spread + centre

    return sample


def summary(samples: NDArray) -> tuple[NDArray, NDArray]:
    """Mean (n,) and covariance (n, n)."""
    return samples.mean(0), np.cov(samples, rowvar=False)
