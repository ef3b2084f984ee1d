"""Fetching published models with one command, from local servers in place of their publishers."""

import os
import pty
import shutil
import subprocess
import sys
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from models.published_formats import wan_dit
from restoration.helpers import encode

from vividface import downloads
from vividface.cli.main import main
from vividface.config import load_config
from vividface.files import format_size
from vividface.models import conversion
from vividface.models.autoencoders import WanAutoencoder
from vividface.models.checkpoints import build_autoencoder, build_transformer, load_checkpoint
from vividface.models.tiny_autoencoder import TinyWanAutoencoder
from vividface.models.transformer import OneStepTransformer
from vividface.restoration.loading import default_model
from vividface.video import probe
from vividface.weights.catalogue import CATALOGUE, GROUPS, WebFile
from vividface.weights.published import PUBLISHED

COMMIT = "a" * 40
WAN = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"
CHECKPOINT = f"/shulianz/VividFace/resolve/{COMMIT}/vividface.ckpt"
ENCODER = f"/{WAN}/resolve/{COMMIT}/text_encoder/model.safetensors"
FETCH = ["weights", "fetch", "vividface-1.3b", "--accept-licence"]


def small_transformer():
    """Wan's transformer, small; the checkpoint tells its shape."""
    torch.manual_seed(0)
    shape = {"num_attention_heads": 1, "text_dim": 16, "freq_dim": 16, "ffn_dim": 48, "num_layers": 2}
    return OneStepTransformer(**shape, prediction="wan").eval()


@pytest.fixture(scope="module")
def files(text_encoder, tmp_path_factory):
    """The files of both repositories, and TAEHV's."""
    folder = tmp_path_factory.mktemp("published")
    torch.save(wan_dit(small_transformer()), folder / "vividface.ckpt")
    torch.manual_seed(1)
    torch.save(TinyWanAutoencoder().state_dict(), folder / "taew2_1.pth")
    wan = folder / "wan"
    shutil.copytree(text_encoder, wan)
    small_transformer().save_pretrained(wan / "transformer")
    WanAutoencoder(base_dim=4).save_pretrained(wan / "vae")
    contents = {str(path.relative_to(wan)): path.read_bytes() for path in wan.rglob("*") if path.is_file()}
    return {
        WAN: contents | {"README.md": b"not fetched"},
        "shulianz/VividFace": {"vividface.ckpt": (folder / "vividface.ckpt").read_bytes()},
        "taew2_1.pth": (folder / "taew2_1.pth").read_bytes(),
    }


@pytest.fixture
def hub(hub_server, files, tmp_path, monkeypatch):
    """The publishers' servers, an empty cache, and a folder that is no project's."""
    for repo in (WAN, "shulianz/VividFace"):
        hub_server.serve_repository(repo, files[repo], commit=COMMIT)
    hub_server.files["/taew2_1.pth"] = files["taew2_1.pth"]
    tiny = replace(PUBLISHED["taew2_1"], sources={"autoencoder": WebFile(f"{hub_server.url}/taew2_1.pth")})
    monkeypatch.setitem(PUBLISHED, "taew2_1", tiny)
    for name in GROUPS["facexlib"]:
        hub_server.files[f"/{name}.pth"] = name.encode()
        file = WebFile(f"{hub_server.url}/{name}.pth")
        monkeypatch.setitem(CATALOGUE, name, replace(CATALOGUE[name], source=file))
    monkeypatch.setattr(downloads, "_FIRST_WAIT", 0.01)
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return hub_server


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache" / "models" / "vividface-1.3b"


@pytest.fixture
def kept_downloads(tmp_path):
    return tmp_path / "cache" / "downloads" / "vividface-1.3b"


