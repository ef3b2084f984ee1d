"""Pieces of the page's HTML; whatever visitors or files say is escaped."""

from __future__ import annotations

from html import escape
from pathlib import Path

from vividface.restoration.reading import VideoSource
from vividface.web.enhancing import Enhanced
from vividface.web.jobs import Job, State
from vividface.web.uploads import Upload

ASSETS = Path(__file__).parent / "assets"

HEADER = """<header class="vf-header"><h1>VividFace</h1>
<p>Makes the faces of old videos and photos clearer. Everything stays on this computer.</p></header>"""

EXAMPLES = '<p class="vf-hint">Or try one of these:</p>'


def preview(upload: Upload, address: str) -> str:
    """The visitor's file as it is shown before its enhancement."""
    name = escape(upload.name)
    if upload.is_video:
        shown = f'<video src="{address}" controls muted playsinline></video>'
    else:
        shown = f'<img src="{address}" alt="{name}">'
    return f'<figure class="vf-stage">{shown}</figure>{_caption(upload)}'


def comparison(upload: Upload, before: str, after: str) -> str:
    """Input and result over each other, with a divider to move."""
    kind = "video" if upload.is_video else "image"
    return (
        f'<figure class="vf-stage"><vividface-compare kind="{kind}" before="{before}" after="{after}">'
        f"</vividface-compare></figure>{_caption(upload)}"
    )


def progress(job: Job[Enhanced], *, num_ahead: int) -> str:
    """What a job does, how far it is, and how long it will take."""
    if job.is_unwanted:
        return _bar("Stopping", "", share=None)
    if job.state is State.WAITING:
        ahead = "1 other is" if num_ahead == 1 else f"{num_ahead} others are"
        return _bar("Waiting", f"{ahead} before yours" if num_ahead else "it begins at once", share=None)
    if job.num_done and job.seconds_left is not None:
        detail = f"{job.num_done} of {job.num_frames} frames, {duration(job.seconds_left)} left"
        return _bar(job.step, detail, share=job.num_done / max(job.num_frames, 1))
    return _bar(job.step or "Beginning", "", share=None)


def outcome(job: Job[Enhanced]) -> str:
    """How a job ended."""
    if job.state is State.CANCELLED:
        return _message("Cancelled. Nothing was kept of it.")
    if job.result is None:
        return problem(job.error)
    result = job.result
    frames = "" if result.num_frames == 1 else f" in {result.num_faces} of {result.num_frames} frames"
    notes = "".join(f"<p>{escape(_sentence(note))}</p>" for note in result.notes)
    return _message(
        f"Done in {duration(result.seconds)}: faces restored{frames}.", more=notes, kind="vf-good"
    )


def problem(message: str) -> str:
    """A sentence about what went wrong."""
    return _message(_sentence(message), kind="vf-bad")


def download(address: str) -> str:
    """A link that looks like a button."""
    return f'<a class="vf-download" href="{address}" download>Download the result</a>'


def duration(seconds: float) -> str:
    """A duration in words: `8 s`, `3 min`, `1 h 20 min`."""
    if seconds < 60:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _caption(upload: Upload) -> str:
    width, height = upload.source.size
    facts = [f"{width} × {height}"]  # noqa: RUF001
    if isinstance(upload.source, VideoSource):
        facts.append(duration(float(upload.source.num_frames / upload.source.fps)))
    facts += [f"the file {upload.source.problem}"] if upload.source.problem else []
    return f'<p class="vf-caption"><b>{escape(upload.name)}</b> {escape(", ".join(facts))}</p>'


def _bar(step: str, detail: str, *, share: float | None) -> str:
    track = "vf-track vf-unknown" if share is None else "vf-track"
    width = "" if share is None else f' style="width: {share:.1%}"'
    return (
        f'<div class="vf-progress" role="status"><p><b>{escape(step)}</b> <span>{escape(detail)}</span></p>'
        f'<div class="{track}"><i{width}></i></div></div>'
    )


LOOKING = _bar("Looking at the file", "", share=None)


def _message(text: str, *, more: str = "", kind: str = "") -> str:
    return f'<div class="vf-message {kind}" role="status"><p>{escape(text)}</p>{more}</div>'


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."
