"""Ordinary networks with frozen gates: equal to themselves at their image, affine elsewhere."""

import pytest
import torch
from monai.networks.nets import ResNet
from torch import nn

from medinv.config import ModelConfig, load_config
from medinv.errors import ConfigError
from medinv.explanation.affine import freeze
from medinv.explanation.ordinary import evidence_of, freeze_network
from medinv.models.baselines import lenet, mobilenet_v2
from medinv.models.build import kind_of


def lively(network: nn.Module, size: tuple[int, ...] = (8, 1, 32, 32)) -> nn.Module:
    """With statistics of noise and affine parts that do something, in float64."""
    torch.manual_seed(1)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the mean of what comes
        norm.weight.data.normal_(1, 0.2)
        norm.bias.data.normal_(0, 0.2)
    network = network.double().train()
    for _ in range(4 * bool(norms)):
        network(2 * torch.randn(size).double())
    return network.eval()


def _resnet(**more) -> nn.Module:
    return ResNet(
        "basic", [2, 2, 2, 2], [8, 8, 16, 16],
        spatial_dims=2, n_input_channels=1, num_classes=3, **more,
    )  # fmt: skip


NETWORKS = {
    "lenet": lambda: lenet(1, 32, 3),
    "mobilenetv2": lambda: mobilenet_v2(1, 32, 3),
    "resnet18": _resnet,
    "resnet18 with groups": lambda: _resnet(norm=("group", {"num_groups": 2})),
}


@pytest.fixture(scope="module", params=NETWORKS, ids=lambda name: name.replace(" ", "-"))
def network(request) -> nn.Module:
    torch.manual_seed(0)
    return lively(NETWORKS[request.param]())


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(2)).double() * 2


def test_it_is_the_network_at_its_image_and_affine_elsewhere(network, images) -> None:
    frozen = freeze_network(network, images)
    assert torch.allclose(frozen(images), network(images), rtol=0, atol=1e-10)
    u, v = images.flip(3), images.roll(5, 2)
    together = 0.3 * frozen(u) + 0.7 * frozen(v)
    assert torch.allclose(frozen(0.3 * u + 0.7 * v), together, rtol=0, atol=1e-10)
    assert not torch.allclose(frozen(u), network(u), rtol=0, atol=1e-3), "gates are frozen"


def test_it_is_replayed_backwards_by_its_transpose(network, images) -> None:
    frozen = freeze_network(network, images)
    u, v = images.flip(2), torch.tensor([[1.0, -2.0, 0.5], [0.3, 0.0, 2.0]]).double()
    there = ((frozen(u) - frozen.bias) * v).sum()
    assert there.item() == pytest.approx((u * frozen.back(v)).sum().item(), rel=1e-9)
    rows = torch.stack([(frozen.row(k) * u).flatten(1).sum(1) for k in range(3)], 1)
    assert torch.allclose(rows + frozen.bias, frozen(u), rtol=0, atol=1e-9)


@pytest.mark.parametrize("ground", [0.0, 0.7])
def test_contributions_and_bias_are_the_logit(network, images, ground) -> None:
    found = evidence_of(network, images[:1], 2, 0, ground=ground)
    logits = network(images[:1])[0]
    assert found.logit == pytest.approx((logits[2] - logits[0]).item(), rel=1e-9)
    assert found.residual < 1e-9
    assert found.contributions.shape == (32, 32) and abs(found.contributions).max() > 1e-6


def test_of_relu_networks_the_rows_are_the_gradient(images) -> None:
    """What is known of gradient x input; of secant gates and frozen scales it does not hold."""
    network = lively(_resnet())
    x = images[:1].clone().requires_grad_()
    (slope,) = torch.autograd.grad(network(x)[0, 1], x)
    assert torch.allclose(freeze_network(network, images[:1]).row(1), slope, rtol=0, atol=1e-10)


def test_the_network_and_its_image_are_left_as_they_were(images) -> None:
    network, before = lively(_resnet()), images.clone()
    state = {name: t.clone() for name, t in network.state_dict().items()}
    freeze_network(network, images)(images)
    assert torch.equal(images, before)
    assert all(torch.equal(state[name], t) for name, t in network.state_dict().items())


LAYERS = [
    nn.ReLU6(), nn.ELU(), nn.GELU(), nn.Hardswish(), nn.LeakyReLU(0.2), nn.SiLU(), nn.Tanh(),
    nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2), nn.GroupNorm(2, 4), nn.BatchNorm2d(4), nn.Dropout(),
]  # fmt: skip


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_each_layer_frozen_is_the_layer_at_its_image_and_affine_elsewhere(layer) -> None:
    generator = torch.Generator().manual_seed(2)
    layer = lively(layer, (8, 4, 8, 8))
    x, u, v = (4 * torch.randn(2, 4, 8, 8, generator=generator).double() for _ in range(3))
    x[0, 0, 0, :3] = torch.tensor([0.0, 1e-12, -1e-12])
    with torch.no_grad():
        frozen = freeze(layer, x)
        assert torch.allclose(frozen(x), layer(x), rtol=0, atol=1e-9)
        between = 0.3 * frozen(u) + 0.7 * frozen(v)
        assert torch.allclose(frozen(0.3 * u + 0.7 * v), between, rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", ["mobilenetv2", "pooled-twin", "twin"])
def test_the_evidence_of_a_twin_is_had_from_the_model_as_it_is_loaded(kind, configs) -> None:
    """Standardisation and grey levels included; images are those that users have."""
    config = load_config(configs / "phantom-opacity.yaml", ("data.size=16", "model.depths=[1,1]",
                         "model.hidden=[8,8]"))  # fmt: skip
    widths = config.model.model_dump() | {"kind": kind, "channels": 1}
    fields = ModelConfig.known()[kind].model_fields
    settings = ModelConfig.known()[kind](**{k: v for k, v in widths.items() if k in fields})
    network = lively(kind_of(settings).build(settings, (1, 16, 16)), (8, 1, 16, 16))
    x = torch.randint(0, 256, (1, 1, 16, 16)).double()
    found = evidence_of(network, x, 1, 0, ground=95.0)
    assert found.residual < 1e-9
    logits = network.logits(x)[0]
    assert found.logit == pytest.approx((logits[1] - logits[0]).item(), abs=1e-9)


def test_what_cannot_be_frozen_is_named(images) -> None:
    class Attention(nn.Module):
        def forward(self, x):
            return x * torch.sigmoid(x)

    with pytest.raises(ConfigError, match="frozen form is known; got sigmoid"):
        freeze_network(Attention().eval(), images)
    with pytest.raises(ConfigError, match="got softmax"):
        freeze_network(nn.Sequential(nn.Softmax(1)).eval(), images)
    with pytest.raises(ConfigError, match=r"BatchNorm2d is in training mode"):
        freeze(nn.BatchNorm2d(1), images)
