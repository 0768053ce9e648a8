"""The command `medinv`. Heavy imports wait inside the commands, so that `--help` is quick."""

import logging
import os
import signal
import sys
import threading

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
)
from medinv.errors import ConfigError, MedinvError, ModelError, OutputError

EXIT_FAILED, EXIT_USAGE, EXIT_MODEL, EXIT_INTERRUPTED = 1, 2, 4, 130

app = typer.Typer(
    name="medinv",
    help="Classify medical images with networks that run backwards exactly. "
    "Research use, not for diagnosis.",
    no_args_is_help=True,
    add_completion=False,
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
app.command()(evaluate.evaluate)
app.command()(audit.audit)
app.command()(export.export)
app.command()(models.models)
app.add_typer(data.app, name="data")


def main() -> None:
    """Run a command; every MedinvError becomes one line and an exit code."""
    _keep_decoders_quiet()
    sys.unraisablehook = _interrupted_again
    try:
        app()
    except MedinvError as error:
        typer.echo(f"medinv: {error.stage} [{error.code}]: {error}", err=True)
        sys.exit(_exit_code(error))
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # pressed again: nothing is left to be ended
        typer.echo("medinv: interrupted", err=True)
        sys.exit(EXIT_INTERRUPTED)


def _interrupted_again(unraisable: "sys.UnraisableHookArgs") -> None:
    """Ctrl-C that met the interpreter where nothing can be raised is sent anew, not printed.

    From a thread, a moment later: raised in here it would be printed too.
    """
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
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


def _exit_code(error: MedinvError) -> int:
    if isinstance(error, ModelError):
        return EXIT_MODEL
    return EXIT_USAGE if isinstance(error, ConfigError | OutputError) else EXIT_FAILED
