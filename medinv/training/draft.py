"""A recommended configuration as a commented YAML file."""

from typing import Any

import yaml

from medinv.config import ModelConfig
from medinv.data.prepare.labels import grades
from medinv.data.sets.info import DataSetInfo
from medinv.training.recommend import Draft

COMMENTS = {
    "kind": "invertible: a density; pooled: inverted convolutions under a linear head",
    "depths": "convolutions a level; the side is halved between levels",
    "hidden": "widths a level",
    "mean": "of the training images, grey levels",
    "uniform_means": "a finding counts alike wherever it is, at first",
    "padding": "zeros classifies a little better, circular inverts faster",
    "epochs": "can be raised later: medinv train ... --set train.epochs=N",
    "batch": "images a step; lower it where memory ends",
    "average": "of the weights over steps: the model is their average",
    "cross_entropy": "weight of the labels beside the likelihood, falling to cross_entropy_end",
    "keep": "the epoch of best AUC on validation images",
    "shift": "augmentation: pixels",
    "flip": "augmentation: left and right at random; false where the side matters",
    "gain": "augmentation: relative contrast",
    "offset": "augmentation: grey levels",
    "orthogonality": "keeps kernels well conditioned, so that they run backwards",
    "cases": "training images kept for similar cases",
    "modalities": "that the model may be shown; empty: any",
    "body_parts": "words that BodyPartExamined must hold one of; empty: any",
}
OWN = """\
  # Memory in place of time: activations are computed anew in the backward pass.
  # recompute: true
  # Your own augmentation, any transform of dictionaries of monai.transforms that keeps the shape:
  # transforms:
  #   - {name: RandRotated, keys: image, range_x: 0.1, prob: 0.5}
  #   - {name: RandGaussianNoised, keys: image, std: 3, prob: 0.2}
"""
COMPOSED = """\
  # The set has masks. Where they are of a region that all images share, such as an organ, images
  # can be composed so that the label follows that region alone (medinv/data/compose); findings
  # are planted as bright spots, as of a radiograph, and a step takes longer:
  # compose: {films: 20, weight: 0.6}
"""


def write(draft: Draft, info: DataSetInfo, folder: str) -> str:
    """The text of the file, for a set in `folder` (as the file is to name it)."""
    keeps = ModelConfig.known()[draft.model["kind"]].keeps_reference
    size: Any = list(info.size) if len(set(info.size)) > 1 else info.size[0]
    fits = info.masks and info.channels == 1 and len(info.size) == 2 and len(set(info.size)) == 1
    composed = COMPOSED if fits and len(info.classes) == 2 and info.bits == 8 else ""
    return "".join(
        [
            f"# {info.name}: what `medinv init` recommends for this set. Research use, not for",
            f" diagnosis.\n# {draft.why[0].upper()}{draft.why[1:]}.\n",
            f"name: {draft.name}\nseed: 0\n",
            _section("data", {"set": "prepared", "folder": folder, "size": size}),
            _section("model", draft.model),
            _ordered(draft, info),
            _section("train", draft.train),
            OWN,
            composed,
            _section("reference", draft.reference) if keeps else "",
            _section("card", draft.card),
        ]
    )


def _ordered(draft: Draft, info: DataSetInfo) -> str:
    """The line that makes grades of classes, for a user to switch on: names alone do not prove
    it."""
    found = grades(info.classes)
    if found is None or "ordered" in draft.model:
        return ""
    if found == tuple(info.classes):
        return (
            "  # The classes look like grades. Then results tell them by weighted kappa and the\n"
            "  # expected grade:\n  # ordered: true\n"
        )
    return (
        "  # The classes look like grades in another order than the set's. If they are, prepare\n"
        f"  # it again with --classes {_value(','.join(found))} and say here:\n  # ordered: true\n"
    )


def _section(name: str, values: dict[str, Any]) -> str:
    return f"{name}:\n" + "".join(_line(key, value) for key, value in values.items())


def _line(key: str, value: Any) -> str:
    if isinstance(value, list) and sum(len(str(each)) for each in value) > 60:
        return f"  {key}:\n" + "".join(f"    - {_value(each)}\n" for each in value)
    comment = f"  # {COMMENTS[key]}" if key in COMMENTS else ""
    return f"  {key}: {_value(value)}{comment}\n"


def _value(value: Any) -> str:
    """One value on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.removesuffix("...\n").strip()
