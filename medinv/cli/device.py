"""The option `--device`, the same for every command that computes."""

from typing import Annotated

import typer

CPU = "cpu"
Device = Annotated[
    str,
    typer.Option(
        "--device", metavar="cpu|cuda|cuda:N", help="Where the network computes. Default: cpu."
    ),
]


def check_there(device: str) -> None:
    """Raise DeviceError for a device that is not there; of another than cpu it brings torch."""
    if device != CPU:
        from medinv.models.device import device_named

        device_named(device)
