"""The films of a model, at its own pixels, with their lungs: see medinv.audit for what is changed.

Films are changed at the size at which the model reads them. Changes made at another size and added
to a model's own films would leave what either resampling lost: a blanked lung then still shows a
trace of itself.
"""

from medinv.audit.sample import Region, Sample, lungs, sample_of
from medinv.data.sets.labelled import LabelledImages

PAIRS = 5000  # of lungs and a surround: with 1,000 a share hangs on the draw by a point


def films_of(data: LabelledImages, part: str) -> tuple[Sample, Region]:
    """The `validation` or `test` films with their lungs; what training films make is in both."""
    sample = sample_of(getattr(data, part), data.train, lungs)
    if sample.region is None:
        raise ValueError("expected lungs in films of the chest")
    return sample, sample.region


def named(text: str) -> str:
    """A finding's name as the pages of this study have it."""
    return text.replace("real disease", "real pneumonia")
