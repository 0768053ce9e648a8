"""Which images of a study a model may be shown, and how they decide for it."""

import re
from typing import Literal

from pydantic import field_validator

from medinv.config.base import Frozen

# How images decide for their study; medinv.analysis.aggregate says what each does.
Aggregation = Literal["maximum", "mean-of-top-3", "mean"]


class Selection(Frozen):
    """Which images of a study a model may be shown. An empty rule lets everything pass.

    What a header does not state is eligible under `views`, `thickness`, `age` and the rules that
    exclude (`not_...`), and the results say so; under every other rule it is not eligible.
    """

    takes: Literal["images", "volume"] = (
        "images"  # every eligible image by itself, or the one eligible stack of slices of a study
    )
    # Images in colour for a model that reads grey levels: left out, or read by their luminance.
    colour: Literal["refuse", "luminance"] = "refuse"
    # Grey levels for a model that reads colours: left out, or repeated in its three channels.
    grey: Literal["refuse", "repeat"] = "refuse"
    views: tuple[str, ...] = ()  # ViewPosition, such as AP
    image_type: tuple[str, ...] = ()  # all of these must be values of ImageType
    not_image_type: tuple[str, ...] = ("LOCALIZER",)  # none of these may be
    planes: tuple[Literal["axial", "coronal", "sagittal", "oblique"], ...] = ()
    slices: tuple[int, int] | None = None  # fewest and most
    thickness: tuple[float, float] | None = None  # thinnest and thickest slice, mm
    age: tuple[float, float] | None = None  # youngest and oldest patient, completed years
    series_description: str | None = (
        None  # regular expressions, searched for in any case of letters
    )
    not_series_description: str | None = None
    study_description: str | None = None
    not_study_description: str | None = None

    @field_validator("colour", mode="before")
    @classmethod
    def _once_yes_or_no(cls, colour: object) -> object:
        """Cards of earlier versions say whether images in colour are read."""
        return {True: "luminance", False: "refuse"}[colour] if isinstance(colour, bool) else colour

    @field_validator("slices", "thickness", "age")
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


class Rules(Frozen):
    """All that decides which images a model is shown.

    These are the modalities and body parts of its scope, and its selection.
    """

    # DICOM's codes, and `picture`: PNG, JPEG, TIFF and WebP, which state no more.
    # A DICOM image that states none is eligible, and the results say so; so below.
    modalities: tuple[str, ...] = ()
    body_parts: tuple[str, ...] = ()  # words that BodyPartExamined holds one of
    selection: Selection = Selection()
    channels: int = 1  # that the model reads: grey levels, or red, green and blue
