"""What an explanation is: plain arrays with the figures that say how far they can be trusted.

Grey levels are those of the network's input (0 to 255); images are (*size), (H, W) for films and
slices, and (H, W, 3) in colour; maps are (*size), the sum over channels; log-odds are calibrated,
of two classes those of the positive one (the second), of more those of `Explanation.towards`, the
class called, against `Explanation.against`. Every result carries the
residual of the identity that it claims, or the re-check of what it says.
"""

from dataclasses import dataclass
from typing import Literal

from numpy.typing import NDArray

from medinv.explanation.place import placed

Method = Literal[
    "direction", "ascent", "transport", "exchange", "inpainting", "brightening", "smallest"
]
"""How a counterfactual was made: along the class direction in the features; sought there; first as
training images of the classes differ and only then along the class direction; with the region of
a training image of the other class; by filling in the
part that the answer comes from with what belongs there; by the faintest round brightening that
suffices; with the smallest part of the region exchanged that suffices.
"""
CHANGED = 2  # grey levels: what differs by more is seen as changed


@dataclass(frozen=True)
class Prediction:
    """What the network says of the image that is explained."""

    label: str  # the class called
    probabilities: dict[str, float]  # calibrated, by class in the model's order
    # Distance from images in scope, by terms of the likelihood or by features; None: not judged.
    scope_score: float | None
    in_scope: bool  # by that it is an image of the model's kind, or that was not judged


@dataclass(frozen=True)
class Reconstruction:
    """The input decoded from the features."""

    image: NDArray  # (*size) decoded grey levels, before rounding
    exact: bool  # every stored value comes back after rounding
    bits: int  # of the stored values
    max_abs_error: float  # grey levels, before rounding
    dtype: str  # arithmetic of the round trip


@dataclass(frozen=True)
class Evidence:
    """The decision as an exact affine map of this image: sum(contributions) + bias = logit."""

    contributions: NDArray  # (*size) log-odds a pixel
    bias: float  # log-odds that no pixel carries
    logit: float  # log-odds that the network computes
    residual: float  # |sum(contributions) + bias - logit|


@dataclass(frozen=True)
class Counterfactual:
    """An image for which the decision is another, decoded from its features."""

    image: NDArray  # (*size) uint8, as stored: clipped to the range and rounded
    difference: NDArray  # (*size) grey levels, counterfactual minus input
    target: str  # class aimed at
    target_logit: float  # log-odds aimed at
    logit: float  # log-odds when the stored counterfactual is classified anew
    flipped: bool  # re-check: the stored counterfactual is classified as the target
    in_scope: bool  # re-check: by its scope it is an image of the model's kind, or not judged
    rms: float  # root mean square of the difference, grey levels
    out_of_range: float  # share of pixels that left 0..255 before clipping
    changed: float  # share of pixels that differ by more than CHANGED
    strip: tuple[NDArray, ...]  # images (*size) on the way from the input to the counterfactual
    method: Method = "direction"

    @property
    def valid(self) -> bool:
        """Both re-checks hold; only then may it be shown as what would change the answer."""
        return self.flipped and self.in_scope

    @property
    def residual(self) -> float:
        """|logit - target_logit|: what rounding and clipping made of the log-odds aimed at."""
        return abs(self.logit - self.target_logit)


@dataclass(frozen=True)
class SmallestPart:
    """The smallest part found of the region that a label is about for which the answer is another.

    The region is divided into cells; in those of the part stands what a training image of the
    target class shows there. Irreducible: with any one of the cells left as it was, the stored
    image is not called the target, or not in scope.
    """

    target: str  # class aimed at
    cells: int  # into which the region is divided
    chosen: int  # of them, in the part; 0 where there is none
    share: float  # of the region's pixels, in the part
    mask: NDArray  # (*size) bool, the part
    edit: Counterfactual | None  # None: no such part, all cells together do not change the answer

    @property
    def valid(self) -> bool:
        """There is such a part, and the re-checks of the whole edit hold."""
        return self.edit is not None and self.edit.valid


@dataclass(frozen=True)
class Attempt:
    """A way to a counterfactual that gave none: by what it asks for, or by which re-check."""

    method: Method
    why: str


