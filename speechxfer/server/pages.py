"""The page, and what it loads: files of this package, under a policy that allows nothing else."""

from __future__ import annotations

from importlib import resources

from fastapi import FastAPI, Response
from starlette.exceptions import HTTPException

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src blob:; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cache-Control": "no-cache",
}


def add_page(app: FastAPI) -> None:
    """Serve the page at `/`, and its files below `/page/`."""
    files = {
        file.name: file.read_bytes()
        for file in resources.files("speechxfer.server").joinpath("page").iterdir()
        if file.name.rpartition(".")[2] in _TYPES
    }

    def response(name: str) -> Response:
        if name not in files:
            raise HTTPException(404, f"there is no /page/{name[:60]}")
        kind = _TYPES[name.rpartition(".")[2]]
        return Response(files[name], media_type=f"{kind}; charset=utf-8", headers=_HEADERS)

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return response("index.html")

    @app.get("/page/{name}", include_in_schema=False)
    async def page_file(name: str) -> Response:
        return response(name)
