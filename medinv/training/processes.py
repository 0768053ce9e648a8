"""Starting and ending a training by several processes, as `torchrun` runs them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import distributed as dist

from medinv.errors import ConfigError


@contextmanager
def joined(device: str) -> Iterator[str]:
    """The device of this process; within, processes that torchrun started train one network.

    They talk by NCCL on CUDA and by gloo on the processor. Alone, nothing is started. Raises
    ConfigError where there are fewer devices than processes.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    backend = "gloo"
    if device.startswith("cuda"):
        local = int(os.environ["LOCAL_RANK"])
        if local >= torch.cuda.device_count():
            raise ConfigError(
                f"expected a CUDA device for each process; process {local + 1} finds "
                f"{torch.cuda.device_count()}: lower --nproc-per-node"
            )
        torch.cuda.set_device(local)
        device, backend = f"cuda:{local}", "nccl"
    dist.init_process_group(backend)
    try:
        yield device
    finally:
        dist.destroy_process_group()
