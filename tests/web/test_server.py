"""The server as a process: what it refuses, and what it leaves."""

import signal
import socket

import pytest
import requests

pytest.importorskip("gradio", reason="the extra [web] is not installed")


@pytest.mark.xdist_group("server")
def test_it_serves_this_computer_alone_and_sends_browsers_nowhere(server):
    answer = requests.get(server.url)
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert requests.get(server.url, headers={"Host": "evil.example"}).status_code == 400
    for token in ("nothing", "..%2F..%2Fetc%2Fpasswd"):
        assert requests.get(f"{server.url}/files/{token}").status_code == 404
    for path in ("/etc/hostname", str(server.temporary)):
        assert requests.get(f"{server.url}/gradio_api/file={path}").status_code in (403, 404)
    assert requests.get(f"{server.url}/config").json()["analytics_enabled"] is False
    assert not server.outside.exists(), server.outside.read_text()


@pytest.mark.xdist_group("server")
def test_uploads_are_bounded(server, clip):
    upload = f"{server.url}/gradio_api/upload"
    answer = requests.post(upload, files={"files": ("a.mp4", bytes(2 << 20))})
    assert answer.status_code == 413
    assert "larger than 1 MB" in answer.text
    unknown = requests.post(upload, data=iter([bytes(1000)]))
    assert unknown.status_code == 413, "a length is asked for"
    assert not server.files()
    answer = requests.post(upload, files={"files": ("../../a.mp4", clip.read_bytes())})
    assert answer.status_code == 200
    assert server.files() == ["a.mp4"]
    assert not list(server.temporary.glob("*.mp4"))

    _check_that_an_upload_that_breaks_off_leaves_nothing(server, there=["a.mp4"])


def _check_that_an_upload_that_breaks_off_leaves_nothing(server, *, there):
    host, port = server.url.removeprefix("http://").split(":")
    head = (
        f"POST /gradio_api/upload HTTP/1.1\r\nHost: {host}\r\nContent-Length: 900000\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
        'Content-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\n'
    )
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + bytes(300_000))
        server.wait_until(lambda: server.files() != there)
    server.wait_until(lambda: server.files() == there)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGHUP, 143)])
def test_signals_end_it_and_nothing_stays(serve, clip, number, status):
    server = serve()
    requests.post(f"{server.url}/gradio_api/upload", files={"files": clip.open("rb")})
    assert server.files()
    code, errors = server.end(number)
    assert code == status, errors
    assert "Traceback" not in errors
    assert not server.left()


def test_the_next_one_removes_what_a_killed_one_left(serve, clip):
    server = serve()
    requests.post(f"{server.url}/gradio_api/upload", files={"files": clip.open("rb")})
    server.end(signal.SIGKILL)
    assert server.files()
    other = serve()
    assert not other.files()
    code, errors = other.end(signal.SIGTERM)
    assert code == 143, errors
    assert not other.left()


def test_a_port_that_is_taken_is_named(capsys, tmp_path, monkeypatch):
    from vividface.cli.main import main

    monkeypatch.chdir(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
        assert main(["web", "--port", str(port)]) == 1
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == handlers
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith(f"error: 127.0.0.1:{port}: cannot be listened at (Address already in use); give")


def test_wrong_options_are_named(capsys, tmp_path):
    from vividface.cli.main import main

    assert main(["web", "--examples", str(tmp_path / "nowhere")]) == 1
    assert "nowhere: there is no such folder; check the path" in capsys.readouterr().err
    assert main(["web", "--examples", str(tmp_path)]) == 1
    assert "holds no video that can be read; give another folder" in capsys.readouterr().err
    assert main(["web", "--model", str(tmp_path / "nowhere")]) == 1
    assert "nowhere: is neither a checkpoint folder nor a model's name" in capsys.readouterr().err
