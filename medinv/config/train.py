"""The recipe of training: what all kinds of model share, and what each adds."""

import re
from typing import Any, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from medinv.config.base import Frozen
from medinv.config.compose import ComposeConfig

TRANSFORM = r"[A-Z][A-Za-z0-9]*d"  # of monai.transforms, those of dictionaries end in d


class TrainConfig(Frozen):
    """The recipe. Each kind of model has one of these classes or one that adds to it."""

    epochs: int = Field(ge=1)
    # A model, by name or folder, whose weights training begins with: see training.start.
    start: str | None = None
    # How far the trained weights go back to those of `start`, or of another model like it that is
    # named here: see training.start.
    blend: float = Field(default=0.0, ge=0, lt=1)
    blend_with: str | None = None
    batch: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=2e-3, gt=0)
    warmup: int = Field(default=2, ge=0)  # epochs
    optimiser: Literal["adamw", "muon"] = "adamw"
    schedule: Literal["cosine", "linear"] = "cosine"  # of the learning rate after the warm-up
    weight_decay: float = Field(default=1e-4, ge=0)  # of AdamW
    clip: float = Field(default=2.0, gt=0)  # gradient norm
    # Decay of the moving average of the weights, reached as steps go by: see training.optimisers.
    average: float = Field(default=0.998, ge=0, lt=1)
    # Which epoch's averaged weights are the model: the last, or the best by AUC on validation.
    keep: Literal["last", "best"] = "last"
    # Of two classes: the share of positive validation images that the operating point is to call.
    # None: Youden's point, where sensitivity and specificity count alike.
    sensitivity: float | None = Field(default=None, gt=0, lt=1)
    whole_patients: bool = False  # batches hold all images of their patients
    bfloat16: bool = False  # activations and products in 16 bits while training, weights in 32
    flip: bool = False  # augmentation: left and right at random
    alternate: bool = False  # each image is flipped in every other epoch, not at random
    cutout: int = Field(default=0, ge=0)  # augmentation: side of a square that is blanked, pixels
    noise: float = Field(default=0.0, ge=0)  # augmentation: standard deviation, grey levels
    shift: int = Field(default=4, ge=0)  # augmentation: pixels
    gain: float = Field(default=0.0, ge=0)  # augmentation: relative contrast
    offset: float = Field(default=0.0, ge=0)  # augmentation: grey levels
    # A user's own augmentation, before ours: {name: of monai.transforms, keys: image, ...} each,
    # see training.transforms.
    transforms: tuple[dict[str, JsonValue], ...] = ()
    compose: ComposeConfig | None = None  # films whose label follows the lungs alone

    @property
    def bounds_gain(self) -> bool:
        """Whether something beside the optimiser bounds the gain of kernels."""
        return False

    @field_validator("transforms")
    @classmethod
    def _transforms_have_names(cls, entries: tuple[dict[str, Any], ...]) -> Any:
        for number, entry in enumerate(entries):
            name = entry.get("name")
            if not isinstance(name, str) or not re.fullmatch(TRANSFORM, name):
                raise ValueError(
                    f"entry {number}: expected name: a transform of dictionaries of "
                    f"monai.transforms, such as RandRotated; got {name!r}"
                )
        return entries

    @model_validator(mode="after")
    def _recomputed_in_32_bits(self) -> Self:
        if self.bfloat16 and getattr(self, "recompute", False):
            raise ValueError("recompute runs layers backwards, which 16 bits cannot: leave one out")
        return self

    @model_validator(mode="after")
    def _back_to_a_start(self) -> Self:
        if self.blend and self.start is None:
            raise ValueError("blend goes back to the weights of start: name one, or leave it out")
        return self

    @model_validator(mode="after")
    def _blended_at_all(self) -> Self:
        if self.blend_with is not None and not self.blend:
            raise ValueError("blend_with has no effect without blend: give it too, or leave it out")
        return self

    @model_validator(mode="after")
    def _what_alternates_flips(self) -> Self:
        if self.alternate and not self.flip:
            raise ValueError("alternate has no effect without flip: give it too, or leave it out")
        return self

    @model_validator(mode="after")
    def _one_augmentation(self) -> Self:
        if (self.flip or self.cutout) and (self.gain or self.offset):
            raise ValueError("gain and offset have no effect beside flip or cutout: leave them out")
        return self


class DensityTrain(TrainConfig):
    """The recipe of a density: the negative log-likelihood a dimension, and the label's."""

    cross_entropy: float = Field(default=0.03, ge=0)  # weight beside the likelihood
    optimiser: Literal["adamw"] = "adamw"
    # Falls to this over the second half of the epochs; None: stays.
    cross_entropy_end: float | None = Field(default=None, ge=0)
    recompute: bool = False  # activations anew in the backward pass, in place of memory
    # In the end the class means move until composed images whose region is blanked rank alike
    # whatever their label: see training.silence.
    silent: bool = False

    @model_validator(mode="after")
    def _silent_where_composed(self) -> Self:
        if self.silent and self.compose is None:
            raise ValueError("silent blanks images as compose does: add compose, or leave it out")
        return self


class HeadTrain(TrainConfig):
    """The recipe of a network with a linear head: the cross-entropy alone."""

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _decay_is_of_adamw(self) -> Self:
        if self.optimiser == "muon" and "weight_decay" in self.changed():
            raise ValueError("weight_decay has no effect with optimiser muon: leave it out")
        return self

    def changed(self) -> set[str]:
        """Names of the settings that are not at their default."""
        return set(self.model_dump(exclude_defaults=True))


class PooledTrain(HeadTrain):
    """The recipe of inverted convolutions under a linear head, kept well conditioned."""

    # Step, relative to the schedule, down the mean over frequencies of |S^H S - I|^2.
    orthogonality: float = Field(default=0.0, ge=0)
    # Share of that step that stays when the learning rate has gone.
    orthogonality_floor: float = Field(default=0.0, ge=0, le=1)
    # That step leads instead to kernels whose real part is at least this: see models.penalty.
    accretive: float | None = Field(default=None, gt=0, lt=1)
    recompute: bool = False  # activations anew in the backward pass, in place of memory

    @property
    def bounds_gain(self) -> bool:
        """A pull towards isometries does; one towards a bound does not."""
        return self.orthogonality > 0 and self.accretive is None

    @model_validator(mode="after")
    def _a_bound_has_a_rate(self) -> Self:
        if not self.orthogonality and (self.accretive is not None or self.orthogonality_floor):
            raise ValueError(
                "accretive and orthogonality_floor have no effect without a rate: give "
                "orthogonality too, or leave them out"
            )
        return self
