"""A study's result with the pictures and the explanations that a report draws."""

from collections.abc import Callable, Sequence

from medinv.analysis.aggregate import Rule
from medinv.analysis.result import ImageResult, StudyResult
from medinv.data.frame import Frame, InputSpec
from medinv.errors import DataError
from medinv.explanation.explain import explain
from medinv.models.base import InvertibleNetwork

EXPLAINED = 6  # images a study, those of highest suspicion first; the others are listed
DRAWN_FOREIGN = 2  # images of a study that has none in scope

PictureReader = Callable[[Sequence[Frame], InputSpec], Sequence[Frame]]
"""Reads frames once more, at full size and as that network input, in the same order."""


def drawn(result: StudyResult, rule: Rule) -> list[int]:
    """Indices of the images that a report draws, the most suspicious in scope first."""
    images = result.instances
    ranked = sorted(
        range(len(images)),
        key=lambda i: (not images[i].in_scope, -rule.suspicion(images[i].probabilities)),
    )
    return [i for i in ranked if images[i].in_scope][:EXPLAINED] or ranked[:DRAWN_FOREIGN]


def explained(
    result: StudyResult, model: InvertibleNetwork, rule: Rule, read: PictureReader
) -> StudyResult:
    """The result whose drawn images have their pixels at full size and, in scope, an explanation.

    They are read once more, so that a long study does not fill the memory. The first image in scope
    is explained with all that a report has to say. Raises the error of an image that can no longer
    be read, and DataError for one that has changed.
    """
    chosen = drawn(result, rule)
    spec = InputSpec.of(model.image_shape)
    frames = read([_pixels(result.instances[i]) for i in chosen], spec)
    images = list(result.instances)
    for rank, (i, frame) in enumerate(zip(chosen, frames, strict=True)):
        if frame.sha256 != images[i].stored_sha256:
            raise DataError("the image changed while the study was classified", path=images[i].path)
        explanation = None
        if images[i].in_scope:
            network_input = frame.inputs[spec]
            explanation = explain(model, network_input, detail="report" if rank == 0 else "brief")
        images[i] = images[i].model_copy(update={"pixels": frame, "explanation": explanation})
    return result.model_copy(update={"instances": tuple(images)})


def _pixels(image: ImageResult) -> Frame:
    if image.pixels is None:
        raise DataError("a result that was read back has no pixels to be explained: classify again")
    return image.pixels
