"""One study through one model: what came out, or why nothing did."""

import time
import warnings
from dataclasses import dataclass

import numpy as np
import torch

from medinv.batch.pseudonym import pseudonym
from medinv.data.dicom.index import Broken, Instance, Skipped, Study
from medinv.data.dicom.pixels import Pixels, read_pixels
from medinv.data.transforms import as_metatensor, network_intake
from medinv.errors import MedinvError
from medinv.layers import round_trip
from medinv.models.classifier import Classifier, Reading

OUT_OF_SCOPE = "out of scope"
AGGREGATION = "the image in scope with the highest probability of the positive class decides"
BITS = 8
BATCH = 32


@dataclass(frozen=True)
class Shown:
    """An image that went through the network, kept for the report."""

    instance: Instance
    pixels: Pixels
    network_input: np.ndarray  # (H, W) uint8
    in_scope: bool
    positive: float  # probability of the positive class


@dataclass(frozen=True)
class Outcome:
    """A results row, and the images behind it by the row's `sop_uid`."""

    row: dict
    shown: dict[str, Shown]


def classify_study(study: Study, model: Classifier, *, phi: bool, keep_images: bool) -> Outcome:
    """Classify every image of a study. Never raises on bad input: what goes wrong stands in the row."""
    start = time.monotonic()
    with warnings.catch_warnings(record=True) as caught:  # decoders quote header values in their warnings: only how many there were is kept
        warnings.simplefilter("always")
        read, broken = _read(study, model.image_shape[1])
    row = _row(study, model, broken, phi)
    if caught:
        row["warnings"].append(f"decoders gave {len(caught)} warnings")
    shown: dict[str, Shown] = {}
    if read:
        try:
            shown = _run(read, model, row, phi, keep_images)
        except (MedinvError, RuntimeError, MemoryError) as error:
            row |= {"status": "failed", "error": {"stage": "network", "code": getattr(error, "code", "network"), "message": str(error).splitlines()[0]}}
    row["seconds"] = round(time.monotonic() - start, 3)
    return Outcome(row, shown)


def _read(study: Study, size: int) -> tuple[list[tuple[Instance, Pixels, torch.Tensor]], list[Broken]]:
    intake, read, broken = network_intake(size), [], list(study.broken)
    for instance in study.instances:
        try:
            pixels = read_pixels(instance)
            read.append((instance, pixels, torch.as_tensor(intake(as_metatensor(pixels, instance)))))
        except MedinvError as error:
            broken.append(Broken(instance.source, study.uid, error))
    return read, broken


def _row(study: Study, model: Classifier, broken: list[Broken], phi: bool) -> dict:
    """The row of a study before the network has seen it; what cannot be read alone decides its status."""
    first = (study.instances or study.skipped or broken)[0].source if (study.instances or study.skipped or broken) else ""
    problems = [{"source": b.source, "sop_uid": None, "stage": b.error.stage, "code": b.error.code, "message": b.error.message} for b in broken]
    left_out = [_left_out(skipped, phi) for skipped in study.skipped]
    reason = problems[0] if problems else left_out[0] if left_out else {"stage": "index", "code": "empty", "message": "the study holds no files"}
    return {
        "study_uid": _name(study.uid or first, "study", phi and study.uid is not None),
        "status": "failed" if problems else "skipped",
        "error": {key: reason[key] for key in ("stage", "code", "message")},
        "label": None,
        "probabilities": None,
        "aggregation": AGGREGATION,
        "deciding": None,
        "instances": [],
        "reconstruction": None,
        "warnings": [],
        "skipped": left_out,
        "broken": problems,
        "model": {"name": model.card.name, "sha256": model.card.weights_sha256},
        "disclaimer": model.card.disclaimer,
    }


def _left_out(skipped: Skipped, phi: bool) -> dict:
    uid = _name(skipped.sop_uid, "image", phi) if skipped.sop_uid else None
    return {"source": skipped.source, "sop_uid": uid, "stage": "selection", "code": skipped.code, "message": skipped.message}


