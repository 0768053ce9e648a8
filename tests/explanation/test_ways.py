"""Ways to a counterfactual are tried in their order; local ones are told only if they hold."""

from dataclasses import replace

import pytest
import torch

from medinv.explanation import counterfactual
from medinv.explanation.counterfactual import brightening, direction, inpainting, transport
from medinv.explanation.local import local_evidence
from medinv.models.region import Donors, Template

LOCAL = {0: "inpainting", 1: "brightening"}


@pytest.fixture
def subject(explained, tiny_images):
    """The tiny model, an image and its map."""
    x = tiny_images[:1]
    return explained, x, local_evidence(explained, x, explained.reference.states)


@pytest.fixture
def judged(monkeypatch):
    """Sets the re-checks that edits of a method are given."""
    rooms = {
        "inpainting": inpainting, "brightening": brightening,
        "transport": transport, "direction": direction,
    }  # fmt: skip

    def judge(method: str, *, flipped: bool, in_scope: bool) -> None:
        name = "from_image" if method in LOCAL.values() else "from_features"
        honest = getattr(rooms[method], name)

        def said(*given):
            return replace(honest(*given), flipped=flipped, in_scope=in_scope)

        monkeypatch.setattr(rooms[method], name, said)

    return judge


@pytest.mark.parametrize("target", [0, 1])
def test_a_local_one_that_holds_comes_first(subject, judged, target) -> None:
    model, x, local = subject
    judged(LOCAL[target], flipped=True, in_scope=True)
    edit, tried = counterfactual.counterfactual(model, x, target, local)
    assert edit.method == LOCAL[target]
    assert [one.method for one in tried] == ([] if target else ["brightening"])


@pytest.mark.parametrize("target", [0, 1])
@pytest.mark.parametrize(("flipped", "in_scope"), [(True, False), (False, True)])
def test_a_local_one_whose_re_check_fails_gives_way(
    subject, judged, target, flipped, in_scope
) -> None:
    model, x, local = subject
    judged(LOCAL[target], flipped=flipped, in_scope=in_scope)
    judged("transport", flipped=False, in_scope=False)
    edit, tried = counterfactual.counterfactual(model, x, target, local)
    whys = {one.method: one.why for one in tried}
    assert whys[LOCAL[target]] == ("out of scope" if flipped else f"not called {edit.target}")
    assert "asks for the" in whys[LOCAL[1 - target]], "what the other local way would need is said"
    assert edit.method == "transport" and not edit.valid, "told whatever its re-checks say"
    model.reference = replace(model.reference, transport=None)
    judged("direction", flipped=False, in_scope=False)
    edit, tried = counterfactual.counterfactual(model, x, target, local)
    assert [one.method for one in tried][-1] == "transport"
    assert edit.method == "direction" and edit.target == model.classes[target]


def test_each_aims_at_the_target(subject) -> None:
    model, x, local = subject
    template = Template(x[0, 0].float(), torch.ones(x.shape[2:]))
    twice = torch.cat([x, x])
    donors = Donors(twice.byte(), torch.tensor([0, 1]), template.place(twice.float()))
    model.reference = replace(model.reference, region=template, donors=donors)
    for way in counterfactual.WAYS:
        edits = [way.attempt(model, x, target, local) for target in (0, 1)]
        assert any(edits)
        for target, edit in enumerate(edits):
            assert edit is None or edit.target == model.classes[target]
