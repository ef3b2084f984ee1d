"""The conversation with a language model about one clip, until its reply can be used."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from vividface.config import Section
from vividface.config.filtering import LanguageModelConfig
from vividface.filtering.base import JudgedClip, Verdict
from vividface.filtering.replies import Reply, ReplyError, parse_reply
from vividface.filtering.rubric import Rubric
from vividface.video import probe, sample_evenly

# Keys that say which model is asked, and where it is; a judge's description has them beside its settings.
_MODEL_KEYS = ("model", "repo", "revision", "folder")


@dataclass(frozen=True)
class ShownFrames:
    """The frames of a clip that a language model is shown.

    Attributes:
        frames: (F, H, W, 3) uint8, RGB.
        fps: frame rate of the shown frames: the clip's, times the share of its frames that are shown.
    """

    frames: np.ndarray
    fps: float


@dataclass(frozen=True)
class Answer:
    """A model's answer to one question.

    Attributes:
        text: text of the reply.
        complete: whether the reply ended by itself, and not at the longest length.
        input_tokens: number of tokens read; None where nothing counts them.
        output_tokens: number of tokens written; None where nothing counts them.
    """

    text: str
    complete: bool = True
    input_tokens: int | None = None
    output_tokens: int | None = None


class Conversation:
    """Asks about a clip until a reply can be used, at most a given number of times.

    Args:
        clip_id: id of the clip.
        rubric: rubric of the question.
        num_frames: number of frames that the model is shown.
        max_attempts: number of questions after which the clip remains unscored.

    Attributes:
        turns: texts so far, ours and the model's in turn; the first is the prompt, the last is ours.
        done: whether there is nothing left to ask.
    """

    def __init__(self, clip_id: str, rubric: Rubric, *, num_frames: int, max_attempts: int) -> None:
        self.turns = [rubric.prompt(num_frames)]
        self.done = False
        self._clip_id, self._rubric, self._attempts_left = clip_id, rubric, max_attempts
        self._answers: list[Answer] = []
        self._refusals: list[str] = []
        self._reply: Reply | None = None

    def take(self, answer: Answer) -> None:
        """Read an answer: it is used, or asked for again with the reason."""
        self._answers.append(answer)
        self._attempts_left -= 1
        try:
            if not answer.complete:
                raise ReplyError("the reply is longer than allowed and was cut off; give shorter reasons")
            self._reply = parse_reply(answer.text, self._rubric)
        except ReplyError as error:
            self._refusals.append(str(error))
            self.turns += [
                answer.text,
                f"Your reply cannot be used: {error}. Reply again, in full, and keep exactly to the form "
                "that was asked for.",
            ]
        self.done = self._reply is not None or self._attempts_left <= 0

    def verdict(self, *, input_price: float = 0, output_price: float = 0) -> Verdict:
        """The verdict on the clip.

        Args:
            input_price: price of a million tokens read.
            output_price: price of a million tokens written.
        """
        read, written = (self._tokens(name) for name in ("input_tokens", "output_tokens"))
        cost = None
        if input_price or output_price:
            cost = ((read or 0) * input_price + (written or 0) * output_price) / 1e6
        flags = [f"refused: {reason}" for reason in self._refusals]
        problem = ""
        if self._reply is None:
            problem = f"no reply of {len(self._answers)} can be used; the last: {self._refusals[-1]}"
        return Verdict(
            clip_id=self._clip_id,
            points=self._reply.points if self._reply else None,
            applied=self._reply.applied if self._reply else (),
            reasons=self._reply.reasons if self._reply else {},
            reply=self._answers[-1].text,
            attempts=len(self._answers),
            flags=[*flags, *(self._reply.disagreements if self._reply else ())],
            problem=problem,
            input_tokens=read,
            output_tokens=written,
            cost=cost,
        )

    def _tokens(self, name: str) -> int | None:
        counts = [getattr(answer, name) for answer in self._answers]
        return None if None in counts else sum(counts)


def begin(
    clip: JudgedClip, rubric: Rubric, *, config: LanguageModelConfig, max_attempts: int
) -> tuple[Conversation, ShownFrames]:
    """The conversation about a clip, and the frames that it is about.

    Args:
        clip: clip to be scored.
        rubric: rubric of the question.
        config: number and size of the frames.
        max_attempts: number of questions after which the clip remains unscored.

    Raises:
        InputError: the clip cannot be read or has no frames.
    """
    shown = shown_frames(
        clip.video, num_frames=config.num_frames, max_pixels_per_frame=config.max_pixels_per_frame
    )
    num_frames = len(shown.frames)
    return Conversation(clip.clip_id, rubric, num_frames=num_frames, max_attempts=max_attempts), shown


def shown_frames(path: Path, *, num_frames: int, max_pixels_per_frame: int) -> ShownFrames:
    """Evenly spaced frames of a clip, the first and the last among them, shrunk if they are large.

    Args:
        path: path of the clip.
        num_frames: number of frames; a shorter clip gives all of its frames.
        max_pixels_per_frame: number of pixels above which a frame is shrunk.

    Raises:
        InputError: the clip cannot be read or has no frames.
    """
    info = probe(path)
    frames = [_fit(frame, max_pixels_per_frame) for frame in sample_evenly(path, num_frames)]
    return ShownFrames(np.stack(frames), float(info.fps * Fraction(len(frames), info.num_frames)))


def prompt_hash(rubric: Rubric, num_frames: int) -> str:
    """SHA-256 of the prompt, as the scores' table keeps it."""
    return hashlib.sha256(rubric.prompt(num_frames).encode()).hexdigest()


def settings_json(config: Section) -> str:
    """The settings of a language model that change its answers, as the scores' table keeps them."""
    settings = {name: value for name, value in config.results().items() if name not in _MODEL_KEYS}
    return json.dumps(settings, sort_keys=True)


def _fit(frame: np.ndarray, max_pixels: int) -> np.ndarray:
    height, width = frame.shape[:2]
    factor = min((max_pixels / (height * width)) ** 0.5, 1.0)
    if factor == 1:
        return frame
    size = (max(int(width * factor), 1), max(int(height * factor), 1))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))
