"""What the server runs: Gradio's page, the files of its visitors, and the limits of both."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, Response
from starlette.datastructures import MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware

from vividface.web.jobs import Jobs
from vividface.web.page import Page
from vividface.web.pieces import ASSETS
from vividface.web.visits import Visits

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Browsers ask no other machine for anything, whatever Gradio's page would like.
_POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-DNS-Prefetch-Control": "off",
}
# What a form adds to its file.
_FORM_BYTES = 10_000
_FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica", "Arial", "sans-serif"]


def make_application(
    folder: Path,
    jobs: Jobs,
    *,
    models: Mapping[str, str],
    examples: Sequence[Path],
    hosts: Sequence[str],
    max_upload_bytes: int,
) -> FastAPI:
    """The application.

    Args:
        folder: folder of all files that are written; its `uploads` is where Gradio writes.
        jobs: queue of the enhancements.
        models: titles of the models to choose from, by their names or folders.
        examples: videos to try it with.
        hosts: names by which a browser may ask for the page; `*` is any.
        max_upload_bytes: size of the largest upload, bytes.
    """
    visits = Visits(folder, jobs)
    page = Page(visits, models=models, examples=examples, folder=folder)
    application = FastAPI(openapi_url=None)

    @application.get("/files/{token}")
    def file(token: str) -> Response:
        served = visits.served(token)
        if served is None or not served.path.is_file():
            return Response("This file is not here any more.", status_code=404)
        headers = {"Cache-Control": "no-store"}
        return FileResponse(served.path, filename=served.name or None, headers=headers)

    application.add_middleware(_BoundedUploads, folder=folder / "uploads", max_bytes=max_upload_bytes)
    application.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    application.add_middleware(_Headers)
    gr.mount_gradio_app(
        application,
        page.blocks,
        "/",
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        max_file_size=max_upload_bytes,
        theme=_theme(),
        css_paths=[ASSETS / "page.css"],
        head=f"<script>{(ASSETS / 'compare.js').read_text()}</script>",
    )
    return application


def _theme() -> gr.themes.Base:
    """Fonts of this machine, and grey words that are dark enough to be read."""
    theme = gr.themes.Base(primary_hue="indigo", neutral_hue="slate", font=_FONT, font_mono=["monospace"])
    return theme.set(
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        block_info_text_color="*neutral_500",
        block_info_text_color_dark="*neutral_400",
    )


class _Headers:
    """Sends headers with every response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class _BoundedUploads:
    """Refuses uploads that are too large before a byte is written, and removes what broken ones left."""

    def __init__(self, app: ASGIApp, *, folder: Path, max_bytes: int) -> None:
        self._app, self._folder, self._max_bytes = app, folder, max_bytes
        self._num_running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].endswith("/upload"):
            await self._app(scope, receive, send)
            return
        length = Request(scope).headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > self._max_bytes + _FORM_BYTES:
            text = f"The file is larger than {self._max_bytes >> 20} MB, the most that is taken here."
            await Response(json.dumps({"detail": text}), status_code=413)(scope, receive, send)
            return
        self._num_running += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._num_running -= 1
            if not self._num_running:
                self._sweep()

    def _sweep(self) -> None:
        """Whole uploads lie in folders; a file beside them is one that broke off."""
        for path in self._folder.iterdir():
            if path.is_file():
                path.unlink(missing_ok=True)
