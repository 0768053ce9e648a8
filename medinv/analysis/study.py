"""One study through one model: what came out, or why nothing did."""

from dataclasses import asdict, dataclass

import numpy as np

from medinv.analysis.aggregate import OUT_OF_SCOPE, SENTENCES, Rule
from medinv.batch.plan import Job
from medinv.analysis.infer import BITS, Figures
from medinv.files import pseudonym
from medinv.batch.reader import Film
from medinv.batch.workers import ReadStudy
from medinv.data.dicom.index import Broken, Instance, Skipped
from medinv.errors import MedinvError
from medinv.models.density import Classifier


@dataclass(frozen=True)
class Shown:
    """An image that went through the network, kept for the report."""

    instance: Instance
    pixels: Film
    network_input: np.ndarray  # (H, W) uint8
    in_scope: bool
    positive: float  # probability of the positive class


@dataclass(frozen=True)
class Outcome:
    """A results row, and images behind it by `image_key`."""

    row: dict
    shown: dict[str, Shown]


def image_key(entry: dict) -> str:
    """The name of an image within its row: its UID, with the number of the frame if it is one of several."""
    return (
        entry["sop_uid"] if entry["frame"] is None else f"{entry['sop_uid']} frame {entry['frame']}"
    )


def films_of(job: Job, read: ReadStudy) -> list[Film]:
    """Those of the films read that the job's model is shown, in the study's order."""
    order = {instance.source: place for place, instance in enumerate(job.study.instances)}
    return sorted(
        (film for film in read.films if film.instance.source in order),
        key=lambda film: (order[film.instance.source], film.frame or 0),
    )


def study_row(
    job: Job,
    read: ReadStudy,
    figures: list[Figures] | MedinvError,
    model: Classifier,
    rule: str,
    phi: bool,
) -> dict:
    """The results row. `figures` are those of `films_of`, or why there are none."""
    films = films_of(job, read)
    wanted = {instance.source for instance in job.study.instances}
    broken = [*job.study.broken, *(one for one in read.broken if one.source in wanted)]
    if isinstance(figures, MedinvError):
        broken += [
            Broken(source, job.study.uid, figures)
            for source in dict.fromkeys(film.instance.source for film in films)
        ]
        films, figures = [], []
    row = _row(job, model, broken, rule, phi)
    if read.decoder_warnings and wanted:
        row["warnings"].append(f"decoders gave {read.decoder_warnings} warnings")
    if films:
        ruling = Rule(rule, model.classes, model.threshold)
        entries = [
            _entry(film, found, model, ruling, phi)
            for film, found in zip(films, figures, strict=True)
        ]
        row |= {
            "status": "ok",
            "error": None,
            "instances": entries,
            "reconstruction": _reconstruction(figures, films, model),
            **ruling.study(entries),
        }
        if broken:
            row["warnings"].append(f"{len(broken)} of the study's files could not be read")
    row["seconds"] = round(
        (read.seconds if wanted else 0) + sum(found.seconds for found in figures), 3
    )
    return row


def _row(job: Job, model: Classifier, broken: list[Broken], rule: str, phi: bool) -> dict:
    """The row of a study before the network has seen it; what cannot be read alone decides its status."""
    problems = [
        {
            "source": b.source,
            "sop_uid": None,
            "stage": b.error.stage,
            "code": b.error.code,
            "message": b.error.message,
        }
        for b in broken
    ]
    left_out = [_left_out(skipped, phi) for skipped in job.study.skipped]
    reason = next(iter(problems + left_out), None)
    return {
        "study_uid": job.study.uid if phi and job.study.uid else job.slot.study,
        "status": "failed" if problems else "skipped",
        "error": reason and {key: reason[key] for key in ("stage", "code", "message")},
        "label": None,
        "probabilities": None,
        "rule": rule,
        "aggregation": SENTENCES[rule],
        "deciding": [],
        "series": [],
        "instances": [],
        "reconstruction": None,
        "warnings": list(job.warnings),
        "skipped": left_out,
        "broken": problems,
        "model": {"name": model.card.name, "sha256": model.card.weights_sha256},
        "disclaimer": model.card.disclaimer,
    }


def _left_out(skipped: Skipped, phi: bool) -> dict:
    uid = _name(skipped.sop_uid, "image", phi) if skipped.sop_uid else None
    return {
        "source": skipped.source,
        "sop_uid": uid,
        "stage": "selection",
        "code": skipped.code,
        "message": skipped.message,
    }


def _name(uid: str, kind: str, phi: bool) -> str:
    return uid if phi else pseudonym(uid, kind)


def _reconstruction(figures: list[Figures], films: list[Film], model: Classifier) -> dict:
    """What came back of all images. After the lossless intake that is every byte of their Pixel Data, else what the network was given."""
    lossless = films[0].intake is not None
    return {
        "exact": all(found.exact for found in figures),
        "bits": max(film.instance.bits_stored for film in films) if lossless else BITS,
        "max_abs_error": max(found.max_abs_error for found in figures),
        "dtype": figures[0].dtype,
        "intake": films[0].intake or model.card.intake,
        "intake_lossy": not lossless,
    }


def _entry(film: Film, figures: Figures, model: Classifier, ruling: Rule, phi: bool) -> dict:
    instance, scope = film.instance, _scope(figures.score, model)
    probabilities = dict(zip(model.classes, figures.probabilities, strict=True))
    return {
        "sop_uid": _name(instance.sop_uid, "image", phi),
        "frame": film.frame,
        "series_uid": _name(instance.series_uid, "series", phi) if instance.series_uid else None,
        "path": instance.source,
        "label": ruling.label(probabilities) if scope["in_scope"] else OUT_OF_SCOPE,
        "probabilities": probabilities,
        "scope": scope,
        "modality": instance.modality,
        "intake": f"{film.policy}; {film.intake or model.card.intake}",
        "intake_lossy": film.intake is None,
        "stored_sha256": film.sha256,
        "lossy": film.lossy,
        "warnings": list(film.warnings),
        "reconstruction_exact": figures.exact,
        "certificate": asdict(figures.certificate) if figures.certificate else None,
    }


def _scope(score: float, model: Classifier) -> dict:
    """The likelihood must place the image among those that the model was made for; the header was looked at when images were chosen."""
    limit = model.card.scope.threshold
    reasons = (
        []
        if score <= limit
        else [f"likelihood: score {score:.1f}; images in scope reach {limit:.1f}"]
    )
    return {"in_scope": not reasons, "score": score, "threshold": limit, "reasons": reasons}
