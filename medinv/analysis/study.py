"""One study through one model: what came out, or why nothing did."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from medinv.analysis.abstain import Abstention
from medinv.analysis.aggregate import Rule
from medinv.analysis.infer import BITS, Prediction
from medinv.analysis.result import (
    OUT_OF_SCOPE,
    Failure,
    ImageResult,
    ModelUsed,
    Problem,
    RoundTrip,
    Scope,
    StudyResult,
)
from medinv.data.dicom.records import Broken, Skipped, Study
from medinv.data.frame import Frame
from medinv.data.intake import FramesRead
from medinv.errors import MedinvError, UnaccountedError
from medinv.files import pseudonym
from medinv.models.base import InvertibleNetwork

NO_SCOPE = "no scope: this model cannot tell whether images are of the kind that it was made for"


@dataclass(frozen=True)
class ChosenStudy:
    """A study as the rules of one model chose it: its instances are what the model is shown."""

    pseudonym: str
    study: Study
    warnings: tuple[str, ...]  # of the choice
    files: int  # of the study, all kinds, before the choice
    volume: bool = False  # its instances are one image together


@dataclass(frozen=True)
class Analyst:
    """One model and how its results are stated: by which rule, with UIDs (`phi`) or pseudonyms."""

    model: InvertibleNetwork
    rule: Rule
    phi: bool = False
    abstain: Abstention | None = None

    @classmethod
    def of(
        cls,
        model: InvertibleNetwork,
        rule: str | None = None,
        *,
        phi: bool = False,
        abstain: float | None = None,
    ) -> "Analyst":
        """With the rule of that name; None: the one that the model's card names.

        Raises ConfigError where the card has no thresholds for the error `abstain`.
        """
        named = Rule(rule or model.card.aggregation, model.classes, model.threshold)
        abstention = None if abstain is None else Abstention.of(model.card, abstain)
        return cls(model, named, phi, abstention)

    def result(
        self,
        chosen: ChosenStudy,
        read: FramesRead,
        predictions: Sequence[Prediction] | MedinvError,
    ) -> StudyResult:
        """The study's result. `predictions` are those of `frames_of`, or why there are none.

        What does not add up to the files given is no result: the study fails by name.
        """
        wanted = dict.fromkeys(instance.source for instance in chosen.study.instances)
        frames = frames_of(chosen, read)
        broken = [one for one in read.broken if one.source in wanted]
        failure = _unaccounted(chosen, frames, broken)
        if failure:
            frames, broken = [], [Broken(source, chosen.study.uid, failure) for source in wanted]
        elif isinstance(predictions, MedinvError):
            sources = dict.fromkeys(frame.instance.source for frame in frames)
            broken += [Broken(source, chosen.study.uid, predictions) for source in sources]
            frames = []
        predicted = () if isinstance(predictions, MedinvError) or not frames else predictions
        broken = [*chosen.study.broken, *broken]
        warnings = self._warnings(chosen, read, bool(frames), len(broken))
        seconds = (read.seconds if wanted else 0) + sum(one.seconds for one in predicted)
        result = self._empty(chosen, broken, round(seconds, 3))
        if not frames:
            return result.warned(*warnings)
        images = tuple(
            self._image(frame, prediction)
            for frame, prediction in zip(frames, predicted, strict=True)
        )
        result = result.warned(*warnings).model_copy(
            update={
                "status": "ok",
                "error": None,
                "instances": images,
                "reconstruction": self._round_trip(frames, predicted),
                **self._verdict(images),
            }
        )
        return self.abstain.said(result) if self.abstain else result

    def _warnings(
        self, chosen: ChosenStudy, read: FramesRead, classified: bool, broken: int
    ) -> list[str]:
        said = [
            "" if self.model.card.scope or self.model.layout else NO_SCOPE,
            f"no reference: {self.model.reference_missing}" if self._should_have_reference else "",
            f"decoders gave {read.decoder_warnings} warnings"
            if read.decoder_warnings and chosen.study.instances
            else "",
            f"{broken} of the study's files could not be read" if broken and classified else "",
        ]
        return [*chosen.warnings, *filter(None, said)]

    @property
    def _should_have_reference(self) -> bool:
        keeps = self.model.card.config.model.keeps_reference
        return keeps and self.model.reference is None

    def _empty(self, chosen: ChosenStudy, broken: Sequence[Broken], seconds: float) -> StudyResult:
        """Before the network has seen the study; what cannot be read alone decides its status."""
        problems = tuple(_problem(one) for one in broken)
        skipped = tuple(self._left_out(one) for one in chosen.study.skipped)
        reason = next(iter((*problems, *skipped)), None)
        card = self.model.card
        return StudyResult(
            study_uid=chosen.study.uid if self.phi and chosen.study.uid else chosen.pseudonym,
            status="failed" if problems else "skipped",
            error=reason and Failure(stage=reason.stage, code=reason.code, message=reason.message),
            label=None,
            probabilities=None,
            rule=self.rule.name,
            aggregation=self.rule.sentence,
            skipped=skipped,
            broken=problems,
            model=ModelUsed(name=card.name, sha256=card.weights_sha256),
            disclaimer=card.disclaimer,
            seconds=seconds,
        )

    def _verdict(self, images: Sequence[ImageResult]) -> dict[str, object]:
        series = self.rule.series(images)
        deciding = self.rule.deciding(series)
        if deciding is None:
            return {"label": OUT_OF_SCOPE, "series": series}
        verdict: dict[str, object] = {
            "label": deciding.label,
            "probabilities": deciding.probabilities,
            "deciding": deciding.deciding,
            "series": series,
        }
        if self.abstain is None or deciding.probabilities is None:
            return verdict
        return verdict | {"plausible": self.abstain.plausible(deciding.probabilities)}

    def _left_out(self, skipped: Skipped) -> Problem:
        return Problem(
            source=skipped.source,
            sop_uid=self._name(skipped.sop_uid, "image") if skipped.sop_uid else None,
            stage="selection",
            code=skipped.code,
            message=skipped.message,
        )

    def _name(self, uid: str, kind: str) -> str:
        return uid if self.phi else pseudonym(uid, kind)

    def _round_trip(self, frames: Sequence[Frame], predictions: Sequence[Prediction]) -> RoundTrip:
        """What came back of all images.

        After the lossless intake that is every byte of their Pixel Data, else what the network was
        given.
        """
        lossless = frames[0].intake is not None
        return RoundTrip(
            exact=all(prediction.exact for prediction in predictions),
            bits=max(frame.instance.bits_stored for frame in frames) if lossless else BITS,
            max_abs_error=max(prediction.max_abs_error for prediction in predictions),
            dtype=" and ".join(sorted({prediction.dtype for prediction in predictions})),
            device=predictions[0].device,
            intake=frames[0].intake or self.model.card.intake,
            intake_lossy=not lossless,
        )

    def _image(self, frame: Frame, prediction: Prediction) -> ImageResult:
        instance, scope = frame.instance, self._scope(prediction.scope_score)
        scope = scope.objected(prediction.layout.objections)
        probabilities = dict(zip(self.model.classes, prediction.probabilities, strict=True))
        return ImageResult(
            sop_uid=self._name(instance.sop_uid, "image"),
            frame=frame.number,
            series_uid=self._name(instance.series_uid, "series") if instance.series_uid else None,
            path=instance.source,
            label=self.rule.label(probabilities) if scope.in_scope else OUT_OF_SCOPE,
            probabilities=probabilities,
            scope=scope,
            modality=instance.modality,
            intake=f"{frame.policy}; {frame.intake or self.model.card.intake}",
            intake_lossy=frame.intake is None,
            stored_sha256=frame.sha256,
            lossy=frame.lossy,
            warnings=(*frame.warnings, *prediction.layout.remarks),
            reconstruction_exact=prediction.exact,
            certificate=prediction.certificate,
            pixels=frame,
        )

    def _scope(self, score: float | None) -> Scope:
        """By what the model judges by; the header was looked at when images were chosen."""
        bound = self.model.card.scope
        if bound is None or score is None:
            return Scope(in_scope=True, score=None, threshold=None)
        limit, by = bound.threshold, self.model.card.config.model.judged_by
        inside = score <= limit
        reason = f"{by}: score {score:.1f}; images in scope reach {limit:.1f}"
        reasons = () if inside else (reason,)
        return Scope(in_scope=inside, score=score, threshold=limit, reasons=reasons)


def frames_of(chosen: ChosenStudy, read: FramesRead) -> list[Frame]:
    """Those of the frames read that the model is shown, in the study's order."""
    order = {instance.source: index for index, instance in enumerate(chosen.study.instances)}
    return sorted(
        (frame for frame in read.frames if frame.instance.source in order),
        key=lambda frame: (order[frame.instance.source], frame.number or 0),
    )


def _unaccounted(
    chosen: ChosenStudy, frames: Sequence[Frame], broken: Sequence[Broken]
) -> UnaccountedError | None:
    """Whether a file is lost or doubled: each image is read, every frame once, or broken once."""
    study = chosen.study
    listed = len(study.instances) + len(study.skipped) + len(study.broken)
    if listed != chosen.files:
        return UnaccountedError(f"{chosen.files} files were given, {listed} were looked at")
    read = Counter(
        frame.instance.source for frame in {frame.key: frame for frame in frames}.values()
    )
    failed = Counter(one.source for one in broken)
    together = chosen.volume and not failed
    odd = sum(
        (read[one.source], failed[one.source])
        not in (((k == 0, 0),) if together else ((one.frames, 0), (0, 1)))
        for k, one in enumerate(study.instances)
    )
    if not odd and sum(read.values()) == len(frames):
        return None
    return UnaccountedError(
        f"{len(study.instances)} images were to be read, every frame once, or named as broken; "
        f"{odd or 'some'} were not"
    )


def _problem(broken: Broken) -> Problem:
    error = broken.error
    return Problem(source=broken.source, stage=error.stage, code=error.code, message=error.message)
