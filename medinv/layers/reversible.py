"""Training without stored activations: the backward pass recomputes them through the inverse (Gomez
et al. 2017, RevNet, 1707.04585).
"""

from typing import Any

import torch
from torch import Tensor, nn

from medinv.errors import ConfigError
from medinv.layers.base import Chain, Invertible, LeftInvertible


class Reversible(Invertible):
    """A Chain (same values, same state_dict keys) that keeps its output alone and recomputes each
    layer's input while it goes back.

    Memory in training does not grow with depth, but for the gradients of the weights; each step
    pays one inverse and one more forward a layer. The recomputed activations carry the rounding of
    the inverse, so gradients differ from autograd's by about what a round trip of the deepest
    layers differs from its input: relative to the largest gradient of each tensor, below 1e-12 in
    float64 and 1e-3 in float32 through 100 couplings or well conditioned convolutions
    (`pipelines/layers/memory.py`; in float32 a value that crosses the kink of a ReLU counts in
    full, smooth activations stay near 1e-5). Where that is too much, `anchor_every=k` stores every
    k-th activation and starts afresh from it. Exact in algebra. First derivatives only; layers that
    draw random numbers give wrong gradients.

    Raises ConfigError for layers that are only left-invertible, whose image the inverse cannot
    leave, and for `anchor_every` below 1.
    """

    def __init__(self, *layers: Invertible, anchor_every: int | None = None):
        super().__init__()
        if anchor_every is not None and anchor_every < 1:
            raise ConfigError(
                f"Reversible expects anchor_every to be at least 1, or None; got {anchor_every}"
            )
        self.layers = nn.ModuleList(layers)
        self.anchor_every = anchor_every
        if any(layer.conditional for layer in layers):
            raise ConfigError("Reversible expects layers without a condition; put them in a Chain")
        if any(isinstance(layer, LeftInvertible) for layer in layers):
            raise ConfigError(
                "Reversible expects bijections; got a layer that widens;"
                " put it in a Chain around Reversible"
            )
        chain = Chain(*layers)
        self.isometric, self.bit_exact = chain.isometric, chain.bit_exact

    def forward(self, x: Tensor) -> Tensor:
        """y."""
        return self._run(x, False)[0]

    def inverse(self, y: Tensor) -> Tensor:
        """x."""
        for layer in reversed(self._layers()):
            y = layer.inverse(y)
        return y

    def log_det(self, x: Tensor) -> Tensor:
        """(N,)."""
        return self.call_and_log_det(x)[1]

    def call_and_log_det(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both."""
        return self._run(x, True)

    def initialise(self, x: Tensor) -> Tensor:
        """From a first batch."""
        for layer in self._layers():
            x = layer.initialise(x)
        return x

    def _layers(self) -> list[Invertible]:
        return list(self.layers)  # type: ignore[arg-type]

    def inverse_norm(self, x: Tensor, iterations: int = 30) -> Tensor:
        """(N,)."""
        return Chain(*self._layers()).inverse_norm(x, iterations)

    def condition_number(self, x: Tensor, iterations: int = 30) -> Tensor:
        """(N,)."""
        return Chain(*self._layers()).condition_number(x, iterations)

    def _run(self, x: Tensor, with_log_det: bool) -> tuple[Tensor, Tensor]:
        return _Recomputed.apply(self, with_log_det, x, *self.parameters())


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, chain: Reversible, with_log_det: bool, x: Tensor, *_: Tensor
    ) -> tuple[Tensor, Tensor]:
        """y."""
        anchors, states, total = [], [], x.new_zeros(x.shape[0])
        for index, layer in enumerate(chain._layers()):
            if chain.anchor_every and index % chain.anchor_every == 0:
                anchors.append(x)
            x, log_det = layer.call_and_log_det(x) if with_log_det else (layer(x), 0)
            total = total + log_det
            states.append(_state(layer))
        ctx.chain, ctx.with_log_det, ctx.states = chain, with_log_det, states
        ctx.save_for_backward(x, *anchors)
        return x, total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_y: Tensor, grad_log_det: Tensor) -> tuple[Tensor | None, ...]:
        """The adjoint."""
        chain, (y, *anchors) = ctx.chain, ctx.saved_tensors
        gradients: dict[Tensor, Tensor] = {}
        for index, layer in reversed(list(enumerate(chain._layers()))):
            now = _state(layer)
            _restore(layer, ctx.states[index])
            anchored = chain.anchor_every and index % chain.anchor_every == 0
            x = (
                (anchors[index // chain.anchor_every] if anchored else layer.inverse(y))
                .detach()
                .requires_grad_()
            )
            grad_y = _step_back(
                layer, x, (grad_y, grad_log_det if ctx.with_log_det else None), gradients
            )
            _restore(layer, now)
            # factors of a solve, which the coming step makes stale, would grow with depth as
            # activations do
            layer.forget()
            y = x.detach()
        return None, None, grad_y, *(gradients.get(parameter) for parameter in chain.parameters())


def _step_back(
    layer: Invertible,
    x: Tensor,
    grads: tuple[Tensor, Tensor | None],
    gradients: dict[Tensor, Tensor],
) -> Tensor:
    """The gradient at `x` of one layer; those of its weights are added to `gradients`."""
    parameters = [parameter for parameter in layer.parameters() if parameter.requires_grad]
    with torch.enable_grad():
        outputs = layer.call_and_log_det(x) if grads[1] is not None else (layer(x),)
    wanted = [
        (output, grad) for output, grad in zip(outputs, grads, strict=False) if output.requires_grad
    ]
    grad_x, *rest = torch.autograd.grad(
        [o for o, _ in wanted], (x, *parameters), [g for _, g in wanted], allow_unused=True
    )
    for parameter, grad in zip(parameters, rest, strict=True):
        if grad is not None:
            gradients[parameter] = gradients[parameter] + grad if parameter in gradients else grad
    return grad_x


def _state(layer: Invertible) -> dict[str, Tensor]:
    """Copies of the buffers of a layer in training: running statistics, which recomputing must
    neither use too new nor move again.
    """
    return (
        {name: buffer.clone() for name, buffer in layer.named_buffers()} if layer.training else {}
    )


def _restore(layer: Invertible, state: dict[str, Tensor]) -> None:
    for name, buffer in layer.named_buffers():
        if name in state:
            buffer.copy_(state[name])


class Recomputing(Invertible):
    """A Chain (same values, same state_dict keys) whose bijections are `Reversible`, run by run.

    What is no bijection, or holds chains of its own, stands between the runs and is called as it
    is. `anchor_every` is that of each run. Gradients are as exact as those of Reversible.
    """

    def __init__(self, *layers: Invertible, anchor_every: int | None = None):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        chain = Chain(*layers)
        self.isometric, self.bit_exact = chain.isometric, chain.bit_exact
        runs: list[list[Invertible]] = [[]]
        parts: list[Invertible] = []
        for layer in layers:
            if _is_plain(layer):
                runs[-1].append(layer)
                continue
            parts += [*_reversible(runs[-1], anchor_every), layer]
            runs.append([])
        # A tuple, so that the weights are not registered twice.
        self._parts = (*parts, *_reversible(runs[-1], anchor_every))

    def forward(self, x: Tensor) -> Tensor:
        """y."""
        for part in self._parts:
            x = part(x)
        return x

    def inverse(self, y: Tensor) -> Tensor:
        """x."""
        for part in reversed(self._parts):
            y = part.inverse(y)
        return y

    def log_det(self, x: Tensor) -> Tensor:
        """(N,)."""
        return self.call_and_log_det(x)[1]

    def call_and_log_det(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both."""
        return Chain(*self._parts).call_and_log_det(x)

    def initialise(self, x: Tensor) -> Tensor:
        """From a first batch."""
        return Chain(*self._parts).initialise(x)

    def inverse_norm(self, x: Tensor, iterations: int = 30) -> Tensor:
        """(N,)."""
        return Chain(*self.layers).inverse_norm(x, iterations)

    def condition_number(self, x: Tensor, iterations: int = 30) -> Tensor:
        """(N,)."""
        return Chain(*self.layers).condition_number(x, iterations)


def recomputed(chain: Chain, anchor_every: int | None = None) -> Recomputing:
    """The chain, and every chain within it, with activations that are recomputed in training.

    The layers are those of `chain`, whose containers are changed in place. Raises ConfigError for
    layers that take a condition.
    """
    for module in list(chain.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Chain):
                setattr(module, name, recomputed(child, anchor_every))
    return Recomputing(*chain, anchor_every=anchor_every)


def _is_plain(layer: Invertible) -> bool:
    """Whether a layer is a bijection that holds no chain."""
    holds = (LeftInvertible, Chain, Recomputing)
    return not any(isinstance(module, holds) for module in layer.modules())


def _reversible(run: list[Invertible], anchor_every: int | None) -> list[Invertible]:
    return [Reversible(*run, anchor_every=anchor_every)] if run else []
