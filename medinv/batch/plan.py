"""What a run will do: which studies, by which models, and under which keys their rows are filed."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from medinv.batch.ledger import Slot
from medinv.batch.options import Shard, identity
from medinv.files import pseudonym
from medinv.data.dicom.index import Index, Instance, Study
from medinv.data.dicom.rules import choose
from medinv.models.density import Classifier


@dataclass(frozen=True)
class Job:
    """One study for one model."""

    slot: Slot
    study: Study  # its instances are what the model is shown
    warnings: tuple[str, ...]  # of the selection


@dataclass(frozen=True)
class Plan:
    """The jobs of one shard. `sha256` is the same for all shards of the same inputs, models and options."""

    jobs: tuple[Job, ...]
    positions: frozenset[int]
    sha256: str


def make_plan(
    found: Index, models: Sequence[Classifier], shard: Shard, options: dict[str, object]
) -> Plan:
    """A job for every study of the shard and every model, in the order of the index. `options` are those that the rows depend on."""
    cards = [hashlib.sha256(model.card.model_dump_json().encode()).hexdigest() for model in models]
    jobs, keys, ours = [], [], version("medinv")
    for position, study in enumerate(found.studies):
        inputs = _fingerprint(study)
        keys.append([identity(study), inputs])
        if shard.holds(study):
            for place, (model, card) in enumerate(zip(models, cards, strict=True)):
                key = _hash([inputs, card, options, ours])
                choice = choose(study, model.card.rules)
                jobs.append(
                    Job(
                        Slot(
                            pseudonym(identity(study), "study"),
                            model.card.name,
                            key,
                            position,
                            place,
                        ),
                        choice.study,
                        choice.warnings,
                    )
                )
    return Plan(
        tuple(jobs),
        frozenset(job.slot.position for job in jobs),
        _hash([keys, cards, options, ours]),
    )


def _fingerprint(study: Study) -> str:
    """Changes with the study's files: their places, sizes and times of change for those to be read, the reasons for the others."""
    images = [(image.source, image.sop_uid, *_state(image)) for image in study.instances]
    others = [(record.source, record.code) for record in study.skipped] + [
        (record.source, record.error.code) for record in study.broken
    ]
    return _hash([images, others])


def _state(instance: Instance) -> tuple[int, int]:
    try:
        state = os.stat(instance.location.path)
    except OSError:  # gone since it was indexed, which reading will say
        return 0, 0
    return state.st_size, state.st_mtime_ns


def _hash(tree: list) -> str:
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()
