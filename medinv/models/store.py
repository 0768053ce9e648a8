"""Models on disk: a folder of weights and a card for each.

The folder holds `weights.safetensors`, `card.json` and, of an invertible model, its reference.
Loading runs no code from the folder. Shipped models lie in `medinv/models/shipped/` and are loaded
by name.
"""

import json
from pathlib import Path
from typing import TypeVar, overload

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from medinv.config import CardTexts
from medinv.errors import ConfigError, IntegrityError, MedinvError
from medinv.files import write_whole
from medinv.models.audited import Audited
from medinv.models.base import Calibrated, InvertibleNetwork
from medinv.models.build import build
from medinv.models.card import Card
from medinv.models.conformal import Conformal
from medinv.models.device import CPU, device_named
from medinv.models.folder import (
    CARD,
    LAYOUT,
    SHIPPED,
    WEIGHTS,
    digest,
    pin,
    read_file,
    seal,
)
from medinv.models.layout import Layout, read_layout, serialise_layout
from medinv.models.reference import read_reference
from medinv.models.shelf import locate, read_card, shipped
from medinv.models.stored import Robustness

__all__ = [
    "keep_audit", "keep_conformal", "keep_layout", "keep_robustness", "keep_texts", "load",
    "load_invertible", "locate", "read_card", "save", "serialise", "shipped",
]  # fmt: skip

LARGEST_WEIGHT = 1e9  # trained ones are far below; beyond this, products overflow
Network = TypeVar("Network", bound=Calibrated)


@overload
def load(
    name_or_path: str | Path, *, dtype: torch.dtype = ..., device: str = ...
) -> Calibrated: ...


@overload
def load(
    name_or_path: str | Path, kind: type[Network], *, dtype: torch.dtype = ..., device: str = ...
) -> Network: ...


def load(
    name_or_path: str | Path,
    kind: type[Calibrated] = Calibrated,
    *,
    dtype: torch.dtype = torch.float64,
    device: str = CPU,
) -> Calibrated:
    """The model of a shipped name or a folder, in evaluation mode, with `card` and `reference`.

    `kind` is the class of networks that will do, such as `medinv.models.density.Classifier`.
    `device`: cpu, cuda or cuda:N. The reference comes from the same folder; where it is not there
    or not this model's, it is None and `reference_missing` says why.
    Raises ModelNotFoundError, IntegrityError where the files do not belong together, ConfigError
    where the model is of another kind, and DeviceError for a device that is not there.
    """
    place = device_named(device)
    card, folder = read_card(name_or_path), locate(name_or_path)
    path = folder / WEIGHTS
    data = read_file(folder, WEIGHTS)
    if digest(data) != card.weights_sha256:
        raise IntegrityError(
            f"the weights are not those of the card: expected SHA-256 {card.weights_sha256}, got "
            f"{digest(data)}; restore the file",
            path=path,
        )
    model = _network(card, data, path)
    if not isinstance(model, kind):
        raise ConfigError(
            f"{card.name} is a {type(model).__name__}; expected a model of kind {kind.__name__}"
        )
    model.card, model.bits = card, card.bits
    model.layout = read_layout(folder, card.layout_sha256) if card.layout_sha256 else None
    if card.config.model.keeps_reference:
        model.reference, model.reference_missing = read_reference(folder, card.weights_sha256)
    else:
        model.reference_missing = f"a model of kind {card.config.model.kind} keeps no reference"
    return model.to(place, dtype).eval()


def load_invertible(
    name_or_path: str | Path, *, dtype: torch.dtype = torch.float64, device: str = CPU
) -> InvertibleNetwork:
    """The same of a model that runs backwards, of whatever kind. Raises ConfigError for another."""
    return load(name_or_path, InvertibleNetwork, dtype=dtype, device=device)  # type: ignore[type-abstract]


def _network(card: Card, data: bytes, path: Path) -> Calibrated:
    """The network of a card with these weights. Raises IntegrityError."""
    try:
        tensors = load_tensors(data)
        model = build(card.config)
        fitted = {name: t for name, t in model.state_dict().items() if name in model.added}
        model.load_state_dict({**fitted, **tensors})
    except (RuntimeError, SafetensorError, MedinvError) as error:
        raise IntegrityError(
            f"the weights do not fit the network of the card: {str(error).splitlines()[0]}",
            path=path,
        ) from error
    wrong = sorted(name for name, tensor in tensors.items() if not _usable(tensor))
    if wrong:
        raise IntegrityError(
            f"expected finite weights below {LARGEST_WEIGHT:g}; {wrong[0]} holds others, and "
            f"{len(wrong) - 1} more: train again",
            path=path,
        )
    return model


