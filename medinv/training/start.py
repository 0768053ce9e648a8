"""Training that begins with the weights of another model: one's own earlier one, or a shipped one
that knows images of the same kind; and ends between them and its own.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from medinv.errors import ConfigError
from medinv.layers import AdditiveCoupling, AffineCoupling
from medinv.models.base import Calibrated
from medinv.models.store import load


@torch.no_grad()
def start_from(network: Calibrated, name_or_path: str) -> dict[str, Tensor]:
    """Give a network the weights of a model, but for what is fitted after training, such as its
    calibration and scope; returns those that it gave, by name.

    Weights of the network's own top level, which belong to classes, are taken where their shape
    agrees (as many classes, images as large) and left as they are elsewhere. All others must agree,
    but the networks within couplings may be of fewer channels: see `_widened`. Raises
    ModelNotFoundError, IntegrityError, and ConfigError where the networks differ.
    """
    given = weights_of(network, name_or_path)
    network.load_state_dict({**network.state_dict(), **given})
    return given


@torch.no_grad()
def blend(network: nn.Module, given: Mapping[str, Tensor], share: float) -> None:
    """Move a network's weights by `share` of the way to `given` ones, such as those that
    `start_from` gave it.

    What was learnt last and what was known before are then often both answered, better than by
    either alone (WiSE-FT, Wortsman et al. 2022, 2109.01903).
    """
    mine = network.state_dict()
    for name, weights in given.items():
        if weights.is_floating_point():
            mine[name].lerp_(weights.to(mine[name]), share)


@torch.no_grad()
def weights_of(
    network: Calibrated, name_or_path: str, key: str = "train.start"
) -> dict[str, Tensor]:
    """The weights of a model that `key` of a configuration names, as `start_from` gives them."""
    source = load(name_or_path, dtype=torch.float32)
    fitted = {name for name, _ in network.named_buffers(recurse=False)}
    mine = network.state_dict()
    theirs = {name: t for name, t in source.state_dict().items() if name not in fitted}
    body = {name for name in set(mine) - fitted if not _of_classes(network, name)}
    inner = _within_couplings(network)
    wrong = sorted(
        name
        for name in body
        if name not in theirs or not _fits(mine[name], theirs[name], wider=name.startswith(inner))
    )
    extra = sorted(name for name in set(theirs) - set(mine) if not _of_classes(source, name))
    if wrong or extra:
        raise ConfigError(
            f"{key}: expected a network like that of this configuration; {source.card.name} "
            f"differs in {len(wrong) + len(extra)} weights ({(wrong + extra)[0]} first): copy its "
            "`model` section, or leave it out"
        )
    taken = {n: t for n, t in theirs.items() if n in mine and t.shape == mine[n].shape}
    return taken | {n: _widened(mine[n], theirs[n]) for n in body if n not in taken}


def _fits(mine: Tensor, theirs: Tensor, *, wider: bool) -> bool:
    """Whether the shapes agree or, where mine may be `wider`, it has a place for every value."""
    sizes = zip(mine.shape, theirs.shape, strict=False)
    return mine.ndim == theirs.ndim and all(m == t or (wider and m > t) for m, t in sizes)


def _widened(wide: Tensor, narrow: Tensor) -> Tensor:
    """A weight (out, in, ...) or bias (out,) of which the first channels are those of a narrower
    one, which take nothing of the channels beyond; these stay as they are.

    A chain of such layers that ends in as many channels as before computes what it computed, and
    learns with more (Net2Net, Chen et al. 2016, 1511.05641).
    """
    new = wide.clone()
    new[: len(narrow)] = 0
    new[tuple(slice(size) for size in narrow.shape)] = narrow.to(new)
    return new


def _within_couplings(network: nn.Module) -> tuple[str, ...]:
    """What names begin with of weights whose channels nothing but a chain of layers knows of."""
    return tuple(
        f"{name}.net."
        for name, module in network.named_modules()
        if isinstance(module, AdditiveCoupling | AffineCoupling)
        and isinstance(module.net, nn.Sequential)
    )


def _of_classes(network: nn.Module, name: str) -> bool:
    """Whether a weight is a parameter of the network itself or of its head."""
    return "." not in name or name.startswith("head.")
