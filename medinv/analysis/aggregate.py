"""From images to the study, by a rule that has a name.

Within a series the most suspicious images in scope decide, as many as the rule says; of several series the most suspicious one is the study's.
"""

from dataclasses import dataclass
from typing import Any

RULES: dict[str, int | None] = {
    "maximum": 1,
    "mean-of-top-3": 3,
    "mean": None,
}  # images that decide; None: all in scope
SENTENCES = {
    "maximum": "the image in scope with the highest probability of the positive class decides",
    "mean-of-top-3": "the mean of the three images in scope of a series with the highest probabilities of the positive class; the highest series decides",
    "mean": "the mean of all images in scope of a series; the series with the highest mean of the positive class decides",
}
OUT_OF_SCOPE = "out of scope"


@dataclass(frozen=True)
class Rule:
    """A rule by name, with the classes and the operating point that turn a probability into a label."""

    name: str
    classes: tuple[str, ...]
    threshold: float

    def label(self, probabilities: dict[str, float]) -> str:
        return self.classes[int(probabilities[self.classes[1]] >= self.threshold)]

    def study(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        """`label`, `probabilities`, `deciding` and `series` of a study's entries."""
        series = [
            self._series(uid, [e for e in entries if e["series_uid"] == uid])
            for uid in dict.fromkeys(e["series_uid"] for e in entries)
        ]
        inside = [one for one in series if one["probabilities"] is not None]
        if not inside:
            return {"label": OUT_OF_SCOPE, "probabilities": None, "deciding": [], "series": series}
        highest = max(inside, key=lambda one: one["probabilities"][self.classes[1]])
        return {key: highest[key] for key in ("label", "probabilities", "deciding")} | {
            "series": series
        }

    def _series(self, uid: str | None, entries: list[dict[str, Any]]) -> dict[str, Any]:
        inside = [entry for entry in entries if entry["scope"]["in_scope"]]
        said = {
            "series_uid": uid,
            "images": len(entries),
            "in_scope": len(inside),
            "label": OUT_OF_SCOPE,
            "probabilities": None,
            "deciding": [],
        }
        if inside:
            deciding = sorted(inside, key=lambda entry: -entry["probabilities"][self.classes[1]])[
                : RULES[self.name]
            ]
            means = {
                name: sum(entry["probabilities"][name] for entry in deciding) / len(deciding)
                for name in self.classes
            }
            named = [{"sop_uid": entry["sop_uid"], "frame": entry["frame"]} for entry in deciding]
            said |= {"label": self.label(means), "probabilities": means, "deciding": named}
        return said
