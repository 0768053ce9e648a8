"""What stands behind the explanation of one image: evidence at every depth, the trace, nearest cases, robustness, controls."""

from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medinv.explanation.sanity import equal_changes, likenesses, sham_head, untrained
from medinv.explanation.evidence import evidence, head_view, layer_evidence, likelihood_ratio
from medinv.explanation.neighbours import nearest
from medinv.explanation.result import (
    Controls,
    Counterfactual,
    HeadView,
    LayerEvidence,
    Nearest,
    Robustness,
    Trace,
)
from medinv.explanation.robustness import robustness
from medinv.explanation.trace import trace
from medinv.models.build import build
from medinv.models.reference import CaseIndex
from medinv.models.density import Classifier

SEED = 1  # of the untrained network


@dataclass(frozen=True)
class Behind:
    """All of it for one image; None where the model keeps no index of cases."""

    trace: Trace
    depths: tuple[LayerEvidence, ...]  # the evidence at every depth
    ratio: LayerEvidence  # of the likelihoods, by place of the coarse features
    head: HeadView
    robustness: Robustness
    controls: Controls
    nearest: Nearest | None


def behind(
    model: Classifier, x: Tensor, counterfactual: Counterfactual, kept: CaseIndex | None
) -> Behind:
    """Everything for one image `x` (1, 1, H, W) of integer grey levels whose counterfactual is at hand; seconds an image."""
    return Behind(
        trace=trace(model, x),
        depths=layer_evidence(model, x),
        ratio=likelihood_ratio(model, x),
        head=head_view(model, x),
        robustness=robustness(model, x),
        controls=controls(model, x, counterfactual, kept),
        nearest=nearest(model, kept, x) if kept else None,
    )


def controls(
    model: Classifier, x: Tensor, counterfactual: Counterfactual, kept: CaseIndex | None
) -> Controls:
    """Changes of the counterfactual's size, and the evidence of networks that know nothing. The class means are those that the model keeps."""
    target = model.classes.index(counterfactual.target)
    step = (kept.class_means[target] - kept.class_means[1 - target])[0].numpy() if kept else None

    def logit(image: np.ndarray) -> float:
        with torch.no_grad():
            return model.log_odds(model.logits(torch.from_numpy(image)[None, None].to(x))).item()

    image = x[0, 0].cpu().numpy().astype(np.uint8)
    changes = equal_changes(
        image,
        counterfactual.image,
        logit,
        lambda odds: (odds >= model.decision_logit.item()) == bool(target),
        class_step=step,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        fresh = untrained(build(model.card.config), model, torch.cat([x, x.flip(-1)]))
    others = {"untrained weights": fresh, "sham head": sham_head(model)}
    return Controls(
        changes,
        likenesses(
            "evidence",
            evidence(model, x).contributions,
            lambda other: evidence(other, x).contributions,
            others,
        ),
    )


def arrays(given: Behind) -> dict[str, np.ndarray]:
    """Its maps and pictures by name, for a file."""
    found = {
        "likelihood_ratio": given.ratio.locations,
        "head_without": given.head.without,
        "head_seen": given.head.seen,
    }
    found |= {f"stage_{stage.name.replace(' ', '_')}": stage.image for stage in given.trace.stages}
    found |= {
        f"evidence_depth_{number:03d}": part.locations for number, part in enumerate(given.depths)
    }
    return found | {
        f"control_{control.name.replace(' ', '_')}": control.image
        for control in given.controls.changes
    }


def scalars(given: Any) -> Any:
    """The figures of any result without its arrays, ready for JSON."""
    if is_dataclass(given):
        return {
            field.name: scalars(getattr(given, field.name))
            for field in fields(given)
            if not isinstance(getattr(given, field.name), np.ndarray)
        }
    if isinstance(given, tuple):
        return [scalars(item) for item in given]
    return given
