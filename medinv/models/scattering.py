"""Scattering of the second order: wavelets, absolute values, averages.

Nothing is learned and no distance between images grows.

    S x = { x * phi,  |x * psi_1| * phi,  ||x * psi_1| * psi_2| * phi }

with Morlet wavelets psi of J scales and L orientations and a Gaussian phi (Bruna and Mallat 2013,
1203.1513). The filters are a frame: at every frequency

    A <= |phi|^2 + 1/2 sum (|psi(w)|^2 + |psi(-w)|^2) <= B = 1,

and B <= 1 makes S non-expansive, whatever the depth (Wiatowski and Boelcskei 2018, 1512.06293,
theorem 1 and its condition on the frame bounds).
"""

import math

import torch
from torch import Tensor, nn


class Scattering(nn.Module):
    """Images (N, C, size, size) -> coefficients (N, C paths, size / 2^J, size / 2^J).

    There are 1 + L J + L^2 J (J - 1) / 2 paths. It is circular at the border.
    """

    low: Tensor
    bands: Tensor

    def __init__(self, size: int, *, scales: int, orientations: int):
        super().__init__()
        self.scales, self.orientations = scales, orientations
        low, bands = _filters(size, scales, orientations)
        peak = _littlewood_paley(low, bands).max().sqrt()
        self.register_buffer("low", (low / peak).float(), persistent=False)
        self.register_buffer(
            "bands", (bands / peak).float(), persistent=False
        )  # (J L, size, size), fine to coarse
        self.paths = 1 + orientations * scales + orientations**2 * scales * (scales - 1) // 2

    def frame_bounds(self) -> tuple[float, float]:
        """(A, B): the smallest and largest gain in energy of any image under the filters."""
        gain = _littlewood_paley(self.low.double(), self.bands.double())
        return gain.min().item(), gain.max().item()

    def forward(self, x: Tensor) -> Tensor:
        """Coefficients (N, C paths, size / 2^J, size / 2^J) of images (N, C, size, size)."""
        spectrum = torch.fft.fft2(x)
        paths = [self._average(spectrum)]
        for band in range(self.scales * self.orientations):
            first = torch.fft.fft2(torch.fft.ifft2(spectrum * self.bands[band]).abs())
            paths.append(self._average(first))
            for finer in range(
                (band // self.orientations + 1) * self.orientations, len(self.bands)
            ):
                paths.append(
                    self._average(torch.fft.fft2(torch.fft.ifft2(first * self.bands[finer]).abs()))
                )
        return torch.cat(paths, 1)

    def _average(self, spectrum: Tensor) -> Tensor:
        step = 2**self.scales
        return torch.fft.ifft2(spectrum * self.low).real[..., ::step, ::step]


def _filters(size: int, scales: int, orientations: int) -> tuple[Tensor, Tensor]:
    """The Gaussian (size, size) and the wavelets (J L, size, size) in the frequency domain, real.

    They are in float64, summed over aliases.
    """
    low, bands = (
        torch.zeros(size, size, dtype=torch.float64),
        torch.zeros(scales * orientations, size, size, dtype=torch.float64),
    )
    base = 2 * math.pi * torch.fft.fftfreq(size, dtype=torch.float64)
    for alias_y in (-1, 0, 1):
        for alias_x in (-1, 0, 1):
            wy, wx = torch.meshgrid(
                base + 2 * math.pi * alias_y, base + 2 * math.pi * alias_x, indexing="ij"
            )
            low += torch.exp(-0.5 * (0.8 * 2 ** (scales - 1)) ** 2 * (wy**2 + wx**2))
            for index in range(len(bands)):
                scale, angle = (
                    index // orientations,
                    math.pi * (index % orientations) / orientations,
                )
                bands[index] += _morlet(wx, wy, 0.8 * 2**scale, 0.75 * math.pi / 2**scale, angle)
    return low, bands


def _morlet(
    wx: Tensor, wy: Tensor, sigma: float, centre: float, angle: float, slant: float = 0.5
) -> Tensor:
    """A Gaussian bump at distance `centre` in direction `angle`, less what makes its mean zero."""
    along = wx * math.cos(angle) + wy * math.sin(angle)
    across = (wy * math.cos(angle) - wx * math.sin(angle)) / slant
    bump = torch.exp(-0.5 * sigma**2 * ((along - centre) ** 2 + across**2))
    return bump - math.exp(-0.5 * (sigma * centre) ** 2) * torch.exp(
        -0.5 * sigma**2 * (along**2 + across**2)
    )


def _littlewood_paley(low: Tensor, bands: Tensor) -> Tensor:
    energy = bands.square().sum(0)
    opposite = energy.flip(0, 1).roll((1, 1), (0, 1))  # the value at -w
    return low.square() + (energy + opposite) / 2
