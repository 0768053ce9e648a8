"""The classifier tied over quarter turns answers turned images alike, and no other does."""

import torch

from pipelines.seeds.equivariance.networks import Classifier, Digits, turns


def test_only_the_tied_classifier_answers_turned_images_alike_and_both_run_backwards() -> None:
    torch.manual_seed(0)
    x = Digits.drawn(4, 0).train.double()
    for turning in (True, False):
        model = Classifier(9, turning=turning).double()
        for parameter in model.parameters():
            parameter.data.add_(0.02 * torch.randn_like(parameter))
        upright, *turned = (model(each) for each in turns(x))
        gap = max((each - upright).abs().max().item() for each in turned)
        assert gap < 1e-12 if turning else gap > 1e-3
        assert torch.allclose(model.trunk.inverse(model.trunk(x)), x, atol=1e-9)


def test_no_digit_is_trained_on_and_tested() -> None:
    data = Digits.drawn(1000, 1)
    both = torch.cat([data.train, data.test]).flatten(1).unique(dim=0)
    assert len(both) > 0.99 * (len(data.train) + len(data.test))
    assert torch.equal(data.test, Digits.drawn(50, 2).test) and data.test_labels.max() == 8