@dataclass(frozen=True)
class LocalCheck:
    """What the answer does when the strongest part of a map, or as much elsewhere, is replaced."""

    share: float  # of the pixels, replaced
    fall: float  # log-odds by which the class called loses
    elsewhere: tuple[float, ...]  # the same for that shape at other places of the image

    @property
    def valid(self) -> bool:
        """The place matters more than any other of its shape; only then may it be claimed."""
        return self.fall > max((0.0, *self.elsewhere))


@dataclass(frozen=True)
class LocalEvidence:
    """Where the decision comes from, against what stands there in images of the other class.

    locations.sum() + outside + bias + jitter = logit, exactly. Where the model keeps a region that
    its label is about, terms of pixels outside are not among `locations`, where they are 0, but
    summed in `outside`.
    """

    locations: NDArray  # (*size) log-odds a pixel, mean over copies; no finer than its depths
    depths: tuple[str, ...]  # whose mean it is
    grain: int  # pixels a side of one place of the finest of them
    bias: float  # log-odds that the network gives what it is told against, mean over copies
    jitter: float  # log-odds less their mean over copies: what place on the grid and noise do
    logit: float  # log-odds that the network computes
    residual: float  # |locations.sum() + outside + bias + jitter - logit|
    check: LocalCheck | None = None
    outside: float = 0.0  # log-odds of places outside the region
    region: NDArray | None = None  # (*size) bool; None: the model keeps none, all places count
    region_name: str = ""  # such as lungs
    # This image with its region as it might be, so often; 0: against the class's mean. One is what
    # would be expected there, more are what training images show there.
    grounds: int = 0
    ground: str = ""  # the class of what it is told against: where it can be, the one not called
    strays: bool = False  # the place that speaks most for the class called lies outside the region
    # (*size) how far each pixel moves the answer, where places are told by it too: out of scope
    sensitivity: NDArray | None = None

    @property
    def constant(self) -> float:
        """Log-odds that no place shown carries."""
        return self.bias + self.jitter + self.outside

    def placed(self, sign: float) -> NDArray:
        """What speaks for the positive class, sign 1, or against it, -1, where it is told (*size).

        See `explanation.place`.
        """
        return placed(sign * self.locations, self.region, sensitivity=self.sensitivity)

    @property
    def valid(self) -> bool:
        """It was checked, the check held, and nothing outside the region speaks louder."""
        return self.check is not None and self.check.valid and not self.strays


@dataclass(frozen=True)
class Depth:
    """One layer of the trunk, at one image.

    All that stands behind it, decoded, is the input again; what it has sent out of the trunk is not
    in what stays.
    """

    name: str  # where it stands and what it is, such as "level 2, layer 5: AffineCoupling"
    shape: tuple[int, ...]  # (C, *size) of what goes on from here
    image: NDArray  # (*size) grey levels decoded from all that stands here, before rounding
    max_abs_error: float  # grey levels between `image` and the input
    exact: bool  # after rounding, every value of `image` is the input's
    condition_number: float  # of this layer's Jacobian here; a lower estimate where not known
    energy_share: float  # of the squared length of all that stands here, the part that goes on


@dataclass(frozen=True)
class Stage:
    """What leaves the trunk at one level; at the last level, what decides."""

    name: str  # such as "level 2"
    values: int  # numbers held
    energy_share: float  # of the squared length of the features
    image: NDArray  # (*size) grey levels decoded from this stage alone, all others at zero
    variance_explained: float
    """1 - |input - image of this stage and all coarser ones|^2 / |input - mean grey|^2; 1 is all,
    below 0 worse than plain grey."""


@dataclass(frozen=True)
class Trace:
    """The image through the trunk: decoded from every depth, and what each stage holds."""

    depths: tuple[Depth, ...]  # from the image to the features
    stages: tuple[Stage, ...]  # coarsest, which decides, first; what they explain is cumulative

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
    """How well a linear classifier tells the classes from what one depth holds."""

    name: str  # of the depth
    auc: float  # area under the curve on images that the probe was not fitted on
    sham_auc: float  # the same with labels shuffled before fitting: 0.5 but for chance
    images: int  # tested


@dataclass(frozen=True)
class LayerEvidence:
    """The decision as an exact sum over what stands at one depth.

    channels.sum() + bias = locations.sum() + bias = logit.
    """

    name: str  # of the depth
    channels: NDArray  # (C,) log-odds that each channel carries, summed over locations
    locations: NDArray  # (*size) the same, summed over channels, at the resolution of the depth
    bias: float  # log-odds of the constant image; the same at every depth
    residual: float  # |channels.sum() + bias - logit|


