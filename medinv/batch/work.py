"""The work of a run: studies are read ahead in other processes, the network takes what is ready, each study's rows are filed at once."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby

from medinv.batch.ledger import Ledger
from medinv.batch.log import log_row
from medinv.analysis.infer import Figures, figures_of_studies
from medinv.batch.options import Options
from medinv.batch.plan import Job
from medinv.batch.pool import Pool
from medinv.batch.reader import Film
from medinv.analysis.study import films_of, study_row
from medinv.batch.workers import Reader, ReadStudy, Request
from medinv.errors import MedinvError, OutputError
from medinv.models.density import Classifier

INTERRUPTED, TOO_MANY = "interrupted", "too many failures"
Made = tuple[Job, dict, list[Film]]


def classify(
    jobs: Sequence[Job],
    models: Sequence[Classifier],
    options: Options,
    ledger: Ledger,
    readers: Sequence[Reader],
    on_study: Callable[[dict], None],
) -> str | None:
    """Make and file the rows of all jobs. Returns why not all were made, or None. Ends the readers."""
    by_position = {
        position: list(group)
        for position, group in groupby(jobs, key=lambda job: job.slot.position)
    }
    requests = (
        _request(position, of_study, models, options.lossless)
        for position, of_study in by_position.items()
    )
    failures, drawer = 0, Reader()
    try:
        with Pool(requests, readers, timeout=options.timeout, memory=options.memory) as pool:
            for studies in pool:
                for made in _rows(
                    [(read, by_position[read.position]) for read in studies],
                    models,
                    options,
                    drawer,
                ):
                    if options.report or options.dicom:
                        _add_reports(made, models, options, drawer)
                    ledger.put(
                        [(job.slot, row) for job, row, _ in made]
                    )  # study by study, so that a kill loses little
                    for job, row, _ in made:
                        log_row(job.slot, row)
                        on_study(row)
                    failures += any(row["status"] == "failed" for _, row, _ in made)
                    if options.max_failures is not None and failures > options.max_failures:
                        return TOO_MANY
    finally:
        drawer.stop()
    return None


def _request(
    position: int, jobs: Sequence[Job], models: Sequence[Classifier], lossless: bool
) -> Request:
    """All that the models of a study want, read once."""
    instances = {instance.source: instance for job in jobs for instance in job.study.instances}
    sizes = {models[job.slot.place].image_shape[1] for job in jobs}
    return Request(position, tuple(instances.values()), tuple(sorted(sizes)), lossless=lossless)


def _rows(
    studies: Sequence[tuple[ReadStudy, list[Job]]],
    models: Sequence[Classifier],
    options: Options,
    second: Reader,
) -> list[list[Made]]:
    """The rows of each study. A model takes the images of all studies in one pass."""
    made: list[list[Made]] = [[] for _ in studies]
    for place, model in enumerate(models):
        mine = [
            (k, read, job)
            for k, (read, jobs) in enumerate(studies)
            for job in jobs
            if job.slot.place == place
        ]
        films = [films_of(job, read) for _, read, job in mine]
        size = model.image_shape[1]
        for (k, read, job), shown, figures in zip(
            mine,
            films,
            figures_of_studies(model, [[film.inputs[size] for film in shown] for shown in films]),
            strict=True,
        ):
            if options.lossless and not isinstance(figures, MedinvError):
                figures = _certified(shown, figures, second, options.timeout)
            made[k].append(
                (
                    job,
                    study_row(
                        job,
                        read,
                        figures,
                        model,
                        options.rule or model.card.aggregation,
                        options.phi,
                    ),
                    shown,
                )
            )
    return made


def _certified(
    films: list[Film], figures: list[Figures], reader: Reader, timeout: float
) -> list[Figures] | MedinvError:
    """Figures with the certificates of what came back, for which the files are read once more, so that a long study does not fill the memory."""
    keys = [(film.instance.source, (film.frame or 1) - 1) for film in films]
    instances = {film.instance.source: film.instance for film in films}
    decoded = {key: found.decoded for key, found in zip(keys, figures, strict=True)}
    read = reader.read(
        Request(
            0, tuple(instances.values()), (), lossless=True, only=frozenset(keys), decoded=decoded
        ),
        timeout,
    )
    if read.broken:
        return read.broken[0].error
    found = {(film.instance.source, (film.frame or 1) - 1): film.certificate for film in read.films}
    return [
        replace(one, exact=found[key].exact, certificate=found[key])
        for key, one in zip(keys, figures, strict=True)
    ]


def _add_reports(
    made: list[Made], models: Sequence[Classifier], options: Options, drawer: Reader
) -> None:
    """A report that cannot be made is a warning in the row; one that cannot be written ends the run, as no other could be either."""
    from medinv.batch.pages import content_of, outcome_of, write_study_dicom, write_study_report

    for job, row, films in made:
        model = models[job.slot.place]
        try:
            content = content_of(outcome_of(row, films, model, drawer, options.timeout), model)
            if options.report:
                row["report"] = write_study_report(content, options.folder)
            if options.dicom:
                row["dicom"] = write_study_dicom(content, films, options.folder)
        except OutputError:
            raise
        except MedinvError as error:
            row["warnings"].append(f"no report: {error.code}: {error.message}")
