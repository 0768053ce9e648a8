"""The report's facts as JSON: every number that the page shows, with its unit, and no array.

`schema` names the layout: additions keep its number, changes raise it. Numbers are
`{"value", "unit"}`; probabilities and shares have the unit "1".
"""

import json
from collections.abc import Mapping
from typing import Any

from medinv.analysis.result import ImageResult, Problem, SeriesResult, StudyResult
from medinv.explanation.result import (
    Controls,
    Counterfactual,
    Evidence,
    Explanation,
    LocalEvidence,
    Method,
    Neighbours,
    Reconstruction,
    SmallestPart,
    Trace,
)
from medinv.metrics import ClassMetrics, Estimate, ObservedShare
from medinv.models.card import Card
from medinv.report import derived, strings
from medinv.report.derived import Uncertainty, balance
from medinv.report.figures import Panel, Pictures
from medinv.report.slices import Level

SCHEMA = "medinv-report-1"
GREY, ODDS, SHARE = "grey levels (0 to 255)", "log-odds", "1"
# What local evidence is told against.
USUAL, EXPECTED = "the mean of training images", "the same image, its region as expected"
ALIKE = "the same image, its region as in {} similar training images"
DEVIATIONS = "standard deviations"
CLASS_MEASURES = ("auc", "sensitivity", "specificity", "precision")
# What the layout calls two of the methods: it keeps its words.
MADE_BY: dict[Method, str] = {"inpainting": "removal", "brightening": "planting"}


def render(result: StudyResult, card: Card, pictures: Pictures) -> bytes:
    """One study's facts. Raises ValueError for a value that is no number."""
    report = contents(result, card, pictures)
    text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8")


def contents(result: StudyResult, card: Card, pictures: Pictures) -> dict[str, Any]:
    """One study's facts, ready for JSON."""
    visible, told = derived.presented(result), result.answer
    trip = visible.reconstruction
    drawn = {panel.number: panel for panel in pictures.panels}
    return {
        "schema": SCHEMA,
        "disclaimer": strings.RESEARCH_USE,
        "medinv_version": derived.MEDINV,
        "study_uid": visible.study_uid,
        "status": visible.status,
        "in_scope": visible.in_scope,
        "label": visible.called,
        "probabilities": _probabilities(visible.probabilities),
        "uncertainty": _uncertainty(derived.study_uncertainty(visible, card) if told else None),
        "aggregation": visible.aggregation,
        "series": [_series(visible, one) for one in visible.series],
        "reconstruction": trip
        and {
            "exact": trip.exact,
            "bits": trip.bits,
            "max_abs_error": _number(trip.max_abs_error, GREY),
        },
        "images": [
            _image(number, image, card, drawn.get(number))
            for number, image in enumerate(visible.instances, start=1)
        ],
        "error": visible.error
        and {"uid": None}
        | {key: getattr(visible.error, key) for key in ("stage", "code", "message")},
        "skipped": [_problem(problem) for problem in visible.skipped],
        "broken": [_problem(problem) for problem in visible.broken],
        "warnings": list(derived.warnings(visible, card)),
        "model": _model(visible, card),
        "disclaimers": list(strings.DISCLAIMERS),
        "seconds": _number(visible.seconds, "s"),
    }


def _number(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit}


def _interval(estimate: Estimate) -> dict[str, Any]:
    ends = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    return ends | {"level": 0.95, "cases": estimate.n, "unit": SHARE}


def _probabilities(named: Mapping[str, float] | None) -> dict[str, Any]:
    return {name: _number(value, SHARE) for name, value in (named or {}).items()}


def _uncertainty(uncertainty: Uncertainty | None) -> dict[str, Any] | None:
    if uncertainty is None:
        return None
    return {
        "low": _number(uncertainty.low, SHARE),
        "high": _number(uncertainty.high, SHARE),
        "level": 0.95,
        "images": uncertainty.images,
        "patients": uncertainty.patients,
        "meaning": strings.uncertain_reading(uncertainty.images, uncertainty.patients),
        "observed": uncertainty.observed and _observed(uncertainty.observed),
    }


def _class(one: ClassMetrics) -> dict[str, Any]:
    estimates = {key: getattr(one, key) for key in CLASS_MEASURES}
    told = {key: value and _interval(value) for key, value in estimates.items()}
    return {"name": one.name, "images": one.images, **told, "called": list(one.called)}


