"""The conversation with a language model about one clip, until its reply can be used."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from vividface.config.filtering import SampledFrames
from vividface.filtering.judge import Verdict
from vividface.filtering.replies import Reply, ReplyError, parse_reply
from vividface.filtering.rubric import Rubric
from vividface.video import iterate_frames, probe


@dataclass(frozen=True)
class Sampled:
    """Frames of a clip as a language model is shown them.

    Attributes:
        frames: (F, H, W, 3) uint8, RGB.
        fps: their rate; the clip's own, times the share of its frames that they are.
    """

    frames: np.ndarray
    fps: float


@dataclass(frozen=True)
class Answer:
    """What a model says when it is asked once.

    Attributes:
        text: its reply.
        complete: whether it ended by itself.
        input_tokens: that it read, and `output_tokens` that it wrote.
    """

    text: str
    complete: bool = True
    input_tokens: int | None = None
    output_tokens: int | None = None


class Interview:
    """Asks until a reply can be used, at most a given number of times.

    Args:
        clip_id: the clip.
        rubric: of the question.
        frames: number of frames that are shown.
        attempts: how often to ask at most.

    Attributes:
        turns: the texts so far, ours and the model's in turn; the first is the prompt, the last is ours.
        done: whether there is nothing left to ask.
    """

    def __init__(self, clip_id: str, rubric: Rubric, frames: int, attempts: int) -> None:
        self.turns = [rubric.prompt(frames)]
        self.done = False
        self._clip_id, self._rubric, self._left = clip_id, rubric, attempts
        self._answers: list[Answer] = []
        self._refusals: list[str] = []
        self._reply: Reply | None = None

    def take(self, answer: Answer) -> None:
        """Read an answer: it is used, or asked for again with the reason."""
        self._answers.append(answer)
        self._left -= 1
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
        self.done = self._reply is not None or self._left <= 0

    def verdict(self, input_price: float = 0, output_price: float = 0) -> Verdict:
        """What came out; prices are of a million tokens."""
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


def sample_frames(path: Path, config: SampledFrames) -> Sampled:
    """Frames evenly spread over a clip, the first and the last among them, made smaller if they are large.

    Raises:
        InputError: the clip cannot be read or has no frames.
    """
    info = probe(path)
    count = min(config.frames, info.frames)
    wanted = set(np.linspace(0, info.frames - 1, count).round().astype(int).tolist())
    frames = [_fit(f, config.pixels) for index, f in enumerate(iterate_frames(path)) if index in wanted]
    return Sampled(np.stack(frames), float(info.fps * Fraction(len(frames), info.frames)))


def prompt_hash(rubric: Rubric, frames: int) -> str:
    """SHA-256 of the prompt, as the scores' table keeps it."""
    return hashlib.sha256(rubric.prompt(frames).encode()).hexdigest()


def _fit(frame: np.ndarray, pixels: int) -> np.ndarray:
    height, width = frame.shape[:2]
    factor = min((pixels / (height * width)) ** 0.5, 1.0)
    if factor == 1:
        return frame
    size = (max(int(width * factor), 1), max(int(height * factor), 1))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))