def states(capsys):
    """The state of each name, as the list prints it."""
    capsys.readouterr()
    assert main(["weights", "list"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "  " in line]
    return {
        line.split()[0]: next((s for s in ("not fetched", "partly", "fetched", "bundled") if s in line), "")
        for line in lines
    }


def test_one_command_then_enhance(hub, folder, kept_downloads, tmp_path, capsys):
    assert states(capsys)["vividface-1.3b"] == "not fetched"
    assert default_model("cuda") == "nano"
    both = ["weights", "fetch", "vividface-1.3b", "taew2_1", "--accept-licence"]
    assert main(both) == 0
    said = capsys.readouterr()
    tiny = folder.with_name("taew2_1")
    faces = [str(tmp_path / "cache" / "weights" / f"{name}.pth") for name in GROUPS["facexlib"]]
    assert said.out.split() == [*faces, str(folder), str(tiny)]
    assert "bisenet: BiSeNet, face parsing with CelebAMask-HQ's labels (facexlib); licence: MIT" in said.err
    assert "licence   Apache-2.0, as its authors' README says" in said.err
    assert "page      https://huggingface.co/shulianz/VividFace" in said.err
    assert said.err.index("disk      ") < said.err.index("step 1 of 2, embedding the empty prompt")
    assert "memory    12.0 GB, while the text encoder runs" in said.err
    assert "vividface-1.3b: is complete; use it with `vividface enhance INPUT -o OUTPUT" in said.err
    assert not kept_downloads.exists()
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    listed = subprocess.run(
        ["git", "status", "--short", "cache"], cwd=tmp_path, check=True, capture_output=True
    )
    assert listed.stdout == b"", "git would not add the cache, wherever it is"
    transformer, autoencoder = load_checkpoint(folder)
    assert (transformer.config.prediction, transformer.config.timestep) == ("wan", 400.0)
    assert (sum(transformer.config.prompt_repeats), autoencoder.latent_channels) == (512, 16)
    original = small_transformer().state_dict()
    assert all(
        torch.equal(transformer.state_dict()[key], original[key]) for key in original if key != "prompt"
    )
    num_requests = len(hub.requests)
    assert main(both) == 0
    said = capsys.readouterr()
    assert said.out.split() == [*faces, str(folder), str(tiny)]
    assert (said.err, len(hub.requests)) == ("", num_requests), "a second run does nothing"
    assert {states(capsys)[name] for name in ("vividface-1.3b", "taew2_1")} == {"fetched"}
    assert default_model("cuda") == "vividface-1.3b"
    video = encode(tmp_path / "old.mp4")
    options = ["--model", "vividface-1.3b", "--mode", "crop", "--device", "cpu", "--window", "5"]
    assert main(["enhance", str(video), "-o", "new.mp4", *options, "--frames", "5"]) == 0
    assert (
        main(["enhance", str(video), "-o", "tiny.mp4", *options, "--frames", "5", "--autoencoder", "taew2_1"])
        == 0
    )
    assert probe(Path("new.mp4")).num_frames == probe(Path("tiny.mp4")).num_frames == 5


def test_the_licence_has_to_be_accepted(hub, tmp_path, capsys):
    assert main(["weights", "fetch", "vividface-1.3b"]) == 1
    error = capsys.readouterr().err
    assert "Apache-2.0, as its authors' README says" in error
    assert "error: vividface-1.3b: its licence has to be accepted; read it at https://" in error
    assert error.rstrip().endswith("then add --accept-licence")
    assert (hub.requests, (tmp_path / "cache").exists()) == ([], False)


@pytest.mark.parametrize(
    ("answer", "last"), [("n", "then add --accept-licence"), ("y", "forbids to fetch it")]
)
def test_a_terminal_is_asked(answer, last, tmp_path):
    ours, theirs = pty.openpty()
    environment = {**os.environ, "VIVIDFACE_CACHE": str(tmp_path), "VIVIDFACE_OFFLINE": "1"}
    command = [sys.executable, "-m", "vividface", "weights", "fetch", "taew2_1"]
    ends = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    with subprocess.Popen(command, **ends, env=environment) as process:
        os.write(ours, f"{answer}\n".encode())
        assert process.wait() == 1
    said = os.read(ours, 1 << 16).decode()
    os.close(ours)
    os.close(theirs)
    assert "Do you accept the licence? [y/N]" in said
    assert last in said


def test_a_broken_download_is_resumed_with_what_arrived(hub, folder, kept_downloads, capsys):
    hub.faults[CHECKPOINT] = ["break", *["stall"] * 5]
    assert main(FETCH) == 1
    assert "vividface.ckpt: cannot be downloaded" in capsys.readouterr().err
    assert states(capsys)["vividface-1.3b"] == "partly"
    assert not (kept_downloads / "text").exists(), "the prompt is embedded, the text encoder deleted"
    assert main(FETCH) == 0
    assert hub.ranges(CHECKPOINT)[-1].startswith("bytes=")
    assert hub.ranges(CHECKPOINT)[-1] != "bytes=0-"
    assert len(hub.ranges(ENCODER)) == 1
    assert load_checkpoint(folder)


def test_a_run_that_was_stopped_goes_on_with_the_step(hub, folder, kept_downloads, monkeypatch, capsys):
    def stopped(*arguments, **options):
        (kept_downloads / "converted").mkdir()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(conversion, "import_checkpoint", stopped)
        assert main(FETCH) == 130
    assert not folder.exists()
    num_requests = len(hub.requests)
    assert main(FETCH) == 0
    assert len(hub.requests) == num_requests, "all of it had arrived"
    said = capsys.readouterr().err
    assert "download  0 B" in said.rpartition("page  ")[2]
    assert "memory" not in said.rpartition("page  ")[2], "the text encoder need not run again"
    assert load_checkpoint(folder)
    assert not kept_downloads.exists()


def test_no_room_is_told_before_anything_is_downloaded(hub, folder, kept_downloads, monkeypatch, capsys):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**6, 10**6 - 5000, 5000))
    assert main(FETCH) == 1
    error = capsys.readouterr().err
    assert "MB of disk are needed in" in error
    assert "but 5.0 kB are free; make room, or set VIVIDFACE_CACHE" in error
    assert not kept_downloads.exists()
    needed = float(error.rpartition("vividface-1.3b: ")[2].split(" MB")[0]) * 1e6
    checkpoint = len(hub.files[CHECKPOINT])
    assert 2 * checkpoint < needed < 4 * checkpoint, "it, and what it and the autoencoder are converted to"


