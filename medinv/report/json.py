"""The report's facts as JSON: every number that the page shows, with its unit, and no array.

`schema` names the layout: additions keep its number, changes raise it. Numbers are `{"value", "unit"}`; probabilities and shares have the unit "1".
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medinv.explanation.result import (
    Counterfactual,
    Evidence,
    Explanation,
    LocalEvidence,
    Reconstruction,
)
from medinv.report import strings
from medinv.report.background import Background
from medinv.report.content import ImageArrays, ImageContent, Problem, StudyContent, balance
from medinv.report.measured import Interval
from medinv.report.model_facts import ModelFacts
from medinv.report.output import write_page
from medinv.report.uncertainty import Uncertainty

SCHEMA = "medinv-report-1"
MADE_BY = {"inpainting": "removal", "brightening": "planting"}  # words of this schema
GREY, ODDS, SHARE = "grey levels (0 to 255)", "log-odds", "1"


def write_json(content: StudyContent, path: Path) -> Path:
    """Write one study's facts; raises OutputError when they cannot be written."""
    return write_page(
        path,
        (json.dumps(facts(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode(
            "utf-8"
        ),
    )


def facts(content: StudyContent) -> dict[str, Any]:
    """One study's facts, ready for JSON."""
    r = content.reconstruction
    return {
        "schema": SCHEMA,
        "disclaimer": strings.RESEARCH_USE,
        "medinv_version": content.medinv_version,
        "study_uid": content.study_uid,
        "status": content.status,
        "in_scope": content.in_scope,
        "label": content.label,
        "probabilities": _probabilities(content.probabilities),
        "uncertainty": _uncertainty(content.uncertainty),
        "aggregation": content.aggregation,
        "series": [
            {"series_uid": s.series_uid, "images": s.images, "in_scope": s.in_scope, "label": s.label, "probability": _maybe(s.positive, SHARE),
             "deciding": list(s.deciding)}
            for s in content.series
        ],
        "reconstruction": r and {"exact": r.exact, "bits": r.bits, "max_abs_error": _number(r.max_abs_error, GREY)},
        "images": [_image(image) for image in content.images],
        "error": content.error and _problem(content.error),
        "skipped": [_problem(problem) for problem in content.skipped],
        "broken": [_problem(problem) for problem in content.broken],
        "warnings": list(content.warnings),
        "model": _model(content.model),
        "disclaimers": list(content.disclaimers),
        "seconds": _maybe(content.seconds, "s"),
    }  # fmt: skip


def _number(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit}


def _maybe(value: float | None, unit: str) -> dict[str, Any] | None:
    return None if value is None else _number(value, unit)


def _interval(found: Interval | None) -> dict[str, Any] | None:
    return found and {
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "level": 0.95,
        "cases": found.n,
        "unit": SHARE,
    }


def _probabilities(named: Sequence[tuple[str, float]]) -> dict[str, Any]:
    return {name: _number(value, SHARE) for name, value in named}


def _uncertainty(found: Uncertainty | None) -> dict[str, Any] | None:
    if found is None:
        return None
    seen = found.observed
    return {
        "low": _number(found.low, SHARE), "high": _number(found.high, SHARE), "level": 0.95, "images": found.images, "patients": found.patients,
        "meaning": strings.uncertain_reading(found.images, found.patients),
        "observed": seen and {"probability_from": seen.low, "probability_below": seen.high, "patients": seen.patients, "share": _interval(seen.share)},
    }  # fmt: skip


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "uid": problem.uid,
        "stage": problem.stage,
        "code": problem.code,
        "message": problem.message,
    }


def _image(image: ImageContent) -> dict[str, Any]:
    scope, arrays = image.scope, image.arrays
    explanation = arrays.explanation if arrays else None
    return {
        "number": image.number,
        "sop_uid": image.sop_uid,
        "frame": image.frame,
        "series_uid": image.series_uid,
        "stored_sha256": image.stored_sha256,
        "label": image.label,
        "probabilities": _probabilities(image.probabilities),
        "uncertainty": _uncertainty(image.uncertainty),
        "scope": {
            "in_scope": scope.in_scope,
            "score": _maybe(scope.score, SHARE),
            "threshold": _maybe(scope.threshold, SHARE),
            "reasons": list(scope.reasons),
        },
        "warnings": list(image.warnings),
        "drawn": arrays and _drawn(arrays),
        "explanation": explanation and _explanation(explanation),
        "background": _background(arrays.background) if explanation else None,
    }


def _drawn(arrays: ImageArrays) -> dict[str, Any]:
    rows, columns = arrays.display.shape
    spacing = arrays.spacing and [_number(value, "mm") for value in arrays.spacing]
    return {
        "rows": rows, "columns": columns, "pixel_height_over_width": arrays.aspect, "spacing": spacing,
        "left_edge": arrays.laterality and arrays.laterality[0], "right_edge": arrays.laterality and arrays.laterality[1],
        "network_rows": arrays.network_input.shape[0], "network_columns": arrays.network_input.shape[1], "intake": arrays.intake,
    }  # fmt: skip


def _explanation(given: Explanation) -> dict[str, Any]:
    return {
        "reconstruction": _round_trip(given.reconstruction), "local_evidence": given.local_evidence and _local(given.local_evidence), "evidence": _evidence(given.evidence),
        "counterfactual": _edit(given.counterfactual),
    }  # fmt: skip


def _round_trip(r: Reconstruction) -> dict[str, Any]:
    return {
        "exact": r.exact,
        "bits": r.bits,
        "max_abs_error": _number(r.max_abs_error, GREY),
        "dtype": r.dtype,
    }


def _evidence(e: Evidence) -> dict[str, Any]:
    sums = balance(e.contributions)
    terms = {
        "constant": e.bias,
        "towards": sums.towards,
        "against": sums.against,
        "logit": e.logit,
        "residual": e.residual,
        "largest": sums.largest,
    }
    return {name: _number(value, ODDS) for name, value in terms.items()}


def _local(e: LocalEvidence) -> dict[str, Any]:
    sums, check = balance(e.locations), e.check
    terms = {
        "constant": e.constant,
        "towards": sums.towards,
        "against": sums.against,
        "logit": e.logit,
        "residual": e.residual,
        "largest": sums.largest,
    }
    terms |= {"usual": e.bias, "jitter": e.jitter}  # the two parts of the constant
    return {name: _number(value, ODDS) for name, value in terms.items()} | {
        "depths": list(e.depths), "pixels_a_side": e.grain, "claimed": e.valid,
        "check": check and {
            "share_replaced": _number(check.share, SHARE), "fall": _number(check.fall, ODDS), "fall_elsewhere": [_number(value, ODDS) for value in check.elsewhere],
        },
    }  # fmt: skip


def _edit(cf: Counterfactual) -> dict[str, Any]:
    return {
        "target": cf.target, "valid": cf.valid, "flipped": cf.flipped, "in_scope": cf.in_scope, "target_logit": _number(cf.target_logit, ODDS),
        "logit": _number(cf.logit, ODDS), "rms": _number(cf.rms, GREY), "out_of_range": _number(cf.out_of_range, SHARE), "steps": len(cf.strip),
        "made_by": MADE_BY.get(cf.method, cf.method), "changed": _number(cf.changed, SHARE),
    }  # fmt: skip


def _background(given: Background) -> dict[str, Any]:
    near, controls = given.nearest, given.controls
    depths = [
        {"name": d.name, "shape": list(d.shape), "exact": d.exact, "max_abs_error": _number(d.max_abs_error, GREY),
         "condition_number": _number(d.condition_number, SHARE), "energy_share": _number(d.energy_share, SHARE)}
        for d in (given.trace.depths if given.trace else ())
    ]  # fmt: skip
    stages = [
        {
            "name": s.name,
            "values": s.values,
            "energy_share": _number(s.energy_share, SHARE),
            "variance_explained": _number(s.variance_explained, SHARE),
        }
        for s in (given.trace.stages if given.trace else ())
    ]
    return {
        "trace": given.trace and {"exact": given.trace.exact, "max_abs_error": _number(given.trace.max_abs_error, GREY), "depths": depths, "stages": stages},
        "nearest": near and {
            "valid": near.valid, "chance": _number(near.chance, SHARE), "agreement": _number(near.agreement, SHARE),
            "recovered": _number(near.recovered, SHARE), "typical_distance": [_number(value, "standard deviations") for value in near.typical],
            "cases": [
                {"training_row": row, "label": label, "distance": _number(distance, "standard deviations")}
                for row, label, distance in zip(near.ids, near.labels, near.distances, strict=True)
            ],
        },
        "controls": controls and {
            "changes": [
                {"name": c.name, "flipped": c.flipped, "rms": _number(c.rms, GREY), "logit": _number(c.logit, ODDS), "cosine": _number(c.cosine, SHARE)}
                for c in controls.changes
            ],
            "likenesses": [
                {"name": one.name, "of": one.of, "cosine": _number(one.cosine, SHARE), "rank_correlation": _number(one.rank_correlation, SHARE)}
                for one in controls.likenesses
            ],
        },
    }  # fmt: skip


def _model(m: ModelFacts) -> dict[str, Any]:
    point = m.operating_point
    return {
        "name": m.name, "title": m.title, "version": m.version, "classes": list(m.classes), "task": m.task, "intended_use": m.intended_use,
        "training_data": m.training_data, "data_licence": m.data_licence, "splits": dict(m.splits), "intake": m.intake,
        "operating_point": point and {
            "threshold": _number(point.threshold, SHARE), "chosen_on": point.chosen_on, "sensitivity": _interval(point.sensitivity),
            "specificity": _interval(point.specificity),
        },
        "metrics": {name: _interval(found) for name, found in m.metrics},
        "calibration": _plain(m.calibration_fit), "scope": _plain(m.scope), "exactness": _plain(m.exactness), "subgroups": _plain(m.subgroups),
        "observed": [{"probability_from": one.low, "probability_below": one.high, "patients": one.patients, "share": _interval(one.share)} for one in m.observed],
        "limits": list(m.limits), "not_tested": list(m.not_tested), "hashes": dict(m.hashes), "origin": {key: _plain(value) for key, value in m.origin},
    }  # fmt: skip


def _plain(value: Any) -> Any:
    """A card's own words and numbers, as they stand there."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
