"""Models on disk: a folder with `weights.safetensors`, `card.json` and, of a density model, its reference.

Loading runs no code from the folder. Shipped models lie in `medinv/models/shipped/` and are loaded by name.
"""

import hashlib
import json
from pathlib import Path
from typing import TypeVar, overload

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from medinv.errors import ConfigError, IntegrityError, ModelNotFoundError
from medinv.files import write_whole
from medinv.models.base import Calibrated
from medinv.models.build import build
from medinv.models.card import Card
from medinv.models.reference import read_reference

SHIPPED = Path(__file__).parent / "shipped"
WEIGHTS, CARD = "weights.safetensors", "card.json"
Network = TypeVar("Network", bound=Calibrated)


def shipped() -> tuple[str, ...]:
    """Names of the models that come with the package."""
    return tuple(sorted(path.parent.name for path in SHIPPED.glob(f"*/{CARD}")))


def locate(name_or_path: str | Path) -> Path:
    """The folder of a model given by shipped name or by path. Raises ModelNotFoundError."""
    for folder in (SHIPPED / str(name_or_path), Path(name_or_path)):
        if (folder / CARD).is_file():
            return folder
    raise ModelNotFoundError(
        f"no model {str(name_or_path)!r}: expected one of {', '.join(shipped())} or a folder with {WEIGHTS} and {CARD}"
    )


def read_card(name_or_path: str | Path) -> Card:
    """The card alone, without the weights. Raises ModelNotFoundError or IntegrityError."""
    path = locate(name_or_path) / CARD
    try:
        return Card.model_validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        raise IntegrityError(
            f"this is not a model card of this version: {str(error).splitlines()[0]}", path=path
        ) from error


@overload
def load(name_or_path: str | Path, *, dtype: torch.dtype = ...) -> Calibrated: ...


@overload
def load(name_or_path: str | Path, kind: type[Network], *, dtype: torch.dtype = ...) -> Network: ...


def load(
    name_or_path: str | Path,
    kind: type[Calibrated] = Calibrated,
    *,
    dtype: torch.dtype = torch.float64,
) -> Calibrated:
    """The model of a shipped name or a folder, in evaluation mode, with `card` and `reference`.

    `kind` is the class of networks that will do, such as `medinv.models.density.Classifier`. The
    reference comes from the same folder; where it is not there or not this model's, it is None and
    `reference_missing` says why.
    Raises ModelNotFoundError, IntegrityError where the files do not belong together, and
    ConfigError where the model is of another kind.
    """
    card, folder = read_card(name_or_path), locate(name_or_path)
    path = folder / WEIGHTS
    try:
        data = path.read_bytes()
    except OSError as error:
        raise IntegrityError(f"the weights cannot be read: {error.strerror}", path=path) from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != card.weights_sha256:
        raise IntegrityError(
            "the weights are not those of the card: expected SHA-256 "
            f"{card.weights_sha256}, got {digest}; restore the file",
            path=path,
        )
    model = build(card.config)
    try:
        model.load_state_dict(load_tensors(data))
    except (RuntimeError, SafetensorError) as error:
        raise IntegrityError(
            f"the weights do not fit the network of the card: {str(error).splitlines()[0]}",
            path=path,
        ) from error
    if not isinstance(model, kind):
        raise ConfigError(
            f"{card.name} is a {type(model).__name__}; expected a model of kind {kind.__name__}"
        )
    model.card = card
    model.reference, model.reference_missing = read_reference(folder, card.weights_sha256)
    return model.to(dtype).eval()


def serialise(model: nn.Module) -> tuple[bytes, str]:
    """The weights in float32 as safetensors bytes, and their SHA-256."""
    tensors = {
        name: t.float().contiguous() if t.is_floating_point() else t.contiguous()
        for name, t in model.state_dict().items()
    }
    data = save_tensors(tensors)
    return data, hashlib.sha256(data).hexdigest()


def save(folder: Path, weights: bytes, card: Card) -> None:
    """Write a model folder, each file whole or not at all, the card last. Raises OutputError."""
    write_whole(folder / WEIGHTS, weights)
    tree = json.dumps(card.model_dump(mode="json"), indent=1)
    write_whole(folder / CARD, tree.encode() + b"\n")
