"""`medinv retrieve`: studies from an archive into a folder, to be classified."""

from pathlib import Path
from typing import Annotated

import typer


def retrieve(
    peer: Annotated[
        str,
        typer.Argument(
            metavar="PEER",
            help="A peer of the network file, an http(s) DICOMweb address, or AETITLE@HOST:PORT.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the images, which name their patients.")
    ],
    study: Annotated[
        list[str] | None,
        typer.Option("--study", metavar="UID", help="Study Instance UID; may be repeated."),
    ] = None,
    find: Annotated[
        list[str] | None,
        typer.Option(
            "--find",
            metavar="KEY=VALUE",
            help="Studies that match, such as StudyDate=20260101; may be repeated.",
        ),
    ] = None,
    network: Annotated[
        Path | None,
        typer.Option(
            "--network", metavar="FILE", help="Network file such as configs/network.yaml."
        ),
    ] = None,
) -> None:
    """Fetch studies by QIDO-RS and WADO-RS, or C-FIND and C-MOVE, for `medinv classify OUT`.

    For C-MOVE the archive must know this program's AE title, address and port, which the network
    file gives.
    """
    from medinv.errors import ConfigError, MissingDataError
    from medinv.net.retrieve import retrieve_studies, studies_matching
    from medinv.net.settings import load_network

    keys = dict(_pair(text) for text in find or ())
    if bool(study) == bool(keys):
        raise ConfigError(
            "name studies with --study UID, or what they must match with --find KEY=VALUE,"
            " and not both"
        )
    settings = load_network(network)
    node = settings.peer(peer)
    uids = list(study or ()) or studies_matching(node, keys, settings)
    if not uids:
        raise MissingDataError("no study matches")
    counts = retrieve_studies(node, uids, out, settings)
    typer.echo(f"{len(uids)} studies, {sum(counts)} files: {out}")
    if not all(counts):
        raise MissingDataError(
            f"{counts.count(0)} of {len(uids)} studies brought no file: the archive does not have"
            " them"
        )


def _pair(text: str) -> tuple[str, str]:
    from medinv.errors import ConfigError

    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(f"expected --find KEY=VALUE, such as StudyDate=20260101; got {text!r}")
    return key, value
