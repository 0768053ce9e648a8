"""Whether anything asks for derivatives: `Function.apply` costs as much as a small inverse."""

import torch
from torch import Tensor


def none_wanted(*inputs: Tensor) -> bool:
    """Whether neither backwards, forwards, over batches nor by a compiler any are asked for."""
    wanted = torch.is_grad_enabled() and any(one.requires_grad for one in inputs)
    transformed = torch._C._are_functorch_transforms_active()  # as `Function.apply` asks
    dual = torch.autograd.forward_ad._current_level >= 0
    return not (wanted or transformed or dual or torch.compiler.is_compiling())