@dataclass(frozen=True)
class HeadView:
    """What the head looks at: the features without their part along its direction, decoded.

    The log-odds are then those of the bias alone, whatever else the features hold.
    """

    without: NDArray  # (*size) grey levels decoded from the features without that part
    seen: NDArray  # (*size) input minus `without`: all that the head can see of this image
    energy_share: float  # of the squared length of the features, the part along the direction
    logit_without: float  # log-odds of `without`, unrounded, classified anew
    residual: float  # |logit_without - log-odds of the bias alone|


@dataclass(frozen=True)
class Neighbours:
    """Training images whose projected features are nearest, by rows of the set: no image."""

    ids: tuple[int, ...]  # rows of the training set, nearest first
    labels: tuple[str, ...]  # their classes
    distances: tuple[float, ...]  # Euclidean, in standard deviations of the reference's axes
    typical: tuple[float, float]  # 50th and 95th percentile of validation images' to their nearest
    chance: float  # share of the class called in the training set: agreement by chance
    agreement: float  # share of these neighbours with the class called
    recovered: float  # share of the pixels' variance that a decoding of the projection recovers

    @property
    def valid(self) -> bool:
        """The nearest case is no farther than those of 95 % of validation images.

        Only then may it be called similar.
        """
        return bool(self.distances) and self.distances[0] <= self.typical[1]


@dataclass(frozen=True)
class Control:
    """Another change of the same image and the same root mean square.

    What it does too, the counterfactual cannot claim for itself.
    """

    name: str  # such as "class-mean difference"
    image: NDArray  # (*size) uint8, as stored
    rms: float  # of the change, grey levels; short of the counterfactual's where none is as large
    logit: float  # log-odds of the stored image
    flipped: bool  # it is called as the counterfactual's target
    cosine: float  # between its change and the counterfactual's


@dataclass(frozen=True)
class Likeness:
    """How alike an explanation is to one that cannot be right; near 1 it depends on nothing."""

    name: str  # such as "untrained weights"
    of: str  # "evidence" or "local evidence"
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
    affine_rms: float  # by the tangent map: |log-odds - boundary| / |slope| / sqrt(values)
    steps: int
    flipped: bool  # re-check: the changed image, unrounded, is called otherwise
    residual: float  # |log-odds there - boundary|: overshoot included
    image: NDArray  # (*size) the changed image, grey levels, unrounded


@dataclass(frozen=True)
class WorstCase:
    """The change of the features, of a given size, that moves the decoded image most."""

    size: float  # length of the change of the features
    amplification: float  # length of the image's change over that of the features'
    typical: float  # the same for a change in a random direction
    image_rms: float  # grey levels by which the decoded image really moves
    predicted_rms: float  # amplification size / sqrt(values): image_rms while the map is linear
    image: NDArray  # (*size) decoded from the changed features
    rounding_error: float  # grey levels: worst error of a round trip that starts from this image


@dataclass(frozen=True)
class Orientation:
    """The decision when the image is flipped or turned by quarters."""

    name: str  # such as "half turn"
    logit: float  # log-odds
    called_alike: bool
    evidence_correlation: float  # Spearman's, by region, of the evidence turned back and the own


@dataclass(frozen=True)
class Robustness:
    """How little it takes to change the answer or the decoded image."""

    distances: tuple[Distance, ...]
    worst_case: WorstCase
    orientations: tuple[Orientation, ...]


@dataclass(frozen=True)
class Explanation:
    """All that is said of one image; None where not asked for or the model cannot have it."""

    prediction: Prediction
    reconstruction: Reconstruction
    evidence: Evidence
    local_evidence: LocalEvidence | None  # None where the model has no reference
    counterfactual: Counterfactual
    towards: str  # the class that evidence above zero speaks for
    against: str  # the class that evidence below zero speaks for
    tried: tuple[Attempt, ...] = ()  # ways to a counterfactual before the one that gave it
    trace: Trace | None = None
    neighbours: Neighbours | None = None
    sanity: Controls | None = None
    smallest_part: SmallestPart | None = None  # None: the model keeps no region, or no donors
    layer_evidence: tuple[LayerEvidence, ...] | None = None  # at every depth
    likelihood_ratio: LayerEvidence | None = None  # by place of the coarse features
    head: HeadView | None = None
    robustness: Robustness | None = None
