"""A card, an explanation and rows with made-up but possible values, for the report's tests."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from medinv.explanation.result import (
    Control, Controls, Counterfactual, Depth, Evidence, Explanation, Likeness, LocalCheck, LocalEvidence, Neighbours, Prediction, Reconstruction, Stage, Trace,
)  # fmt: skip
from medinv.report.background import Background
from medinv.report.content import ImageArrays

MEASURED = {"value": 0.991, "low": 0.984, "high": 0.996, "n": 464}


class StandInCard(BaseModel):
    name: str = "chest-xray"
    title: str = "Chest X-ray, normal or pneumonia"
    version: str = "1.0"
    classes: list[str] = ["normal", "pneumonia"]
    task: str = "Two-class classification of one frontal chest radiograph"
    intended_use: str = "Research on exact explanations of classifiers."
    training_data: str = "Paediatric chest X-rays, squashed to a square."
    data_licence: str = "CC BY 4.0"
    splits: dict[str, int] = {"train": 3730, "test": 464}
    metrics: dict[str, Any] = {"auc": MEASURED}
    calibration: dict[str, Any] = {
        "fitted_on": "the validation split",
        "temperature_inverse": 0.5452,
        "prior": (0.27, 0.73),
        "brier": MEASURED,
    }
    scope: dict[str, Any] | None = {
        "modalities": ("CR", "DX"), "statistic": "Mahalanobis distance", "threshold": 12.7, "flagged_foreign": {"hand": MEASURED}
    }  # fmt: skip
    exactness: dict[str, Any] | None = {
        "bits": 8,
        "images": 464,
        "share_float64": 1.0,
        "max_abs_error_float64": 4.2e-11,
    }
    largest_condition_number: float | None = 2.7182
    operating_point: dict[str, Any] = {
        "threshold": 0.42,
        "chosen_on": "the validation split",
        "sensitivity": MEASURED,
        "specificity": MEASURED,
    }
    limits: list[str] = ["One hospital only."]
    not_tested: list[str] = ["Adults"]
    intake: str = "Squashed to 64 × 64 by area averaging."
    seed: int = 0
    command: str = "medinv train configs/chest-xray.yaml"
    commit: str = "0123abc"
    device: str = "cpu"
    seconds: float = 512.3
    parameters: int = 1_234_567
    convolutions: int = 24
    weights_sha256: str = "9f" * 32
    config_sha256: str = "60" * 32
    data_sha256: str = "fd" * 32


def explanation(
    size: int = 64, exact: bool = True, flipped: bool = True, local: LocalEvidence | None = None
) -> Explanation:
    rng = np.random.default_rng(0)
    given = _input(size).astype(float)
    contributions = rng.normal(0.001, 0.01, (size, size))
    difference = np.round(rng.normal(0, 8, (size, size)))
    difference = np.clip(given + difference, 0, 255) - given
    logit = math.log(0.973 / 0.027)
    return Explanation(
        Prediction("pneumonia", {"normal": 0.027, "pneumonia": 0.973}, 10.9, True),
        Reconstruction(given + 1e-12, exact, 8, 3.1e-12 if exact else 0.8, "float64"),
        Evidence(contributions, logit - float(contributions.sum()), logit, 3.2e-14),
        local,
        Counterfactual(
            (given + difference).astype(np.uint8),
            difference,
            "normal",
            -2.1,
            -2.08,
            flipped,
            True,
            7.93,
            0.013,
            0.21,
            (given + difference / 2,),
        ),
    )


def local(fall: float = 3.0) -> LocalEvidence:
    """Evidence of one bright place of 8 x 8 pixels; it is claimed where `fall` is over 0.5."""
    places = np.zeros((64, 64))
    places[16:24, 40:48] = 0.05
    places[0, 0] = -0.2
    logit = math.log(0.973 / 0.027)
    return LocalEvidence(
        places,
        ("level 2, layer 3: AffineCoupling",),
        4,
        logit - float(places.sum()) - 0.3,
        0.3,
        logit,
        4.4e-15,
        LocalCheck(0.05, fall, (0.5, -0.1)),
    )


def _input(size: int) -> np.ndarray:
    return np.add.outer(np.arange(size), np.arange(size)).astype(np.uint8)


@pytest.fixture
def card() -> StandInCard:
    return StandInCard()


@pytest.fixture
def make_arrays() -> Callable[..., ImageArrays]:
    def make(
        shape: tuple[int, int] = (120, 100), explained: Explanation | None = None, **values: Any
    ) -> ImageArrays:
        display = np.add.outer(np.arange(shape[0]), np.arange(shape[1])).astype(np.uint8)
        given = {
            "aspect": 1.0,
            "spacing": (0.5, 0.5),
            "laterality": ("R", "L"),
            "intake": "Window of the header; squashed to 64 × 64.",
        } | values
        return ImageArrays(
            display=display, network_input=_input(64), explanation=explained, **given
        )

    return make


@pytest.fixture
def make_explanation() -> Callable[..., Explanation]:
    return explanation


@pytest.fixture
def make_background() -> Callable[..., Background]:
    def make(distance: float = 0.6) -> Background:
        picture = _input(64).astype(float)
        depths = [
            ("layer 1: FrozenNorm", 1.5),
            ("level 1, layer 1: Haar", 1.0),
            ("level 1, layer 2: ActNorm", 26.7),
        ]
        stages = (
            Stage("level 2", 1024, 0.25, picture, 0.7),
            Stage("level 1", 3072, 0.75, picture, 1.0),
        )
        edits = (
            Control("blur", _input(64), 7.9, -1.0, True, 0.4),
            Control("noise", _input(64), 7.9, 3.0, False, 0.01),
        )
        return Background(
            Trace(
                tuple(
                    Depth(name, (4, 32, 32), picture, 1e-13, True, number, 1.0)
                    for name, number in depths
                ),
                stages,
            ),
            Neighbours(
                (12, 40),
                ("pneumonia", "normal"),
                (distance, distance + 0.1),
                (0.8, 1.9),
                0.74,
                0.5,
                0.11,
            ),
            Controls(edits, (Likeness("untrained weights", "evidence", 0.02, 0.4),)),
        )

    return make


@pytest.fixture
def explained() -> Explanation:
    return explanation()


@pytest.fixture
def make_row() -> Callable[..., dict[str, Any]]:
    def make(**values: Any) -> dict[str, Any]:
        probabilities = {"normal": 0.027, "pneumonia": 0.973}
        scope = {"in_scope": True, "score": 10.9, "threshold": 12.7, "reasons": []}
        row = {
            "study_uid": "2.25.10",
            "status": "ok",
            "error": None,
            "label": "pneumonia",
            "probabilities": probabilities,
            "instances": [
                {
                    "sop_uid": "2.25.11",
                    "path": "Doe^Jane/1.dcm",
                    "label": "pneumonia",
                    "probabilities": probabilities,
                    "scope": scope,
                }
            ],
            "reconstruction": {"exact": True, "bits": 8, "max_abs_error": 3.1e-12},
            "warnings": [],
            "model": {"name": "chest-xray", "sha256": "9f" * 32},
            "seconds": 1.2,
        }
        return row | values

    return make


@pytest.fixture
def out_of_scope_row(make_row: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    scope = {
        "in_scope": False,
        "score": 17.6,
        "threshold": 12.7,
        "reasons": ["modality CT is not among CR, DX"],
    }
    outside = {"label": "out of scope", "probabilities": {"normal": 0.3128, "pneumonia": 0.6872}}
    return make_row(
        instances=[{"sop_uid": "2.25.11", "path": "1.dcm", "scope": scope} | outside], **outside
    )


@pytest.fixture
def failed_row(make_row: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    error = {
        "stage": "pixels",
        "code": "pixel-data",
        "message": "expected 8192 bytes of pixel data, got 4096; send the file again",
    }
    return make_row(
        status="failed",
        label=None,
        probabilities=None,
        instances=[],
        reconstruction=None,
        error=error,
    )
