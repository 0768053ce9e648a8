"""The methods that faithfulness.py compares: each from images (N, 1, H, W) to maps (N, H, W) and the largest residual of the sum it promises (nan if none)."""

import math
from collections.abc import Callable

import torch
from captum.attr import DeepLift, IntegratedGradients, NoiseTunnel, Saliency
from monai.visualize import GradCAM, OcclusionSensitivity
from torch import Tensor, nn

from medinv.explain.evidence import likelihood_ratio, layer_terms
from medinv.explain.local import local_terms
from medinv.models.cases import CaseIndex
from medinv.models.classifier import Classifier

Method = Callable[[Tensor], tuple[Tensor, float]]
GRADCAM_LEVEL = 2  # of 0 to 3: 8 x 8 places, the finest where channels are many; the other levels were not tried
STEPS = 24  # of integrated gradients
SAMPLES = 16  # of SmoothGrad
NOISE = 8.0  # grey levels, of SmoothGrad


class LogOdds(nn.Module):
    """Images to calibrated log-odds (N, 1) of the positive class."""

    def __init__(self, model: Classifier):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model.log_odds(self.model.logits(x))[:, None]


def methods(model: Classifier, kept: CaseIndex) -> dict[str, Method]:
    """By name, ours first."""
    net = LogOdds(model).eval()
    ground = kept.class_means[0][None]
    cam = GradCAM(nn_module=net, target_layers=f"model.trunk.layers.1.levels.{GRADCAM_LEVEL}")
    occlusion = OcclusionSensitivity(nn_module=net, mask_size=8, n_batch=64, overlap=0.25, mode="mean_patch", activate=False, verbose=False)
    gradients, deep, smooth = IntegratedGradients(net), DeepLift(net), NoiseTunnel(Saliency(net))

    def local(x: Tensor) -> tuple[Tensor, float]:
        maps, bias, logit = local_terms(model, x, kept.usual)
        return maps, (maps.sum((1, 2)) + bias - logit).abs().max().item()

    def pixels(x: Tensor) -> tuple[Tensor, float]:
        terms, bias, logit = layer_terms(model, x)
        return terms[0].sum(1), (terms[0].flatten(1).sum(1) + bias - logit).abs().max().item()

    def ratio(x: Tensor) -> tuple[Tensor, float]:
        found = [likelihood_ratio(model, image) for image in x.split(1)]
        maps = torch.stack([torch.from_numpy(part.locations) for part in found])[:, None]
        return nn.functional.interpolate(maps, size=x.shape[2:], mode="bilinear")[:, 0], max(part.residual for part in found)

    def promised(values: Tensor, x: Tensor) -> tuple[Tensor, float]:
        with torch.no_grad():
            gap = values.flatten(1).sum(1) - (net(x) - net(ground.expand_as(x)))[:, 0]
        return values[:, 0], gap.abs().max().item()

    return {
        "local evidence (ours)": local,
        "pixel evidence (ours)": pixels,
        "likelihood ratio (ours)": ratio,
        "GradCAM": lambda x: (-torch.as_tensor(cam(x, class_idx=0))[:, 0].detach(), math.nan),  # MONAI turns its map over so that low is important
        "occlusion": lambda x: (torch.stack([_fall(net, occlusion, image) for image in x.split(1)]), math.nan),
        "integrated gradients": lambda x: promised(gradients.attribute(x, ground.expand_as(x), target=0, n_steps=STEPS).detach(), x),
        "SmoothGrad": lambda x: (_smooth(smooth, x), math.nan),
        "DeepLIFT": lambda x: promised(deep.attribute(x, ground.expand_as(x), target=0).detach(), x),
        "random": lambda x: (torch.rand(x[:, 0].shape, generator=torch.Generator().manual_seed(int(x.sum()) % 2**31)), math.nan),
    }


@torch.no_grad()
def _fall(net: nn.Module, occlusion: OcclusionSensitivity, image: Tensor) -> Tensor:
    return net(image)[0, 0] - torch.as_tensor(occlusion(image)[0])[0, 0]


def _smooth(smooth: NoiseTunnel, x: Tensor) -> Tensor:
    torch.manual_seed(0)
    return smooth.attribute(x, nt_type="smoothgrad", nt_samples=SAMPLES, nt_samples_batch_size=4, stdevs=NOISE, target=0).abs()[:, 0].detach()
