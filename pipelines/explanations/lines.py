"""What faithfulness.py measures of some images of a part, one line a method and image.

Every function takes a subject, a part and rows of the part.
"""

import time
from collections.abc import Iterator
from itertools import product

import numpy as np
import torch

from medinv.explanation.explain import local_evidence_of
from pipelines.explanations import explainers
from pipelines.explanations.measures import (
    cascade,
    curves,
    localisation,
    rank_correlation,
    share_on,
)
from pipelines.explanations.subjects import Images, Subject, Subjects

MOVED = 2  # pixels


def explained(
    subject: Subject,
    x: torch.Tensor,
    fixed: np.ndarray | None = None,
    without: tuple[str, ...] = (),
) -> Iterator[tuple[str, np.ndarray, list[float], float]]:
    """By method: maps, residuals and processor seconds an image."""
    given = explainers.methods(
        subject.model,
        subject.usual,
        subject.ground,
        None if fixed is None else torch.from_numpy(fixed).float(),
    )
    for name, explain in given.items():
        if name in without:
            continue
        start = time.process_time()
        maps, residuals = explain(x)
        yield (
            name,
            maps.detach().numpy(),
            residuals.tolist(),
            (time.process_time() - start) / len(x),
        )


def main_lines(subject: Subject, part: Images, rows: list[int]) -> Iterator[dict]:
    """Localisation where there are masks, deletion and insertion, residual and time,
    of the images `rows`.
    """
    x, right = part.tensor(rows), subject.called(part.tensor(rows))
    for name, maps, residuals, seconds in explained(subject, x, part.elsewhere):
        falls = curves(subject.model, x, maps, part.empty(rows))
        for k, row in enumerate(rows):
            facts = {
                "method": name,
                "image": int(row),
                "called": bool(right[k]),
                "residual": residuals[k],
                "seconds": seconds,
                **falls[k],
            }
            yield facts | (_placed(part, row, maps[k]) if part.masks is not None else {})


def wide_lines(subject: Subject, part: Images, rows: list[int]) -> Iterator[dict]:
    """Localisation alone, of all but the slowest methods."""
    x, right = part.tensor(rows), subject.called(part.tensor(rows))
    for name, maps, *_ in explained(subject, x, part.elsewhere, explainers.SLOW):
        for k, row in enumerate(rows):
            yield {
                "method": name,
                "image": int(row),
                "called": bool(right[k]),
                **_placed(part, row, maps[k]),
            }


def _placed(part: Images, row: int, map_: np.ndarray) -> dict[str, float]:
    return {
        "contrast": float(part.contrasts[row]),
        **localisation(map_, part.masks[row], part.elsewhere),
    }


def repeat_lines(subject: Subject, part: Images, rows: list[int]) -> Iterator[dict]:
    x = part.tensor(rows)
    noisy = x + torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    moved = torch.nn.functional.pad(x, [MOVED] * 4, mode="replicate")[
        ..., : x.shape[2], : x.shape[3]
    ]  # right and down
    inside = slice(MOVED, -MOVED)
    others = [
        dict((name, maps) for name, maps, *_ in explained(subject, y)) for y in (noisy, moved)
    ]
    for name, maps, *_ in explained(subject, x):
        for k, row in enumerate(rows):
            back = others[1][name][k][2 * MOVED :, 2 * MOVED :]
            found = {
                "noise": rank_correlation(maps[k], others[0][name][k]),
                "moved": rank_correlation(maps[k][inside, inside][: len(back)], back),
            }
            yield {"method": name, "image": int(row), **found}


def weight_lines(subject: Subject, part: Images, rows: list[int]) -> Iterator[dict]:
    x = part.tensor(rows)
    own = {name: maps for name, maps, *_ in explained(subject, x)}
    for stage, changed in cascade(subject.model, subject.clear[:32]):
        for name, maps, *_ in explained(subject.with_model(changed), x):
            for k, row in enumerate(rows):
                yield {
                    "method": name,
                    "image": int(row),
                    "stage": stage,
                    "likeness": rank_correlation(own[name][k], maps[k]),
                }


def marker_lines(subject: Subject, part: Images, rows: list[int]) -> Iterator[dict]:
    x = part.tensor(rows)
    called = subject.called(x)
    for name, maps, *_ in explained(subject, x):
        for k, row in enumerate(rows):
            facts = {
                "method": name,
                "image": int(row),
                "group": part.groups[row],
                "called": bool(called[k]),
            }
            facts |= {
                f"pointing_{what}": float(mask.flat[maps[k].argmax()])
                for what, mask in part.places(row)
            }
            yield facts | {
                f"share_{what}": share_on(maps[k], mask) for what, mask in part.places(row)
            }


def seed_lines(subjects: Subjects, part: Images, rows: list[int]) -> Iterator[dict]:
    first, second = (
        {name: maps for name, maps, *_ in explained(subject, part.tensor(rows))}
        for subject in subjects
    )
    for name, row in product(first, range(len(rows))):
        yield {
            "method": name,
            "image": int(rows[row]),
            "likeness": rank_correlation(first[name][row], second[name][row]),
        }


def exact_lines(subject: Subject, part: Images, rows: list[int]) -> Iterator[dict]:
    """The residual of local evidence in float64."""
    wide = subject.double()
    _, residuals = explainers.methods(wide.model, wide.usual, wide.ground)[explainers.OURS](
        part.tensor(rows).double()
    )
    for row, residual in zip(rows, residuals.tolist(), strict=True):
        yield {"method": explainers.OURS, "image": int(row), "residual": residual}


def claim_lines(subject: Subject, part: Images, rows: list[int]) -> Iterator[dict]:
    """Whether a place is claimed, as reports do; with masks, whether it lies on the opacity,
    and the same of the body without it.
    """
    for row in rows:
        given = {True: part.tensor([row])} | (
            {False: part.empty([row])} if part.masks is not None else {}
        )
        for sick, x in given.items():
            found = local_evidence_of(subject.model, x)
            called, facts = (
                bool(subject.called(x)[0]),
                {
                    "method": explainers.OURS,
                    "image": int(row),
                    "sick": sick,
                    "claimed": found.valid,
                },
            )
            towards = found.locations if called else -found.locations
            if sick and part.masks is not None:
                facts |= {
                    "contrast": float(part.contrasts[row]),
                    "pointing": float(part.masks[row].flat[towards.argmax()]),
                }
            yield facts | {"called": called}
