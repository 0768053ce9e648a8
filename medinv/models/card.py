"""The card of a model.

It says what the model is, how well it does, on what it was measured, and where its limits lie. Read
directly by every renderer. Light: no torch comes with it.
"""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from medinv.config import NAME, Aggregation, Config, Rules, Selection
from medinv.errors import ConfigError
from medinv.metrics import ClassMetrics, Estimate, ObservedShare
from medinv.models.audited import Audited
from medinv.models.conformal import Conformal
from medinv.models.stored import Robustness

# Numbers that decide: against one that is none, every image would be called negative and in scope.
_Probability = Annotated[float, Field(ge=0, le=1)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
DISCLAIMER = "Research use, not for diagnosis."


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OperatingPoint(_Frozen):
    """The probability of the positive class from which it is called.

    Beside it stands what that gave on test images.
    """

    threshold: _Probability
    chosen_on: str
    sensitivity: Estimate
    specificity: Estimate


class FitInterval(_Frozen):
    """95 % bounds of the calibrated log-odds at given log-odds.

    They bound what comes out when the calibration is fitted again on other patients.
    """

    log_odds: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    images: int
    patients: int


class Calibration(_Frozen):
    """How far probabilities are from frequencies on test images, and the fit that made them."""

    fitted_on: str
    temperature_inverse: _Finite
    prior: tuple[_Finite, ...]
    brier: Estimate
    calibration_error: Estimate
    interval: FitInterval | None = None
    # Of more than two classes: the factor and the biases that lead from these log-probabilities to
    # those of a fit to other patients, for many draws of them.
    refits: tuple[tuple[float, ...], ...] = ()
    refitted_on: tuple[int, int] | None = None  # images and patients
    observed: tuple[ObservedShare, ...] = ()


class Scope(_Frozen):
    """What the model may be asked: header values and the bound on the likelihood score."""

    modalities: tuple[str, ...]
    body_parts: tuple[str, ...]
    statistic: str
    threshold: _Finite
    flagged_in_scope: (
        Estimate  # share of test images of the same kind that are flagged all the same
    )
    flagged_foreign: dict[str, Estimate]  # share of images of other kinds that are flagged


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

    name: str = Field(pattern=NAME)
    title: str
    version: str
    classes: tuple[str, ...]
    task: str
    intended_use: str
    training_data: str
    data_licence: str
    data_source: str = ""  # where the images come from, as their set says
    data_command: str = ""  # that made the set
    splits: dict[str, int]
    metrics: dict[str, Estimate]
    by_class: tuple[ClassMetrics, ...] = ()  # of more than two classes
    operating_point: OperatingPoint | None  # of two-class models
    calibration: Calibration
    scope: Scope | None
    selection: Selection | None = None  # None: its defaults
    aggregation: Aggregation = (
        "maximum"  # how the images of a study decide for it, unless the user says otherwise
    )
    exactness: Exactness | None
    bits: int = 8  # of a grey level of its images
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
    audit: Audited | None = None  # None: what it decides by has not been measured
    layout_sha256: str | None = None  # of what the scope knows of the images' layout, if anything
    conformal: Conformal | None = None  # for sets of classes and `classify --abstain`
    robustness: Robustness | None = None  # of the image against changes of stored features
    disclaimer: str = DISCLAIMER

    @model_validator(mode="after")
    def _measured_with_these_weights(self) -> Self:
        for name, kept in (("audit", self.audit), ("robustness", self.robustness)):
            if kept is not None and kept.weights_sha256 != self.weights_sha256:
                raise ValueError(f"{name}: it was measured with other weights; measure it anew")
        return self

    @property
    def invertible(self) -> bool:
        """Whether the network runs backwards."""
        return self.exactness is not None

    def check_takes_studies(self) -> None:
        """Raise ConfigError unless the model is one for studies: invertible, and of 8 bits."""
        if not self.invertible:
            raise ConfigError(
                f"{self.name} is an ordinary network: it cannot run backwards; choose an "
                "invertible model"
            )
        if self.bits != 8:
            raise ConfigError(
                f"{self.name} was trained on images of {self.bits} bits; studies are "
                "read with 8: `medinv verify` and `medinv evaluate` measure it on its own images"
            )

    @property
    def rules(self) -> Rules:
        """Which images of a study the model is shown.

        Modalities and body parts stand in `scope`, the rest in `selection`.
        """
        selection = self.selection or Selection()
        if self.config.model.axes == 3:
            selection = selection.model_copy(update={"takes": "volume"})
        channels = self.config.image_shape[0]
        if self.scope is None:
            return Rules(selection=selection, channels=channels)
        return Rules(
            modalities=self.scope.modalities,
            body_parts=self.scope.body_parts,
            selection=selection,
            channels=channels,
        )
