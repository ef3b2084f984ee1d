"""Checkpoints in every format that is read, made from random weights, and what is refused."""

import pickle
import re

import pytest
import torch
from models.published_formats import prefixed, wan_dit, wan_vae
from safetensors.torch import load_file, save_file

from vividface.cli.main import main
from vividface.errors import InputError
from vividface.models.checkpoints import load_autoencoder, load_checkpoint, load_transformer
from vividface.models.conversion import import_checkpoint
from vividface.models.prompt import write_prompt
from vividface.models.wan_layers import use_fast_layers


@pytest.fixture
def prompt_file(wan_transformer, tmp_path):
    path = tmp_path / "empty_prompt.safetensors"
    tokens = wan_transformer.prompt
    write_prompt(path, torch.cat([tokens[:1], tokens[1:].expand(511, -1)]))
    return path


def write(kind, transformer, autoencoder, folder):
    """The two parts' files in one of the published forms."""
    dit, vae = folder / "dit.safetensors", folder / "Wan2.1_VAE.pth"
    if kind == "wan":
        save_file(wan_dit(transformer), dit)
        torch.save(wan_vae(autoencoder), vae)
    elif kind == "lightning":
        dit = folder / "vividface.ckpt"
        state = prefixed(wan_dit(transformer), "pipe.dit.")
        torch.save({"state_dict": state, "epoch": 3, "optimizer_states": [torch.zeros(2)]}, dit)
        torch.save(prefixed(wan_vae(autoencoder), "model."), vae)
    elif kind == "one file":
        dit = vae = folder / "both.ckpt"
        state = prefixed(wan_dit(transformer), "model.") | prefixed(wan_vae(autoencoder), "vae.model.")
        torch.save({"state_dict": state}, dit)
    elif kind == "wan folder":
        dit = vae = folder / "Wan2.1-T2V-1.3B"
        dit.mkdir()
        save_file(wan_dit(transformer), dit / "diffusion_pytorch_model.safetensors")
        (dit / "config.json").write_text('{"_class_name": "WanModel", "dim": 128}')
        torch.save(wan_vae(autoencoder), dit / "Wan2.1_VAE.pth")
    elif kind == "diffusers folder":
        dit = vae = folder / "pipeline"
        transformer.save_pretrained(dit / "transformer", max_shard_size="100KB")
        autoencoder.save_pretrained(dit / "vae")
    return list(dict.fromkeys([dit, vae]))


@pytest.mark.parametrize("kind", ["wan", "lightning", "one file", "wan folder", "diffusers folder"])
def test_round_trip(kind, wan_transformer, wan_autoencoder, prompt_file, tmp_path, capsys):
    sources = write(kind, wan_transformer, wan_autoencoder, tmp_path)
    output = tmp_path / "checkpoint"
    assert main(["import-checkpoint", *map(str, [*sources, prompt_file, output])]) == 0
    assert "is complete" in capsys.readouterr().out
    transformer, autoencoder = load_checkpoint(output)
    assert (transformer.config.prediction, transformer.config.timestep) == ("wan", 400.0)
    latents = torch.randn(1, 16, 2, 4, 4)
    frames = torch.rand(1, 3, 5, 16, 16) * 2 - 1
    wan_autoencoder.to_channels_last()
    use_fast_layers(wan_autoencoder)
    with torch.inference_mode():
        assert torch.equal(transformer.restore(latents), wan_transformer.restore(latents))
        assert torch.equal(autoencoder.encode_video(frames), wan_autoencoder.encode_video(frames))
        assert torch.equal(autoencoder.decode_video(latents), wan_autoencoder.decode_video(latents))


def test_parts_come_one_by_one(wan_transformer, tiny_autoencoder, prompt_file, tmp_path):
    output = tmp_path / "checkpoint"
    save_file(wan_dit(wan_transformer), tmp_path / "dit.safetensors")
    first = import_checkpoint([tmp_path / "dit.safetensors"], output, prediction="velocity", timestep=250.0)
    assert first.missing == ["autoencoder", "prompt embedding"] or first.missing == ["autoencoder"]
    weights = tiny_autoencoder.state_dict()
    # Trained to make twice the frames at the first stage, of which the last are taken.
    weights["decoder.7.conv.weight"] = torch.cat(
        [torch.zeros(256, 256, 1, 1), weights["decoder.7.conv.weight"]]
    )
    torch.save(weights, tmp_path / "taew2_1.pth")
    assert import_checkpoint([tmp_path / "taew2_1.pth"], output).missing == ["prompt embedding"]
    with pytest.raises(InputError, match="holds no prompt embedding; add one with"):
        load_checkpoint(output)
    assert import_checkpoint([prompt_file], output).missing == []
    transformer, autoencoder = load_checkpoint(output)
    assert (transformer.config.prediction, transformer.config.timestep) == ("velocity", 250.0)
    latents = torch.randn(1, 16, 2, 4, 4)
    with torch.inference_mode():
        assert torch.equal(autoencoder.decode_video(latents), tiny_autoencoder.decode_video(latents))


