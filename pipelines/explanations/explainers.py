"""The methods that faithfulness.py compares: each from images (N, 1, H, W) to maps (N, H, W)
and the residual (N,) of the sum it promises (nan if none).
"""

import warnings
from collections.abc import Callable, Mapping

import torch
from captum.attr import DeepLift, IntegratedGradients, NoiseTunnel, Saliency
from monai.visualize import GradCAM, OcclusionSensitivity
from torch import Tensor, nn

from medinv.explanation.evidence import layer_terms
from medinv.explanation.ground import grounds_of
from medinv.explanation.local import cycle_spun_terms, local_terms
from medinv.models.density import Classifier

Method = Callable[[Tensor], tuple[Tensor, Tensor]]
OURS = "local evidence (ours)"
ALONE = "local evidence, no copies (ours)"
FIXED = "the same map for every image (control)"
SLOW = ("occlusion",)
# The first of each is taken: of GradCAM and SmoothGrad the best by pixel AUROC on 22 validation
# phantoms (`python -m pipelines.explanations.run --settings`), of occlusion MONAI's defaults.
SETTINGS = {
    "GradCAM": {"level": (2, 1, 3)},  # of 0 to 3, finest first
    "SmoothGrad": {"noise": (8.0, 4.0, 16.0)},  # grey levels
    "occlusion": {"mode": ("gaussian", "mean_patch"), "size": (16, 8)},
}
STEPS = 24  # of integrated gradients
SAMPLES = 16  # of SmoothGrad


class LogOdds(nn.Module):
    """Images to calibrated log-odds (N, 1) of the positive class."""

    def __init__(self, model: Classifier):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model.log_odds(self.model.logits(x))[:, None]


def methods(
    model: Classifier, usual: Mapping[str, Tensor], ground: Tensor, fixed: Tensor | None = None
) -> dict[str, Method]:
    """By name, ours first. usual: mean state by depth; ground (1, 1, H, W): the mean image of the
    negative class; fixed (H, W): a map that looks at no image.
    """
    net = LogOdds(model).eval()
    gradients, deep = IntegratedGradients(net), DeepLift(net)

    def local(x: Tensor) -> tuple[Tensor, Tensor]:
        noise = model.card.config.train.noise
        found = cycle_spun_terms(model, x, usual, noise, grounds_of(model, x))
        return found.maps, found.residual

    def alone(x: Tensor) -> tuple[Tensor, Tensor]:
        grounds = grounds_of(model, x)
        nearest = None if grounds is None else grounds[0]
        maps, bias, logit = local_terms(model, x, usual, nearest)
        return maps, (maps.sum((1, 2)) + bias - logit).abs()

    def pixels(x: Tensor) -> tuple[Tensor, Tensor]:
        terms, bias, logit = layer_terms(model, x)
        return terms[0].sum(1), (terms[0].flatten(1).sum(1) + bias - logit).abs()

    def promised(values: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            return values[:, 0], (
                values.flatten(1).sum(1) - (net(x) - net(ground.expand_as(x)))[:, 0]
            ).abs()

    looking_at_nothing = (
        {} if fixed is None else {FIXED: lambda x: nothing_promised(fixed.expand_as(x[:, 0]))}
    )
    return {
        OURS: local,
        ALONE: alone,
        "pixel evidence (ours)": pixels,
        "GradCAM": grad_cam(net, **first("GradCAM")),
        "occlusion": occlusion(net, **first("occlusion")),
        "integrated gradients": lambda x: promised(
            gradients.attribute(x, ground.expand_as(x), target=0, n_steps=STEPS).detach(), x
        ),
        "SmoothGrad": smooth_grad(net, **first("SmoothGrad")),
        "DeepLIFT": lambda x: promised(
            deep.attribute(x, ground.expand_as(x), target=0).detach(), x
        ),
        "random": lambda x: nothing_promised(
            torch.rand(x[:, 0].shape, generator=torch.Generator().manual_seed(int(x.sum()) % 2**31))
        ),
    } | looking_at_nothing


def first(name: str) -> dict:
    return {key: values[0] for key, values in SETTINGS[name].items()}


def nothing_promised(maps: Tensor) -> tuple[Tensor, Tensor]:
    return maps.detach(), torch.full((len(maps),), torch.nan)


def grad_cam(net: LogOdds, level: int) -> Method:
    cam = GradCAM(nn_module=net, target_layers=f"model.trunk.layers.1.levels.{level}")
    return lambda x: nothing_promised(
        -torch.as_tensor(cam(x, class_idx=0))[:, 0]
    )  # MONAI turns its map over so that low is important


def occlusion(net: LogOdds, mode: str, size: int) -> Method:
    """MONAI's map is what the network answers while a place is occluded, so that low is important:
    the fall of the log-odds is the answer as it is less that.
    """
    run = OcclusionSensitivity(
        nn_module=net,
        mask_size=size,
        n_batch=64,
        overlap=0.6,
        mode=mode,
        activate=False,
        verbose=False,
    )

    @torch.no_grad()
    def fall(image: Tensor) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of MONAI's own indexing
            return net(image)[0, 0] - torch.as_tensor(run(image)[0])[0, 0]

    return lambda x: nothing_promised(torch.stack([fall(image) for image in x.split(1)]))


def smooth_grad(net: LogOdds, noise: float) -> Method:
    tunnel = NoiseTunnel(Saliency(net))

    def explain(x: Tensor) -> tuple[Tensor, Tensor]:
        torch.manual_seed(0)
        return nothing_promised(
            tunnel.attribute(
                x,
                nt_type="smoothgrad",
                nt_samples=SAMPLES,
                nt_samples_batch_size=4,
                stdevs=noise,
                target=0,
            ).abs()[:, 0]
        )

    return explain
