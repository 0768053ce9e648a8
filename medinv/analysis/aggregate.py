"""From images to the study, by a rule that has a name.

Within a series the most suspicious images in scope decide, as many as the rule says; of several
series the most suspicious one is the study's. Of two classes, suspicion is the probability of the
positive one (the second); of more, the probability of the class that is called.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medinv.analysis.result import OUT_OF_SCOPE, ImageName, ImageResult, SeriesResult

RULES: dict[str, int | None] = {
    "maximum": 1,
    "mean-of-top-3": 3,
    "mean": None,
}  # images that decide; None: all in scope
SENTENCES = {
    "maximum": "the image in scope with the highest probability of {class_} decides",
    "mean-of-top-3": "the mean of the three images in scope of a series with the highest "
    "probabilities of {class_}; the highest series decides",
    "mean": "the mean of all images in scope of a series; the series with the highest mean of "
    "{class_} decides",
}
POSITIVE, CALLED = "the positive class", "the class that is called"


@dataclass(frozen=True)
class Rule:
    """A rule by name, and what turns probabilities into a label: classes and operating point.

    `threshold` is the probability of the positive class from which it is called, of two classes.
    """

    name: str
    classes: tuple[str, ...]
    threshold: float

    @property
    def sentence(self) -> str:
        """The rule in words."""
        return SENTENCES[self.name].format(class_=POSITIVE if len(self.classes) == 2 else CALLED)

    def label(self, probabilities: Mapping[str, float]) -> str:
        """The called class: by the operating point where there are two, else the most probable."""
        if len(self.classes) == 2:
            return self.classes[int(probabilities[self.classes[1]] >= self.threshold)]
        return max(self.classes, key=lambda name: probabilities[name])

    def suspicion(self, probabilities: Mapping[str, float]) -> float:
        """What images and series are ranked by."""
        if len(self.classes) == 2:
            return probabilities[self.classes[1]]
        return max(probabilities[name] for name in self.classes)

    def series(self, images: Sequence[ImageResult]) -> tuple[SeriesResult, ...]:
        """What the images of each series come to, in the order in which the series appear."""
        return tuple(
            self._series(uid, [image for image in images if image.series_uid == uid])
            for uid in dict.fromkeys(image.series_uid for image in images)
        )

    def deciding(self, series: Sequence[SeriesResult]) -> SeriesResult | None:
        """The series whose label is the study's; None where no image is in scope."""
        suspicions = [
            self.suspicion(one.probabilities) if one.probabilities is not None else -1.0
            for one in series
        ]
        highest = max(range(len(series)), key=suspicions.__getitem__, default=None)
        return None if highest is None or suspicions[highest] < 0 else series[highest]

    def _series(self, uid: str | None, images: Sequence[ImageResult]) -> SeriesResult:
        inside = [image for image in images if image.in_scope]
        ranked = sorted(inside, key=lambda image: -self.suspicion(image.probabilities))
        deciding = ranked[: RULES[self.name]]
        means = {
            name: sum(image.probabilities[name] for image in deciding) / len(deciding)
            for name in self.classes
            if deciding
        }
        return SeriesResult(
            series_uid=uid,
            images=len(images),
            in_scope=len(inside),
            label=self.label(means) if means else OUT_OF_SCOPE,
            probabilities=means or None,
            deciding=tuple(
                ImageName(sop_uid=image.sop_uid, frame=image.frame) for image in deciding
            ),
        )
