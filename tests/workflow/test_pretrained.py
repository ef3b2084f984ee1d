"""Bringing Wan's weights, and embedding the empty prompt, as the paper's configuration does."""

import json
import subprocess
import sys

import pytest
import torch
import yaml
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from plans import plan_jobs

from vividface.cli.main import main
from vividface.config import load_config
from vividface.models.checkpoints import build_autoencoder, build_transformer

pytestmark = pytest.mark.workflow

COMMIT = "e" * 40


@pytest.fixture
def published(hub_server, text_encoder, tmp_path_factory):
    """A small model on a local Hub, laid out as Wan's diffusers release."""
    networks = tmp_path_factory.mktemp("networks")
    torch.manual_seed(0)
    small = {"num_attention_heads": 1, "text_dim": 16, "freq_dim": 16, "ffn_dim": 48, "num_layers": 2}
    WanTransformer3DModel(**small).save_pretrained(networks / "transformer")
    AutoencoderKLWan(base_dim=4).save_pretrained(networks / "vae")
    files = {"README.md": b"not fetched"}
    for folder in (text_encoder, networks):
        for path in folder.rglob("*"):
            if path.is_file():
                files[str(path.relative_to(folder))] = path.read_bytes()
    hub_server.serve_repository("me/wan", files, commit=COMMIT)
    return hub_server


@pytest.fixture
def overlay(tmp_path):
    values = {"model": {"pretrained": {"repo": "me/wan", "folder": "weights/wan2.1-t2v-1.3b"}}}
    (tmp_path / "overlay.yaml").write_text(yaml.safe_dump(values))
    return tmp_path / "overlay.yaml"


@pytest.fixture
def snakemake(repository, overlay, tmp_path):
    def run(*arguments):
        command = [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(repository / "Snakefile")),
            *("--configfile", str(overlay), "--directory", str(tmp_path)),
            *("--cores", "2", *arguments),
        ]
        return subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)

    return run


def test_weights_are_brought_and_the_prompt_is_embedded(
    published, snakemake, repository, tmp_path, monkeypatch
):
    folder = tmp_path / "weights/wan2.1-t2v-1.3b"
    result = snakemake("weights/wan2.1-t2v-1.3b/empty_prompt.safetensors")
    assert result.returncode == 0, result.stdout + result.stderr
    monkeypatch.chdir(tmp_path)
    model = load_config(repository / "config.yaml").model
    transformer = build_transformer(model, seed=0)
    assert transformer.config.num_layers == 2
    assert transformer.prompt.shape[-1] == 16
    assert sum(transformer.config.prompt_repeats) == 512
    assert build_autoencoder(model).latent_channels == 16
    assert not (folder / "README.md").exists()
    assert json.loads((tmp_path / "configs/locks/pretrained.json").read_text()) == {
        "models/me/wan@main": COMMIT
    }
    before = len(published.requests)
    assert "Nothing to be done" in snakemake("weights/wan2.1-t2v-1.3b/empty_prompt.safetensors").stderr
    assert len(published.requests) == before


def test_the_workflow_takes_what_the_command_fetched(published, snakemake, repository, tmp_path, monkeypatch):
    config = (repository / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(config.replace("Wan-AI/Wan2.1-T2V-1.3B-Diffusers", "me/wan"))
    monkeypatch.chdir(tmp_path)
    assert main(["weights", "fetch", "wan-2.1-1.3b", "--accept-licence"]) == 0
    folder = "weights/wan2.1-t2v-1.3b"
    asked = [f"{folder}/{name}" for name in ("empty_prompt.safetensors", "transformer/config.json")]
    assert "Nothing to be done" in snakemake(*asked).stderr


def test_a_repository_out_of_reach_ends_with_what_to_do(file_server, snakemake, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", file_server.url)
    result = snakemake("weights/wan2.1-t2v-1.3b/empty_prompt.safetensors")
    assert result.returncode != 0
    last = (tmp_path / "logs/fetch_pretrained.log").read_text().splitlines()[-1]
    assert last.startswith("error: the Hugging Face repository me/wan (main): ")
    assert "HF_TOKEN" in last


def test_what_needs_the_weights_waits_for_them(overlay, repository, tmp_path):
    jobs = plan_jobs(repository, tmp_path, [overlay], ["checkpoints/main/pixel_stage"])
    assert {"fetch_pretrained", "empty_prompt"} <= {job.rule.name for job in jobs}
