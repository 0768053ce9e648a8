"""What an explanation is: plain arrays with the figures that say how far they can be trusted.

Grey levels are those of the network's input (0 to 255); images are (H, W). Every result carries the residual of the identity it claims.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Made = Literal["direction", "ascent", "transport", "removal", "planting"]
"""How a counterfactual was made: along the class direction in the features; sought there; first as training images of the classes differ and only then along
the class direction; by filling in the part that the answer comes from with what belongs there; by adding the faintest round brightening that suffices."""
CHANGED = 2  # grey levels: what differs by more is seen as changed


@dataclass(frozen=True)
class Reconstruction:
    """The input decoded from the features."""

    image: np.ndarray  # (H, W) decoded grey levels, before rounding
    exact: bool  # every stored value comes back after rounding
    bits: int  # of the stored values
    max_abs_error: float  # grey levels, before rounding
    dtype: str  # arithmetic of the round trip


@dataclass(frozen=True)
class Evidence:
    """The decision as an exact affine map of this image: sum(contributions) + bias = logit."""

    contributions: np.ndarray  # (H, W) log-odds of the positive class, a pixel
    bias: float  # log-odds that no pixel carries
    logit: float  # log-odds that the network computes
    residual: float  # |sum(contributions) + bias - logit|


@dataclass(frozen=True)
class Counterfactual:
    """An image for which the decision is another, decoded from its features."""

    image: np.ndarray  # (H, W) uint8, as stored: clipped to the range and rounded
    difference: np.ndarray  # (H, W) grey levels, counterfactual minus input
    target: str  # class aimed at
    target_logit: float  # log-odds of the positive class aimed at
    logit: float  # log-odds of the positive class when the stored counterfactual is classified anew
    flipped: bool  # the re-check: the stored counterfactual is classified as the target
    in_scope: bool  # the re-check: by its likelihood it is an image of the model's kind
    rms: float  # root mean square of the difference, grey levels
    out_of_range: float  # share of pixels that left 0..255 before clipping
    changed: float  # share of pixels that differ by more than CHANGED
    strip: tuple[np.ndarray, ...]  # (H, W) images on the way from the input to the counterfactual
    made: Made = "direction"

    @property
    def valid(self) -> bool:
        """Both re-checks hold; only then may it be shown as what would have changed the answer."""
        return self.flipped and self.in_scope


@dataclass(frozen=True)
class LocalCheck:
    """What the answer does when the part of a map that speaks most for it is replaced by what is usual, and when the same shape elsewhere is."""

    share: float  # of the pixels, replaced
    fall: float  # log-odds by which the class called loses
    elsewhere: tuple[float, ...]  # the same for that shape at other places of the image

    @property
    def valid(self) -> bool:
        """The place matters more than any other of its shape; only then may it be called the place that the answer comes from."""
        return self.fall > max(0.0, *self.elsewhere)


@dataclass(frozen=True)
class LocalEvidence:
    """Where the decision comes from, against what is usual in images of the negative class: locations.sum() + bias + jitter = logit, exactly."""

    locations: np.ndarray  # (*size) log-odds of the positive class, a pixel, mean over copies of the image; no finer than the depths that it was taken at
    depths: tuple[str, ...]  # whose mean it is
    grain: int  # pixels a side of one place of the finest of them
    bias: float  # log-odds of what is usual there, through the gates of the copies
    jitter: float  # log-odds of the image less their mean over its copies: what its place on the network's grid and faint noise do
    logit: float  # log-odds that the network computes
    residual: float  # |locations.sum() + bias + jitter - logit|
    check: LocalCheck | None = None

    @property
    def constant(self) -> float:
        """Log-odds that no place carries."""
        return self.bias + self.jitter

    @property
    def valid(self) -> bool:
        """It was checked, and the check held."""
        return self.check is not None and self.check.valid


@dataclass(frozen=True)
class Explanation:
    """All that the report shows of one image."""

    reconstruction: Reconstruction
    evidence: Evidence
    counterfactual: Counterfactual
    local: LocalEvidence | None = None  # None where the model keeps nothing of what is usual
    trace: "Trace | None" = None
    neighbours: "Nearest | None" = None
    sanity: "Controls | None" = None


@dataclass(frozen=True)
class Depth:
    """One layer of the trunk, at one image. All that stands behind it, decoded, is the input again; what it has sent out of the trunk is not in what stays."""

    name: str  # where it stands and what it is, such as "level 2, layer 5: AffineCoupling"
    shape: tuple[int, ...]  # (C, *size) of what goes on from here
    image: (
        np.ndarray
    )  # (*size) grey levels decoded from all that stands at this depth, before rounding
    max_abs_error: float  # grey levels between `image` and the input
    exact: bool  # after rounding, every value of `image` is the input's
    condition_number: float  # of this layer's Jacobian at this image; where a layer does not know it, a lower estimate
    energy_share: float  # of the squared length of all that stands here, the part in what goes on


@dataclass(frozen=True)
class Stage:
    """What leaves the trunk at one level; at the last level, what decides."""

    name: str  # such as "level 2"
    values: int  # numbers held
    energy_share: float  # of the squared length of the features
    image: np.ndarray  # (*size) grey levels decoded from this stage alone, all others at zero, the mean of their density
    variance_explained: float  # 1 - |input - image of this stage and all coarser ones|^2 / |input - mean grey|^2; 1 is all, below 0 worse than plain grey


@dataclass(frozen=True)
class Trace:
    """The image through the trunk: decoded from every depth, and what each stage holds."""

    depths: tuple[Depth, ...]  # from the image to the features
    stages: tuple[
        Stage, ...
    ]  # coarsest, which decides, first; what their images add is cumulative in this order

    @property
    def max_abs_error(self) -> float:
        """The residual: the largest error of any depth, grey levels."""
        return max(depth.max_abs_error for depth in self.depths)

    @property
    def exact(self) -> bool:
        """Every depth decodes to every stored value of the input."""
        return all(depth.exact for depth in self.depths)


@dataclass(frozen=True)
class Probe:
    """How well a linear classifier tells the classes from what one depth holds, beside the same with shuffled labels."""

    name: str  # of the depth
    auc: float  # area under the curve on images that the probe was not fitted on
    sham_auc: float  # the same with labels shuffled before fitting: 0.5 but for chance
    images: int  # tested


@dataclass(frozen=True)
class LayerEvidence:
    """The decision as an exact sum over what stands at one depth: channels.sum() + bias = locations.sum() + bias = logit."""

    name: str  # of the depth
    channels: (
        np.ndarray
    )  # (C,) log-odds of the positive class that each channel carries, summed over locations
    locations: np.ndarray  # (*size) the same, summed over channels, at the resolution of the depth
    bias: float  # log-odds of the constant image; the same at every depth
    residual: float  # |channels.sum() + bias - logit|


@dataclass(frozen=True)
class HeadView:
    """What the head looks at: the features without their part along its direction, decoded.

    The head is one direction in the features. With that part removed the log-odds are those of the bias alone, whatever else the features hold.
    """

    without: (
        np.ndarray
    )  # (*size) grey levels decoded from the features less their part along the head's direction
    seen: np.ndarray  # (*size) input minus `without`: all that the head can see of this image
    energy_share: float  # of the squared length of the features, the part along the direction
    logit_without: float  # log-odds of `without`, unrounded, classified anew
    residual: float  # |logit_without - log-odds of the bias alone|


@dataclass(frozen=True)
class Nearest:
    """Training images whose projected features are nearest, and what the projection can and cannot show of them.

    No image is here: `ids` are rows of the training set, which who has it can open.
    """

    ids: tuple[int, ...]  # rows of the training set, nearest first
    labels: tuple[str, ...]  # their classes
    distances: tuple[float, ...]  # Euclidean, in standard deviations of the index's axes
    typical: tuple[
        float, float
    ]  # 50th and 95th percentile of validation images' distance to their nearest: farther is unlike any case
    chance: float  # share of the query's called class in the training set: what neighbours drawn by chance would agree
    agreement: float  # share of these neighbours with the query's called class
    recovered: float  # share of the pixels' variance that a least-squares decoding of the projection recovers, on validation images

    @property
    def valid(self) -> bool:
        """The nearest case is not farther than those of 95 % of validation images; only then may it be called similar."""
        return bool(self.distances) and self.distances[0] <= self.typical[1]


@dataclass(frozen=True)
class Control:
    """Another change of the same image and the same root mean square: what it does too, the counterfactual cannot claim for itself."""

    name: str  # such as "class-mean difference"
    image: np.ndarray  # (*size) uint8, as stored
    rms: float  # of the change, grey levels; may fall short of the counterfactual's by clipping or where the change has a largest size (blur)
    logit: float  # log-odds of the positive class of the stored image
    flipped: bool  # it is called as the counterfactual's target
    cosine: float  # between its change and the counterfactual's


@dataclass(frozen=True)
class Likeness:
    """How alike an explanation is to one that cannot be right. Near 1: it does not depend on what it claims to explain."""

    name: str  # such as "untrained weights"
    of: str  # "evidence" or "counterfactual"
    cosine: float  # between the two maps
    rank_correlation: float  # Spearman's, between the sizes of the two maps


@dataclass(frozen=True)
class Controls:
    """What stands beside an explanation so that it can be judged."""

    changes: tuple[Control, ...]
    likenesses: tuple[Likeness, ...]


@dataclass(frozen=True)
class Distance:
    """The smallest change that DeepFool (1511.04599) found to flip the decision."""

    where: str  # "image" (grey levels) or "features"
    rms: float  # root mean square of the change; in its units
    affine_rms: float  # closed form of the affine map at the image: |log-odds - boundary| / |slope| / sqrt(values)
    steps: int
    flipped: bool  # re-check: the changed image, unrounded, is called otherwise
    residual: float  # |log-odds there - boundary|: overshoot included
    image: np.ndarray  # (*size) the changed image, grey levels, unrounded


@dataclass(frozen=True)
class WorstCase:
    """The change of the features, of a given size, that moves the decoded image most (largest singular vector of the inverse)."""

    size: float  # length of the change of the features
    amplification: float  # length of the image's change over that of the features': largest singular value of the inverse's Jacobian
    typical: float  # the same for a change in a random direction
    image_rms: float  # grey levels by which the decoded image really moves
    predicted_rms: (
        float  # amplification * size / sqrt(values): equal to image_rms while the map is linear
    )
    image: np.ndarray  # (*size) decoded from the changed features
    rounding_error: float  # grey levels: worst error of a round trip that starts from this image


@dataclass(frozen=True)
class Turned:
    """The decision when the image is flipped or turned by quarters."""

    name: str  # such as "quarter turn"
    logit: float  # log-odds of the positive class
    called_alike: bool
    evidence_correlation: float  # Spearman's, between the evidence turned back and that of the image as it is, in regions


@dataclass(frozen=True)
class Robustness:
    """How little it takes to change the answer or the decoded image."""

    distances: tuple[Distance, ...]
    worst_case: WorstCase
    turned: tuple[Turned, ...]
