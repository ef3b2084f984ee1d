"""Downloads over HTTP: resumed after a broken connection, verified, and whole or not there."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import requests
from tqdm import tqdm

from vividface.errors import InputError
from vividface.files import format_size, is_disk_full, sha256, write_json

logger = logging.getLogger(__name__)

# Folder of the lock files, in the working directory of the run.
LOCKS = Path("configs/locks")

# Attempts without any progress, after which a download is given up; seconds between them grow.
_ATTEMPTS = 5
_FIRST_WAIT = 1.0
_LONGEST_WAIT = 60.0
_TIMEOUT = (15, 60)
# What is under way in a connection that breaks is lost, so this is small.
_CHUNK = 1 << 16
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Download:
    """One file to fetch.

    Attributes:
        url: address of the file.
        path: path of the fetched file.
        sha256: checksum of the file; None takes what the lock holds, or what is recorded now.
        git_blob: name of the file's content in a git repository, which is verified too; None verifies none.
        headers: headers of the requests, such as those that give access.
    """

    url: str
    path: Path
    sha256: str | None = None
    git_blob: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class RefusedError(InputError):
    """A server refuses a file: it does not exist, or access to it is not granted.

    Args:
        message: sentence for the user.
        status: status of the answer.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Lock:
    """The checksums of files that were fetched without one: recorded on first use, demanded ever after.

    Args:
        path: a JSON file, meant to be committed beside the configuration.

    Raises:
        InputError: the file is not a lock.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._mutex = threading.Lock()
        self._known: dict[str, str] = {}
        if self._path.is_file():
            try:
                self._known = {
                    str(key): str(value) for key, value in json.loads(self._path.read_text()).items()
                }
            except (ValueError, AttributeError):
                raise InputError(f"{self._path}: is not a lock file; restore it, or delete it") from None

    def get(self, key: str) -> str | None:
        """What was recorded for a key."""
        return self._known.get(key)

    def check(self, key: str, value: str) -> None:
        """Record a value, or compare it with the recorded one; `InputError` if it is another."""
        with self._mutex:
            known = self._known.setdefault(key, value)
            if known != value:
                raise InputError(
                    f"{key}: was {known} when it was first fetched, but is {value} now; if the publisher "
                    f"changed it on purpose, remove its line from {self._path}"
                )
            write_json(self._path, self._known)


def cache_directory() -> Path:
    """Where downloaded files are kept."""
    return Path(os.environ.get("VIVIDFACE_CACHE") or Path.home() / ".cache" / "vividface")


def require_network(what: str) -> None:
    """`InputError`, saying what is missing, where VIVIDFACE_OFFLINE=1 forbids to touch the network."""
    if os.environ.get("VIVIDFACE_OFFLINE") == "1":
        raise InputError(
            f"{what}: is not here, and VIVIDFACE_OFFLINE=1 forbids to fetch it; unset it, or copy the file "
            "from a machine that has it"
        )


def fetch_files(downloads: Sequence[Download], lock: Lock | None = None, *, max_parallel: int = 1) -> None:
    """Fetch files, several at a time; what is there already and right is not fetched again.

    Args:
        downloads: files to fetch.
        lock: checksums of the files that come without one.
        max_parallel: number of connections at a time.

    Raises:
        InputError: a file cannot be fetched; the first failure is told, after those that had begun.
    """
    stopped = threading.Event()
    with ThreadPoolExecutor(max_parallel) as pool:
        pending = [pool.submit(fetch_file, download, lock, stopped=stopped) for download in downloads]
        try:
            for future in pending:
                future.result()
        except BaseException as error:
            if not isinstance(error, Exception):
                # Who interrupts does not want to wait for gigabytes.
                stopped.set()
            pool.shutdown(cancel_futures=True)
            raise


def fetch_file(
    download: Download, lock: Lock | None = None, *, stopped: threading.Event | None = None
) -> None:
    """Fetch one file. What arrived before a failure stays beside it as `.{name}.part`, and is gone on with.

    Args:
        download: file to fetch.
        lock: checksums of the files that come without one.
        stopped: event that ends the download; what arrived stays.

    Raises:
        InputError: it cannot be fetched, or is not the file that was asked for; the message says why.
    """
    path, url = Path(download.path), download.url
    expected = download.sha256 or (lock.get(url) if lock else None)
    if path.is_file() and expected is not None and sha256(path) == expected:
        return
    if path.is_file() and expected is None and download.git_blob in (None, _git_blob(path)):
        _verify(path, download, lock)
        return
    require_network(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path)
    _receive(download, part, stopped or threading.Event())
    _verify(part, download, lock)
    part.replace(path)
    _validator(part).unlink(missing_ok=True)


def part_of(path: Path) -> Path:
    """Where what has arrived of a file lies until the file is whole."""
    return path.with_name(f".{path.name}.part")


def content_length(url: str) -> int:
    """The size of a file on the web, bytes; it is not downloaded.

    Raises:
        InputError: it cannot be reached, or its server does not tell.
    """
    require_network(url)
    try:
        headers = {"Accept-Encoding": "identity"}
        with requests.head(url, headers=headers, timeout=_TIMEOUT, allow_redirects=True) as response:
            response.raise_for_status()
            return int(response.headers["Content-Length"])
    except requests.RequestException as error:
        raise InputError(f"{url}: cannot be reached ({_reason(error)}); check the connection") from None
    except (KeyError, ValueError):
        raise InputError(f"{url}: the server does not tell the file's size; try again later") from None


def _verify(path: Path, download: Download, lock: Lock | None) -> None:
    try:
        if download.git_blob is not None and (found := _git_blob(path)) != download.git_blob:
            raise InputError(
                f"{download.url}: arrived damaged (git's name of it is {found}, but {download.git_blob} is "
                "expected); run again"
            )
        if download.sha256 is None and lock is None:
            return
        found = sha256(path)
        if download.sha256 is not None and found != download.sha256:
            raise InputError(
                f"{download.url}: its sha256 is {found}, but {download.sha256} is expected; run again, "
                "or correct the sha256 if you trust the file"
            )
        if download.sha256 is None and lock is not None:
            lock.check(download.url, found)
    except InputError:
        path.unlink()
        _validator(path).unlink(missing_ok=True)
        raise


def _git_blob(path: Path) -> str:
    """The name that git gives to a file's content."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    digest.update(path.read_bytes())
    return digest.hexdigest()


