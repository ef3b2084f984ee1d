"""Restoring clips with a published method: its own program, in its own environment."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from vividface.devices import device_name
from vividface.errors import InputError
from vividface.evaluation.methods import timed_calls
from vividface.evaluation.methods.description import PublishedMethod, script_place
from vividface.evaluation.methods.exchange import Piece, cut, read_output, write_input
from vividface.evaluation.methods.installation import Installation
from vividface.evaluation.methods.programs import run_program
from vividface.evaluation.runs import Run
from vividface.files import atomic_path, digest, resumable_folder, write_json
from vividface.restoration.base import Restorer
from vividface.video import write_clip

# Frames (F, H, W, 3) and a restorer of aligned faces to restored frames: crop, restore, background, paste.
Protocol = Callable[[np.ndarray, Restorer], np.ndarray]

# Programs of others would look for newer files, although a job has no network.
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
_TIMED = timed_calls.PRINTED.format("([0-9.]+)", "([0-9]+)")


@dataclass(frozen=True)
class DegradedClip:
    """A clip to restore.

    Attributes:
        name: name of the clip, and of its result.
        read: function that gives its frames (F, H, W, 3) uint8, RGB.
        fps: frame rate.
    """

    name: str
    read: Callable[[], np.ndarray]
    fps: Fraction


def restore_with_published(
    installation: Installation,
    clips: Sequence[DegradedClip],
    output: Path,
    *,
    aligned: Protocol | None = None,
    settings: Any = None,
) -> None:
    """Restore clips to `output/{clip}.mkv`, without loss, and write `output/run.json`.

    Where a program restores clip by clip, a run that was stopped is resumed at the clip at which it stopped:
    the clips before it lie in `output.partial`. A program that takes all clips in one run begins anew.

    Args:
        installation: the method, which has been fetched.
        clips: clips to restore.
        output: folder of the results, written atomically.
        aligned: protocol of a method that takes aligned faces.
        settings: settings of the protocol, a value of JSON; clips that were restored under others, or are no
            longer the same, are restored again.

    Raises:
        InputError: the method's program fails, or its result does not fit what it was given.
    """
    method, program = installation.method, _Program(installation)
    if method.input.protocol == "aligned" and aligned is None:
        raise InputError(f"{method.title}: takes aligned faces alone; give it the protocol for them")
    with (atomic_path if method.input.takes_all else resumable_folder)(output) as folder:
        folder.mkdir(exist_ok=True)
        if method.input.takes_all:
            restored = _restore_all(program, clips, folder)
        else:
            restored = _restore_each(program, clips, folder, aligned=aligned, settings=settings)
        # A clip without a face is none that an aligned method restores.
        timed = next((name for name, clip in restored.items() if clip.seconds), "")
        Run(
            method=installation.name,
            num_frames={name: clip.num_frames for name, clip in restored.items()},
            num_steps=method.num_steps,
            timed_clip=timed,
            seconds_per_run=[restored[timed].seconds] if timed else [],
            width=restored[timed].width if timed else 0,
            height=restored[timed].height if timed else 0,
            device=restored[timed].device if timed else program.device,
            time_of=program.time_of,
        ).write(folder)


@dataclass(frozen=True)
class _Restored:
    """A restored clip.

    Attributes:
        num_frames: number of frames.
        width: width, px.
        height: height, px.
        seconds: time that the program took, s; 0 where it restored nothing of the clip.
        device: name of the processor or the GPU.
    """

    num_frames: int
    width: int
    height: int
    seconds: float
    device: str


def _restore_all(program: _Program, clips: Sequence[DegradedClip], folder: Path) -> dict[str, _Restored]:
    """Restore the clips in one run; the time of each is its share by frames."""
    sizes = {}
    for clip, frames in program.restore_all(clips):
        sizes[clip.name] = frames.shape[:3]
        write_clip(folder / f"{clip.name}.mkv", frames, clip.fps)
    each = program.seconds[""] / sum(num_frames for num_frames, _, _ in sizes.values())
    return {
        name: _Restored(num_frames, width, height, each * num_frames, program.device)
        for name, (num_frames, height, width) in sizes.items()
    }


def _restore_each(
    program: _Program, clips: Sequence[DegradedClip], folder: Path, *, aligned: Protocol | None, settings: Any
) -> dict[str, _Restored]:
    """Restore the clips one by one; those that a stopped run left in the folder are taken as they are."""
    restored = {}
    for number, clip in enumerate(tqdm(clips, desc=program.method.title, unit="clip")):
        frames = clip.read()
        content = [str(clip.fps), frames.shape, hashlib.sha256(np.ascontiguousarray(frames).data).hexdigest()]
        fingerprint = digest([version("vividface"), program.method.fingerprint, settings, content])
        # Written behind its video, so that a clip that has one is whole.
        record = folder / f".{clip.name}.json"
        if (done := _read_record(record, fingerprint)) is None:
            record.unlink(missing_ok=True)
            restore = program.restorer(clip, f"c{number:04d}")
            result = restore(frames) if aligned is None else aligned(frames, restore)
            write_clip(folder / f"{clip.name}.mkv", result, clip.fps)
            num_frames, height, width = result.shape[:3]
            done = _Restored(num_frames, width, height, program.seconds.get(clip.name, 0.0), program.device)
            write_json(record, {"fingerprint": fingerprint, **asdict(done)})
        restored[clip.name] = done
    results = {f"{name}.mkv" for name in restored}
    for file in folder.iterdir():
        if file.name not in results:
            file.unlink()
    return restored


def _read_record(path: Path, fingerprint: str) -> _Restored | None:
    record = json.loads(path.read_text()) if path.is_file() else {}
    return _Restored(**record) if record.pop("fingerprint", None) == fingerprint else None


@dataclass
class _Program:
    """A method's program, and the time that its runs take.

    Attributes:
        installation: the method, which has been fetched.
        seconds: seconds of runs, by the clip that they restored; of a run of all clips by the empty name.
    """

    installation: Installation
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def method(self) -> PublishedMethod:
        """The method."""
        return self.installation.method

    @property
    def device(self) -> str:
        """Name of the processor or the GPU that it runs on."""
        return device_name("cuda" if self.method.needs_gpu else "cpu")

    @property
    def time_of(self) -> str:
        """What the time is of, for tables."""
        what = "its own program, with loading of the model, reading and writing"
        if self.method.seconds:
            what = "the model alone, as its own program prints it"
        if self.method.timed:
            calls = ", ".join(name.partition(":")[2] for name in self.method.timed)
            what = f"the model alone, the calls of {calls} in its own program, without a warm-up"
        share = (
            "; by frames, this clip's share of one run of all clips" if self.method.input.takes_all else ""
        )
        return f"{self.method.title}: {what}{share}"

    def restorer(self, clip: DegradedClip, name: str) -> Restorer:
        """A function that restores frames of a clip, piece by piece."""

        def restore(frames: np.ndarray) -> np.ndarray:
            size = (frames.shape[2], frames.shape[1])
            restored = []
            for piece in cut(name, frames, clip.fps, method=self.method):
                with _work_folders() as (given, output):
                    path = write_input(piece, given, reads=self.method.input)
                    self._run(path, output, clip=clip.name, piece=piece)
                    restored.append(self._read(piece, path, output, size=size))
            return np.concatenate(restored)

        return restore

    def restore_all(self, clips: Sequence[DegradedClip]) -> Iterator[tuple[DegradedClip, np.ndarray]]:
        """All clips, in one run, each with its restored frames."""
        with _work_folders() as (given, output):
            for _, _, pieces in self._pieces(clips):
                for piece in pieces:
                    write_input(piece, given, reads=self.method.input)
            self._run(given, output, clip="", piece=None)
            # Read again, so that the frames of all clips are never in memory at once.
            for clip, frames, pieces in self._pieces(clips):
                size = (frames.shape[2], frames.shape[1])
                yield clip, np.concatenate([self._read(piece, given, output, size=size) for piece in pieces])

    def _pieces(
        self, clips: Sequence[DegradedClip]
    ) -> Iterator[tuple[DegradedClip, np.ndarray, list[Piece]]]:
        """The clips, each with its frames and the pieces of them."""
        for number, clip in enumerate(tqdm(clips, desc=self.method.title, unit="clip")):
            frames = clip.read()
            yield clip, frames, cut(f"c{number:04d}", frames, clip.fps, method=self.method)

    def _run(self, path: Path, output: Path, *, clip: str, piece: Piece | None) -> None:
        values = self._values(path, output, piece)
        interpreter, source = self.installation.interpreter, self.installation.source
        variables = interpreter.variables(
            {**_OFFLINE, **self.method.environment.variables},
            source=source,
            weights=self.installation.weights,
        )
        started, printed = time.perf_counter(), ""
        for command in self.method.commands:
            words = interpreter.resolved([word.format_map(values) for word in self._timed(command)])
            folder = source / self.method.folder
            printed += run_program(words, title=self.method.title, folder=folder, variables=variables)
        elapsed = time.perf_counter() - started
        seconds = self._seconds_of_the_model(printed)
        seconds = elapsed if seconds is None else seconds
        self.seconds[clip] = self.seconds.get(clip, 0.0) + seconds

    def _timed(self, command: list[str]) -> list[str]:
        """A command line that runs its script with timed calls, where the method has some."""
        place = script_place(command)
        if not self.method.timed or place is None:
            return command
        return [*command[:place], timed_calls.__file__, ",".join(self.method.timed), *command[place:]]

    def _seconds_of_the_model(self, printed: str) -> float | None:
        """The seconds that a program printed; None where the method's description names none."""
        method = self.method
        if method.timed:
            found = re.findall(_TIMED, printed)
            if not sum(int(calls) for _, calls in found):
                raise InputError(
                    f"{method.title}: called none of {', '.join(method.timed)}; correct `timed` in its "
                    "description"
                )
            return sum(float(seconds) for seconds, _ in found)
        if not method.seconds:
            return None
        if not (found := re.findall(method.seconds, printed)):
            raise InputError(
                f"{method.title}: printed nothing that fits {method.seconds!r}; correct `seconds` in its "
                "description"
            )
        return sum(map(float, found))

    def _read(self, piece: Piece, path: Path, output: Path, *, size: tuple[int, int]) -> np.ndarray:
        values = self._values(path, output, piece)
        source = self.installation.source
        return read_output(piece, method=self.method, source=source, values=values, size=size)

    def _values(self, path: Path, output: Path, piece: Piece | None) -> dict[str, str]:
        """The values of the placeholders."""
        values = {
            "input": str(path),
            "output": str(output),
            "weights": str(self.installation.weights),
            "source": str(self.installation.source),
        }
        if piece is not None:
            num_frames, height, width = piece.frames.shape[:3]
            values |= {"name": piece.name, "fps": f"{float(piece.fps):g}", "num_frames": str(num_frames)}
            values |= {"width": str(width), "height": str(height)}
        return values


@contextmanager
def _work_folders() -> Iterator[tuple[Path, Path]]:
    """Folders of a program's input and output, which go with it."""
    with tempfile.TemporaryDirectory(prefix="vividface-") as folder:
        given, output = Path(folder) / "input", Path(folder) / "output"
        given.mkdir()
        output.mkdir()
        yield given, output
