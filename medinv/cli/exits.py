"""What a command's exit code says: one table, for the commands, their help and their tests."""

from medinv.errors import ConfigError, MedinvError, MissingDataError, ModelError, OutputError

DONE, FAILED, USAGE, NOTHING, MODEL, INTERRUPTED = 0, 1, 2, 3, 4, 130
MEANING = {
    DONE: "all is done; of studies: all classified",
    FAILED: "some failed: the results and stderr name each",
    USAGE: "usage: an argument, a configuration, a set or an output folder that cannot be used",
    NOTHING: "nothing eligible: files, but none that the model may be shown",
    MODEL: "model: not there, or its files do not belong together",
    INTERRUPTED: "interrupted: what is done is kept",
}
EPILOG = "\n\n".join(
    (
        "\b\nExit codes:\n" + "\n".join(f"{code:5}  {says}" for code, says in MEANING.items()),
        "\b\n--json and --quiet may stand before or behind the command.\n"
        "medinv --install-completion completes words in this shell.",
    )
)


def exit_code(error: MedinvError) -> int:
    """The code of a command that an error ended."""
    if isinstance(error, ModelError):
        return MODEL
    usage = ConfigError | OutputError | MissingDataError
    return USAGE if isinstance(error, usage) else FAILED


def as_json(error: MedinvError) -> dict[str, object]:
    """An error for programs; `code` and `stage` are stable, the message is for people."""
    return {
        "error": {
            "code": error.code,
            "stage": error.stage,
            "message": error.message,
            "path": error.path,
        },
        "exit_code": exit_code(error),
    }
