"""What a card keeps of an audit: the verdict, bound to the weights that it was measured on.

Light: no torch comes with it. `medinv.audit` measures it, `medinv audit MODEL --keep` stores it.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from medinv.metrics import Estimate

VerdictKind = Literal["region", "mostly-region", "both", "surround", "not-shown"]
NOT_AUDITED = "Not audited: what this model decides by has not been measured."


class Audited(BaseModel):
    """The verdict of an audit, its headline figures by key, and what it was measured on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: VerdictKind
    sentence: str
    cautions: tuple[str, ...]
    region: str  # its name; empty: none was known
    figures: dict[str, Estimate]
    data_sha256: str
    part: str
    images: int
    patients: int
    quick: bool
    seed: int
    weights_sha256: str
