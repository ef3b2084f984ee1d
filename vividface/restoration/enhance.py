"""Enhancing a video of any length and kind, in constant memory, so that a killed run can be resumed."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
from tqdm import tqdm

from vividface import __version__
from vividface.config import EnhanceConfig
from vividface.devices import is_out_of_memory
from vividface.errors import InputError
from vividface.restoration.finishing import FinishedFrames
from vividface.restoration.loading import (
    FaceRestorer,
    Mode,
    RestorerOptions,
    enhance_config,
    load_restorer,
)
from vividface.restoration.opening import open_source
from vividface.restoration.reading import WHOLE, Source
from vividface.restoration.results import Results, result_track
from vividface.restoration.stages import Stage
from vividface.restoration.windows import WindowRestorer
from vividface.streams import CallsBehind


@dataclass(frozen=True, kw_only=True)
class EnhanceResult:
    """The result of an enhancement.

    Attributes:
        output: path of the result.
        num_frames: number of frames in the result.
        num_faces: number of frames in which a face was restored; None in the mode `crop`.
        num_restored: number of frames that this run restored; the others are of an earlier one.
        seconds: duration of this run, s.
        strength: strength that was asked for.
        people: number, lowest strength and lowest cosine of each person who was restored, with the strength
            `auto` or a choice of faces; the cosine is None where it was not measured.
        problem: reason why the result is not the whole input, or empty.
        notes: sentences about what could not be kept as it was.
        num_left: number of frames in which a face was left alone, by the reason: `small`, `turned`, or
            `good`, where the model found nothing to restore.
        stages: seconds that each stage of this run was busy; they run beside each other.
    """

    output: Path
    num_frames: int
    num_faces: int | None
    num_restored: int
    seconds: float
    strength: float | Literal["auto"] = 1
    people: list[dict[str, float | None]] = field(default_factory=list)
    problem: str = ""
    notes: list[str] = field(default_factory=list)
    num_left: dict[str, int] = field(default_factory=dict)
    stages: dict[Stage, float] = field(default_factory=dict)


class Interrupted(KeyboardInterrupt):
    """The user stopped the run; the message says what exists and how to resume."""


def enhance_video(
    source: Path | str,
    output: Path | str,
    *,
    model: Path | str | None = None,
    mode: Mode = "full",
    config: EnhanceConfig | None = None,
    compare: Path | str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    autoencoder: Path | str | None = None,
    faces: str = "auto",
    size: int | None = None,
    fps: float | Fraction = 25,
    tile: bool = False,
    offload: bool = False,
    attention: str | None = None,
    compile: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    progress: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> EnhanceResult:
    """Enhance the faces of a video, a folder of frames, or an image, as `vividface enhance` does.

    Args:
        source: video, image, folder of images, or pattern such as `frames/*.png`.
        output: path of a video; or, of images, of a video, an image or a folder of images. Sound, time
            stamps, rotation and colours of a video are kept.
        model: name of a model (`nano`, `vividface-1.3b`) or folder of a checkpoint; None takes
            `vividface-1.3b` where it and a GPU are there, else `nano`, which comes with the package.
        mode: `full` finds and pastes faces, `crop` takes the frames as crops of a face.
        config: windows, cuts, faces, strength and colours; None takes windows as in training, which overlap
            by a tenth.
        compare: path of a video with input and result side by side; None writes none.
        device: `cpu`, `cuda`, or `auto`, a GPU if there is one.
        dtype: type of the weights, `fp32`, `bf16`, or `auto`: bf16 on a GPU and on a CPU with
            Intel AMX or AVX-512 BF16, else fp32.
        autoencoder: `taew2_1`, or folder of another autoencoder for the same latents; None takes the
            checkpoint's.
        faces: face backend, `mediapipe`, `dlib`, `facexlib`, or `auto`: facexlib on a GPU, if it
            and its weights are here, else mediapipe.
        size: side of a face's crop in the mode `full`, px; None takes that of the training clips.
        fps: frame rate of a folder of images.
        tile: whether large frames are encoded and decoded in tiles; slower, in less memory.
        offload: whether the GPU holds only the part that computes.
        attention: diffusers' name of what computes the self-attention, e.g. `flash`; None takes torch's own.
        compile: whether the model is compiled, which takes a minute or more at the first window.
        overwrite: whether existing results may be replaced, and an interrupted run discarded.
        resume: whether an interrupted run is resumed.
        progress: whether a progress bar is shown.
        on_progress: function that is called after each window with the number of frames that are done and of
            all; whatever it raises ends the run, as an error does.

    Raises:
        InputError: the source cannot be read, a result exists or cannot be written, the weights do not exist,
            no face is found, or memory does not suffice.
        Interrupted: the user pressed Ctrl-C.

    Example:
        >>> from vividface import enhance_video
        >>> result = enhance_video("old.mp4", "new.mp4", mode="crop")
        >>> result.num_frames
        9
    """
    # Before the weights, which take their time: a wrong path is told at once.
    opened = open_source(Path(source), fps=Fraction(fps).limit_denominator(1001))
    restorer = load_restorer(
        RestorerOptions(
            model=model,
            mode=mode,
            device=device,
            dtype=dtype,
            autoencoder=Path(autoencoder) if autoencoder else None,
            faces=faces,
            size=size,
            tile=tile,
            offload=offload,
            attention=attention,
            compile=compile,
        )
    )
    return enhance(
        opened,
        Path(output),
        restorer=restorer,
        config=config or enhance_config(restorer),
        compare=Path(compare) if compare else None,
        overwrite=overwrite,
        resume=resume,
        progress=progress,
        on_progress=on_progress,
    )


def enhance(
    source: Source,
    output: Path,
    *,
    restorer: FaceRestorer,
    config: EnhanceConfig,
    compare: Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> EnhanceResult:
    """Enhance an opened source with a loaded restorer, which several sources can share.

    Args:
        source: opened video, image or folder of images.
        output: path of the result.
        restorer: loaded model and face backend.
        config: windows, cuts, faces, strength and colours.
        compare: path of a video with input and result side by side; None writes none.
        overwrite: whether existing results may be replaced, and an interrupted run discarded.
        resume: whether an interrupted run is resumed.
        progress: whether a progress bar is shown.
        on_progress: function that is called after each window with the number of frames that are done and of
            all; whatever it raises ends the run, as an error does.

    Raises:
        InputError: a result exists or cannot be written, no face is found, or memory does not suffice.
        Interrupted: the user pressed Ctrl-C.
    """
    started, repeated = time.monotonic(), restorer.num_repeated()
    restoration = WindowRestorer(source, restorer, config)
    settings = {
        "source": source.fingerprint(),
        "model": restorer.fingerprint,
        "compare": str(compare or ""),
        "mode": "crop" if restorer.backend is None else "full",
        **config.model_dump(mode="json"),
    }
    track, codec_note = result_track(source, scale=config.scale, codec=config.codec, quality=config.quality)
    remark = _remark(restorer, config)
    results = Results(source, output, compare=compare, track=track, settings=settings, remark=remark)
    results.begin(overwrite=overwrite, resume=resume)
    resumed = results.num_frames
    bar = tqdm(total=source.num_frames, initial=resumed, desc=output.name, unit="frame", disable=not progress)
    explaining = _explaining(source, output, results=results, config=config)
    with explaining, bar, CallsBehind(config.window) as behind:
        try:
            with closing(_written(restoration, results, behind)) as written:
                for num_done in written:
                    bar.update(num_done - bar.n)
                    if on_progress is not None:
                        on_progress(num_done, source.num_frames)
            behind.finish()
            results.end(people=restoration.state())
        except KeyboardInterrupt:
            behind.finish()
            raise Interrupted(results.interrupt()) from None
        _require_frames(source, restoration, results)
        with restoration.stages.running("writing"):
            joined = results.join()
    people = restoration.people
    repeated = restorer.num_repeated() - repeated
    again = f"{repeated} windows were computed again in float32" if repeated else ""
    notes = (*source.notes, codec_note, again, *joined, *([] if people is None else people.notes()))
    return EnhanceResult(
        output=output,
        num_frames=results.num_frames,
        num_faces=None if restorer.backend is None else results.num_faces,
        num_restored=results.num_frames - resumed,
        seconds=time.monotonic() - started,
        strength=config.strength,
        people=[] if people is None else people.report(),
        problem=source.problem,
        notes=[note for note in notes if note],
        num_left=results.num_left,
        stages=restoration.stages.seconds,
    )


def _written(
    restoration: WindowRestorer, results: Results, behind: CallsBehind
) -> Generator[int, None, None]:
    """The number of frames that are done, after each window that was restored and given to be written."""
    num_done, skip = results.num_frames, results.skip
    write_frame = restoration.stages.called("writing", results.write)
    end_window = restoration.stages.called("writing", results.end_window)

    def write(finished: FinishedFrames) -> int:
        nonlocal skip
        window = finished.restored
        first = min(skip, len(window.frames))
        skip -= first
        for pending, frame in zip(window.items[first:], window.frames[first:], strict=True):
            state = {"has_face": pending.has_face, "left": sorted(pending.left)}
            behind(write_frame, frame, pending.original, picture=pending.picture, **state)
        place = {"resume_at": window.resume_at, "skip": window.skip}
        behind(end_window, **place, people=finished.people)
        return len(window.frames) - first

    with closing(restoration.restored(first=results.resume_at, people=results.people)) as windows:
        # No window is kept here while the next one is restored.
        for num_written in map(write, windows):
            num_done += num_written
            yield num_done


def _remark(restorer: FaceRestorer, config: EnhanceConfig) -> str:
    """What was done, for the result's tags."""
    windows = {"window", "overlap"}
    options = config.model_dump(mode="json", exclude_defaults=True, exclude=windows)
    if "face" in options:
        # The folder of a photo is nobody's business.
        options["face"] = Path(config.face).name
    words = [f"model {Path(restorer.model).name}"] if restorer.model else []
    words += ["mode crop"] if restorer.backend is None else []
    words += [f"{name} {value}" for name, value in options.items()]
    return f"Enhanced by VividFace {__version__}: {', '.join(words) or 'no options'}"


