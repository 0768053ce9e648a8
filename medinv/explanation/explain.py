"""All explanations of one image."""

from dataclasses import asdict, replace
from typing import Any, Literal

import numpy as np
import torch

from medinv.explanation.counterfactual.direction import counterfactual
from medinv.explanation.evidence import evidence
from medinv.explanation.local import checked, local_evidence
from medinv.explanation.counterfactual.brightening import planted_counterfactual
from medinv.explanation.reconstruction import reconstruct
from medinv.explanation.counterfactual.inpainting import removed_counterfactual
from medinv.explanation.result import Counterfactual, Explanation, LocalEvidence
from medinv.explanation.counterfactual.transport import transported_counterfactual
from medinv.models.reference import CaseIndex
from medinv.models.density import Classifier


def explain(
    model: Classifier, image: np.ndarray, *, detail: Literal["brief", "report"] = "brief"
) -> Explanation:
    """What `model` says of one network input (1, H, W) uint8, and why; see `explain_image`.

    report: also trace, neighbours and sanity.
    """
    from medinv.explanation.background import background

    explanation, _ = explain_image(model, image, model.reference)
    if detail == "brief":
        return explanation
    traced, neighbours, sanity = background(model, image, explanation, model.reference)
    return replace(explanation, trace=traced, neighbours=neighbours, sanity=sanity)


def explain_image(
    model: Classifier, image: np.ndarray, kept: CaseIndex | None = None
) -> tuple[Explanation, dict[str, Any]]:
    """Reconstruction, evidence and the counterfactual of the class that is not called, for one network input (1, H, W) uint8.

    Local evidence, with its check, only where the model keeps what is usual (`kept`); the counterfactual is local where it keeps what belongs in a part of an
    image and one passes its re-checks, and else goes by the classes where it keeps how they differ.
    Also what the network says of it: calibrated probability of the positive class, and whether its likelihood is in scope.
    """
    x = torch.from_numpy(image)[None].to(next(model.parameters()).dtype)
    with torch.no_grad():
        reading = model.read(x)
    positive = reading.probabilities[0, 1].item()
    called = int(positive >= model.threshold)
    score = reading.scope[0].item()
    said = {
        "label": model.classes[called], "probability": positive, "scope_score": score, "in_scope_by_likelihood": score <= model.scope_threshold.item()
    }  # fmt: skip
    local = None
    if kept and kept.usual:
        local = checked(
            model,
            x,
            local_evidence(model, x, kept.usual, model.card.config.train.noise),
            kept.class_means[0],
        )
    return Explanation(
        reconstruct(model, x),
        evidence(model, x),
        _counterfactual(model, x, 1 - called, kept, local),
        local,
    ), said


def _counterfactual(
    model: Classifier,
    x: torch.Tensor,
    target: int,
    kept: CaseIndex | None,
    local: LocalEvidence | None,
) -> Counterfactual:
    """The most local one of those that this model can have and that pass their re-checks; where none does, the last."""
    if kept and kept.expectation and local:
        near = (
            planted_counterfactual(model, kept.expectation, x)
            if target
            else removed_counterfactual(model, kept.expectation, x, local.locations)
        )
        if near.valid:
            return near
    return (
        transported_counterfactual(model, kept.transport, x, target)
        if kept and kept.transport
        else counterfactual(model, x, target)
    )


def scalars(explanation: Explanation) -> dict[str, dict[str, Any] | None]:
    """The figures of an explanation without its arrays, ready for JSON; None for local evidence where there is none."""
    parts = {
        name: asdict(getattr(explanation, name))
        for name in ("reconstruction", "evidence", "counterfactual")
    }
    found = {
        name: {
            key: value for key, value in part.items() if not isinstance(value, np.ndarray | tuple)
        }
        for name, part in parts.items()
    }
    local = explanation.local
    return found | {
        "local": local
        and {key: value for key, value in asdict(local).items() if key != "locations"}
        | {"valid": local.valid}
    }
