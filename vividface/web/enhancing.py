"""A visitor's enhancement: the library's, with its result made ready to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vividface.errors import InputError
from vividface.restoration.encoders import CONTAINERS
from vividface.web.jobs import Job
from vividface.web.previews import copy_to_show, image_to_show, is_shown
from vividface.web.uploads import Upload, readable

if TYPE_CHECKING:
    from vividface.restoration.loading import FaceRestorer


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a visitor chose.

    Attributes:
        model: name of a model, or folder of a checkpoint.
        strength: share of the model's change that is made, 0..1, or `auto`.
        face: faces that are restored, `all` or `largest`.
    """

    model: str
    strength: float | Literal["auto"]
    face: str


@dataclass(frozen=True, kw_only=True)
class Enhanced:
    """A result that can be looked at.

    Attributes:
        output: path of the result, in the input's container where it can be written.
        before: path of the input, or of a copy that a browser shows.
        after: path of the result, or of such a copy.
        num_frames: number of frames in the result.
        num_faces: number of frames in which a face was restored.
        seconds: duration of the enhancement, s.
        notes: sentences about what could not be read or kept.
    """

    output: Path
    before: Path
    after: Path
    num_frames: int
    num_faces: int
    seconds: float
    notes: Sequence[str]


class Enhancer:
    """Enhances what visitors give, with one loaded model."""

    def __init__(self) -> None:
        self._model = ""
        self._restorer: FaceRestorer | None = None

    def __call__(self, upload: Upload, choice: Choice, folder: Path, *, job: Job[Enhanced]) -> Enhanced:
        """Enhance a file.

        Args:
            upload: video or image.
            choice: model, strength and faces.
            folder: folder of the results, which is made.
            job: job that this is the work of.

        Raises:
            InputError: it cannot be enhanced; the sentence is meant for the visitor.
            CancelledError: nobody wants the result any more.
        """
        # Torch takes seconds to load; the page is there before.
        from vividface.restoration.enhance import enhance
        from vividface.restoration.loading import enhance_config

        job.begin_step("Loading the model")
        restorer = self._load(choice.model)
        job.begin_step("Enhancing")
        job.report(0, upload.source.num_frames)
        try:
            result = enhance(
                upload.source,
                folder / f"result{_suffix(upload)}",
                restorer=restorer,
                config=enhance_config(restorer, strength=choice.strength, face=choice.face),
                overwrite=True,
                on_progress=job.report,
            )
        except InputError as error:
            raise InputError(readable(error, path=upload.path, name=upload.name)) from error
        job.begin_step("Preparing the comparison")
        notes = [f"{upload.name} {result.problem}."] if result.problem else []
        return Enhanced(
            output=result.output,
            before=_shown(upload.path, folder / "before", upload, job),
            after=_shown(result.output, folder / "after", upload, job),
            num_frames=result.num_frames,
            num_faces=result.num_faces or 0,
            seconds=result.seconds,
            notes=[*notes, *result.notes],
        )

    def _load(self, model: str) -> FaceRestorer:
        from vividface.restoration.loading import RestorerOptions, load_restorer

        if self._restorer is None or self._model != model:
            # Two models at once may not fit the memory.
            self._restorer = None
            self._restorer, self._model = load_restorer(RestorerOptions(model=model)), model
        return self._restorer


def _suffix(upload: Upload) -> str:
    suffix = upload.path.suffix
    return suffix if not upload.is_video or suffix in CONTAINERS else ".mp4"


def _shown(path: Path, copy: Path, upload: Upload, job: Job[Enhanced]) -> Path:
    if is_shown(path):
        return path
    if not upload.is_video:
        return image_to_show(path, copy)
    return copy_to_show(path, copy, require_wanted=job.require_wanted)
