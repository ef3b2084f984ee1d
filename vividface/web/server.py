"""The server of the page: on this machine, for this machine, unless it is told otherwise."""

from __future__ import annotations

import os
import signal
import socket
import sys
import webbrowser
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import NoReturn

from vividface.errors import InputError
from vividface.web.folders import temporary_folder

# s that a job has to notice that the server ends.
_PATIENCE = 5
_LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """Options of the server.

    Attributes:
        host: address that it listens at.
        port: port that it listens at; 0 takes any that is free.
        max_upload_mb: size of the largest upload, MB.
        open_browser: whether the page is opened in a browser.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    max_upload_mb: int = 2000
    open_browser: bool = False


def serve(options: ServerOptions, *, models: Mapping[str, str], examples: Sequence[Path] = ()) -> None:
    """Serve the page until a signal ends it; nothing that visitors gave stays.

    Args:
        options: options of the server.
        models: titles of the models to choose from, by their names or folders.
        examples: videos to try it with.

    Raises:
        InputError: the address or the port cannot be used.
    """
    with _listening(options) as listener, _ending_by_exceptions(), temporary_folder() as folder:
        _keep_gradio_at_home(folder)
        _serve(options, listener, folder, models=models, examples=examples)


def _serve(
    options: ServerOptions,
    listener: socket.socket,
    folder: Path,
    *,
    models: Mapping[str, str],
    examples: Sequence[Path],
) -> None:
    import uvicorn

    from vividface.web.application import make_application
    from vividface.web.jobs import Jobs

    jobs = Jobs()
    hosts = _LOOPBACK if _is_loopback(options.host) else ["*"]
    application = make_application(
        folder,
        jobs,
        models=models,
        examples=examples,
        hosts=hosts,
        max_upload_bytes=options.max_upload_mb << 20,
    )
    config = uvicorn.Config(application, log_level="warning", timeout_graceful_shutdown=1)
    _announce(options, listener.getsockname()[1])
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        jobs.close(timeout=_PATIENCE)


def _keep_gradio_at_home(folder: Path) -> None:
    """Have Gradio write into the folder alone, and ask nobody for anything; before it is imported."""
    uploads = folder / "uploads"
    uploads.mkdir()
    os.environ |= {"GRADIO_TEMP_DIR": str(uploads), "GRADIO_ANALYTICS_ENABLED": "False"}
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


def _listening(options: ServerOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((options.host, options.port))
        listener.listen()
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{options.host}:{options.port}: cannot be listened at ({reason}); give another --host or --port"
        ) from None
    return listener


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _announce(options: ServerOptions, port: int) -> None:
    host = f"[{options.host}]" if ":" in options.host else options.host
    if not _is_loopback(options.host):
        print("note: whoever reaches this computer over the network can use the page", file=sys.stderr)
    print(f"VividFace is at http://{host}:{port} until Ctrl-C", flush=True)
    if options.open_browser:
        webbrowser.open(f"http://{host}:{port}")


@contextmanager
def _ending_by_exceptions() -> Iterator[None]:
    """Have signals end the process by an exception, so that the folder is removed."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    def pass_on(number: int, frame: FrameType | None) -> None:
        signal.raise_signal(signal.SIGTERM)

    # Uvicorn ends well at a SIGTERM, which it raises again then; it knows no SIGHUP.
    handlers = {signal.SIGTERM: end, signal.SIGHUP: pass_on}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
