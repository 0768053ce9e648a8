"""What the package says of how to add an explanation, done as it says."""

import json
import textwrap
from dataclasses import field, make_dataclass

import pytest

import medinv.explanation
from medinv.explanation import counterfactual, explain
from medinv.explanation.counterfactual import Way, direction
from medinv.explanation.result import Explanation
from medinv.explanation.written import scalars


def documented() -> dict:
    """The names that the example in the docstring of the package makes."""
    blocks = textwrap.dedent(medinv.explanation.__doc__.split("an image:\n\n")[1])
    code = medinv.explanation.__doc__.split("an image:\n\n")[1].split("\nThen name it")[0]
    names: dict = {"__name__": "border"}
    exec(textwrap.dedent(code), names)
    assert "result.Explanation" in blocks and "explain.PARTS" in blocks
    return names


def test_an_explanation_is_added_by_a_file_a_field_and_a_line(
    explained, tiny_data, monkeypatch
) -> None:
    names = documented()
    with_field = make_dataclass(
        "Explanation",
        [("border", names["Border"] | None, field(default=None))],
        bases=(Explanation,),
        frozen=True,
    )
    part = explain.Part("border", "report", names["border"])
    monkeypatch.setattr(explain, "Explanation", with_field)
    monkeypatch.setattr(explain, "PARTS", (*explain.PARTS, part))
    image = tiny_data.test.images[0]
    assert explain.explain(explained, image).border is None
    explanation = explain.explain(explained, image, detail="report")
    found = explanation.border
    assert found.residual < 1e-10
    assert found.inside == pytest.approx(explanation.evidence.contributions[2:14, 2:14].sum())
    assert json.loads(json.dumps(scalars(explanation)))["border"]["border"] == found.border


def test_a_way_to_a_counterfactual_is_added_by_a_file_and_a_line(
    explained, tiny_data, monkeypatch
) -> None:
    targets = []

    def attempt(model, x, target, local):
        targets.append(target)
        return direction.counterfactual(model, x, target) if local else None

    ways = (Way("direction", attempt, must_hold=False), *counterfactual.WAYS)
    monkeypatch.setattr(counterfactual, "WAYS", ways)
    explanation = explain.explain(explained, tiny_data.test.images[0])
    assert explanation.counterfactual.method == "direction"
    assert [explained.classes[target] for target in targets] == [explanation.counterfactual.target]
    explained.reference = None
    assert explain.explain(explained, tiny_data.test.images[0]).counterfactual and len(targets) == 2