def _require_frames(source: Source, restoration: WindowRestorer, results: Results) -> None:
    """Raise `InputError`, and leave nothing, where no frame was read or no face was restored."""
    if not results.num_frames:
        results.remove()
        if source.excerpt != WHOLE:
            raise InputError(f"{source.path}: no frame of it lies between --start and --end; check both")
        raise InputError(f"{source.path}: no frame of it can be read; get the file again")
    if restoration.finds_faces and not results.num_faces:
        results.remove()
        if results.num_left:
            raise InputError(
                f"{source.path}: all its faces are left alone ({words_for_left(results.num_left)}); lower "
                "--min-face or add --scale 2 for small ones, raise --max-turn for those turned away"
            )
        found = f"{source.path}: no face was found in {results.num_frames} frames"
        if restoration.choice.kind == "person":
            raise InputError(
                f"{found} that is {restoration.choice.description}; choose another with --face, or "
                "leave it out to restore everybody"
            )
        raise InputError(
            f"{found}; if the frames are crops of a face use --mode crop, if faces are very small lower "
            "--min-face or add --scale 2"
        )


def words_for_left(num_left: dict[str, int]) -> str:
    """What was left alone, such as "small faces in 12 frames, turned ones in 3".

    Args:
        num_left: number of frames in which a face was left alone, by the reason; not empty.
    """
    first, *others = [(reason, num_left[reason]) for reason in sorted(num_left)]
    words = [f"{first[0]} faces in {first[1]} frames", *(f"{reason} ones in {n}" for reason, n in others)]
    return ", ".join(words)


@contextmanager
def _explaining(source: Source, output: Path, *, results: Results, config: EnhanceConfig) -> Iterator[None]:
    """Turn errors of the machine into ones that say what to do; complete parts stay for a later run."""
    try:
        yield
    except InputError:
        results.abandon()
        raise
    except Exception as error:
        results.abandon()
        kept = (
            f"; {results.num_frames} frames are done, --resume resumes behind them" if results.parts else ""
        )
        if is_out_of_memory(error):
            width, height = source.size
            raise InputError(
                f"{source.path}: there is not enough memory for windows of {config.window} frames of "
                f"{width}x{height}; lower --window (and --size or --scale), or use --dtype bf16{kept}"
            ) from error
        if isinstance(error, OSError):
            reason = error.strerror or error
            raise InputError(
                f"{output}: cannot be written ({reason}); free or choose another disk{kept}"
            ) from error
        if isinstance(error, av.FFmpegError):
            raise InputError(
                f"{output}: {source.path} cannot be put into it ({error.strerror or error}); try another "
                f"container or --codec{kept}"
            ) from error
        raise
