"""What an audit gives: figures by name, each with its interval, and a verdict.

`audit.json` is the JSON of an `Audit`; its schema's number rises with every change that is not an
addition.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from medinv.metrics import Estimate
from medinv.models.audited import Audited, VerdictKind
from medinv.models.card import DISCLAIMER

SCHEMA = "medinv-audit-1"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Figure(_Frozen):
    """One measured value. `key` is for machines, `name` for people; `group` gathers a table."""

    key: str
    group: str
    name: str
    estimate: Estimate


class Subgroup(_Frozen):
    """The images of one value of a column of the data: how well the model does on them."""

    column: str
    value: str
    images: int
    patients: int
    auc: Estimate | None  # None where a class is missing there
    accuracy: Estimate


class RegionUsed(_Frozen):
    """The region that should decide, and where it comes from; empty name: none is known."""

    name: str
    origin: str
    area: float  # mean share of the image, with the margin that is blanked with it


class ModelAudited(_Frozen):
    """The model, bound by the hash of its weights."""

    name: str
    weights_sha256: str
    classes: tuple[str, ...]


class DataAudited(_Frozen):
    """The images that the figures are of."""

    source: str
    sha256: str
    part: Literal["validation", "test"]
    own: bool  # of the model's own data set, not of another
    images: int
    patients: int


class Verdict(_Frozen):
    """What the model decides by, in a sentence, and what else a reader must know."""

    kind: VerdictKind
    sentence: str
    cautions: tuple[str, ...]


class Audit(_Frozen):
    """All of an audit."""

    audit_schema: str = Field(default=SCHEMA, alias="schema")
    medinv: str
    model: ModelAudited
    data: DataAudited
    region: RegionUsed
    quick: bool
    seed: int
    evidence_by: str  # how evidence was mapped; empty where it was not
    verdict: Verdict
    figures: tuple[Figure, ...]
    subgroups: tuple[Subgroup, ...]
    left_out: tuple[str, ...]  # what was not measured, and why
    seconds: float
    disclaimer: str = DISCLAIMER

    def value(self, key: str) -> Estimate | None:
        """The figure of that key; None where it was not measured."""
        return next((one.estimate for one in self.figures if one.key == key), None)

    def summary(self) -> Audited:
        """What the model's card keeps."""
        kept = {one.key: one.estimate for one in self.figures if one.key in HEADLINES}
        return Audited(
            kind=self.verdict.kind,
            sentence=self.verdict.sentence,
            cautions=self.verdict.cautions,
            region=self.region.name,
            figures=kept,
            data_sha256=self.data.sha256,
            part=self.data.part,
            images=self.data.images,
            patients=self.data.patients,
            quick=self.quick,
            seed=self.seed,
            weights_sha256=self.model.weights_sha256,
        )


HEADLINES = (
    "whole.auc",
    "region-alone.auc",
    "region-blanked.auc",
    "exchange.follows-region",
    "exchange.follows-surround",
    "border.linear",
    "border.model",
    "evidence.inside",
    "evidence.peak",
    "scope.in",
    "scope.upside-down",
    "scope.region-blanked",
    "scope.blur-1.5",
)
