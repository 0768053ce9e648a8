"""Models on disk: weights as safetensors, a card that says what they are, and a hash that binds the two. Loading runs no code from the files.

A model is a folder with `weights.safetensors` and `card.json`. Shipped models lie in `medinv/models/shipped/` and are loaded by name.
"""

import hashlib
import json
import os
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from medinv.config import Aggregation, Config, Rules, Selection
from medinv.errors import ConfigError, IntegrityError, ModelNotFoundError, OutputError
from medinv.models.build import build

SHIPPED = Path(__file__).parent / "shipped"
WEIGHTS, CARD = "weights.safetensors", "card.json"
DISCLAIMER = "Research use, not for diagnosis."


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Interval(_Frozen):
    """A measured value with its 95 % interval from n images."""

    value: float
    low: float
    high: float
    n: int


class OperatingPoint(_Frozen):
    """The probability of the positive class from which it is called, and what that gave on test images."""

    threshold: float
    chosen_on: str
    sensitivity: Interval
    specificity: Interval


class FitInterval(_Frozen):
    """95 % bounds of the calibrated log-odds at given log-odds, when the calibration is fitted again on other patients."""

    log_odds: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    images: int
    patients: int


class ObservedShare(_Frozen):
    """Of the test images with a probability from `low` to below `high`, the share that is positive; its interval counts patients."""

    low: float
    high: float
    patients: int
    share: Interval


class Calibration(_Frozen):
    """How far probabilities are from frequencies on test images, and the fit that made them."""

    fitted_on: str
    temperature_inverse: float
    prior: tuple[float, ...]
    brier: Interval
    calibration_error: Interval
    interval: FitInterval | None = None
    observed: tuple[ObservedShare, ...] = ()


class Scope(_Frozen):
    """What the model may be asked: header values and the bound on the likelihood score."""

    modalities: tuple[str, ...]
    body_parts: tuple[str, ...]
    statistic: str
    threshold: float
    flagged_in_scope: (
        Interval  # share of test images of the same kind that are flagged all the same
    )
    flagged_foreign: dict[str, Interval]  # share of images of other kinds that are flagged


class Exactness(_Frozen):
    """Share of test images whose every value comes back from the features."""

    bits: int
    images: int
    share_float64: float
    max_abs_error_float64: float
    share_float32: float
    max_abs_error_float32: float


class Card(_Frozen):
    """All that a user should know of a model before using it."""

    name: str
    title: str
    version: str
    classes: tuple[str, ...]
    task: str
    intended_use: str
    training_data: str
    data_licence: str
    splits: dict[str, int]
    metrics: dict[str, Interval]
    operating_point: OperatingPoint | None  # of two-class models
    calibration: Calibration
    scope: Scope | None
    selection: Selection | None = None  # None: its defaults
    aggregation: Aggregation = (
        "maximum"  # how the images of a study decide for it, unless the user says otherwise
    )
    exactness: Exactness | None
    largest_condition_number: float | None
    limits: tuple[str, ...]
    not_tested: tuple[str, ...]
    intake: str
    config: Config
    config_sha256: str
    data_sha256: str
    weights_sha256: str
    parameters: int
    convolutions: int
    seed: int
    command: str
    commit: str
    device: str
    seconds: float
    versions: dict[str, str]
    disclaimer: str = DISCLAIMER

    @property
    def invertible(self) -> bool:
        return self.exactness is not None

    def check_takes_studies(self) -> None:
        """Raise ConfigError unless the model is one for DICOM studies: invertible, and with a scope that its likelihood judges."""
        if not self.invertible:
            raise ConfigError(
                f"{self.name} is an ordinary network: it cannot run backwards; choose an invertible model"
            )
        if self.scope is None:
            wanted = "it has no scope to judge DICOM studies by; `medinv verify` and `medinv evaluate` measure it on its own test images"
            raise ConfigError(
                f"{self.name} was trained on {self.config.data.set} images alone: {wanted}"
            )

    @property
    def rules(self) -> Rules:
        """Which images of a study the model is shown: modalities and body parts stand in `scope`, the rest in `selection`."""
        scope = self.scope
        headers = {"modalities": scope.modalities, "body_parts": scope.body_parts} if scope else {}
        return Rules(**headers, selection=self.selection or Selection())


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


def load(name_or_path: str | Path, *, dtype: torch.dtype = torch.float64) -> nn.Module:
    """The model of a shipped name or a folder, in evaluation mode, with its `card`.

    Raises ModelNotFoundError, and IntegrityError where weights and card do not belong together.
    """
    card = read_card(name_or_path)
    path = locate(name_or_path) / WEIGHTS
    try:
        data = path.read_bytes()
    except OSError as error:
        raise IntegrityError(f"the weights cannot be read: {error.strerror}", path=path) from error
    found = hashlib.sha256(data).hexdigest()
    if found != card.weights_sha256:
        raise IntegrityError(
            f"the weights are not those of the card: expected SHA-256 {card.weights_sha256}, got {found}; restore the file",
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
    model.card = card
    model.reference, model.reference_missing = _reference(path.parent, card)
    return model.to(dtype).eval()


def _reference(folder: Path, card: Card) -> tuple[object | None, str | None]:
    """What the model keeps of its training images, or why a density model has none."""
    from medinv.models.reference import load_cases

    if card.scope is None:
        return None, None
    try:
        return load_cases(folder.absolute()), None
    except (IntegrityError, ModelNotFoundError) as error:
        return None, error.message


def serialise(model: nn.Module) -> tuple[bytes, str]:
    """The weights in float32 as safetensors bytes, and their SHA-256."""
    tensors = {
        name: t.float().contiguous() if t.is_floating_point() else t.contiguous()
        for name, t in model.state_dict().items()
    }
    data = save_tensors(tensors)
    return data, hashlib.sha256(data).hexdigest()


def save(folder: Path, weights: bytes, card: Card) -> None:
    """Write a model folder: each file to a temporary name, then renamed; the card last. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in (
            (WEIGHTS, weights),
            (CARD, json.dumps(card.model_dump(mode="json"), indent=1).encode() + b"\n"),
        ):
            temporary = folder / (name + ".tmp")
            temporary.write_bytes(data)
            os.replace(temporary, folder / name)
    except OSError as error:
        raise OutputError(f"cannot write the model here: {error.strerror}", path=folder) from error
