"""The judge `openai` against a real HTTP server that behaves well and badly."""

import base64
import json
import logging
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest
from progress import wait_until

from vividface.config.filtering import OpenAIConfig
from vividface.errors import InputError
from vividface.filtering.openai import OpenAIJudge

KEY = "sk-very-secret-0123456789"
# An answer that is not given as long as the test lasts.
NEVER = object()


class ChatServer:
    """Answers with `answers` in turn, the last one ever after: (status, headers, body).

    A fourth value is what it waits for before it answers: a function without arguments, or `NEVER`.
    """

    def __init__(self, *answers):
        self.answers, self.requests = list(answers), []
        self.is_over = threading.Event()
        lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    server.requests.append((self.path, self.headers.get("Authorization"), body))
                    answer = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
                status, headers, content, *waits = answer
                for wait in waits:
                    (server.is_over.wait if wait is NEVER else wait)()
                self.send_response(status)
                for name, value in {"Content-Length": len(content), **headers}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(content)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        # Polled often, because closing waits for a poll.
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def serve():
    servers = []

    def start(*answers):
        servers.append(ChatServer(*answers))
        return servers[-1]

    yield start
    for one in servers:
        one.is_over.set()
        one.server.shutdown()
        one.server.server_close()


@pytest.fixture
def judge(rubric, monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)

    def make(server, **values):
        url = server if isinstance(server, str) else server.url
        defaults = {"model": "m", "api_key_variable": "MY_KEY", "max_parallel": 1, "timeout": 600}
        defaults |= {"max_retries": 3, "backoff": 0.01, "num_frames": 3, "max_pixels_per_frame": 4096}
        defaults |= {"input_price": 2, "output_price": 10}
        return OpenAIJudge(OpenAIConfig(base_url=url, **defaults | values), rubric, max_attempts=2)

    return make


def test_a_good_answer(serve, judge, judged, rubric, reply, chat_completion):
    server = serve((200, {}, chat_completion(reply)))
    verdict = next(judge(server).score(judged[:1]))
    row = verdict.row(rubric)
    expected = {"score": 94, "tier": "premium", "attempts": 1, "input_tokens": 1000, "output_tokens": 200}
    assert {name: row[name] for name in expected} == expected
    assert row["cost"] == pytest.approx((1000 * 2 + 200 * 10) / 1e6)
    assert row["reply"] == reply
    path, authorization, body = server.requests[0]
    assert path == "/v1/chat/completions"
    assert authorization == f"Bearer {KEY}"
    *images, text = body["messages"][0]["content"]
    assert text["text"] == rubric.prompt(3)
    assert len(images) == 3
    png = base64.b64decode(images[0]["image_url"]["url"].partition(",")[2])
    assert cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR).shape == (64, 64, 3)


def test_frames_as_one_video(serve, judge, judged, reply, chat_completion, tmp_path):
    server = serve((200, {}, chat_completion(reply)))
    assert next(judge(server, send="video").score(judged[:1])).points is not None
    address = server.requests[0][2]["messages"][0]["content"][0]["video_url"]["url"]
    assert address.startswith("data:video/mp4;base64,")
    path = tmp_path / "clip.mp4"
    path.write_bytes(base64.b64decode(address.partition(",")[2]))
    from vividface.video import probe

    assert probe(path).num_frames == 3


def test_busy_and_broken_servers_are_asked_again(serve, judge, judged, reply, chat_completion):
    server = serve((429, {"Retry-After": "0"}, b""), (500, {}, b""), (200, {}, chat_completion(reply)))
    assert next(judge(server).score(judged[:1])).points is not None
    assert len(server.requests) == 3


def test_a_wrong_reply_is_asked_for_again_with_the_reason(serve, judge, judged, reply, chat_completion):
    wrong = reply.replace("clarity: 33/35", "clarity: 50/35")
    server = serve((200, {}, chat_completion(wrong)), (200, {}, chat_completion(reply)))
    verdict = next(judge(server).score(judged[:1]))
    assert verdict.attempts == 2
    assert verdict.input_tokens == 2000
    assert verdict.flags == ["refused: clarity: 50 is outside 0 to 35"]
    messages = server.requests[1][2]["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant", "user"]
    assert "clarity: 50 is outside 0 to 35" in messages[2]["content"]


