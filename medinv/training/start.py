"""Training that begins with the weights of another model: one's own earlier one, or a shipped one
that knows images of the same kind.
"""

import torch
from torch import nn

from medinv.errors import ConfigError
from medinv.models.base import Calibrated
from medinv.models.store import load


@torch.no_grad()
def start_from(network: Calibrated, name_or_path: str) -> None:
    """Give a network the weights of a model, but for what is fitted after training, such as its
    calibration and scope.

    Weights of the network's own top level, which belong to classes, are taken where their shape
    agrees (as many classes, images as large) and left as they are elsewhere. All others must agree.
    Raises ModelNotFoundError, IntegrityError, and ConfigError where the networks differ.
    """
    source = load(name_or_path, dtype=torch.float32)
    fitted = {name for name, _ in network.named_buffers(recurse=False)}
    mine = network.state_dict()
    theirs = {name: t for name, t in source.state_dict().items() if name not in fitted}
    body = {name for name in set(mine) - fitted if not _of_classes(network, name)}
    wrong = sorted(
        name for name in body if name not in theirs or theirs[name].shape != mine[name].shape
    )
    extra = sorted(name for name in set(theirs) - set(mine) if not _of_classes(source, name))
    if wrong or extra:
        raise ConfigError(
            f"train.start: expected a network like that of this configuration; {source.card.name} "
            f"differs in {len(wrong) + len(extra)} weights ({(wrong + extra)[0]} first): copy its "
            "`model` section, or leave `start` out"
        )
    agree = {n: t for n, t in theirs.items() if n in mine and t.shape == mine[n].shape}
    network.load_state_dict({**mine, **agree})


def _of_classes(network: nn.Module, name: str) -> bool:
    """Whether a weight is a parameter of the network itself or of its head."""
    return "." not in name or name.startswith("head.")
