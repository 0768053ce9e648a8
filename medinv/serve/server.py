"""The socket, on the loopback address alone, and the end of the server."""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import uvicorn

from medinv.batch.options import Options
from medinv.errors import ConfigError
from medinv.models.base import InvertibleNetwork
from medinv.serve.app import app
from medinv.serve.guard import Guard, new_token
from medinv.serve.uploads import Limits, Uploads
from medinv.serve.worker import Worker

ADDRESS = "127.0.0.1"


class _Uvicorn(uvicorn.Server):
    """Signals are the command's to handle."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle none."""
        yield


class Server:
    """What one `medinv serve` does: `run` until `stop`.

    Raises ConfigError where another process works in the folder or the port cannot be had,
    OutputError where the folder cannot be written.
    """

    def __init__(
        self,
        models: Sequence[InvertibleNetwork],
        options: Options,
        port: int = 0,
        limits: Limits | None = None,
        say: Callable[[str], object] = lambda text: None,
    ):
        self._socket = _listening(port)
        try:
            self.uploads = Uploads(options.out, limits)
        except BaseException:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        token = new_token()
        self.address = f"http://{ADDRESS}:{self.port}/{token}/"
        self.worker = Worker(self.uploads, models, options, say)
        hosts = (f"{ADDRESS}:{self.port}", f"localhost:{self.port}")
        guarded = Guard(app(self.uploads, [model.card for model in models]), token, hosts)
        self._server = _Uvicorn(
            uvicorn.Config(
                guarded,
                log_config=None,
                log_level="critical",  # its lines hold the token
                access_log=False,
                server_header=False,
                lifespan="off",
                ws="none",
                proxy_headers=False,
                limit_concurrency=100,
                timeout_graceful_shutdown=2,
            )
        )

    def run(self) -> None:
        """Serve until `stop` is called. The study that is being classified then is finished."""
        self.worker.start()
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self.worker.end()
            self.worker.join()
            self._socket.close()
            self.uploads.close()

    def stop(self) -> None:
        """End; may be called from a signal handler or another thread."""
        self.worker.end()
        self._server.should_exit = True


def _listening(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((ADDRESS, port))
        made.listen()  # who opens the address at once is answered as soon as all is ready
    except (OSError, OverflowError) as error:
        made.close()
        why = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"cannot listen at {ADDRESS}:{port}: {why}; choose another --port, or 0"
        ) from error
    return made
