"""How films are composed in training."""

from typing import Self

from pydantic import Field, model_validator

from medinv.config.base import Frozen


class ComposeConfig(Frozen):
    """Films composed beside the real ones: see data.compose.

    Shares are of the composed films unless another whole is named; lengths are shares of the side.
    """

    region: str = "lungs"  # what the label is about, in words for reports
    films: int = Field(default=20, ge=2)  # a step
    # A prepared set of other people, found as data.folder is: its training images of the first
    # class, in which findings are planted as in those of the set. With the hash that it states of
    # itself: other images are refused.
    negatives: str | None = None
    # Whether in them patches of ill lungs, and surrounds, come of its images of the second class;
    # else of the set's own. Where a patch does not rise it is not taken: a wrong label teaches
    # little.
    negatives_patches: bool = False
    # Whether lungs of that second class are composed with as ill ones, too.
    negatives_ill: bool = False
    negatives_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    weight: float = Field(default=0.6, gt=0)  # of their cross-entropy in the loss
    # Weight of how far the answers to two films with the same lungs differ, and of how far those to
    # blanked lungs say something: see training.composed.
    steady: float = Field(default=0.0, ge=0)
    normal: float = Field(default=0.65, ge=0, le=1)  # share drawn from normal films
    mixed: float = Field(default=0.0, ge=0, le=1)  # lungs of two films of one label, here and there
    inside: float = Field(default=0.35, ge=0, le=1)  # of normal films: a finding in the lungs
    patched: float = Field(default=0.1, ge=0, le=1)  # of normal films: a part of ill lungs
    sham: float = Field(default=0.1, ge=0, le=1)  # of normal films: a part of other normal lungs
    rises: tuple[float, float] = (35.0, 110.0)  # least and most of a finding, grey levels
    outside: float = Field(default=0.25, ge=0, le=1)  # a finding outside the lungs
    exchange: float = Field(default=0.6, ge=0, le=1)  # another film's surround
    blank_surround: float = Field(default=0.15, ge=0, le=1)
    blank_lungs: float = Field(default=0.12, ge=0, le=1)
    mirrored: float = Field(default=0.0, ge=0, le=1)  # share, left for right
    gamma: float = Field(default=0.2, ge=0)  # standard deviation of its logarithm
    blurred: float = Field(default=0.3, ge=0, le=1)
    blur: float = Field(default=0.018, ge=0)  # greatest standard deviation
    noise: float = Field(default=8.0, ge=0)  # greatest standard deviation, grey levels
    turn: float = Field(default=6.0, ge=0)  # greatest, degrees
    bent: float = Field(default=0.0, ge=0, lt=0.1)  # standard deviation of what bends films
    zoom: float = Field(default=0.05, ge=0, lt=1)
    shift: float = Field(default=0.06, ge=0, lt=1)

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        if self.inside + self.patched + self.sham > 1 or self.exchange + self.blank_surround > 1:
            raise ValueError(
                "inside, patched and sham are shares of one whole, as are exchange and "
                "blank_surround; neither may exceed 1"
            )
        if not 0 < self.rises[0] <= self.rises[1]:
            raise ValueError(f"rises: expected the smaller one first; got {list(self.rises)}")
        if (self.negatives is None) != (self.negatives_sha256 is None):
            raise ValueError(
                "negatives needs negatives_sha256, the sha256 that its dataset.json states"
            )
        if self.negatives_patches and self.negatives is None:
            raise ValueError("negatives_patches needs negatives, the set that they come of")
        if self.negatives_ill and not self.negatives_patches:
            raise ValueError("negatives_ill needs negatives_patches, which reads their ill images")
        if self.steady and self.films % 2:
            raise ValueError("steady compares films two by two: films must be even")
        return self
