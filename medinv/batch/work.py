"""The work of a run: studies are read ahead in other processes, the network takes what is ready."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from medinv.analysis.infer import Prediction, predict_studies
from medinv.analysis.result import StudyResult
from medinv.analysis.study import Analyst, frames_of
from medinv.batch.options import Options
from medinv.batch.plan import Job
from medinv.batch.pool import Pool
from medinv.batch.workers import Reader
from medinv.data.frame import Frame, InputSpec
from medinv.data.intake import FramesRead, ReadRequest
from medinv.errors import MedinvError, OutputError, typed
from medinv.models.base import InvertibleNetwork

Results = list[tuple[Job, StudyResult]]


class Work:
    """Studies through several models, with a reader of its own for what is read once more."""

    def __init__(
        self,
        models: Sequence[InvertibleNetwork],
        options: Options,
        *,
        explain: bool = False,
        reader: Callable[[], Reader] = Reader,
    ):
        self.options = options
        self.explain = explain or bool(options.renderers)
        self.analysts = [
            Analyst.of(model, options.rule, phi=options.phi, abstain=options.abstain)
            for model in models
        ]
        self._picture_reader = reader()

    def results(self, jobs: Sequence[Job], readers: Sequence[Reader]) -> Iterator[Results]:
        """The results of all jobs, study by study as they get done. Ends the readers."""
        by_study = self._together(jobs)
        requests = (self._request(k, of_study) for k, of_study in enumerate(by_study))
        options = self.options
        try:
            with Pool(requests, readers, timeout=options.timeout, memory=options.memory) as pool:
                for studies in pool:
                    for made in self._study_results(
                        [(read, by_study[read.study_index]) for read in studies]
                    ):
                        yield [(job, self._rendered(job, result)) for job, result in made]
        finally:
            self._picture_reader.stop()

    def _together(self, jobs: Sequence[Job]) -> list[list[Job]]:
        """Jobs whose images are read together: those of a study, but for each of a volume."""
        together: dict[tuple[int, int | None], list[Job]] = {}
        for job in jobs:
            alone = job.slot.model_index if job.chosen.volume else None
            together.setdefault((job.slot.study_index, alone), []).append(job)
        return list(together.values())

    def _request(self, number: int, jobs: Sequence[Job]) -> ReadRequest:
        """All that the models of a study want, read once."""
        chosen = {one.source: one for job in jobs for one in job.chosen.study.instances}
        specs = {InputSpec.of(self._analyst(job).model.image_shape) for job in jobs}
        return ReadRequest(
            tuple(chosen.values()),
            tuple(sorted(specs)),
            lossless=self.options.lossless,
            whole=len(chosen) if jobs[0].chosen.volume else None,
            study_index=number,
        )

    def _analyst(self, job: Job) -> Analyst:
        return self.analysts[job.slot.model_index]

    def _study_results(self, studies: Sequence[tuple[FramesRead, Sequence[Job]]]) -> list[Results]:
        """The results of each study. A model takes the images of all studies in one go."""
        results: list[Results] = [[] for _ in studies]
        for model_index, analyst in enumerate(self.analysts):
            mine = [
                (of_study, read, job, frames_of(job.chosen, read))
                for of_study, (read, jobs) in zip(results, studies, strict=True)
                for job in jobs
                if job.slot.model_index == model_index
            ]
            spec = InputSpec.of(analyst.model.image_shape)
            predictions = predict_studies(
                analyst.model,
                [[frame.inputs[spec] for frame in frames] for _, _, _, frames in mine],
            )
            for (of_study, read, job, frames), predicted in zip(mine, predictions, strict=True):
                try:
                    certified = self._certified(frames, predicted)
                    result = analyst.result(job.chosen, read, certified)
                except Exception as error:
                    result = analyst.result(job.chosen, read, typed(error))
                of_study.append((job, result))
        return results

    def _certified(
        self, frames: Sequence[Frame], predictions: list[Prediction] | MedinvError
    ) -> list[Prediction] | MedinvError:
        """With certificates of the stored bytes, where the intake is lossless.

        For them the files are read once more, so that a long study does not fill the memory.
        """
        if not self.options.lossless or isinstance(predictions, MedinvError):
            return predictions
        decoded = {
            frame.key: prediction.decoded
            for frame, prediction in zip(frames, predictions, strict=True)
        }
        again = self._again(frames, ReadRequest((), (), lossless=True, decoded=decoded))
        return [
            replace(prediction, exact=certificate.exact, certificate=certificate)
            for prediction, frame in zip(predictions, again, strict=True)
            if (certificate := frame.certificate)
        ]

    def _rendered(self, job: Job, result: StudyResult) -> StudyResult:
        """With pictures and explanations, and what the renderers made of them.

        A report that cannot be made is a warning in the row, an error of our own included; one
        that cannot be written ends the run, as no other could be either.
        """
        if not self.explain:
            return result
        from medinv.analysis.explained import explained  # what explains waits until it is needed

        analyst, card = self._analyst(job), self._analyst(job).model.card
        try:
            shown = explained(result, analyst.model, analyst.rule, partial(self._pictures, job))
        except Exception as error:
            return result.warned(_not_made("report", error))
        missing = []
        for name, render in self.options.renderers.items():
            try:
                shown = shown.model_copy(update=dict(render(shown, card, self.options.folder)))
            except OutputError:
                raise
            except Exception as error:
                missing.append(_not_made(name, error))
        return shown.warned(*missing)

    def _pictures(self, job: Job, frames: Sequence[Frame], spec: InputSpec) -> list[Frame]:
        if not job.chosen.volume:
            return self._again(frames, ReadRequest((), (spec,), display=True))
        parts = job.chosen.study.instances
        request = ReadRequest(parts, (spec,), display=True, whole=len(parts))
        read = self._picture_reader.read(request, self.options.timeout)
        if read.broken:
            raise read.broken[0].error
        return [replace(frame, parts=parts) for frame in read.frames]

    def _again(self, frames: Sequence[Frame], request: ReadRequest) -> list[Frame]:
        """These frames read once more, in the same order. Raises the error of a broken one."""
        keys = [frame.key for frame in frames]
        instances = {frame.instance.source: frame.instance for frame in frames}
        read = self._picture_reader.read(
            replace(request, instances=tuple(instances.values()), only=frozenset(keys)),
            self.options.timeout,
        )
        if read.broken:
            raise read.broken[0].error
        by_key = {frame.key: frame for frame in read.frames}
        return [by_key[key] for key in keys]


def _not_made(name: str, error: Exception) -> str:
    why = typed(error)
    return f"no {name}: {why.code}: {why.message}"