def test_a_disk_that_fills_up_meanwhile(hub, kept_downloads, monkeypatch, capsys):
    part = kept_downloads / "transformer" / ".vividface.ckpt.part"
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    assert main(FETCH) == 1
    size = format_size(len(hub.files[CHECKPOINT]))
    assert f"transformer is full, {size} more are needed; make room" in capsys.readouterr().err
    part.unlink()

    def full(*arguments, **options):
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(conversion, "import_checkpoint", full)
        assert main(FETCH) == 1
    error = capsys.readouterr().err
    assert "models/vividface-1.3b is full while converting the checkpoint, which writes up to" in error
    assert main(FETCH) == 0


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (CHECKPOINT, r"vividface.ckpt: its sha256 is"),
        (f"/{WAN}/resolve/{COMMIT}/vae/config.json", "vae/config.json: arrived damaged"),
    ],
)
def test_wrong_bytes_are_refused_by_name(path, message, hub, folder, capsys):
    hub.faults[path] = ["wrong"]
    assert main(FETCH) == 1
    assert message in capsys.readouterr().err
    assert not folder.exists()
    assert main(FETCH) == 0


def test_a_checkpoint_of_something_else_is_refused(hub, folder, tmp_path, capsys):
    torch.save({"unet.weight": torch.zeros(2)}, tmp_path / "other.ckpt")
    files = {"vividface.ckpt": (tmp_path / "other.ckpt").read_bytes()}
    hub.serve_repository("shulianz/VividFace", files, commit=COMMIT)
    assert main(FETCH) == 1
    assert "vividface.ckpt: is in no format that is known" in capsys.readouterr().err
    assert not folder.exists()


