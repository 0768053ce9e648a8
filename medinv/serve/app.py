"""The routes. Files come one a request, as they are, and go straight to the output folder."""

from collections.abc import Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from medinv.errors import MedinvError, OutputError
from medinv.models.card import Card
from medinv.serve import pages
from medinv.serve.listing import Filter, Listing, file_of
from medinv.serve.uploads import PART, GoneError, TooMuchError, Upload, Uploads

STATUS = {TooMuchError: 413, GoneError: 410, OutputError: 507}
Answer = Callable[[Request], Awaitable[Response]]


class Pages:
    """What is answered: one method a route."""

    def __init__(self, uploads: Uploads, cards: Sequence[Card]):
        self.uploads, self.cards = uploads, cards
        self.listing = Listing(uploads.out)

    async def home(self, request: Request) -> Response:
        """The page, with the results that fit the query."""
        asked = request.query_params
        wanted = Filter(*(asked.get(name, "")[:200] for name in ("label", "scope", "text")))
        number = asked.get("page", "1")
        page = int(number) if number.isascii() and number.isdecimal() and len(number) < 9 else 1
        known = self.uploads.all()

        def made() -> Response:
            rows = self.listing.rows([upload.name for upload in known])
            shown = pages.Shown(rows, wanted, page)
            return pages.home(self.cards, known, shown, self.uploads.limits)

        return await run_in_threadpool(made)

    async def status(self, request: Request) -> Response:
        """How far the uploads are."""
        return pages.status(self.uploads.all())

    async def begin(self, request: Request) -> Response:
        """A new upload, by its name."""
        return JSONResponse({"upload": self.uploads.begin().name}, 201)

    async def take(self, request: Request) -> Response:
        """One file of an upload."""
        upload = self._upload(request)
        number = int(request.path_params["number"])
        length = request.headers.get("content-length", "")
        if length.isdecimal() and upload.bytes + int(length) > self.uploads.limits.bytes:
            raise TooMuchError(
                f"at most {self.uploads.limits.bytes / 1e9:.3g} GB are taken at a time: drop "
                "fewer files"
            )
        place = self.uploads.place(upload, number, request.query_params.get("ending", ""))
        part = place.with_name(f"{number:06d}{PART}")
        try:
            with part.open("wb") as stream:
                async for piece in request.stream():
                    self.uploads.take(upload, stream, piece)
        except FileNotFoundError as error:  # removed meanwhile
            raise GoneError("this upload was removed: drop the files again") from error
        except OSError as error:
            raise OutputError(
                f"cannot write to the output folder: {error.strerror}", stage="upload"
            ) from error
        self.uploads.took(upload, part, place)
        return Response(status_code=204)

    async def finish(self, request: Request) -> Response:
        """All files of an upload are there."""
        self.uploads.finish(self._upload(request))
        return Response(status_code=204)

    async def remove(self, request: Request) -> Response:
        """Delete an upload and its results."""
        self.uploads.remove(self._upload(request))
        return Response(status_code=204)

    async def result(self, request: Request) -> Response:
        """Where a finished upload's only report lies, or nothing if it has none or several."""
        rows = self.listing.rows([self._upload(request).name])
        mine = [row for row in rows if row.upload == request.path_params["upload"]]
        one = mine[0].place if len(mine) == 1 else None
        return JSONResponse({"report": one})

    async def file(self, request: Request) -> Response:
        """A report of the folder."""
        found = file_of(self.uploads.out, request.url.path.lstrip("/"))
        if found is None:
            raise HTTPException(404)
        headers = {"Content-Security-Policy": pages.REPORT_POLICY}
        return FileResponse(found, headers=headers if found.suffix == ".html" else None)

    def _upload(self, request: Request) -> Upload:
        return self.uploads.find(request.path_params["upload"])


def app(uploads: Uploads, cards: Sequence[Card]) -> Starlette:
    """The application, to be put behind a `Guard`."""
    made = Pages(uploads, cards)
    one = "/uploads/{upload}"
    routes = [
        Route("/", made.home),
        Route("/status", made.status),
        Route("/uploads", made.begin, methods=["POST"]),
        Route(one + "/files/{number:int}", made.take, methods=["PUT"]),
        Route(one + "/finish", made.finish, methods=["POST"]),
        Route(one + "/remove", made.remove, methods=["POST"]),
        Route(one + "/result", made.result),
        Route("/{path:path}", made.file),
    ]
    return Starlette(
        routes=routes, exception_handlers={MedinvError: _failed, ClientDisconnect: _cut}
    )


async def _failed(request: Request, error: Exception) -> Response:
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 400)
    message = error.message if isinstance(error, MedinvError) else ""  # names no path
    return JSONResponse({"error": message}, status)


async def _cut(request: Request, error: Exception) -> Response:
    """The browser went away amid a file: nobody reads this."""
    return Response(status_code=400)
