"""The network: one class a kind of model."""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from medinv.config.base import Frozen, Named
from medinv.config.train import DensityTrain, HeadTrain, PooledTrain, TrainConfig

# What other software calls several findings at once.
SEVERAL = frozenset({"findings", "independent", "multi_label", "multilabel"})
RESERVED = frozenset({"failed", "out of scope", "skipped"})  # what a result is called without one
KERNELS = 2**26  # most products of widths, summed over convolutions: 600 million weights


class ModelConfig(Named):
    """The network, for images of `channels` in `axes` directions, which it standardises."""

    by = "kind"
    recipe: ClassVar[type[TrainConfig]] = HeadTrain
    keeps_reference: ClassVar[bool] = False
    twin: ClassVar[str | None] = None  # the kind of its ordinary counterpart
    judged_by: ClassVar[str] = "likelihood"  # what a scope of this kind looks at

    kind: str
    channels: int = Field(default=1, ge=1, le=16)
    axes: Literal[2, 3] = 2
    classes: tuple[str, ...] = Field(min_length=2, max_length=1000)
    # The classes are grades, the lowest first: metrics then say how far off a call is.
    ordered: bool = False
    mean: float  # grey levels
    std: float = Field(gt=0)

    @model_validator(mode="before")
    @classmethod
    def _one_class_an_image(cls, tree: Any) -> Any:
        asked = sorted(SEVERAL & set(tree)) if isinstance(tree, dict) else []
        if asked:
            raise ValueError(
                f"{asked[0]}: an image has one class; for several findings at once train a model "
                "for each (a column of labels.csv each), or name their combinations as classes"
            )
        return tree

    @model_validator(mode="after")
    def _classes_that_can_be_told_apart(self) -> Self:
        names = [name.strip() for name in self.classes]
        if len(set(names)) < len(names) or not all(names):
            raise ValueError(f"classes must have a name each, all different; got {self.classes}")
        if any(not name.isprintable() or "\\" in name or len(name) > 64 for name in names):
            raise ValueError(
                f"classes must be at most 64 printable letters without a backslash, which no DICOM "
                f"result can hold; got {self.classes}"
            )
        if RESERVED & set(names):
            raise ValueError(f"no class may be called {', '.join(sorted(RESERVED & set(names)))}")
        if self.ordered and len(names) < 3:
            raise ValueError("ordered: two classes have no grades between them; leave it out")
        return self


class _Levels(Frozen):
    """Convolutions of one width a level, between halvings."""

    depths: tuple[int, ...] = Field(min_length=1, max_length=10)  # convolutions a level
    hidden: tuple[int, ...]  # widths, a level

    @model_validator(mode="after")
    def _one_width_a_level(self) -> Self:
        if len(self.depths) != len(self.hidden):
            raise ValueError(
                "depths and hidden must have one entry a level; got "
                f"{len(self.depths)} and {len(self.hidden)}"
            )
        if min(self.depths) < 0 or min(self.hidden) < 1:
            raise ValueError("depths must not be negative, and hidden at least 1")
        pairs = zip(self.depths, self.hidden, strict=True)
        if sum((depth + 1) * width**2 for depth, width in pairs) > KERNELS:
            raise ValueError("this network would hold more than 600 million weights")
        return self


class DensityConfig(_Levels, ModelConfig):
    """Haar levels of ActNorm, inverted convolution and affine coupling: a density of images.

    `hidden` are the widths of the coupling networks.
    """

    recipe = DensityTrain
    keeps_reference = True
    twin = "twin"

    kind: Literal["invertible"] = "invertible"
    axes: Literal[2] = 2
    # How a convolution mixes channels at first: see models.density.
    mixing: Literal["random", "reversal"] = "random"
    clamp: float = Field(default=0.6, gt=0)  # bound on a coupling's log-scale
    padding: Literal["circular", "zeros", "reflect", "replicate"] = "circular"
    # Class means start equal at every location, so that a finding counts alike wherever it is.
    uniform_means: bool = False
    separation: float = Field(default=4.0, gt=0)  # distance of the class means before training

    @model_validator(mode="after")
    def _levels_that_can_be_built(self) -> Self:
        """Channels double from level to level, whatever the widths of the couplings."""
        widths = [4 * self.channels * 2**level for level in range(len(self.depths))]
        pairs = zip(self.depths, widths, strict=True)
        if sum((depth + 1) * width**2 for depth, width in pairs) > KERNELS:
            raise ValueError(
                f"{len(self.depths)} levels would end in {widths[-1]} channels: too many"
            )
        return self


class DensityTwinConfig(_Levels, ModelConfig):
    """The ordinary counterpart of a density: zero-padded convolutions of these widths."""

    kind: Literal["twin"] = "twin"
    axes: Literal[2] = 2


class PooledConfig(_Levels, ModelConfig):
    """Inverted convolutions of these widths, norms and leaky ReLU under a linear head."""

    recipe = PooledTrain
    twin = "pooled-twin"
    keeps_reference = True
    judged_by = "features"

    kind: Literal["pooled"] = "pooled"
    slope: float = Field(default=0.5, gt=0, le=1)  # of the activations on the negative side
    norm: Literal["batch", "act", "none"] = "batch"  # before each activation
    padding: Literal["circular", "zeros", "reflect", "replicate"] = "circular"
    # How hidden[0] channels come from four times those of the image.
    widening: Literal["convolution", "zeros"] = "convolution"
    whiten: bool = False  # patches of 2 x 2 pixels, by a fixed matrix from the first images

    @model_validator(mode="after")
    def _volumes_are_not_widened(self) -> Self:
        named = {"widening": self.widening == "zeros", "whiten": self.whiten}
        for name, given in named.items():
            if self.axes == 3 and given:
                raise ValueError(f"{name} has no effect on volumes: leave it out")
        return self


class PooledTwinConfig(_Levels, ModelConfig):
    """The ordinary counterpart of a pooled classifier: what narrows is thrown away."""

    kind: Literal["pooled-twin"] = "pooled-twin"
    whiten: bool = False  # as in the pooled classifier

    @model_validator(mode="after")
    def _volumes_are_not_whitened(self) -> Self:
        if self.axes == 3 and self.whiten:
            raise ValueError("whiten has no effect on volumes: leave it out")
        return self


class ResNet18Config(ModelConfig):
    """ResNet-18 for images or volumes."""

    kind: Literal["resnet18"] = "resnet18"


class FlatBaselineConfig(ModelConfig):
    """A published network for images: MobileNetV2, LeNet-5, or scattering under a linear head."""

    kind: Literal["mobilenetv2", "lenet", "scattering"]
    axes: Literal[2] = 2