def test_nothing_is_replaced_unasked(wan_autoencoder, tmp_path):
    torch.save(wan_vae(wan_autoencoder), tmp_path / "Wan2.1_VAE.pth")
    output = tmp_path / "checkpoint"
    import_checkpoint([tmp_path / "Wan2.1_VAE.pth"], output)
    with pytest.raises(InputError, match="autoencoder: exists already; add --overwrite"):
        import_checkpoint([tmp_path / "Wan2.1_VAE.pth"], output)
    import_checkpoint([tmp_path / "Wan2.1_VAE.pth"], output, overwrite=True)
    assert load_autoencoder(output / "autoencoder").config.base_dim == 4


def unknown(weights):
    weights["blocks.0.extra.weight"] = torch.zeros(1)


def missing(weights):
    del weights["blocks.1.self_attn.o.bias"]


def wrong(weights):
    weights["blocks.1.ffn.0.weight"] = torch.zeros(3, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (unknown, "unknown keys: blocks.0.extra.weight"),
        (missing, r"missing keys: blocks.1.attn1.to_out.0.bias"),
        (wrong, r"wrong shapes: blocks.1.ffn.net.0.proj.weight \(3, 3\) instead of \(48, 128\)"),
    ],
)
def test_what_does_not_fit_is_listed(change, message, wan_transformer, tmp_path, capsys):
    weights = wan_dit(wan_transformer)
    change(weights)
    path = tmp_path / "dit.safetensors"
    save_file(weights, path)
    assert main(["import-checkpoint", str(path), str(tmp_path / "checkpoint")]) == 1
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "checkpoint").exists()


def test_other_files_are_refused(wan_transformer, tmp_path):
    output = tmp_path / "checkpoint"
    path = tmp_path / "clip.safetensors"
    save_file({f"visual.{index}": torch.zeros(1) for index in range(6)}, path)
    with pytest.raises(InputError, match=r"is in no format that is known .* visual.3 and 2 more"):
        import_checkpoint([path], output)
    save_file(prefixed(wan_dit(wan_transformer), "dit.") | {"text.weight": torch.zeros(1)}, path)
    with pytest.raises(InputError, match=r"has keys that belong to no part: text.weight"):
        import_checkpoint([path], output)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be read as a checkpoint"):
        import_checkpoint([path], output)
    with pytest.raises(InputError, match="holds no model that is known"):
        import_checkpoint([tmp_path], output)


class Command:
    """What would run when a pickle is read without care."""

    def __reduce__(self):
        return eval, ("__import__('pathlib').Path('owned').touch()",)


def test_code_in_a_checkpoint_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "callbacks": Command()}, tmp_path / "evil.ckpt")
    with pytest.raises(InputError, match="could run code"):
        import_checkpoint([tmp_path / "evil.ckpt"], tmp_path / "checkpoint")
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Command()))
    with pytest.raises(InputError, match=r"could run code|cannot be read"):
        import_checkpoint([tmp_path / "evil.pth"], tmp_path / "checkpoint")
    assert not (tmp_path / "owned").exists()


def test_half_precision_stays(wan_transformer, tmp_path):
    path = tmp_path / "dit.safetensors"
    save_file({key: value.bfloat16() for key, value in wan_dit(wan_transformer).items()}, path)
    import_checkpoint([path], tmp_path / "checkpoint")
    stored = load_file(tmp_path / "checkpoint" / "transformer" / "diffusion_pytorch_model.safetensors")
    assert stored["blocks.0.attn1.to_q.weight"].dtype == torch.bfloat16
    assert load_transformer(tmp_path / "checkpoint" / "transformer").dtype == torch.float32