def _observed(one: ObservedShare) -> dict[str, Any]:
    return {
        "probability_from": one.low,
        "probability_below": one.high,
        "patients": one.patients,
        "share": _interval(one.share),
    }


def _series(result: StudyResult, one: SeriesResult) -> dict[str, Any]:
    told = one.answer
    return {
        "series_uid": one.series_uid,
        "images": one.images,
        "in_scope": one.in_scope,
        "label": one.called,
        "probability": told and _number(told.probability, SHARE),
        "deciding": list(derived.numbers(result, one)),
    }


def _problem(problem: Problem) -> dict[str, Any]:
    said = {key: getattr(problem, key) for key in ("stage", "code", "message")}
    return {"uid": problem.sop_uid} | said


def _image(number: int, image: ImageResult, card: Card, panel: Panel | None) -> dict[str, Any]:
    scope, explanation = image.scope, image.explanation
    return {
        "number": number,
        "sop_uid": image.sop_uid,
        "frame": image.frame,
        "series_uid": image.series_uid,
        "stored_sha256": image.stored_sha256,
        "label": image.called,
        "probabilities": _probabilities(image.probabilities),
        "uncertainty": _uncertainty(derived.image_uncertainty(image, card)),
        "scope": {
            "in_scope": derived.inside(image),
            "score": None if scope.score is None else _number(scope.score, SHARE),
            "threshold": None if scope.threshold is None else _number(scope.threshold, SHARE),
            "reasons": list(scope.reasons),
        },
        "warnings": list(image.warnings),
        "drawn": _drawn(image, card, panel) if panel else None,
        "explanation": explanation and _explanation(explanation),
        "background": explanation and _background(explanation),
    }


def _drawn(image: ImageResult, card: Card, panel: Panel) -> dict[str, Any]:
    frame = panel.frame
    rows, columns = panel.full_size
    left, right = panel.letters or (None, None)
    return {
        "rows": rows,
        "columns": columns,
        "pixel_height_over_width": frame.aspect,
        "spacing": frame.spacing and [_number(value, "mm") for value in frame.spacing],
        "left_edge": left,
        "right_edge": right,
        "network_rows": panel.given[0],
        "network_columns": panel.given[1],
        **(_level(panel.slice) if panel.slice else {}),
        "intake": derived.intake(image, card),
    }


def _level(level: Level) -> dict[str, Any]:
    return {
        "slice": level.number,  # of those that the network was given, from 1 at the feet
        "slices": level.count,
        "series_slices": [level.first, level.last],  # of the series as stored: first and last
        "series_length": level.stored,
    }


def _explanation(given: Explanation) -> dict[str, Any]:
    return {
        "reconstruction": _round_trip(given.reconstruction),
        "local_evidence": given.local_evidence and _local(given.local_evidence),
        "evidence": _evidence(given.evidence),
        "counterfactual": _edit(given.counterfactual),
    }


def _round_trip(trip: Reconstruction) -> dict[str, Any]:
    return {
        "exact": trip.exact,
        "bits": trip.bits,
        "max_abs_error": _number(trip.max_abs_error, GREY),
        "dtype": trip.dtype,
    }


def _evidence(evidence: Evidence) -> dict[str, Any]:
    sums = balance(evidence.contributions)
    terms = {
        "constant": evidence.bias,
        "towards": sums.towards,
        "against": sums.against,
        "logit": evidence.logit,
        "residual": evidence.residual,
        "largest": sums.largest,
    }
    return {name: _number(value, ODDS) for name, value in terms.items()}


def _local(evidence: LocalEvidence) -> dict[str, Any]:
    sums, check = balance(evidence.locations), evidence.check
    terms = {
        "constant": evidence.constant,
        "towards": sums.towards,
        "against": sums.against,
        "logit": evidence.logit,
        "residual": evidence.residual,
        "largest": sums.largest,
        "usual": evidence.bias,  # this and the next two are the parts of the constant
        "jitter": evidence.jitter,
        "outside": evidence.outside,  # of the region; the third
    }
    return {name: _number(value, ODDS) for name, value in terms.items()} | {
        "compared_with": (USUAL, EXPECTED)[evidence.grounds]
        if evidence.grounds < 2
        else ALIKE.format(evidence.grounds),
        "depths": list(evidence.depths),
        "pixels_a_side": evidence.grain,
        "region": evidence.region_name or None,
        "strays": evidence.strays,
        "claimed": evidence.valid,
        "check": check
        and {
            "share_replaced": _number(check.share, SHARE),
            "fall": _number(check.fall, ODDS),
            "fall_elsewhere": [_number(value, ODDS) for value in check.elsewhere],
        },
    }


