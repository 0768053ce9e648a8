"""The class-conditional density behind the label."""

import math
from typing import cast

import pytest
import torch

from medinv.errors import ShapeError
from medinv.models.build import build, kind_of
from medinv.models.density import Classifier, covariance


def test_features_hold_the_whole_image(tiny_model, tiny_images) -> None:
    with torch.no_grad():
        z = tiny_model.features(tiny_images)
        assert (
            z[0].numel() == tiny_images[0].numel() and tuple(z.shape[1:]) == tiny_model.latent_shape
        )
        assert torch.equal(tiny_model.invert(z).round(), tiny_images)


def test_the_log_ratio_of_the_densities_is_the_linear_head(tiny_model, tiny_images) -> None:
    with torch.no_grad():
        reading = tiny_model.read(tiny_images)
        coarse = reading.features[:, : tiny_model.means.shape[1]].flatten(1)
        direct = [-(coarse - mean.flatten()).square().sum(1) / 2 for mean in tiny_model.means]
        ratio = reading.log_likelihoods[:, 1] - reading.log_likelihoods[:, 0]
        assert torch.allclose(direct[1] - direct[0], ratio, atol=1e-9)
        assert torch.allclose(reading.logits[:, 1] - reading.logits[:, 0], ratio, atol=1e-9)


def test_the_likelihood_is_that_of_the_change_of_variables(tiny_model, tiny_images) -> None:
    x = tiny_images[:1]
    jacobian = torch.autograd.functional.jacobian(
        lambda v: tiny_model.features(v).flatten(), x
    ).reshape(x.numel(), x.numel())
    with torch.no_grad():
        z = tiny_model.features(x)
        mean = torch.zeros_like(z)
        mean[:, : tiny_model.means.shape[1]] = tiny_model.means[1]
        gaussian = -(z - mean).square().sum() / 2 - x.numel() * math.log(2 * math.pi) / 2
        expected = gaussian + torch.linalg.slogdet(jacobian)[1]
        assert tiny_model.read(x).log_likelihoods[0, 1].item() == pytest.approx(
            expected.item(), rel=1e-9
        )


def test_noise_is_further_out_of_scope_than_any_image_of_the_kind(tiny_model, tiny_images) -> None:
    noise = torch.randint(
        0, 256, tiny_images.shape, generator=torch.Generator().manual_seed(0)
    ).double()
    with torch.no_grad():
        inside, outside = tiny_model.read(tiny_images).scope, tiny_model.read(noise).scope
    assert outside.min() > inside.max() and outside.min() > tiny_model.scope_threshold


def test_how_clear_an_answer_is_makes_no_image_foreign(tiny_config, tiny_data) -> None:
    """Couplings do nothing yet: of all terms the coarse channels' means change alone."""
    torch.manual_seed(0)
    network = cast(Classifier, build(tiny_config)).double().eval()
    train, seen = tiny_data.train, tiny_data.validation
    kind_of(tiny_config.model).fit(network, train.images, train.labels, seen.images)
    with torch.no_grad():
        images = torch.from_numpy(seen.images[:8]).double()
        z = network.features(images)
        coarse = z[:, : network.coarse]
        clear = coarse + 2 * coarse.std((2, 3), keepdim=True)
        energy = (coarse.square() / clear.square().mean((2, 3), keepdim=True)).mean((2, 3))
        clear = clear * energy.sqrt()[:, :, None, None]
        clearer = network.invert(torch.cat([clear, z[:, network.coarse :]], 1))
        assert (network.logits(clearer) - network.logits(images)).abs().max() > 1e-3
        assert torch.allclose(network.read(clearer).scope, network.read(images).scope)


@pytest.mark.parametrize("count", [4, 12, 2000])
def test_the_scope_can_be_fitted_to_few_images(count) -> None:
    torch.manual_seed(0)
    terms = torch.randn(count, 8).double() @ torch.diag(torch.arange(1.0, 9.0)).double()
    fitted = covariance(terms)
    assert torch.linalg.eigvalsh(fitted).min() > 0
    assert (fitted.diagonal() / terms.var(0)).sub(1).abs().max() < 0.4
    assert torch.equal(fitted, torch.cov(terms.T)) == (count == 2000)


def test_a_wrong_size_says_which_was_expected(tiny_model) -> None:
    with pytest.raises(ShapeError, match=r"\(N, 1, 16, 16\).*\(2, 1, 32, 32\)"):
        tiny_model.logits(torch.zeros(2, 1, 32, 32, dtype=torch.float64))
