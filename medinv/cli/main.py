"""The command `medinv`. Heavy imports wait inside the commands, so that `--help` is quick."""

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Annotated

import typer

from medinv.cli import (
    audit,
    classify,
    data,
    evaluate,
    explain,
    export,
    init,
    models,
    prepare,
    receive,
    retrieve,
    send,
    serve,
    train,
    verify,
    verify_run,
)
from medinv.cli.exits import EPILOG, INTERRUPTED, USAGE, as_json, exit_code
from medinv.cli.interrupts import interrupt, on_interrupt
from medinv.errors import MedinvError

JSON, QUIET = "--json", "--quiet"
_OWN_JSON = ("models", "evaluate")  # commands that have an option of that name

app = typer.Typer(
    name="medinv",
    help="Classify medical images with networks that run backwards exactly. "
    "Research use, not for diagnosis.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,  # its help waits for rich and pygments, twice as long as for all else
    pretty_exceptions_enable=False,
)
app.command()(classify.classify)
app.command()(explain.explain)
app.command()(send.send)
app.command()(receive.receive)
app.command()(retrieve.retrieve)
app.command()(serve.serve)
app.command()(verify.verify)
app.command()(prepare.prepare)
app.command()(init.init)
app.command()(train.train)
app.command(name="verify-run")(verify_run.verify_run)
app.command()(evaluate.evaluate)
app.command()(audit.audit)
app.command()(export.export)
app.command()(models.models)
app.add_typer(data.app, name="data")


def _version(wanted: bool) -> None:
    if wanted:
        from medinv import __version__

        typer.echo(f"medinv {__version__}")
        raise typer.Exit


@app.callback()
def _of_all(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which it is.")
    ] = False,
    errors_as_json: Annotated[
        bool, typer.Option(JSON, help="Write an error to stderr as one line of JSON.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option(QUIET, "-q", help="Print errors alone: no progress, no tables.")
    ] = False,
) -> None:
    if quiet:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives


def main() -> None:
    """Run a command; every MedinvError becomes one line and an exit code, and so does Ctrl-C."""
    _keep_decoders_quiet()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else in the background
        on_interrupt(interrupt)
    sys.unraisablehook = _interrupted_again
    words, in_json = arranged(sys.argv[1:])
    try:
        _run(words, in_json)
    except MedinvError as error:
        said = json.dumps(as_json(error)) if in_json else None
        typer.echo(said or f"medinv: {error.stage} [{error.code}]: {error}", err=True)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def arranged(words: Sequence[str]) -> tuple[list[str], bool]:
    """The words with `--json` and `--quiet` before the command, and whether errors are JSON.

    >>> arranged(["classify", "in", "--json"])
    (['--json', 'classify', 'in'], True)
    >>> arranged(["models", "--json"])
    (['models', '--json'], True)
    """
    end = words.index("--") if "--" in words else len(words)
    before, behind = list(words[:end]), list(words[end:])
    in_json = JSON in before
    command = next((word for word in before if not word.startswith("-")), None)
    moved = [QUIET] if command in _OWN_JSON else [JSON, QUIET]
    first = [word for word in moved if word in before]
    return [*first, *(word for word in before if word not in first), *behind], in_json


def _run(words: list[str], in_json: bool) -> None:
    """The command; of wrong usage JSON too, where it is asked for."""
    if not in_json:
        app(words)
        return
    try:
        code = app(words, standalone_mode=False)
    except Exception as error:  # typer's own say what was wrong and with which code to end
        if not hasattr(error, "format_message"):
            raise
        said = {"code": "usage", "stage": "usage", "message": error.format_message(), "path": None}
        typer.echo(json.dumps({"error": said, "exit_code": USAGE}), err=True)
        sys.exit(USAGE)
    sys.exit(code if isinstance(code, int) else 0)


def _interrupted_again(unraisable: "sys.UnraisableHookArgs") -> None:
    """Ctrl-C that met the interpreter where nothing can be raised is sent anew, not printed.

    From a thread, a moment later: raised in here it would be printed too.
    """
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.default_int_handler)  # it was said already
        again = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT))
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(unraisable)


def _keep_decoders_quiet() -> None:
    """pydicom's warnings and log lines quote header values, which may name a patient;
    what matters of them stands in the results as typed errors.
    """
    logging.captureWarnings(True)
    for name in ("pydicom", "pynetdicom", "py.warnings"):
        logging.getLogger(name).addHandler(logging.NullHandler())
        logging.getLogger(name).propagate = False