def _usable(tensor: Tensor) -> bool:
    """Whether all values are finite and none is huge; counts may be."""
    if not tensor.is_floating_point():
        return True
    return bool((tensor.abs() < LARGEST_WEIGHT).all())  # false for NaN too


def serialise(model: nn.Module) -> tuple[bytes, str]:
    """The weights in float32 as safetensors bytes, and their SHA-256."""
    tensors = {
        name: t.float().contiguous() if t.is_floating_point() else t.contiguous()
        for name, t in model.state_dict().items()
    }
    data = save_tensors(tensors)
    return data, digest(data)


def save(folder: Path, weights: bytes, card: Card) -> None:
    """Write a model folder, each file whole or not at all, the card last. Raises OutputError."""
    write_whole(folder / WEIGHTS, weights)
    _save_card(folder, card)


def keep_texts(name_or_path: str | Path, texts: CardTexts) -> Card:
    """The card of a model with the sentences and rules of a configuration, written to its folder.

    What no run measured may change without a new training. Of a shipped model the card is pinned
    anew. Raises as `read_card`, and OutputError.
    """
    folder, card = locate(name_or_path), read_card(name_or_path)
    scope = card.scope and card.scope.model_copy(
        update={"modalities": texts.modalities, "body_parts": texts.body_parts}
    )
    said = {name: getattr(texts, name) for name in CardTexts.model_fields}
    said = {name: value for name, value in said.items() if name in Card.model_fields}
    config = card.config.model_copy(update={"card": texts})
    return _kept(folder, card.model_copy(update={**said, "scope": scope, "config": config}))


def keep_layout(name_or_path: str | Path, layout: Layout) -> Card:
    """The card of a model whose scope has a layout from now on, written to its folder with it.

    What was audited without it stands no longer. Of a shipped model both files are pinned anew.
    Raises as `read_card`, and OutputError.
    """
    folder, card = locate(name_or_path), read_card(name_or_path)
    data = serialise_layout(layout)
    write_whole(folder / LAYOUT, data)
    kept = card.model_copy(update={"layout_sha256": digest(data), "audit": None})
    return _kept(folder, kept, folder / LAYOUT)


def keep_conformal(name_or_path: str | Path, conformal: Conformal | None) -> Card:
    """The card of a model with thresholds for sets of classes, or none, written to its folder.

    Of a shipped model the card is pinned anew. Raises as `read_card`, and OutputError.
    """
    folder, card = locate(name_or_path), read_card(name_or_path)
    return _kept(folder, card.model_copy(update={"conformal": conformal}))


def keep_audit(name_or_path: str | Path, audit: Audited) -> Card:
    """The card of a model with the summary of its audit, written to its folder.

    Of a shipped model the card is pinned anew. Raises as `read_card`, IntegrityError where the
    audit is of other weights, and OutputError.
    """
    return _kept_measured(name_or_path, audit=audit)


def keep_robustness(name_or_path: str | Path, robustness: Robustness) -> Card:
    """The card of a model with how far stored features may change, written to its folder.

    Of a shipped model the card is pinned anew. Raises as `keep_audit`.
    """
    return _kept_measured(name_or_path, robustness=robustness)


def _kept_measured(name_or_path: str | Path, **measured: Audited | Robustness) -> Card:
    """The card with what was measured, whose weights must be the card's."""
    folder, card = locate(name_or_path), read_card(name_or_path)
    for name, one in measured.items():
        if one.weights_sha256 != card.weights_sha256:
            raise IntegrityError(
                f"the {name} was measured with other weights than this card's; measure it anew",
                path=folder / CARD,
            )
    return _kept(folder, card.model_copy(update=measured))


def _kept(folder: Path, card: Card, *written: Path) -> Card:
    """The card, written; in a shipped model's folder it and what else was written is pinned."""
    _save_card(folder, card)
    if folder.parent == SHIPPED:
        pin(*written, folder / CARD)
    return card


def _save_card(folder: Path, card: Card) -> None:
    tree = json.dumps(seal(card.model_dump(mode="json")), indent=1)
    write_whole(folder / CARD, tree.encode() + b"\n")
