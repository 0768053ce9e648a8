"""Frozen models of the YAML files in configs/.

Unknown keys are errors, and so are settings that a kind of model or a data source does not use:
each has a class of its own, found by `model.kind` or `data.set`. Values may be overridden as
`section.key=value`. The classes of shipped kinds stand here and not beside their networks, so that
a card is read without torch.
"""

import hashlib
import json
import math
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import (
    Field,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from medinv.config.base import Frozen
from medinv.config.compose import ComposeConfig
from medinv.config.data import (
    DataConfig,
    PhantomCtData,
    PhantomData,
    PreparedData,
)
from medinv.config.model import (
    DensityConfig,
    DensityTwinConfig,
    FlatBaselineConfig,
    ModelConfig,
    PooledConfig,
    PooledTwinConfig,
    ResNet18Config,
)
from medinv.config.selection import Aggregation, Rules, Selection
from medinv.config.train import DensityTrain, HeadTrain, PooledTrain, TrainConfig
from medinv.errors import ConfigError

VALUES = 2**29  # most values of an image times classes: a card of a stranger is built from this
NAME = r"^[a-z0-9][a-z0-9-]{0,63}$"  # of models: it becomes the name of a folder

__all__ = [
    "NAME",
    "Aggregation",
    "CardTexts",
    "ComposeConfig",
    "Config",
    "DataConfig",
    "DensityConfig",
    "DensityTrain",
    "DensityTwinConfig",
    "FlatBaselineConfig",
    "HeadTrain",
    "ModelConfig",
    "PhantomCtData",
    "PhantomData",
    "PooledConfig",
    "PooledTrain",
    "PooledTwinConfig",
    "PreparedData",
    "ReferenceConfig",
    "ResNet18Config",
    "Rules",
    "Selection",
    "TrainConfig",
    "load_config",
]


class ReferenceConfig(Frozen):
    """What an invertible model keeps of its training images: see models.reference."""

    axes: int = Field(default=8, ge=2)  # of the projection of the features
    # Training images that similar cases are looked for among, of each class its share; None: all.
    cases: int | None = Field(default=None, ge=2)
    depths: tuple[str, ...] = ()  # where states are averaged; none named: see training.reference
    # Principal axes of how the classes differ, and of what belongs in a part of an image.
    transport: int | None = Field(default=None, ge=1)
    expectation: int | None = Field(default=None, ge=1)
    # Training images of each class that are kept as they are, so that their region can be shown in
    # another image: images of people, which who gets the model gets too. None unless asked for.
    donors: int | None = Field(default=None, ge=1)


class CardTexts(Frozen):
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


class Config(Frozen):
    """One experiment: data, model, recipe, seed, what its model keeps and what its card says."""

    name: str = Field(pattern=NAME)
    seed: int = Field(default=0, ge=0)
    data: SerializeAsAny[DataConfig]
    model: SerializeAsAny[ModelConfig]
    train: SerializeAsAny[TrainConfig]
    reference: ReferenceConfig | None = None  # None: the defaults, where the kind keeps one
    card: CardTexts

    @field_validator("train", mode="wrap")
    @classmethod
    def _recipe_of_the_kind(
        cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> TrainConfig:
        if "model" not in info.data:  # it is itself in error: which recipe goes with it is open
            return TrainConfig.model_construct()
        if not isinstance(value, dict):
            return handler(value)
        recipe: type[TrainConfig] = info.data["model"].recipe
        return recipe.model_validate(value)

    @model_validator(mode="after")
    def _a_reference_only_where_one_is_kept(self) -> Self:
        if self.reference is not None and not self.model.keeps_reference:
            raise ValueError(f"reference: a model of kind {self.model.kind} keeps none")
        return self

    @model_validator(mode="after")
    def _a_side_for_each_axis(self) -> Self:
        if len(self.image_shape) != 1 + self.model.axes:
            raise ValueError(
                f"data.size: expected one number, or one for each of the {self.model.axes} axes of "
                f"the model (model.axes); got {list(self.image_shape[1:])}"
            )
        return self

    @model_validator(mode="after")
    def _grounds_that_can_be_fitted(self) -> Self:
        kept, model = self.reference, self.model
        grey = model.channels == 1 and model.axes == 2
        if kept and (kept.transport or kept.expectation) and not grey:
            raise ValueError("reference: transport and expectation are fitted to grey images alone")
        if kept and kept.expectation and len(model.classes) > 2:
            raise ValueError(
                "reference.expectation: what belongs in a part of an image is that of the negative "
                f"one of two classes; of {len(model.classes)} take reference.transport"
            )
        return self

    @model_validator(mode="after")
    def _images_of_a_size_that_can_be_held(self) -> Self:
        values = math.prod(self.image_shape)
        if values * len(self.model.classes) > VALUES:
            raise ValueError(
                f"data.size: an image of {values:,} values is too large for "
                f"{len(self.model.classes)} classes"
            )
        return self

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape of one image: (channels, *size); of one side, a square or a cube."""
        size = self.data.size
        sides = (size,) * self.model.axes if isinstance(size, int) else size
        return (self.model.channels, *sides)

    def sha256(self) -> str:
        """Hash of all that the weights depend on, canonical JSON.

        What the card says and what is kept for explanations do not count, nor do values that are
        the default, nor where prepared sets or the model to begin with lie.
        """
        tree = self.model_dump(mode="json", exclude={"card", "reference"}, exclude_defaults=True)
        tree["data"].pop("folder", None)
        for key in ("start", "blend_with"):
            if getattr(self.train, key) is not None:
                tree["train"][key] = Path(getattr(self.train, key)).name
        tree["train"].get("compose", {}).pop("negatives", None)  # their hash counts
        tree["model"]["kind"], tree["data"]["set"] = self.model.kind, self.data.set
        return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()


def load_config(path: str | Path, overrides: tuple[str, ...] = ()) -> Config:
    """Read a YAML file, apply overrides such as `train.epochs=3`, and check it.

    Raises ConfigError that names file and key.
    """
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
    _place(tree, Path(path).parent)
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        problems = "; ".join(_problem(dict(each), tree) for each in error.errors())
        raise ConfigError(problems, path=path) from error


def _place(tree: dict[str, Any], folder: Path) -> None:
    """A prepared set or a model that lies beside the configuration is found from wherever it is
    read.
    """
    for *sections, key in (
        ("data", "folder"),
        ("train", "start"),
        ("train", "blend_with"),
        ("train", "compose", "negatives"),
    ):
        part: Any = tree
        for section in sections:
            part = part.get(section) if isinstance(part, dict) else None
        if isinstance(part, dict) and isinstance(part.get(key), str):
            beside = folder / part[key]
            part[key] = str(beside) if beside.is_dir() else part[key]


def _problem(error: dict[str, Any], tree: dict[str, Any]) -> str:
    """One complaint of pydantic: the key, and of an unused one who has no use for it."""
    message, section = error["msg"], error["loc"][0] if error["loc"] else ""
    if error["type"] == "extra_forbidden" and section in ("model", "train", "data"):
        key = "data.set" if section == "data" else "model.kind"
        outer, _, inner = key.partition(".")
        message = f"not a setting of {key} {tree[outer].get(inner)}; leave it out"
    return f"{'.'.join(map(str, error['loc']))}: {message}"


def _override(tree: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"expected an override such as train.epochs=3; got {text!r}")
    *parents, leaf = key.split(".")
    for name in parents:
        section = tree.get(name)
        if not isinstance(section, dict):
            raise ConfigError(f"override {text!r}: there is no section {name!r}")
        tree = section
    tree[leaf] = yaml.safe_load(value)
