"""What a report shows behind an explanation: decoded depths, similar cases and controls. Costs more than the explanation itself, so for one image a study."""

import numpy as np
import torch

from medinv.explanation.sanity import equal_changes, likeness, likenesses, sham_head, untrained
from medinv.explanation.evidence import evidence
from medinv.explanation.local import local_terms, usual_states
from medinv.explanation.neighbours import nearest
from medinv.explanation.result import Controls, Explanation, Nearest, Trace
from medinv.explanation.trace import trace
from medinv.models.build import build
from medinv.models.reference import CaseIndex
from medinv.models.density import Classifier

ITERATIONS = 4  # of the power iteration for a layer's condition number
UNTRAINED = "untrained weights"
SEED = 1  # of its random weights: the same study gives the same report in whatever batch it stands


def background(
    model: Classifier, image: np.ndarray, explanation: Explanation, kept: CaseIndex | None
) -> tuple[Trace, Nearest | None, Controls]:
    """All of it for one network input (1, H, W) uint8; no similar cases where the model has no index of its own (`kept`)."""
    x = torch.from_numpy(image)[None].to(next(model.parameters()).dtype)
    found = nearest(model, kept, x) if kept else None
    return trace(model, x, iterations=ITERATIONS), found, _controls(model, x, explanation, kept)


def _controls(
    model: Classifier, x: torch.Tensor, explanation: Explanation, kept: CaseIndex | None
) -> Controls:
    """Noise, blur and the difference of the class means as large as the counterfactual, and the evidence by networks that know nothing.

    The untrained one takes its statistics from this image and its edits, and what is usual from the mean image, as no training image is at hand. Maps of local
    evidence are compared without copies of the image, the own one too: with them the report would take a second more.
    """
    edit, own = explanation.counterfactual, explanation.local
    stored, wanted = x[0, 0].cpu().numpy().astype(np.uint8), model.classes.index(edit.target)

    @torch.no_grad()
    def logit(changed: np.ndarray) -> float:
        return model.log_odds(
            model.logits(torch.from_numpy(changed)[None, None].to(x.dtype))
        ).item()

    step = (kept.class_means[wanted] - kept.class_means[1 - wanted])[0].numpy() if kept else None
    changes = equal_changes(
        stored,
        edit.image,
        logit,
        lambda odds: (odds >= model.decision_logit.item()) == bool(wanted),
        class_step=step,
    )
    around = torch.from_numpy(np.stack([stored, *edit.strip]))[:, None].to(x.dtype)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        fresh = build(model.card.config)
    others = {
        UNTRAINED: untrained(fresh, model, around),
        "a head of random direction": sham_head(model),
    }
    alike = likenesses(
        "evidence",
        explanation.evidence.contributions,
        lambda other: evidence(other, x).contributions,
        others,
    )
    if own is None or kept is None:
        return Controls(changes, alike)
    blank = usual_states(others[UNTRAINED], [kept.class_means[:1].to(x)], own.depths)
    grounds = {name: blank if name == UNTRAINED else kept.usual for name in others}
    maps = {
        name: local_terms(other, x, grounds[name])[0][0].cpu().numpy()
        for name, other in others.items()
    }
    mine = local_terms(model, x, kept.usual)[0][0].cpu().numpy()
    return Controls(
        changes,
        tuple(likeness(name, "local evidence", mine, map_) for name, map_ in maps.items()) + alike,
    )