def _receive(download: Download, part: Path, stopped: threading.Event) -> None:
    """Download to `part`, from where it ends, until it is whole or stopped."""
    url = download.url
    failures, reason = 0, ""
    while failures < _ATTEMPTS:
        before = part.stat().st_size if part.is_file() else 0
        wait = min(_FIRST_WAIT * 2**failures, _LONGEST_WAIT)
        try:
            with _request(download, part, before) as response:
                if response.status_code in _TRANSIENT:
                    reason = f"the server answers {response.status_code} {response.reason}"
                    wait = max(wait, _retry_after(response))
                elif _save(response, url, part, start=before, stopped=stopped):
                    return
                else:
                    reason = "the connection ends early"
        except requests.RequestException as error:
            reason = _reason(error)
        grown = part.is_file() and part.stat().st_size > before
        failures = 0 if grown else failures + 1
        if failures < _ATTEMPTS:
            logger.warning("%s: %s; goes on in %.0f s", url, reason, wait)
            time.sleep(wait if not grown else _FIRST_WAIT)
    raise InputError(
        f"{url}: cannot be downloaded ({reason}); check the connection and run again, it resumes"
    )


@contextlib.contextmanager
def _request(download: Download, part: Path, start: int) -> Iterator[requests.Response]:
    """A request for the file, or for its rest if the server still has the same one."""
    validator = _validator(part)
    headers = {**download.headers, "Accept-Encoding": "identity"}
    if start and validator.is_file():
        headers |= {"Range": f"bytes={start}-", "If-Range": validator.read_text()}
    with requests.get(download.url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        yield response


def _save(response: requests.Response, url: str, part: Path, *, start: int, stopped: threading.Event) -> bool:
    """Append what a response brings to `part`; returns whether the file is whole now."""
    if response.status_code == requests.codes.requested_range_not_satisfiable:
        if response.headers.get("Content-Range") == f"bytes */{start}":
            return True
        part.unlink()
        return False
    if response.status_code not in (requests.codes.ok, requests.codes.partial_content):
        raise RefusedError(
            f"{url}: the server answers {response.status_code} {response.reason}; check the address, and "
            "whether it needs an account",
            response.status_code,
        )
    resumed = response.status_code == requests.codes.partial_content
    if resumed and not _continues(response, start):
        part.unlink()
        return False
    etag = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
    # A weak tag does not promise the same bytes, so it cannot be resumed from.
    if etag and not etag.startswith("W/"):
        _validator(part).write_text(etag)
    else:
        _validator(part).unlink(missing_ok=True)
    begun = start if resumed else 0
    length = response.headers.get("Content-Length")
    total = begun + int(length) if length else None
    bar = tqdm(total=total, initial=begun, desc=url.rpartition("/")[2][-40:], unit="B", unit_scale=True)
    try:
        with bar, part.open("ab" if resumed else "wb") as file:
            for chunk in response.iter_content(_CHUNK):
                if stopped.is_set():
                    raise InputError(f"{url}: was interrupted; run again, it resumes")
                file.write(chunk)
                bar.update(len(chunk))
    except requests.RequestException as error:
        logger.info("%s: %s", url, _reason(error))
        return False
    except OSError as error:
        raise _explained(error, url, part, total) from None
    return total is None or part.stat().st_size == total


def _explained(error: OSError, url: str, part: Path, total: int | None) -> Exception:
    """What a failed write means; a full disk with how much is needed."""
    if not is_disk_full(error):
        return error
    rest = f"{format_size(total - part.stat().st_size)} more are" if total else "more is"
    return InputError(
        f"{url}: the disk of {part.parent} is full, {rest} needed; make room and run again, it resumes"
    )


def _continues(response: requests.Response, start: int) -> bool:
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return found is not None and int(found[1]) == start


def _validator(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")


def _retry_after(response: requests.Response) -> float:
    value = response.headers.get("Retry-After", "")
    return min(float(value), 10 * _LONGEST_WAIT) if value.isdigit() else 0.0


def _reason(error: Exception) -> str:
    """The innermost reason, without the address that the message names anyway."""
    inner: BaseException = error
    while inner.__cause__ or inner.__context__:
        inner = inner.__cause__ or inner.__context__  # type: ignore[assignment]
    return str(inner) or type(inner).__name__