def _edit(edit: Counterfactual) -> dict[str, Any]:
    return {
        "target": edit.target,
        "valid": edit.valid,
        "flipped": edit.flipped,
        "in_scope": edit.in_scope,
        "target_logit": _number(edit.target_logit, ODDS),
        "logit": _number(edit.logit, ODDS),
        "rms": _number(edit.rms, GREY),
        "out_of_range": _number(edit.out_of_range, SHARE),
        "steps": len(edit.strip),
        "made_by": MADE_BY.get(edit.method, edit.method),
        "changed": _number(edit.changed, SHARE),
    }


def _smallest(part: SmallestPart) -> dict[str, Any]:
    return {
        "target": part.target,
        "cells": part.cells,
        "chosen": part.chosen,
        "share_of_region": _number(part.share, SHARE) if part.edit else None,
        "edit": part.edit and _edit(part.edit),
    }


def _background(given: Explanation) -> dict[str, Any]:
    """What stands beside the explanation; None for what was not asked for."""
    return {
        "trace": given.trace and _trace(given.trace),
        "nearest": given.neighbours and _neighbours(given.neighbours),
        "controls": given.sanity and _controls(given.sanity),
        "smallest_part": given.smallest_part and _smallest(given.smallest_part),
    }


def _trace(trace: Trace) -> dict[str, Any]:
    depths = [
        {
            "name": depth.name,
            "shape": list(depth.shape),
            "exact": depth.exact,
            "max_abs_error": _number(depth.max_abs_error, GREY),
            "condition_number": _number(depth.condition_number, SHARE),
            "energy_share": _number(depth.energy_share, SHARE),
        }
        for depth in trace.depths
    ]
    stages = [
        {
            "name": stage.name,
            "values": stage.values,
            "energy_share": _number(stage.energy_share, SHARE),
            "variance_explained": _number(stage.variance_explained, SHARE),
        }
        for stage in trace.stages
    ]
    error = _number(trace.max_abs_error, GREY)
    return {"exact": trace.exact, "max_abs_error": error, "depths": depths, "stages": stages}


def _neighbours(near: Neighbours) -> dict[str, Any]:
    cases = zip(near.ids, near.labels, near.distances, strict=True)
    return {
        "valid": near.valid,
        "chance": _number(near.chance, SHARE),
        "agreement": _number(near.agreement, SHARE),
        "recovered": _number(near.recovered, SHARE),
        "typical_distance": [_number(value, DEVIATIONS) for value in near.typical],
        "cases": [
            {"training_row": row, "label": label, "distance": _number(distance, DEVIATIONS)}
            for row, label, distance in cases
        ],
    }


def _controls(controls: Controls) -> dict[str, Any]:
    changes = [
        {
            "name": one.name,
            "flipped": one.flipped,
            "rms": _number(one.rms, GREY),
            "logit": _number(one.logit, ODDS),
            "cosine": _number(one.cosine, SHARE),
        }
        for one in controls.changes
    ]
    likenesses = [
        {
            "name": one.name,
            "of": one.of,
            "cosine": _number(one.cosine, SHARE),
            "rank_correlation": _number(one.rank_correlation, SHARE),
        }
        for one in controls.likenesses
    ]
    return {"changes": changes, "likenesses": likenesses}


_OF_THE_CARD = {
    "name", "title", "version", "classes", "task", "intended_use", "training_data", "data_licence",
    "splits", "intake", "scope", "exactness", "limits", "not_tested",
}  # fmt: skip


def _model(result: StudyResult, card: Card) -> dict[str, Any]:
    point = card.operating_point
    return card.model_dump(mode="json", include=_OF_THE_CARD) | {
        "operating_point": point
        and {
            "threshold": _number(point.threshold, SHARE),
            "chosen_on": point.chosen_on,
            "sensitivity": _interval(point.sensitivity),
            "specificity": _interval(point.specificity),
        },
        "metrics": {name: _interval(estimate) for name, estimate in card.metrics.items()},
        "calibration": derived.calibration_fit(card),
        "subgroups": None,
        "observed": [_observed(one) for one in card.calibration.observed],
        **({"by_class": [_class(one) for one in card.by_class]} if card.by_class else {}),
        "hashes": derived.hashes(result, card),
        "origin": derived.origin(card),
    }
