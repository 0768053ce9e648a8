"""What a card keeps of how far a small change of stored features moves the image they give back.

Light: no torch comes with it. `python -m pipelines.seeds.firenet.robustness --model MODEL` measures
and keeps it.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

NOT_MEASURED = "Not measured: how far a small change of stored features moves the image."
_Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Robustness(BaseModel):
    """Movements of the image as shares of its length about its mean; medians over images.

    All features are changed together, by `change` of their length, at random and along what ascent
    of `steps` steps found: a lower bound of the worst. `half_level` is the random change, as a
    share of their length, that moves the image by half a grey level (root mean square).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    change: _Share
    random: _Share
    sought: _Share
    half_level: _Share
    images: int
    steps: int
    weights_sha256: str

    @property
    def sentence(self) -> str:
        """The line of a card."""
        return (
            f"A change by {self.change:.0%} of the stored features' length moves the image by "
            f"{_share(self.random)} of its own at random, by at least {_share(self.sought)} where "
            f"it is sought (median of {self.images} images); a random change by "
            f"{self.half_level:.0e} of it makes half a grey level."
        )


def _share(value: float) -> str:
    """In percent, or as so many times where percent cannot be read.

    >>> _share(0.0181), _share(1.3), _share(2e8)
    ('1.8%', '130.0%', '2e+08 times')
    """
    return f"{value:.1%}" if value < 10 else f"{value:.0e} times"