def test_what_stays_wrong_is_unscored(serve, judge, judged, rubric, reply, chat_completion):
    server = serve((200, {}, chat_completion(reply, finish_reason="length")))
    row = next(judge(server).score(judged[:1])).row(rubric)
    assert row["score"] is None
    assert row["tier"] == "unscored"
    assert "no reply of 2 can be used; the last: the reply is longer than allowed" in row["problem"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((401, {}, f"wrong key {KEY}".encode()), r"answers 401 Unauthorized: wrong key \*\*\*"),
        ((500, {}, b"out of memory"), "answers 500 Internal Server Error: out of memory"),
        ((200, {}, b"<html>"), "answers with no chat completion: <html>"),
        ((200, {}, b'{"choices": []}'), "answers with no chat completion"),
        ((200, {}, b"{}", NEVER), r"does not answer within 0\.2 s"),
        ((302, {"Location": "http://127.0.0.1:9/"}, b""), "answers 302 Found"),
    ],
)
def test_a_server_that_fails_ends_with_one_sentence(serve, judge, judged, answer, message, caplog):
    caplog.set_level(logging.DEBUG)
    timeout = 0.2 if NEVER in answer else 600
    with pytest.raises(InputError, match=message) as error:
        list(judge(serve(answer), timeout=timeout, max_retries=1).score(judged[:1]))
    assert "what is scored already is kept" in str(error.value)
    assert "\n" not in str(error.value)
    assert KEY not in str(error.value) + caplog.text


def test_a_server_that_is_not_there(judge, judged):
    with pytest.raises(InputError, match="cannot be reached, or closes the connection"):
        list(judge("http://127.0.0.1:9/v1", max_retries=1).score(judged[:1]))


def test_clips_are_asked_about_at_a_time_and_a_failure_keeps_the_others(
    serve, judge, judged, reply, chat_completion
):
    all_are_asked = threading.Barrier(4).wait
    good = (200, {}, chat_completion(reply), all_are_asked)
    server = serve(good, good, good, (400, {}, b"no", all_are_asked))
    verdicts = []
    with pytest.raises(InputError, match="answers 400"):
        for verdict in judge(server, max_parallel=4).score(judged):
            verdicts.append(verdict)
    assert len(verdicts) == 3
    assert len(server.requests) == 4


def test_no_key_in_the_environment(judge, monkeypatch):
    monkeypatch.delenv("MY_KEY")
    with pytest.raises(InputError, match="variable MY_KEY is not set"):
        judge("http://h/v1")


def test_settings_of_speed_and_price_are_no_settings_of_the_scores(judge):
    settings, others = (
        judge("http://h/v1", **values).description.settings
        for values in ({}, {"max_parallel": 9, "timeout": 1, "max_retries": 0, "input_price": 5})
    )
    assert settings == others
    names = {"base_url", "num_frames", "max_pixels_per_frame", "send"}
    assert set(json.loads(settings)) == names | {"temperature", "top_p", "seed", "max_tokens"}


def test_the_key_is_in_no_record(judge, serve, judged, rubric, reply, chat_completion):
    server = serve((200, {}, chat_completion(reply + f"\nCritical Issues: {KEY}")))
    one = judge(server)
    row = next(one.score(judged[:1])).row(rubric)
    assert KEY not in json.dumps([row, vars(one.description)])


_SCORING = """
import sys
from pathlib import Path
import pandas as pd
from vividface.config.filtering import FilterConfig, OpenAIConfig
from vividface.filtering.scoring import score_shard

folder, url, journal = sys.argv[1:]
shown = {"num_frames": 3, "max_pixels_per_frame": 4096}
asked = {"timeout": 3600, "max_retries": 0, "backoff": 1, "max_parallel": 1}
openai = OpenAIConfig(base_url=url, model="m", api_key_variable=None, **shown, **asked)
config = FilterConfig(judge="openai", rubric="face90", openai=openai)
names = {"hq_dir": "hq", "mask_dir": "masks", "faces_file": "faces.safetensors"}
files = {key: Path(folder, name) for key, name in names.items()}
clips = pd.read_parquet(Path(folder, "clips.parquet"))
table = score_shard(clips, config, **files, journal=Path(journal))
print(*table["score"])
"""


def test_scoring_that_was_killed_asks_for_no_clip_twice(serve, shard, reply, chat_completion, tmp_path):
    """kill -9 while the server thinks about the third of four clips."""
    folder, table = shard
    table.to_parquet(folder / "clips.parquet")
    answer = (200, {}, chat_completion(reply))
    server = serve(answer, answer, (200, {}, chat_completion(reply), NEVER))
    command = [sys.executable, "-c", _SCORING, str(folder), server.url, str(tmp_path / "journal")]
    with subprocess.Popen(command) as process:
        wait_until(lambda: len(server.requests) == 3, process)
        process.kill()
    assert len(server.requests) == 3
    server.answers = [answer]
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert again.stdout.split() == ["94.0"] * 4
    assert len(server.requests) == 5, "the third again, and the fourth"