def _name(uid: str, kind: str, phi: bool) -> str:
    return uid if phi else pseudonym(uid, kind)


@torch.no_grad()
def _run(read: list, model: Classifier, row: dict, phi: bool, keep_images: bool) -> dict[str, Shown]:
    """Run the network forwards and backwards on all images, fill the row, and return what the report will draw."""
    dtype = next(model.parameters()).dtype
    inputs = torch.stack([image for *_, image in read]).to(dtype)
    readings, trips = [], []
    for i in range(0, len(inputs), BATCH):
        readings.append(model.read(inputs[i : i + BATCH]))
        trips.append(round_trip(model.trunk, inputs[i : i + BATCH], bits=BITS))
    exact = torch.cat([trip.exact for trip in trips])
    entries, shown = [], {}
    for k, (instance, pixels, image) in enumerate(read):
        entry = _entry(instance, pixels, readings[k // BATCH], k % BATCH, model, phi)
        entry["reconstruction_exact"] = bool(exact[k])
        entries.append(entry)
        if keep_images:
            positive = entry["probabilities"][model.classes[1]]
            shown[entry["sop_uid"]] = Shown(instance, pixels, image[0].numpy().astype(np.uint8), entry["scope"]["in_scope"], positive)
    reconstruction = {
        "exact": bool(exact.all()), "bits": BITS, "max_abs_error": max(trip.max_abs_error for trip in trips), "dtype": trips[0].dtype, "intake": model.card.intake
    }  # fmt: skip
    row |= {"status": "ok", "error": None, "instances": entries, "reconstruction": reconstruction, **_verdict(entries, model)}
    if row["broken"]:
        row["warnings"].append(f"{len(row['broken'])} of the study's files could not be read")
    return shown


def _entry(instance: Instance, pixels: Pixels, reading: Reading, k: int, model: Classifier, phi: bool) -> dict:
    probabilities = dict(zip(model.classes, reading.probabilities[k].tolist()))
    scope = _scope(instance, reading.scope[k].item(), model)
    called = model.classes[int(probabilities[model.classes[1]] >= model.threshold)]
    return {
        "sop_uid": _name(instance.sop_uid, "image", phi),
        "path": instance.source,
        "label": called if scope["in_scope"] else OUT_OF_SCOPE,
        "probabilities": probabilities,
        "scope": scope,
        "modality": instance.modality,
        "intake": f"{pixels.policy}; {model.card.intake}",
        "stored_sha256": pixels.sha256,
        "lossy": pixels.lossy,
        "warnings": list(pixels.warnings),
    }


def _scope(instance: Instance, score: float, model: Classifier) -> dict:
    """Header and likelihood must both place the image among those that the model was made for."""
    limits, reasons = model.card.scope, []
    if instance.modality is not None and instance.modality not in limits.modalities:
        reasons.append(f"header: modality {instance.modality}; this model reads {', '.join(limits.modalities)}")
    if instance.body_part is not None and not any(part in instance.body_part.upper() for part in limits.body_parts):
        reasons.append(f"header: body part {instance.body_part}; this model reads {', '.join(limits.body_parts)}")
    if not score <= limits.threshold:
        reasons.append(f"likelihood: score {score:.1f}; images in scope reach {limits.threshold:.1f}")
    return {"in_scope": not reasons, "score": score, "threshold": limits.threshold, "reasons": reasons}


def _verdict(entries: list[dict], model: Classifier) -> dict:
    """The study's label: its most suspicious image in scope."""
    inside = [entry for entry in entries if entry["scope"]["in_scope"]]
    if not inside:
        return {"label": OUT_OF_SCOPE}
    deciding = max(inside, key=lambda entry: entry["probabilities"][model.classes[1]])
    return {key: deciding[key] for key in ("label", "probabilities")} | {"deciding": deciding["sop_uid"]}
