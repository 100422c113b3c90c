"""The built web app, served as files; its client-side routes all answer with its one page."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

_NOT_BUILT = """<!doctype html><html lang="en"><title>Parley</title>
<body style="font: 18px/30px system-ui; margin: 64px">
<p>Parley is running, but its page is not built yet.</p><p>Run <code>make web</code>, then start Parley again.</p>"""


def web_routes(folder: Path) -> list[BaseRoute]:
    """Routes for the build in `folder`; where there is none, a page that says how to make it."""

    def page(name: str) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            if not (folder / name).is_file():
                return HTMLResponse(_NOT_BUILT, status_code=503)
            return FileResponse(folder / name, headers={"Cache-Control": "no-cache"})

        return answer

    return [
        Route("/", page("index.html")),
        Route("/recordings/{id}", page("index.html")),
        Route("/api/docs", page("api.html")),
        *([Mount("/", StaticFiles(directory=folder))] if folder.is_dir() else []),
    ]
