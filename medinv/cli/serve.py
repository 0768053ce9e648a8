"""`medinv serve`: a page on this machine where studies are dropped."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

_TRIES = 100


def serve(
    model: Annotated[
        list[str],
        typer.Option("--model", "-m", help="Shipped model or model folder; may be repeated."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder for what is dropped and for the results; those that stand in it are "
            "listed. Without it all is deleted at the end.",
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port on 127.0.0.1; 0: any free one.")
    ] = 0,
    limit: Annotated[
        float, typer.Option("--limit", min=0.001, metavar="GB", help="The largest upload taken.")
    ] = 8,
    readers: Annotated[
        int,
        typer.Option(
            "--readers",
            min=0,
            help="Processes that read files; 0: half as many as the machine has cores.",
        ),
    ] = 0,
) -> None:
    """Show a page on this machine, and no other, where dropped studies are classified.

    Open the address that is printed, as a whole: who has it can see the results. Nothing leaves
    the machine. Images lie under --out and are deleted when they are classified; study UIDs are
    pseudonyms, pixels are not de-identified. Ctrl-C ends it after the study that it is at, a
    second Ctrl-C at once; the same command goes on. Needs the extra `serve`.
    """
    import signal

    from medinv.cli.interrupts import on_interrupt, say
    from medinv.errors import ConfigError

    try:
        import starlette  # noqa: F401 - said here, once, for both
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f'the page needs {error.name}: python -m pip install "medinv[serve]"'
        ) from error

    from medinv.batch.options import READERS, Options
    from medinv.models.store import load_invertible
    from medinv.serve.server import Server
    from medinv.serve.uploads import Limits

    loaded = [load_invertible(name) for name in dict.fromkeys(model)]
    for one in loaded:
        one.card.check_takes_studies()
    with _folder(out) as (folder, delete):
        options = Options(folder, readers=readers or READERS)
        limits = Limits(bytes=int(limit * 1e9))
        server = Server(loaded, options, port, limits, say=typer.echo)

        def end() -> None:
            say("ends after the study it is at")
            server.stop()

        on_interrupt(end, (signal.SIGINT, signal.SIGTERM), last=delete)
        typer.echo("Research use, not for diagnosis.")
        typer.echo(f"open {server.address}")
        server.run()


@contextmanager
def _folder(out: Path | None) -> Iterator[tuple[Path, Callable[[], None]]]:
    """`out`, or a folder of our own that is gone at the end, and what deletes that."""
    from medinv.files import beside

    folder = out or beside(Path(tempfile.gettempdir()) / "medinv")

    def delete() -> None:
        tries = 0 if out else _TRIES
        while tries and folder.exists():  # a study that is being written may bring files back
            shutil.rmtree(folder, ignore_errors=True)
            tries -= 1

    try:
        if not out:
            folder.mkdir(mode=0o700)
        yield folder, delete
    finally:
        delete()
