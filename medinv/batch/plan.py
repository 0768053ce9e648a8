"""What a run will do: which studies, by which models, and under which keys their rows are filed."""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from medinv.analysis.study import ChosenStudy
from medinv.batch.ledger import Slot, key_of
from medinv.batch.options import Shard, identity, sources
from medinv.data.dicom.records import Index, Instance, Study
from medinv.data.dicom.rules import choose
from medinv.files import pseudonym
from medinv.models.base import InvertibleNetwork


@dataclass(frozen=True)
class Job:
    """One study for one model."""

    slot: Slot
    chosen: ChosenStudy


@dataclass(frozen=True)
class Plan:
    """The jobs of one shard.

    `sha256` is the same for all shards of the same inputs, models and options.
    """

    jobs: tuple[Job, ...]
    study_indices: frozenset[int]
    sha256: str


def make_plan(
    index: Index,
    models: Sequence[InvertibleNetwork],
    shard: Shard,
    options: dict[str, object],
    renderers: Iterable[str] = (),
) -> Plan:
    """A job for every study of the shard and every model, in the order of the index.

    `options` are those that the rows depend on, `renderers` what is written beside them.
    """
    cards = [_model_hash(model) for model in models]
    jobs, studies, ours = [], [], version("medinv")
    for study_index, study in enumerate(index.studies):
        files = _fingerprint(study)
        studies.append([identity(study), files])
        if not shard.holds(study):
            continue
        for model_index, (model, card) in enumerate(zip(models, cards, strict=True)):
            chosen = chosen_study(study, model)
            key = key_of(_hash([files, card, options, ours]), renderers)
            name = model.card.name
            slot = Slot(chosen.pseudonym, name, key, study_index, model_index)
            jobs.append(Job(slot, chosen))
    return Plan(
        tuple(jobs),
        frozenset(job.slot.study_index for job in jobs),
        _hash([studies, cards, options, sorted(renderers), ours]),
    )


def chosen_study(study: Study, model: InvertibleNetwork) -> ChosenStudy:
    """What of a study the model is shown, by the rules of its card."""
    choice = choose(study, model.card.rules)
    name = pseudonym(identity(study), "study")
    volume = len(model.image_shape) == 4
    return ChosenStudy(name, choice.study, choice.warnings, len(sources(study)), volume)


def _model_hash(model: InvertibleNetwork) -> str:
    """A hash of the card, the precision and the kind of device: all that numbers depend on."""
    weights = next(model.parameters())
    return _hash([model.card.model_dump_json(), str(weights.dtype), weights.device.type])


def _fingerprint(study: Study) -> str:
    """A hash that changes with the study's files.

    It covers places, sizes and times of change of those to be read, and the reasons for the others.
    """
    images = [(image.source, image.sop_uid, *_state(image)) for image in study.instances]
    others = [(record.source, record.code) for record in study.skipped]
    others += [(record.source, record.error.code) for record in study.broken]
    return _hash([images, others])


def _state(instance: Instance) -> tuple[int, int]:
    try:
        state = os.stat(instance.location.path)
    except OSError:  # gone since it was indexed, which reading will say
        return 0, 0
    return state.st_size, state.st_mtime_ns


def _hash(tree: list) -> str:
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()
