"""The one-step model (paper section 3.1)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from vividface.config.fields import Section, key


class PretrainedConfig(Section):
    """A repository of the Hugging Face Hub, and the folder that it is downloaded to."""

    repo: str = key("repository on the Hugging Face Hub", "")
    revision: str = key("branch, tag or commit; the commit is recorded on first use", "", default="main")
    folder: Path = key("folder of the download", "")


class NanoConfig(Section):
    """The shape of the preset `nano`, for a model that is trained from random weights."""

    num_layers: int = key("layers of the transformer", default=8, ge=1)
    width: int = key("channels of a token, in heads of 64", default=256, ge=64, multiple_of=64)
    ffn_dim: int = key("channels within a feed-forward network", default=1024, ge=1)
    patch_size: Literal[1, 2] = key("side of the square of latents in a token", default=1)
    attention_window: int | None = key(
        "side of the windows of self-attention, tokens; null: all tokens see each other", default=8, ge=2
    )
    lapped: bool = key(
        "whether the blocks of the transform overlap, so that their edges do not show", default=True
    )
    decay: float = key(
        "fall of the latents' standard deviation over frequency; 0: squared errors are those of pixels",
        default=0.0,
        ge=0,
    )
    keep_detail: float | None = key(
        "change of fine detail relative to the input's, dB, up to which the input is kept; null restores all",
        default=None,
    )


class ModelConfig(Section):
    """The one-step model of section 3.1."""

    preset: Literal["wan-1.3b", "nano"] = key("shape of the model: WANX (Wan 2.1), 1.3B", "section 3.1")
    pretrained: PretrainedConfig | None = key(
        "source of the folders below; null if they exist (docs/checkpoints.md)", "", default=None
    )
    transformer: Path | None = key(
        "folder of the pretrained transformer; for `nano` of a checkpoint to start from, or `bundled`",
        "",
        default=None,
    )
    autoencoder: Path | None = key("folder of the autoencoder, or of a tiny one", "", default=None)
    text_encoder: Path | None = key(
        "folder of the text encoder; null if `prompt_embedding` exists", "", default=None
    )
    tokenizer: Path | None = key("folder of its tokenizer", "", default=None)
    prompt_embedding: Path | None = key("the empty prompt, embedded", "section 3.1", default=None)
    nano: NanoConfig = key(
        "shape of the preset `nano`, where it starts from random weights", default=NanoConfig()
    )
    prediction: Literal["velocity", "wan"] = key(
        "sign: `velocity` as Eq. 3, `wan` (noise - data) as Wan is pretrained"
    )
    timestep: float = key("timestep t*", "section 3.1", ge=0, le=1000)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.preset == "wan-1.3b":
            needed = ("transformer", "autoencoder", "prompt_embedding")
            missing = [name for name in needed if getattr(self, name) in (None, Path("bundled"))]
            if missing:
                raise ValueError(f"preset wan-1.3b needs {' and '.join(missing)}")
        if (self.text_encoder is None) != (self.tokenizer is None):
            raise ValueError("text_encoder and tokenizer are needed together, or neither")
        return self

    def pretrained_parts(self) -> dict[str, Path]:
        """The folders inside `pretrained.folder`, which are downloaded, by their keys."""
        if self.pretrained is None or self.preset == "nano":
            return {}
        names = ("transformer", "autoencoder", "text_encoder", "tokenizer")
        paths = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return {name: path for name, path in paths.items() if path.is_relative_to(self.pretrained.folder)}
