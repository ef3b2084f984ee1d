"""The judge `openai`: any server that speaks OpenAI's protocol of chat completions."""

from __future__ import annotations

import base64
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from vividface.config.filtering import OpenAIConfig
from vividface.errors import InputError
from vividface.filtering.base import JudgedClip, JudgeDescription, Verdict
from vividface.filtering.conversation import (
    Answer,
    ShownFrames,
    begin,
    prompt_hash,
    settings_json,
)
from vividface.filtering.rubric import Rubric
from vividface.video import VideoWriter

_TRANSIENT = (408, 409, 425, 429, 500, 502, 503, 504, 529)
_LONGEST_WAIT = 120
_CONNECT_TIMEOUT = 15
_QUOTED = 200


class OpenAIJudge:
    """Asks a server, several clips at a time; the key is read from the environment and never written down.

    Args:
        config: address of the server, the model and its settings.
        rubric: rubric that the clips are scored on.
        max_attempts: number of replies that cannot be used after which a clip remains unscored.

    Raises:
        InputError: the environment variable of the key is not set.
    """

    needs_faces = False

    def __init__(self, config: OpenAIConfig, rubric: Rubric, *, max_attempts: int) -> None:
        self._config, self._rubric, self._max_attempts = config, rubric, max_attempts
        self._key = ""
        if config.api_key_variable:
            self._key = os.environ.get(config.api_key_variable, "").strip()
            if not self._key:
                raise InputError(
                    f"filter.openai.api_key_variable: the environment variable {config.api_key_variable} is "
                    "not set; set it to the server's key, or the setting to null"
                )
        self.description = JudgeDescription(
            judge="openai",
            model=config.model,
            revision=config.revision,
            settings=settings_json(config),
            prompt=prompt_hash(rubric, config.num_frames),
        )
        self._of_thread = threading.local()

    def score(self, clips: Sequence[JudgedClip]) -> Iterator[Verdict]:
        """See `Judge`. When the server fails, requests under way are finished first: they may be paid for."""
        failure: InputError | None = None
        left = iter(clips)
        with ThreadPoolExecutor(self._config.max_parallel) as pool:
            pending = {pool.submit(self._score, clip) for clip in islice(left, self._config.max_parallel)}
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    try:
                        verdict = future.result()
                    except InputError as error:
                        failure = failure or error
                    else:
                        yield verdict
                    # Not before the caller has recorded the verdict: a kill costs what is under way alone.
                    if failure is None:
                        pending |= {pool.submit(self._score, clip) for clip in islice(left, 1)}
        if failure is not None:
            raise failure

    def _score(self, clip: JudgedClip) -> Verdict:
        config = self._config
        try:
            conversation, shown = begin(clip, self._rubric, config=config, max_attempts=self._max_attempts)
        except InputError as error:
            return Verdict(clip.clip_id, None, problem=str(error), attempts=0)
        pictures = _pictures(shown, config.send)
        while not conversation.done:
            conversation.take(self._ask(clip.clip_id, pictures, conversation.turns))
        return conversation.verdict(input_price=config.input_price, output_price=config.output_price)

    def _ask(self, clip_id: str, pictures: list[dict[str, Any]], turns: list[str]) -> Answer:
        first: dict[str, Any] = {
            "role": "user",
            "content": [*pictures, {"type": "text", "text": turns[0]}],
        }
        roles = ("user", "assistant")
        rest = [{"role": roles[i % 2], "content": text} for i, text in enumerate(turns[1:], start=1)]
        config = self._config
        body = {
            "model": config.model,
            "messages": [first, *rest],
            "temperature": config.temperature,
            "top_p": config.top_p,
            "seed": config.seed,
            "max_tokens": config.max_tokens,
        }
        try:
            response = self._session().post(
                f"{config.base_url.rstrip('/')}/chat/completions",
                json=body,
                timeout=(min(config.timeout, _CONNECT_TIMEOUT), config.timeout),
                # A redirection could carry the key to another server.
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise self._error(clip_id, _kind(error, config.timeout)) from None
        if response.status_code != requests.codes.ok:
            answer = f"answers {response.status_code} {response.reason}: {_quoted(response)}".rstrip(": ")
            raise self._error(clip_id, answer)
        return self._answer(clip_id, response)

    def _answer(self, clip_id: str, response: requests.Response) -> Answer:
        try:
            values = response.json()
            choice = values["choices"][0]
            text, usage = choice["message"]["content"] or "", values.get("usage") or {}
            if not isinstance(text, str):
                raise TypeError("content")
            counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
        except (ValueError, LookupError, TypeError, AttributeError):
            quoted = _quoted(response)
            raise self._error(clip_id, f"answers with no chat completion: {quoted}") from None
        read, written = (count if isinstance(count, int) else None for count in counts)
        return Answer(self._without_key(text), choice.get("finish_reason") != "length", read, written)

    def _session(self) -> requests.Session:
        """A connection per thread, which sends a failed request again."""
        if not hasattr(self._of_thread, "session"):
            session = requests.Session()
            # Set even without a key: otherwise requests would send a login that it finds in ~/.netrc.
            session.auth = self._authorise
            config = self._config
            retry = Retry(
                total=config.max_retries,
                allowed_methods=None,
                status_forcelist=_TRANSIENT,
                backoff_factor=config.backoff,
                backoff_max=_LONGEST_WAIT,
                backoff_jitter=config.backoff / 2,
                retry_after_max=_LONGEST_WAIT,
                raise_on_status=False,
            )
            for scheme in ("http://", "https://"):
                session.mount(scheme, HTTPAdapter(max_retries=retry))
            self._of_thread.session = session
        existing: requests.Session = self._of_thread.session
        return existing

    def _authorise(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request

    def _without_key(self, text: str) -> str:
        """A server may repeat what it was sent."""
        return text.replace(self._key, "***") if self._key else text

    def _error(self, clip_id: str, what: str) -> InputError:
        return InputError(
            f"filter.openai: {self._config.base_url} {self._without_key(what)} (clip {clip_id}); check the "
            "server and the section, and run again: what is scored already is kept"
        )


def _quoted(response: requests.Response) -> str:
    return " ".join(response.text.split())[:_QUOTED]


def _pictures(shown: ShownFrames, send: str) -> list[dict[str, Any]]:
    """The frames as the protocol's parts of a message: PNG images, or one H.264 video."""
    if send == "images":
        return [
            {"type": "image_url", "image_url": {"url": _data("image/png", _png(f))}} for f in shown.frames
        ]
    return [{"type": "video_url", "video_url": {"url": _data("video/mp4", _mp4(shown))}}]


def _png(frame: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))[1])


def _mp4(shown: ShownFrames) -> bytes:
    """Nearly lossless, and of even size as yuv420p demands."""
    height, width = (side - side % 2 for side in shown.frames.shape[1:3])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        fps = max(shown.fps, 0.1)
        with VideoWriter(path, width=width, height=height, fps=fps, codec="h264", crf=4) as writer:
            for frame in shown.frames:
                writer.write(frame[:height, :width])
        return path.read_bytes()


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _kind(error: requests.RequestException, timeout: float) -> str:
    """The kind of failure, without the address that is named anyway, and without the request's content."""
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"does not answer within {timeout:g} s"
    if isinstance(error, requests.ConnectionError):
        return "cannot be reached, or closes the connection"
    return f"cannot be asked ({type(error).__name__})"
