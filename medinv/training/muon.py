"""Muon (Jordan et al. 2024): momentum whose update is made orthogonal.

It is for the kernels of a network, and learns images in a few epochs. The update of a kernel seen
as a matrix (C_out, C_in k^2) is replaced by about the nearest matrix with orthonormal rows, by a
quintic Newton-Schulz iteration. All directions of a kernel move equally far, which suits kernels
that have to stay well conditioned.
"""

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn

COEFFICIENTS = (
    3.4445,
    -4.7750,
    2.0315,
)  # take singular values from 0.05 to 1 into 0.7 to 1.2 in five steps


class Muon(torch.optim.Optimizer):
    """`buffer = momentum buffer + gradient`, `weight -= lr orthogonal(gradient + momentum buffer)`.

    It is for parameters of two or more axes. `rescale` keeps the rows of each kernel at unit norm
    in the mean, for kernels that a normalisation follows and nothing else bounds.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        *,
        momentum: float = 0.6,
        rescale: bool = False,
    ):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "rescale": rescale})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # takes no closure
        """One update of all weights that have a gradient."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = {}
            for weight in group["params"]:
                if weight.grad is not None:
                    alike.setdefault(weight.shape, []).append(weight)
            for weights in alike.values():
                self._move(weights, group)

    def _move(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        """Weights of one shape together, since each by itself is too small to be quick."""
        if group["rescale"]:
            gains = torch.stack(torch._foreach_norm(weights)).reciprocal() * len(weights[0]) ** 0.5
            torch._foreach_mul_(weights, list(gains.unbind(0)))
        slopes = [cast(Tensor, weight.grad) for weight in weights]
        buffers = [
            self.state[weight].setdefault("momentum", torch.zeros_like(weight))
            for weight in weights
        ]
        torch._foreach_mul_(buffers, group["momentum"])
        torch._foreach_add_(buffers, slopes)
        updates = torch._foreach_add(slopes, buffers, alpha=group["momentum"])
        moves = orthogonal(torch.stack([update.flatten(1) for update in updates]))
        torch._foreach_sub_(
            weights, list(moves.unflatten(2, weights[0].shape[1:]).unbind(0)), alpha=group["lr"]
        )


def orthogonal(matrix: Tensor, steps: int = 3) -> Tensor:
    """About the nearest matrices of the same shape (..., M, N) with orthonormal rows or columns.

    They are iterated in 16 bits, which suffices for a direction.
    """
    a, b, c = COEFFICIENTS
    x = matrix.bfloat16()
    x = x / (torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrix.dtype)
