"""The verdict of an audit: one sentence by rules that are written here, with their thresholds.

A claim in the model's favour needs the worse end of every interval; never is it better than what
was measured. With A the AUC of the images as they are, R with the region alone and O with the
region blanked (each the worse of two masks), and, of regions put into another class's surround, the
shares F called as the region and S called as the surround (each the worst class):

    not-shown      no region is known, or A may be below 0.6
    region         R keeps 90 % of A's lead over chance, O has at most 30 % of it,
                   F at least 80 % and S at most 20 %
    surround       O is above R, or S above F, beyond their intervals
    mostly-region  R is above O and keeps 80 % of the lead, F at least 60 %
    both           anything else

Cautions are figures beyond the thresholds of CAUTIONS.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from medinv.audit.result import Figure, RegionUsed, Subgroup, Verdict
from medinv.metrics import Estimate
from medinv.models.audited import VerdictKind

CHANCE, SHOWN = 0.5, 0.6
KEPT, MOSTLY_KEPT, LEFT = 0.9, 0.8, 0.3  # of the lead over chance
FOLLOWS, MOSTLY_FOLLOWS, STRAYS = 0.8, 0.6, 0.2  # of exchanged images

JUDGED = (
    "whole.auc",
    "region-alone.auc",
    "region-blanked.auc",
    "exchange.follows-region",
    "exchange.follows-surround",
)
HARMLESS = ("blur-0.7", "blur-1", "gamma-0.75", "gamma-1.33", "noise-8", "turn-8")
OTHERWISE = ("mirror", "middle-70", "upper-60")  # another label there needs a flag
Found = Mapping[str, Estimate]


@dataclass(frozen=True)
class Caution:
    """Figures whose key begins with `keys` and that lie beyond a bound are said.

    says: of the figure's name and value.
    """

    keys: tuple[str, ...]
    beyond: Callable[[Estimate], bool]
    says: Callable[[str, Estimate], str]


def _area(text: str) -> Callable[[str, Estimate], str]:
    return lambda name, one: f"{text.format(name=name)} (AUC {two(one.value)})."


def _part(text: str) -> Callable[[str, Estimate], str]:
    return lambda name, one: f"{text.format(name=name, share=percent(one.value))}."


def _named(name: str) -> str:
    """A figure's name up to what was counted, as the beginning of a sentence."""
    first = name.partition(":")[0]
    return first[:1].upper() + first[1:]


CAUTIONS: tuple[Caution, ...] = (
    Caution(
        ("border.linear",),
        lambda one: one.low >= 0.65,
        _area("The border of these images gives the label away: a linear model reads it there"),
    ),
    Caution(
        ("border.model",),
        lambda one: one.low >= 0.65,
        _area("This model tells the label from the border alone"),
    ),
    Caution(
        ("plain.linear",),
        lambda one: one.low >= 0.75,
        _area("Brightness, contrast and sharpness alone tell the label"),
    ),
    Caution(
        ("outline.linear",),
        lambda one: one.low >= 0.65,
        _area("The outline of the region alone tells the label, so blanking does not take it away"),
    ),
    Caution(("column.",), lambda one: one.low >= 0.6, _area("The {name}")),
    Caution(
        tuple(f"change.{name}" for name in HARMLESS + OTHERWISE),
        lambda one: one.value >= 0.05,
        lambda name, one: f"{_named(name)}: {percent(one.value)} get another label and no flag.",
    ),
    Caution(
        ("planted.half-50", "planted.disc-8-100", "planted.patch"),
        lambda one: one.value < 0.8,
        lambda name, one: f"Of films with {_planted(name)} only {percent(one.value)} are called.",
    ),
    Caution(
        ("evidence.inside",),
        lambda one: one.value < 0.8,
        _part("Only {share} of the evidence for its answer lies in the region"),
    ),
    Caution(
        ("scope.upside-down", "scope.region-blanked", "scope.blur-1.5"),
        lambda one: one.value < 0.9,
        lambda name, one: f"{_named(name)}: {percent(1 - one.value)} get a label all the same.",
    ),
    Caution(
        ("scope.in",),
        lambda one: one.value > 0.02,
        _part("Of images as they are {share} get no label"),
    ),
)


def _planted(name: str) -> str:
    return name.partition(":")[0].removeprefix("planted, ")


def judge(figures: Sequence[Figure], subgroups: Sequence[Subgroup], region: RegionUsed) -> Verdict:
    """The verdict on these figures."""
    found = {one.key: one.estimate for one in figures}
    kind = _kind(found)
    return Verdict(
        kind=kind,
        sentence=_sentence(kind, found, region.name),
        cautions=(*_cautions(figures), *_worse(found, subgroups)),
    )


def _kind(found: Found) -> VerdictKind:
    if not all(key in found for key in JUDGED):
        return "not-shown"
    whole, alone, blanked, follows, strays = (found[key] for key in JUDGED)
    if whole.low < SHOWN:
        return "not-shown"
    lead = whole.value - CHANCE
    if (
        alone.low - CHANCE >= KEPT * lead
        and blanked.high - CHANCE <= LEFT * lead
        and follows.low >= FOLLOWS
        and strays.high <= STRAYS
    ):
        return "region"
    if blanked.low > alone.high or strays.low > follows.high:
        return "surround"
    if (
        alone.low > blanked.high
        and alone.low - CHANCE >= MOSTLY_KEPT * lead
        and follows.low >= MOSTLY_FOLLOWS
    ):
        return "mostly-region"
    return "both"


def _sentence(kind: VerdictKind, found: Found, region: str) -> str:
    if kind == "not-shown":
        whole = found.get("whole.auc")
        if whole is not None and whole.low < SHOWN:
            return (
                f"Not shown what this model decides by: its AUC on these images, {two(whole.value)}"
                f" ({two(whole.low)} to {two(whole.high)}), may be near chance."
            )
        return "Not shown what this model decides by: no region that should decide is known."
    begins = {
        "region": f"Decides by the {region}",
        "mostly-region": f"Decides mostly by the {region}, in part by what surrounds the {region}",
        "both": f"Decides by the {region} and by what surrounds the {region}",
        "surround": f"Decides largely by what surrounds the {region}",
    }
    return (
        f"{begins[kind]}: AUC {two(found['region-alone.auc'].value)} with the {region} alone, "
        f"{two(found['region-blanked.auc'].value)} with the {region} blanked; put into another "
        f"class's surround, at least {percent(found['exchange.follows-region'].value)} are called "
        f"as the {region}."
    )


def _cautions(figures: Sequence[Figure]) -> Iterator[str]:
    for caution in CAUTIONS:
        for one in figures:
            fits = any(
                one.key.startswith(key) if key.endswith(".") else one.key == key
                for key in caution.keys
            )
            if fits and caution.beyond(one.estimate):
                yield caution.says(one.name.removeprefix("AUC, "), one.estimate)


def _worse(found: Found, subgroups: Sequence[Subgroup]) -> Iterator[str]:
    """Subgroups whose AUC lies below that of all images beyond both intervals."""
    whole = found.get("whole.auc")
    for one in subgroups:
        if whole is not None and one.auc is not None and one.auc.high < whole.low:
            yield (
                f"It does worse where {one.column} is {one.value}: AUC {two(one.auc.value)} "
                f"({two(one.auc.low)} to {two(one.auc.high)}, {one.images} images)."
            )


def two(value: float) -> str:
    """Two decimals, rounded to neither side beyond what was measured: as Python rounds."""
    return f"{value:.2f}"


def percent(share: float) -> str:
    """A share in whole percent."""
    return f"{100 * share:.0f} %"
