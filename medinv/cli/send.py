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

    Of a results folder, only what its results.jsonl names is sent.
    Exit codes: 0 all sent, 1 some failed, 2 usage, 130 interrupted.
    """
    from medinv.errors import ConfigError
    from medinv.net.results import dicom_files
    from medinv.net.send import send as send_all
    from medinv.net.settings import load_network

    for path in inputs:
        if not path.exists():
            raise ConfigError("no such file or folder", path=path)
    settings = load_network(network)
    outcome = send_all(dicom_files(inputs), settings.peer(to), settings)
    failed = [(sent.path, sent.error) for sent in outcome if sent.error]
    for path, error in failed:
        typer.echo(f"not sent: {path}: [{error.code}] {error.message}", err=True)
    typer.echo(f"{len(outcome) - len(failed)} of {len(outcome)} files sent to {to}")
    raise typer.Exit(1 if failed else 0)
