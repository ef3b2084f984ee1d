"""The judge `openai`: any server that speaks OpenAI's protocol of chat completions."""

from __future__ import annotations

import base64
import json
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import cv2
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from vividface.config.filtering import OpenAIConfig
from vividface.errors import InputError
from vividface.filtering.interview import Answer, Interview, Sampled, prompt_hash, sample_frames
from vividface.filtering.judge import JudgedClip, Verdict
from vividface.filtering.rubric import Rubric
from vividface.video import VideoWriter

_TRANSIENT = (408, 409, 425, 429, 500, 502, 503, 504, 529)
_LONGEST_WAIT = 120
_CONNECT_TIMEOUT = 15
_QUOTED = 200


class ServerJudge:
    """Asks a server, several clips at a time; the key is read from the environment and never written down.

    Args:
        config: the server, the model and how they are asked.
        rubric: what is asked.
        attempts: how often a reply that cannot be used is asked for again.

    Raises:
        InputError: the environment variable of the key is not set.
    """

    needs_faces = False

    def __init__(self, config: OpenAIConfig, rubric: Rubric, attempts: int) -> None:
        self._config, self._rubric, self._attempts = config, rubric, attempts
        self._key = ""
        if config.api_key_variable:
            self._key = os.environ.get(config.api_key_variable, "").strip()
            if not self._key:
                raise InputError(
                    f"filter.openai.api_key_variable: the environment variable {config.api_key_variable} is "
                    "not set; set it to the server's key, or the setting to null"
                )
        # What changes how fast or how dear an answer is does not change the answer.
        others = {"model", "revision", "api_key_variable", "parallel", "timeout", "retries", "backoff"}
        settings = config.model_dump(mode="json", exclude=others | {"input_price", "output_price"})
        self.identity = {
            "judge": "openai",
            "model": config.model,
            "revision": config.revision,
            "settings": json.dumps(settings, sort_keys=True),
            "prompt": prompt_hash(rubric, config.frames),
        }
        self._local = threading.local()

    def score(self, clips: Sequence[JudgedClip]) -> Iterator[Verdict]:
        """See `Judge`. When the server fails, what is on its way is finished first: it may be paid for."""
        failure: InputError | None = None
        with ThreadPoolExecutor(self._config.parallel) as pool:
            pending = [pool.submit(self._score, clip) for clip in clips]
            try:
                for future in as_completed(pending):
                    if future.cancelled():
                        continue
                    try:
                        verdict = future.result()
                    except InputError as error:
                        failure = failure or error
                        for other in pending:
                            other.cancel()
                    else:
                        yield verdict
            finally:
                pool.shutdown(cancel_futures=True)
        if failure is not None:
            raise failure

    def _score(self, clip: JudgedClip) -> Verdict:
        try:
            shown = sample_frames(clip.video, self._config)
        except InputError as error:
            return Verdict(clip.clip_id, None, problem=str(error), attempts=0)
        interview = Interview(clip.clip_id, self._rubric, len(shown.frames), self._attempts)
        pictures = _pictures(shown, self._config.send)
        while not interview.done:
            interview.take(self._ask(clip.clip_id, pictures, interview.turns))
        return interview.verdict(self._config.input_price, self._config.output_price)

    def _ask(self, clip_id: str, pictures: list[dict], turns: list[str]) -> Answer:
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
            said = " ".join(response.text.split())[:_QUOTED]
            raise self._error(
                clip_id, f"answers {response.status_code} {response.reason}: {said}".rstrip(": ")
            )
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
            said = " ".join(response.text.split())[:_QUOTED]
            raise self._error(clip_id, f"answers with no chat completion: {said}") from None
        read, written = (count if isinstance(count, int) else None for count in counts)
        return Answer(self._without_key(text), choice.get("finish_reason") != "length", read, written)

    def _session(self) -> requests.Session:
        """A connection per thread, which sends a failed request again."""
        if not hasattr(self._local, "session"):
            session = requests.Session()
            # Set even without a key: otherwise requests would send a login that it finds in ~/.netrc.
            session.auth = self._authorise
            config = self._config
            retry = Retry(
                total=config.retries,
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
            self._local.session = session
        session_of_thread: requests.Session = self._local.session
        return session_of_thread

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


def _pictures(shown: Sampled, send: str) -> list[dict]:
    """The frames as the protocol's parts of a message: PNG images, or one H.264 video."""
    if send == "images":
        return [
            {"type": "image_url", "image_url": {"url": _data("image/png", _png(f))}} for f in shown.frames
        ]
    return [{"type": "video_url", "video_url": {"url": _data("video/mp4", _mp4(shown))}}]


def _png(frame: Any) -> bytes:
    return bytes(cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))[1])


def _mp4(shown: Sampled) -> bytes:
    """Nearly without loss, and of even size as yuv420p asks for."""
    height, width = (side - side % 2 for side in shown.frames.shape[1:3])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        with VideoWriter(path, width, height, max(shown.fps, 0.1), "h264", crf=4) as writer:
            for frame in shown.frames:
                writer.write(frame[:height, :width])
        return path.read_bytes()


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _kind(error: requests.RequestException, timeout: float) -> str:
    """What went wrong, without the address that is named anyway, and without what was sent."""
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"does not answer within {timeout:g} s"
    if isinstance(error, requests.ConnectionError):
        return "cannot be reached, or closes the connection"
    return f"cannot be asked ({type(error).__name__})"
