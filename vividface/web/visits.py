"""The visitors of the page: what each gave, what was made of it, and under which address it is served."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass
from pathlib import Path

from vividface.errors import InputError
from vividface.web.enhancing import Choice, Enhanced, Enhancer
from vividface.web.folders import remove
from vividface.web.jobs import Job, Jobs, State
from vividface.web.previews import copy_to_show, image_to_show, is_shown
from vividface.web.uploads import Upload, accept_upload, result_name

# s, of the copy that is shown before the enhancement; a copy of the whole would take its time.
_PREVIEW_SECONDS = 20


@dataclass(frozen=True)
class Served:
    """A file that the server gives to whoever knows its address.

    Attributes:
        path: path of the file.
        name: name under which it is downloaded; empty where it is shown.
    """

    path: Path
    name: str = ""


@dataclass
class Visit:
    """One visitor, for as long as the page is open.

    Attributes:
        upload: what the visitor gave last.
        preview: address of what is shown of it.
        job: enhancement of it that was asked for last.
        error: reason why a file was refused, or empty.
    """

    upload: Upload | None = None
    preview: str = ""
    job: Job[Enhanced] | None = None
    error: str = ""


class Visits:
    """All visitors, by the session of their page.

    Args:
        folder: folder of all their files.
        jobs: queue of their enhancements.
    """

    def __init__(self, folder: Path, jobs: Jobs) -> None:
        self._folder, self._jobs = folder, jobs
        self._enhance = Enhancer()
        self._visits: dict[str, Visit] = {}
        self._served: dict[str, Served] = {}
        self._mutex = threading.Lock()

    def of(self, session: str) -> Visit:
        """The visit of a session, which begins with its first request."""
        with self._mutex:
            return self._visits.setdefault(session, Visit())

    def end(self, session: str) -> None:
        """The page was closed: nothing of the visit stays."""
        with self._mutex:
            visit = self._visits.pop(session, None)
        if visit is not None:
            self.clear(visit)

    def accept(self, visit: Visit, file: Path, *, name: str, keep: bool = False) -> None:
        """Take a file in place of the one before; see `accept_upload`. A refusal is the visit's `error`."""
        self.clear(visit)
        folder = self._folder / secrets.token_hex(8)
        try:
            upload = accept_upload(file, folder, name=name, keep=keep)
            visit.preview = self._address(_preview(upload, folder / "preview"))
            visit.upload = upload
        except InputError as error:
            visit.error = str(error)
            remove(folder)

    def enhance(self, visit: Visit, choice: Choice) -> Job[Enhanced]:
        """Queue the enhancement of the visitor's file, in place of the one before."""
        assert visit.upload is not None
        self._clear_job(visit)
        upload, folder = visit.upload, visit.upload.path.parent / secrets.token_hex(8)
        job = self._jobs.submit(lambda job: self._enhance(upload, choice, folder, job=job))
        job.then(lambda: None if job.state is State.DONE else remove(folder))
        visit.job = job
        return job

    def num_ahead(self, visit: Visit) -> int:
        """The number of other visitors' enhancements that come before this one's."""
        return 0 if visit.job is None else self._jobs.num_ahead(visit.job)

    def cancel(self, visit: Visit) -> None:
        """Cancel the visitor's enhancement, if there is one."""
        if visit.job is not None:
            self._jobs.cancel(visit.job)

    def clear(self, visit: Visit) -> None:
        """Forget what the visitor gave: its enhancement is cancelled, its files are removed."""
        upload, job = visit.upload, visit.job
        self._clear_job(visit)
        visit.upload, visit.preview, visit.error = None, "", ""
        if upload is None:
            return
        folder = upload.path.parent
        self._withdraw(folder)
        if job is None:
            remove(folder)
        else:
            # It may still write there.
            job.then(lambda: remove(folder))

    def addresses(self, visit: Visit) -> tuple[str, str, str]:
        """The addresses of what is shown before and after, and of the result to download."""
        assert visit.upload is not None
        assert visit.job is not None
        result = visit.job.result
        assert result is not None
        name = result_name(visit.upload.name, suffix=result.output.suffix)
        shown = self._address(result.before), self._address(result.after)
        return *shown, self._address(result.output, name=name)

    def served(self, token: str) -> Served | None:
        """The file of an address, as long as its visitor is there."""
        with self._mutex:
            return self._served.get(token)

    def _address(self, path: Path, *, name: str = "") -> str:
        """An address that nobody can guess."""
        token = secrets.token_urlsafe(16)
        with self._mutex:
            self._served[token] = Served(path, name)
        return f"/files/{token}"

    def _clear_job(self, visit: Visit) -> None:
        job, visit.job = visit.job, None
        if job is None:
            return
        self._jobs.cancel(job)
        if job.result is not None:
            folder = job.result.output.parent
            self._withdraw(folder)
            remove(folder)

    def _withdraw(self, folder: Path) -> None:
        """Serve nothing of a folder any more."""
        with self._mutex:
            for token, served in list(self._served.items()):
                if served.path.is_relative_to(folder):
                    del self._served[token]


def _preview(upload: Upload, copy: Path) -> Path:
    if is_shown(upload.path):
        return upload.path
    if not upload.is_video:
        return image_to_show(upload.path, copy)
    return copy_to_show(upload.path, copy, seconds=_PREVIEW_SECONDS)
