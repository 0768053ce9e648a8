"""Films changed on purpose, at SIDE pixels whatever the model's: see medinv.audit.

A model of another size is shown its own film plus the change, averaged to its pixels, so that all
models see the same change.
"""

from torch import Tensor
from torch.nn import functional as F

from medinv.audit.sample import Region, Sample, lungs, sample_of
from medinv.data.sets.chest_xray import load_chest_xray

SIDE, PAIRS = 128, 100


def films_of(part: str) -> tuple[Sample, Region]:
    """The `validation` or `test` films with their lungs; what training films make is in both."""
    data = load_chest_xray("MEDINV_DATA", SIDE)
    sample = sample_of(getattr(data, part), data.train, lungs)
    if sample.region is None:
        raise ValueError("expected lungs in films of the chest")
    return sample, sample.region


def shown(films: Tensor, variant: Tensor, own: Tensor) -> Tensor:
    """What a model with films `own` (N, 1, h, w) is shown of a variant of `films`: values 0..255,
    rounded.
    """
    change = F.interpolate(variant - films, size=own.shape[2:], mode="area")
    return (own + change).clamp(0, 255).round()


def named(text: str) -> str:
    """A finding's name as the pages of this study have it."""
    return text.replace("real disease", "real pneumonia")
