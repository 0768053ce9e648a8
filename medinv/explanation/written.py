"""An explanation as it is written to files: figures for JSON, maps and pictures as arrays."""

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medinv.explanation.result import Explanation

CHECKS = ("valid", "residual", "exact", "max_abs_error")  # properties that stand beside the fields


def scalars(value: Any) -> Any:
    """Every figure of a result without its arrays, ready for JSON; checks that follow are added.

    >>> from medinv.explanation.result import LocalCheck
    >>> scalars(LocalCheck(share=0.05, fall=2.0, elsewhere=(0.5, -0.1)))
    {'share': 0.05, 'fall': 2.0, 'elsewhere': [0.5, -0.1], 'valid': True}
    """
    if is_dataclass(value):
        names = dict.fromkeys([*(field.name for field in fields(value)), *CHECKS])
        parts = {name: getattr(value, name) for name in names if hasattr(value, name)}
        return {name: scalars(part) for name, part in parts.items() if not _of_arrays(part)}
    if isinstance(value, tuple):
        return [scalars(item) for item in value]
    return value


def arrays(explanation: Explanation) -> dict[str, NDArray]:
    """Its maps and pictures by name, for a file; those of parts that are None are not there."""
    e, edit = explanation, explanation.counterfactual
    named = {
        "reconstruction": e.reconstruction.image,
        "evidence": e.evidence.contributions,
        "counterfactual": edit.image,
        "difference": edit.difference,
        "strip": np.stack(edit.strip),
    }
    if e.local_evidence:
        named["local_evidence"] = e.local_evidence.locations
        if e.local_evidence.sensitivity is not None:
            named["sensitivity"] = e.local_evidence.sensitivity
    if e.smallest_part and e.smallest_part.edit:
        named["smallest_part"] = e.smallest_part.mask
        named["smallest_part_changed"] = e.smallest_part.edit.image
    if e.trace:
        named |= {f"stage_{_word(stage.name)}": stage.image for stage in e.trace.stages}
    if e.sanity:
        named |= {f"control_{_word(control.name)}": control.image for control in e.sanity.changes}
    if e.layer_evidence:
        depths = enumerate(e.layer_evidence)
        named |= {f"evidence_depth_{number:03d}": part.locations for number, part in depths}
    if e.likelihood_ratio:
        named["likelihood_ratio"] = e.likelihood_ratio.locations
    if e.head:
        named |= {"head_without": e.head.without, "head_seen": e.head.seen}
    return named


def _of_arrays(value: Any) -> bool:
    return isinstance(value, np.ndarray) or (
        isinstance(value, tuple) and any(isinstance(item, np.ndarray) for item in value)
    )


def _word(name: str) -> str:
    return name.replace(" ", "_")