def test_private_repositories_need_a_token(hub, folder, monkeypatch, capsys):
    hub.tokens[CHECKPOINT] = "secret"
    assert main(FETCH) == 1
    error = capsys.readouterr().err
    assert "the Hugging Face repository shulianz/VividFace (main): " in error
    assert "answers 401 Unauthorized" in error
    assert "HF_TOKEN has to give access" in error
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert main(FETCH) == 0


def test_offline_it_is_named(hub, monkeypatch, capsys):
    monkeypatch.setenv("VIVIDFACE_OFFLINE", "1")
    assert main(FETCH) == 1
    assert f"{WAN} (main): is not here, and VIVIDFACE_OFFLINE=1 forbids" in capsys.readouterr().err
    assert hub.requests == []


def test_downloads_are_kept_on_request(hub, folder, kept_downloads):
    assert main([*FETCH, "--keep"]) == 0
    assert (kept_downloads / "text" / "text_encoder" / "model.safetensors").is_file()
    assert (kept_downloads / "transformer" / "vividface.ckpt").is_file()
    assert (kept_downloads / "empty_prompt.safetensors").is_file()
    shutil.rmtree(folder)
    num_requests = len(hub.requests)
    assert main([*FETCH, "--keep"]) == 0
    assert len(hub.requests) == num_requests


def test_a_folder_of_the_working_directory_comes_first_if_it_is_whole(hub, folder, capsys):
    local = Path("weights/vividface-1.3b")
    (local / "transformer").mkdir(parents=True)
    assert main(FETCH) == 0
    assert capsys.readouterr().out.split()[-1] == str(folder)
    assert list(local.iterdir()) == [local / "transformer"], "what the user has begun is not touched"
    shutil.rmtree(local)
    shutil.copytree(folder, local)
    assert main(FETCH) == 0
    assert capsys.readouterr().out.split()[-1] == str(local)


def test_wan_is_brought_to_the_configurations_folders(hub, repository, capsys):
    assert main(["weights", "fetch", "wan-2.1-1.3b", "--accept-licence"]) == 1
    assert "lies in the folders that config.yaml names, and there is none in" in capsys.readouterr().err
    shutil.copy(repository / "config.yaml", "config.yaml")
    assert main(["weights", "fetch", "wan-2.1-1.3b", "--accept-licence"]) == 0
    assert "step 2 of 2, embedding the empty prompt" in capsys.readouterr().err
    model = load_config("config.yaml").model
    transformer = build_transformer(model, seed=0)
    assert (transformer.config.num_layers, sum(transformer.config.prompt_repeats)) == (2, 512)
    assert build_autoencoder(model).latent_channels == 16
    assert model.text_encoder.is_dir(), "it is the workflow's"
    assert states(capsys)["wan-2.1-1.3b"] == "fetched"
    num_requests = len(hub.requests)
    assert main(["weights", "fetch", "wan-2.1-1.3b"]) == 0
    assert len(hub.requests) == num_requests


def test_the_judge_is_the_configured_one(hub, repository, capsys):
    text = (repository / "config.yaml").read_text()
    Path("config.yaml").write_text(text.replace("Qwen/Qwen2.5-VL-7B-Instruct", "me/judge"))
    hub.serve_repository("me/judge", {"model.safetensors": b"weights", "a.png": b""}, commit=COMMIT)
    assert main(["weights", "fetch", "qwen2.5-vl", "--accept-licence"]) == 0
    said = capsys.readouterr()
    assert "licence   as its page says\n  page      https://huggingface.co/me/judge" in said.err
    assert [path.name for path in Path(said.out.strip()).glob("[a-z]*")] == ["model.safetensors"]


def test_everything_needs_the_projects_folder(hub, capsys):
    assert main(["weights", "fetch", "all", "--accept-licence"]) == 1
    assert "run it in the project's folder" in capsys.readouterr().err
    assert hub.requests == []
