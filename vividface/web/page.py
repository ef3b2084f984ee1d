"""The page: its components, and what happens when they are used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from vividface.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from vividface.web import pieces
from vividface.web.enhancing import Choice
from vividface.web.examples import MOST
from vividface.web.previews import write_thumbnail
from vividface.web.visits import Visit, Visits

# s between two looks at a job.
_POLL = 0.3
_THUMBNAIL = 96

_Updates = dict[Any, Any]


class Page:
    """The page of all visitors.

    Args:
        visits: the visitors.
        models: titles of the models to choose from, by their names or folders; the first is chosen at first.
        examples: videos to try it with.
        folder: folder of the examples' thumbnails.
    """

    def __init__(
        self, visits: Visits, *, models: Mapping[str, str], examples: Sequence[Path], folder: Path
    ) -> None:
        self._visits, self._models, self._examples = visits, models, examples
        # Gradio asks nobody for its version and reports to nobody.
        with gr.Blocks(title="VividFace", analytics_enabled=False, fill_width=True) as self.blocks:
            gr.HTML(pieces.HEADER)
            with gr.Row(elem_id="vf-main", equal_height=False):
                with gr.Column(scale=7, min_width=420):
                    self._add_stage(folder)
                with gr.Column(scale=3, min_width=270, elem_id="vf-panel"):
                    self._add_panel()
        with self.blocks:
            self._connect()
        self.blocks.queue(default_concurrency_limit=None)

    def _add_stage(self, folder: Path) -> None:
        suffixes = sorted(VIDEO_SUFFIXES | IMAGE_SUFFIXES)
        self._drop = gr.File(
            label="A video or a photo", show_label=False, file_types=suffixes, elem_id="vf-drop"
        )
        self._stage = gr.HTML(visible=False, elem_id="vf-shown")
        self._gallery = None
        if self._examples:
            self._hint = gr.HTML(pieces.EXAMPLES)
            self._gallery = gr.Gallery(
                _thumbnails(self._examples, folder),
                show_label=False,
                columns=MOST,
                allow_preview=False,
                interactive=False,
                object_fit="cover",
                buttons=[],
                elem_id="vf-examples",
            )

    def _add_panel(self) -> None:
        models = [(title, name) for name, title in self._models.items()]
        self._model = gr.Dropdown(models, value=models[0][1], label="Model", filterable=False)
        self._strength = gr.Slider(
            0, 100, 100, step=5, label="Strength, %", info="Less keeps more of the original", buttons=[]
        )
        self._auto = gr.Checkbox(label="Keep the likeness", info="Less where a face would change too much")
        self._face = gr.Radio([("All", "all"), ("The largest", "largest")], value="all", label="Faces")
        self._status = gr.HTML(visible=False, elem_id="vf-status")
        self._download = gr.HTML(visible=False, elem_id="vf-result")
        self._start = gr.Button(
            "Enhance", variant="primary", size="lg", interactive=False, elem_id="vf-start"
        )
        self._cancel = gr.Button("Cancel", visible=False, size="lg", elem_id="vf-cancel")
        self._another = gr.Button("Choose another file", visible=False, size="lg", elem_id="vf-another")

    def _connect(self) -> None:
        shown: list[Any] = [self._drop, self._stage, self._status, self._start, self._cancel, self._download]
        shown += [self._another, *([self._hint, self._gallery] if self._gallery is not None else [])]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        choices: Any = {self._model, self._strength, self._auto, self._face}
        self._drop.upload(self._accept, self._drop, shown, **quiet)
        self._start.click(self._enhance, choices, shown, **quiet)
        self._cancel.click(self._stop, None, None, **quiet)
        self._another.click(self._clear, None, shown, **quiet)
        self._auto.change(
            lambda auto: gr.Slider(interactive=not auto), self._auto, self._strength, queue=False, **quiet
        )
        if self._gallery is not None:
            self._gallery.select(self._accept_example, None, shown, **quiet)
        self.blocks.unload(self._leave)

    def _accept(self, file: str, request: gr.Request) -> Iterator[_Updates]:
        yield from self._accepting(Path(file), request)

    def _accept_example(self, event: gr.SelectData, request: gr.Request) -> Iterator[_Updates]:
        yield from self._accepting(self._examples[event.index], request, keep=True)

    def _accepting(self, path: Path, request: gr.Request, *, keep: bool = False) -> Iterator[_Updates]:
        yield {self._status: gr.HTML(value=pieces.LOOKING, visible=True)}
        visit = self._visit(request)
        self._visits.accept(visit, path, name=path.name, keep=keep)
        yield self._all(visit)

    async def _enhance(self, values: dict[Any, Any], request: gr.Request) -> AsyncIterator[_Updates]:
        visit, model = self._visit(request), values[self._model]
        if visit.upload is None or model not in self._models:
            yield self._all(visit)
            return
        strength: Any = "auto" if values[self._auto] else values[self._strength] / 100
        choice = Choice(model=model, strength=strength, face=values[self._face])
        job = self._visits.enhance(visit, choice)
        yield self._all(visit)
        while not job.is_over and visit.job is job:
            yield {self._status: pieces.progress(job, num_ahead=self._visits.num_ahead(visit))}
            await asyncio.sleep(_POLL)
        if visit.job is job:
            yield self._all(visit)

    def _stop(self, request: gr.Request) -> None:
        self._visits.cancel(self._visit(request))

    def _clear(self, request: gr.Request) -> _Updates:
        visit = self._visit(request)
        self._visits.clear(visit)
        return self._all(visit)

    def _leave(self, request: gr.Request) -> None:
        self._visits.end(request.session_hash or "")

    def _visit(self, request: gr.Request) -> Visit:
        return self._visits.of(request.session_hash or "")

    def _all(self, visit: Visit) -> _Updates:
        """All components as they are to look for a visit."""
        upload, job = visit.upload, visit.job
        works = job is not None and not job.is_over
        is_done = job is not None and job.result is not None
        stage, status, link = "", pieces.problem(visit.error) if visit.error else "", ""
        if upload is not None:
            stage = pieces.preview(upload, visit.preview)
        if upload is not None and is_done:
            before, after, result = self._visits.addresses(visit)
            stage, link = pieces.comparison(upload, before, after), pieces.download(result)
        if job is not None:
            ahead = self._visits.num_ahead(visit)
            status = pieces.progress(job, num_ahead=ahead) if works else pieces.outcome(job)
        updates: _Updates = {
            self._drop: gr.File(value=None, visible=upload is None),
            self._stage: gr.HTML(value=stage, visible=upload is not None),
            self._status: gr.HTML(value=status, visible=bool(status)),
            self._start: gr.Button(
                value="Enhance again" if is_done else "Enhance",
                variant="secondary" if is_done else "primary",
                visible=not works,
                interactive=upload is not None,
            ),
            self._cancel: gr.Button(visible=works),
            self._download: gr.HTML(value=link, visible=is_done),
            self._another: gr.Button(visible=upload is not None and not works),
        }
        if self._gallery is not None:
            updates[self._hint] = gr.HTML(visible=upload is None)
            updates[self._gallery] = gr.Gallery(visible=upload is None, selected_index=None)
        return updates


def _thumbnails(examples: Sequence[Path], folder: Path) -> list[tuple[str, str]]:
    thumbnails = []
    for index, video in enumerate(examples):
        picture = folder / f"example{index}.jpg"
        write_thumbnail(video, picture, height=_THUMBNAIL)
        thumbnails.append((str(picture), video.stem))
    return thumbnails
