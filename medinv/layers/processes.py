"""What processes that train one network together share: torch.distributed, where it was started.

Each holds an equal share of every batch, in the order of their ranks, so that N processes draw,
normalise and learn what one would. Alone, everything here does nothing.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch import distributed as dist


def rank() -> int:
    """Which process this is, from 0."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def share(count: int) -> slice:
    """Which of `count` images, in the order of the whole batch, are this process's."""
    return slice(rank() * count // size(), (rank() + 1) * count // size())


def uniform_like(images: Tensor) -> Tensor:
    """U(0, 1) for this process's share (N, ...) of a batch, drawn for all of the batch."""
    if size() == 1:
        return torch.rand_like(images)
    return torch.rand_like(torch.cat([images] * size()))[share(size() * len(images))]


def normal_like(images: Tensor) -> Tensor:
    """N(0, 1) for this process's share (N, ...) of a batch, drawn for all of the batch."""
    if size() == 1:
        return torch.randn_like(images)
    return torch.randn_like(torch.cat([images] * size()))[share(size() * len(images))]


def mean(x: Tensor) -> Tensor:
    """The mean of `x` over the processes, with derivatives."""
    if size() == 1:
        return x
    from torch.distributed.nn.functional import all_reduce

    return all_reduce(x) / size()


@torch.no_grad()
def mean_of(values: Sequence[float], device: torch.device) -> list[float]:
    """The mean of each number over the processes."""
    if size() == 1:
        return list(values)
    kind = torch.float32 if device.type == "mps" else torch.float64
    numbers = torch.tensor(values, dtype=kind, device=device)
    dist.all_reduce(numbers)
    return (numbers / size()).tolist()


@torch.no_grad()
def same(module: nn.Module) -> None:
    """Give every process the parameters and buffers of the first."""
    if size() > 1:
        for tensor in module.state_dict().values():
            dist.broadcast(tensor, 0)
