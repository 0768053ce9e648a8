"""`medinv send`: DICOM files to an archive."""

from pathlib import Path
from typing import Annotated

import typer


def send(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help="DICOM files or folders, such as a results folder of classify --dicom.",
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="PEER",
            help="A peer of the network file, an http(s) DICOMweb address, or AETITLE@HOST:PORT.",
        ),
    ],
    network: Annotated[
        Path | None,
        typer.Option(
            "--network", metavar="FILE", help="Network file such as configs/network.yaml."
        ),
    ] = None,
) -> None:
    """Send DICOM files by C-STORE or STOW-RS. Sending the same result twice stores it once.

    Exit codes: 0 all sent, 1 some failed, 2 usage.
    """
    from medinv.errors import ConfigError
    from medinv.net.send import dicom_files
    from medinv.net.send import send as send_all
    from medinv.net.settings import load_network

    for path in inputs:
        if not path.exists():
            raise ConfigError("no such file or folder", path=path)
    settings = load_network(network)
    outcome = send_all(dicom_files(inputs), settings.peer(to), settings)
    failed = [sent for sent in outcome if sent.error]
    for sent in failed:
        typer.echo(f"not sent: {sent.path}: [{sent.error.code}] {sent.error.message}", err=True)
    typer.echo(f"{len(outcome) - len(failed)} of {len(outcome)} files sent to {to}")
    raise typer.Exit(1 if failed else 0)
