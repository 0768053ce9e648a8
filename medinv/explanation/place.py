"""Where what speaks for a class lies, as far as it can be told.

The outline of a region is estimated, and a term of the evidence stands for a place of some pixels.
So a part that speaks for a class may begin a little beyond the outline, and its strongest pixel
means no more than its neighbours do: places are told after an average over `BLUR`. What lies near
to a place that speaks is likelier to belong to it than what lies far: a `SHARE` of each place is
told over `AROUND`, and a share `EVENLY` over the whole region, since disease that fills it is not
in its strongest places alone: both faintly, so that they rank what is not told otherwise.

An image of a foreign kind differs from what it is told against in much that is no finding. There a
place counts as far as it both speaks for the class and moves the answer: by the
geometric mean of its evidence and its `sensitivity`, which keeps the sum. In images of the model's
own kind that would cost: what counts there would be ranked less well. Reports explain no image that
is out of scope; `explain` does.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

# Standard deviations, shares of the side; and of the whole, what is told over the wider one, and
# over all the region. Chosen by findings planted in validation films of children and adults
# (pipelines/radiographs/places.py), where more of each gains next to nothing and blurs what is
# drawn.
BLUR, AROUND, SHARE, EVENLY = 0.02, 0.1, 0.2, 0.1
LEANING = 0.5  # the power of the sensitivity, where there is one; chosen in the same way


def placed(
    evidence: NDArray,
    region: NDArray | None = None,
    blur: float = BLUR,
    share: float = SHARE,
    evenly: float = EVENLY,
    sensitivity: NDArray | None = None,
    leaning: float = LEANING,
) -> NDArray:
    """What speaks for a class in `evidence` (*size), log-odds a pixel, averaged: (*size), >= 0.

    sensitivity (*size), >= 0: how far each pixel moves the answer, of an image of a foreign kind
    (`explanation.sensitivity`), by which what speaks is then `leant`. Of a `region` (*size) bool
    what speaks for it outside is left out; what lies inside may show up to a few averages around
    it. Gaussian averages with mirrored borders keep the sum.
    """
    inside = np.ones(evidence.shape, bool) if region is None else region
    speaks = np.where(inside, evidence, 0.0).clip(0.0)
    if sensitivity is not None:
        speaks = leant(speaks, sensitivity, leaning)
    even = inside * (speaks.sum() / max(inside.sum(), 1))
    near = _averaged((1 - share - evenly) * speaks + evenly * even, blur)
    return near + share * _averaged(speaks, AROUND)


def leant(speaks: NDArray, sensitivity: NDArray, leaning: float = LEANING) -> NDArray:
    """What speaks, e (*size) >= 0, in proportion to e^(1 - leaning) sensitivity^leaning.

    The sum is kept. Where all of that is zero, e as it is.
    """
    both = speaks ** (1 - leaning) * sensitivity**leaning
    return both * (speaks.sum() / both.sum()) if both.any() else speaks


def _averaged(values: NDArray, width: float) -> NDArray:
    return gaussian_filter(values, [width * side for side in values.shape])
