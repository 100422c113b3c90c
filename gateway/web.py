"""The built web app, served as files; its client-side routes all answer with its one page."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_NOT_BUILT = """<!doctype html><html lang="en"><title>Parley</title>
<body style="font: 18px/30px system-ui; margin: 64px">
<p>Parley is running, but its page is not built yet.</p><p>Run <code>make web</code>, then start Parley again.</p>"""


_FOR_GOOD = "public, max-age=31536000, immutable"
"""The names of the build's assets hold a hash of what is in them."""


class _Files(StaticFiles):
    """The build's files. A path that is none of them gets the app, which says so, where a browser asks for a page."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        try:
            response = await super().get_response(path, scope)
        except HTTPException as error:
            asks_for_page = "text/html" in Headers(scope=scope).get("accept", "")
            if error.status_code != 404 or not asks_for_page or path.startswith("api"):
                raise
            return FileResponse(Path(str(self.directory)) / "index.html", 404, headers={"Cache-Control": "no-cache"})
        if path.startswith("assets/"):
            response.headers["Cache-Control"] = _FOR_GOOD
        return response


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
        *(Route(path, page("index.html")) for path in ("/recordings/{id}", "/search", "/jobs", "/settings")),
        Route("/api/docs", page("api.html")),
        *([Mount("/", _Files(directory=folder))] if folder.is_dir() else []),
    ]
