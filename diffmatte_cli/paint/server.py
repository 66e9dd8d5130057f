"""The page's server: what it serves, to whom, and how much it takes. It listens on this machine alone."""

import asyncio
import json
import mimetypes
import os
import re
import secrets
import shutil
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, suppress
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ..console import printable
from ..errors import DiffmatteError, UsageError, described
from .guides import KINDS, Guide
from .session import Session, TakenError, Wish

__all__ = ["HOST", "application", "serve"]

HOST = "127.0.0.1"
HOSTS = [HOST, "localhost"]
MOST_OF_A_FILE = 2**30  # bytes of an image that the page sends
MOST_OF_A_WISH = 2**26
_LONGEST_NAME = 100
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Guarded:
    """Refuse what other pages ask for, and give every answer the headers that keep the page to itself."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on; ``Origin`` is sent by browsers with what a page asks for."""
        request = Request(scope)
        origin = request.headers.get("origin")

        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                added = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        if origin is not None and origin != f"http://{request.headers.get('host')}":
            await PlainTextResponse("of another page", 403)(scope, receive, guarded)
        else:
            await self.app(scope, receive, guarded)


class Pages:
    """What the page asks for, one method each."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._kept = session.folder / "none"  # the folder of the photograph that the page has sent

    async def state(self, _: Request) -> Response:
        """Answer with all that the page shows at its start."""
        return JSONResponse(await run_in_threadpool(self.session.state))

    async def shown(self, _: Request, kind: str) -> Response:
        """Answer with the open photograph or its trimap; the number in the address is the browser's business."""
        if self.session.picture is None:
            raise HTTPException(404)
        image = await run_in_threadpool(self.session.picture.shown, kind)
        return Response(image.content, media_type=image.media_type)

    async def open(self, request: Request, kind: str) -> Response:
        """Open a photograph that the page sends, or begin the open one's trimap by a trimap or a mask."""
        folder = Path(tempfile.mkdtemp(dir=self.session.folder))
        try:
            path = folder / safe_name(request.query_params.get("name", ""))
            with path.open("wb") as file:
                async for part in _bounded(request, MOST_OF_A_FILE):
                    file.write(part)
            if kind in KINDS:
                await run_in_threadpool(self.session.guide, Guide(kind, path))
            else:
                await run_in_threadpool(self.session.open, path)
                folder, self._kept = self._kept, folder  # read again for every matte; the one before is not
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return await self.state(request)

    async def matte(self, request: Request) -> Response:
        """Answer with a line of JSON for each step, as it is computed; whoever hangs up ends the computation."""
        wish = await run_in_threadpool(self.session.wish, await _json(request))
        return StreamingResponse(self._events(wish), media_type="application/x-ndjson")

    async def _events(self, wish: Wish) -> AsyncIterator[str]:
        loop, stop = asyncio.get_running_loop(), threading.Event()
        events: asyncio.Queue[Any] = asyncio.Queue()

        def tell(event: Any) -> None:
            with suppress(RuntimeError):  # the server has ended
                loop.call_soon_threadsafe(events.put_nowait, event)

        work = loop.run_in_executor(None, self.session.matte, wish, tell, stop)
        work.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield json.dumps(event) + "\n"
        finally:
            stop.set()

    async def save(self, request: Request) -> Response:
        """Save what is painted, and with ``results`` what was computed of it; answer with the files' names."""
        values = await _json(request)
        wish = await run_in_threadpool(self.session.wish, values)
        results, overwrite = bool(values.get("results")), bool(values.get("overwrite"))
        paths = await run_in_threadpool(partial(self.session.save, wish, results=results, overwrite=overwrite))
        return JSONResponse({"saved": [printable(os.fspath(path)) for path in paths]})

    async def failed(self, _: Request, error: Exception) -> Response:
        """Answer with what went wrong, in one sentence."""
        if isinstance(error, HTTPException):
            return JSONResponse({"error": error.detail}, error.status_code)
        text = re.sub(rf"{re.escape(os.fspath(self.session.folder))}/[^/]*/", "", described(error))
        names, code = (error.names, 409) if isinstance(error, TakenError) else (None, 400)
        return JSONResponse({"error": printable(text), "taken": names}, code)


def safe_name(name: str) -> str:
    """Return a name that a file may have anywhere, of one that a browser has told."""
    plain = re.sub(r"[^\w. ()+,=-]", "_", re.split(r"[/\\]", name)[-1]).lstrip(".- ")[-_LONGEST_NAME:]
    return plain or "photograph"


async def _bounded(request: Request, most: int) -> AsyncIterator[bytes]:
    """Yield the parts of a request's body; raises HTTPException for one that is larger than ``most`` bytes."""
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise HTTPException(413, f"more than {most >> 20} MiB are not taken: name the file on the command line")
        yield part


async def _json(request: Request) -> Any:
    """Return the body as JSON; raises UsageError if it is none."""
    content = b"".join([part async for part in _bounded(request, MOST_OF_A_WISH)])
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UsageError("the page's request cannot be read: reload it") from error


def application(session: Session, token: str, page: Path, style: Path) -> Starlette:
    """Return the whole of what is served, all of it below ``/token/``.

    ``page`` is the folder of the page's own files, ``style`` that of ``diffmatte review``, whose look it shares.
    """
    mimetypes.add_type("text/javascript", ".js")  # whatever the system says: a module of another type is not run
    pages = Pages(session)

    async def base(_: Request) -> Response:
        return Response(style.read_bytes(), media_type="text/css")

    routes = [
        Route("/state", pages.state),
        *(Route(f"/{kind}/{{number:int}}", partial(pages.shown, kind=kind)) for kind in ("photo", "trimap")),
        *(Route(f"/open/{kind}", partial(pages.open, kind=kind), methods=["POST"]) for kind in ("photo", *KINDS)),
        Route("/matte", pages.matte, methods=["POST"]),
        Route("/save", pages.save, methods=["POST"]),
        Route("/base.css", base),
        Mount("/", StaticFiles(directory=page, html=True)),
    ]
    return Starlette(
        routes=[Mount(f"/{token}", routes=routes)],
        middleware=[Middleware(Guarded), Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False)],
        exception_handlers=dict.fromkeys((DiffmatteError, HTTPException, OSError, Exception), pages.failed),
    )


def serve(session: Session, port: int, announce: Callable[[str], None], stop: threading.Event) -> None:
    """Serve the page until ``stop`` is set; ``announce`` receives its address, which nobody else can guess.

    Raises UsageError for a port that is taken.
    """
    token = secrets.token_urlsafe(24)
    try:
        listening = socket.create_server((HOST, port))
    except (OSError, OverflowError) as error:
        raise UsageError(f"port {port} cannot be used: {error}; leave it out for a free one", "port") from error
    with ExitStack() as opened:
        opened.enter_context(listening)
        room, review = files(__package__), files("diffmatte_cli.review")
        page = opened.enter_context(as_file(room.joinpath("page")))
        style = opened.enter_context(as_file(review.joinpath("page.css")))
        server = uvicorn.Server(
            uvicorn.Config(
                application(session, token, page, style),
                http="h11",
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=5,
            )
        )
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        announce(f"http://{HOST}:{listening.getsockname()[1]}/{token}/")
        try:
            while thread.is_alive() and not stop.is_set():
                thread.join(0.1)  # signals are handled in this thread, between two of these
        finally:
            session.stop()
            server.should_exit = True
            thread.join()
