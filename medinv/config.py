"""Frozen models of the YAML files in configs/. Unknown keys are errors; values may be overridden as `section.key=value`."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from medinv.errors import ConfigError


Aggregation = Literal[
    "maximum", "mean-of-top-3", "mean"
]  # how images decide for their study; medinv.analysis.aggregate says what each does


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataConfig(_Frozen):
    """Which images. `path_variable` names the environment variable that holds the folder of outside data."""

    set: Literal[
        "chest-xray", "phantoms", "cifar10", "breastmnist", "pneumoniamnist", "adrenalmnist3d"
    ]
    size: int = Field(ge=16, multiple_of=4)
    path_variable: str | None = None
    counts: tuple[int, int, int] | None = (
        None  # phantoms: bodies for training (each with and without its opacity), validation and testing
    )


class ModelConfig(_Frozen):
    """The network.

    `invertible`: Haar levels of ActNorm, inverted convolution and affine coupling; a density. `twin`: ordinary convolutions. `pooled`: inverted convolutions,
    norms and leaky ReLU under a linear head, no density; `pooled-twin`: the same with zero padding and ReLU, what narrows is thrown away. The rest are baselines.
    """

    kind: Literal[
        "invertible",
        "twin",
        "pooled",
        "pooled-twin",
        "resnet18",
        "mobilenetv2",
        "lenet",
        "scattering",
    ] = "invertible"
    channels: int = Field(default=1, ge=1)  # of the images
    axes: Literal[2, 3] = 2  # of the images; pooled: 3 for volumes
    classes: tuple[str, ...] = Field(min_length=2)
    mean: float  # grey levels
    std: float = Field(gt=0)
    depths: tuple[int, ...]  # convolutions a level
    hidden: tuple[
        int, ...
    ]  # width of the coupling networks (invertible) or of the convolutions (twin), a level
    mixing: Literal["random", "exchange"] = (
        "random"  # how a convolution mixes channels at first: see models.build
    )
    clamp: float = Field(default=0.6, gt=0)  # bound on a coupling's log-scale
    uniform_means: bool = False  # class means start equal at every location, so that a finding counts alike wherever it is
    separation: float = Field(default=4.0, gt=0)  # distance of the class means before training
    slope: float = Field(default=0.5, gt=0, le=1)  # pooled: of the activations on the negative side
    norm: Literal["batch", "act", "none"] = "batch"  # pooled: normalisation before each activation
    padding: Literal["circular", "zeros", "reflect", "replicate"] = (
        "circular"  # pooled: of the inverted convolutions
    )
    widening: Literal["convolution", "zeros"] = (
        "convolution"  # pooled: how hidden[0] channels come from four times those of the image
    )

    @model_validator(mode="after")
    def _one_width_a_level(self) -> "ModelConfig":
        if len(self.depths) != len(self.hidden):
            raise ValueError(
                f"depths and hidden must have one entry a level; got {len(self.depths)} and {len(self.hidden)}"
            )
        return self


class TrainConfig(_Frozen):
    """The recipe."""

    epochs: int = Field(ge=1)
    batch: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=2e-3, gt=0)
    warmup: int = Field(default=2, ge=0)  # epochs
    weight_decay: float = Field(default=1e-4, ge=0)
    clip: float = Field(default=2.0, gt=0)  # gradient norm
    average: float = Field(
        default=0.998, ge=0, lt=1
    )  # decay of the exponential moving average of the weights
    whole_patients: bool = False  # batches hold all images of their patients
    cross_entropy: float = Field(
        default=0.03, ge=0
    )  # its weight beside the negative log-likelihood a dimension
    cross_entropy_end: float | None = Field(
        default=None, ge=0
    )  # falls to this over the second half of the epochs; None: stays
    optimiser: Literal["adamw", "muon"] = "adamw"
    schedule: Literal["cosine", "linear"] = "cosine"  # of the learning rate after the warm-up
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    orthogonality: float = Field(
        default=0.0, ge=0
    )  # pooled: step, relative to the learning rate's schedule, down the mean over frequencies of |S^H S - I|^2
    orthogonality_floor: float = Field(
        default=0.0, ge=0, le=1
    )  # share of that step that stays when the learning rate has gone
    accretive: float | None = Field(
        default=None, gt=0, lt=1
    )  # pooled: that step leads instead to kernels whose real part is at least this: see models.penalty
    keep: Literal["last", "best"] = (
        "last"  # which epoch's averaged weights are the model: the last, or the best by AUC on validation images
    )
    bfloat16: bool = (
        False  # activations and products in 16 bits while training; the weights stay in 32
    )
    flip: bool = False  # augmentation: left and right at random
    cutout: int = Field(default=0, ge=0)  # augmentation: side of a square that is blanked, pixels
    noise: float = Field(
        default=0.0, ge=0
    )  # standard deviation of Gaussian noise added in training, grey levels
    shift: int = Field(default=4, ge=0)  # augmentation: pixels
    gain: float = Field(default=0.0, ge=0)  # augmentation: relative contrast
    offset: float = Field(default=0.0, ge=0)  # augmentation: grey levels

    @model_validator(mode="after")
    def _a_bound_has_a_rate(self) -> "TrainConfig":
        if self.accretive is not None and not self.orthogonality:
            raise ValueError(
                "accretive has no effect without a rate: give orthogonality too, or set accretive to null"
            )
        return self


class Selection(_Frozen):
    """Which images of a study a model may be shown. An empty rule lets everything pass.

    What a header does not state is eligible under `views` and `thickness`, and the results say so; under every other rule it is not eligible.
    """

    takes: Literal["images", "volume"] = (
        "images"  # every eligible image by itself, or the one eligible stack of slices of a study
    )
    colour: bool = False  # images in colour too
    views: tuple[str, ...] = ()  # ViewPosition, such as AP
    image_type: tuple[str, ...] = ()  # all of these must be values of ImageType
    not_image_type: tuple[str, ...] = ("LOCALIZER",)  # none of these may be
    planes: tuple[Literal["axial", "coronal", "sagittal", "oblique"], ...] = ()
    slices: tuple[int, int] | None = None  # fewest and most
    thickness: tuple[float, float] | None = None  # thinnest and thickest slice, mm
    series_description: str | None = (
        None  # regular expressions, searched for in any case of letters
    )
    not_series_description: str | None = None
    study_description: str | None = None
    not_study_description: str | None = None

    @field_validator("slices", "thickness")
    @classmethod
    def _ordered(cls, bounds: tuple[float, float] | None) -> tuple[float, float] | None:
        if bounds is not None and not 0 <= bounds[0] <= bounds[1]:
            raise ValueError(
                f"expected the smaller bound first, none negative; got {bounds[0]} and {bounds[1]}"
            )
        return bounds

    @field_validator(
        "series_description", "not_series_description", "study_description", "not_study_description"
    )
    @classmethod
    def _regular(cls, expression: str | None) -> str | None:
        try:
            re.compile(expression or "")
        except re.error as error:
            raise ValueError(
                f"expected a regular expression; got {expression!r}: {error}"
            ) from error
        return expression


class Rules(_Frozen):
    """All that decides which images a model is shown: the modalities and body parts of its scope, and its selection."""

    modalities: tuple[
        str, ...
    ] = ()  # an image that states none is eligible, and the results say so; so below
    body_parts: tuple[str, ...] = ()  # words that BodyPartExamined holds one of
    selection: Selection = Selection()


class CardTexts(_Frozen):
    """The sentences of the model card that no run can measure."""

    title: str
    task: str
    intended_use: str
    training_data: str
    data_licence: str
    modalities: tuple[str, ...]
    body_parts: tuple[str, ...]
    selection: Selection | None = None
    aggregation: Aggregation = "maximum"
    limits: tuple[str, ...]
    not_tested: tuple[str, ...]


class Config(_Frozen):
    """One experiment: data, model, recipe, seed and what its card says."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    seed: int = 0
    data: DataConfig
    model: ModelConfig
    train: TrainConfig
    card: CardTexts

    def sha256(self) -> str:
        """Hash of all that training depends on, canonical JSON. The card's sentences do not count, nor do values that are the default."""
        tree = self.model_dump(mode="json", exclude={"card"}, exclude_defaults=True)
        return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()


def load_config(path: str | Path, overrides: tuple[str, ...] = ()) -> Config:
    """Read a YAML file, apply overrides such as `train.epochs=3`, and check it. Raises ConfigError that names file and key."""
    try:
        tree = yaml.safe_load(Path(path).read_text())
    except FileNotFoundError as error:
        raise ConfigError("no such configuration; see configs/", path=path) from error
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"expected a readable YAML file: {error}", path=path) from error
    if not isinstance(tree, dict):
        raise ConfigError(f"expected a mapping at the top; got {type(tree).__name__}", path=path)
    for override in overrides:
        _override(tree, override)
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(problems, path=path) from error


def _override(tree: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"expected an override such as train.epochs=3; got {text!r}")
    *parents, leaf = key.split(".")
    for name in parents:
        tree = tree.get(name)
        if not isinstance(tree, dict):
            raise ConfigError(f"override {text!r}: there is no section {name!r}")
    tree[leaf] = yaml.safe_load(value)
