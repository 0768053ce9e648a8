"""`medinv receive`: a DICOM node that classifies what it is sent."""

from pathlib import Path
from typing import Annotated

import typer


def receive(
    network: Annotated[
        Path,
        typer.Option(
            "--network",
            metavar="FILE",
            help="Network file such as configs/network.yaml: who may call, who is answered.",
        ),
    ],
    model: Annotated[
        list[str],
        typer.Option("--model", "-m", help="Shipped model or model folder; may be repeated."),
    ],
    folder: Annotated[
        Path,
        typer.Option(
            "--folder", help="Where received images and results lie. They name their patients."
        ),
    ],
    routes: Annotated[
        Path | None,
        typer.Option(
            "--routes",
            metavar="FILE",
            help="Rules such as configs/routes.yaml: by model, label, probability and scope, where "
            "a result is sent and which tags it gets. Without it all go to answer_to.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Take studies by C-STORE, classify each when it is complete, and send the results into it.

    Answers are DICOM objects of the study, which carry the patient's name as the study does.
    Ctrl-C ends it after the study that it is at, a second Ctrl-C at once; the same command goes on.
    """
    import signal
    import threading

    from medinv.cli.interrupts import on_interrupt, say

    stop = threading.Event()

    def end() -> None:
        say("ends after the study it is at")
        stop.set()

    on_interrupt(end, (signal.SIGINT, signal.SIGTERM))

    from medinv.errors import ConfigError
    from medinv.models.store import load_invertible
    from medinv.net.receive import Service
    from medinv.net.routing import load_routes
    from medinv.net.settings import load_network

    settings = load_network(network)
    if not settings.callers:
        raise ConfigError(
            "name at least one node under callers: nobody else may open an association",
            path=network,
        )
    rules = load_routes(routes, settings) if routes else None
    loaded = [load_invertible(name) for name in dict.fromkeys(model)]
    for one in loaded:
        one.card.check_takes_studies()
    typer.echo("Research use, not for diagnosis.")
    Service(settings, loaded, folder, say=typer.echo, routes=rules).run(stop)
