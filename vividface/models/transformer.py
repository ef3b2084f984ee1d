"""The one-step transformer: diffusers' Wan transformer, called once at a fixed timestep (section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from diffusers import WanTransformer3DModel
from diffusers.configuration_utils import register_to_config

# DiffusionPipeline.from_pretrained looks for a component's base class in the component's module.
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401
from diffusers.models.transformers.transformer_wan import WanAttnProcessor
from torch import Tensor, nn

Prediction = Literal["velocity", "wan"]


class _PromptAttention(nn.Module, WanAttnProcessor):
    """Attention to a prompt whose equal tokens are folded into one each.

    n equal keys add up to one key whose logit is larger by log n, exactly: so the 512 keys of a padded empty
    prompt are two.
    """

    bias: Tensor

    def __init__(self, repeats: Sequence[int]) -> None:
        super().__init__()
        bias = torch.tensor(list(repeats), dtype=torch.float32).log()
        self.register_buffer("bias", bias, persistent=False)

    def forward(self, attn: nn.Module, hidden_states: Tensor, *arguments: Any) -> Tensor:
        prompt = arguments[0]
        bias = self.bias.to(hidden_states.dtype).view(1, 1, 1, -1)
        attended: Tensor = WanAttnProcessor.__call__(self, attn, hidden_states, prompt, attention_mask=bias)
        return attended


class OneStepTransformer(WanTransformer3DModel):
    """v_theta of Eq. 3, together with everything that a restoration depends on.

    A checkpoint of it carries, in config.json, the sign of its prediction and the timestep, and, in its
    safetensors, the embedding of the empty prompt: nothing of the training's configuration is needed to use
    it.

    Args:
        prediction: `velocity`: the network predicts z_h - z_l (Eq. 2). `wan`: it predicts z_l - z_h, the sign
            in which Wan is pretrained (noise - data).
        timestep: t* of Eq. 3, fed straight to the timestep embedding, on the scale 0..1000.
        prompt_repeats: number of times that each distinct token of the stored prompt embedding stands in the
            prompt. Wan pads with zeros to 512 tokens, so the empty prompt is one real token and 511 equal
            ones. None: no prompt is stored yet, as in a transformer that was imported without one.
        clip_frames: number of frames of the training clips.
        clip_size: side of the training clips, px.

    The other arguments are those of diffusers' WanTransformer3DModel.
    """

    @register_to_config
    def __init__(
        self,
        *,
        patch_size: tuple[int, ...] = (1, 2, 2),
        num_attention_heads: int = 12,
        attention_head_dim: int = 128,
        in_channels: int = 16,
        out_channels: int = 16,
        text_dim: int = 4096,
        freq_dim: int = 256,
        ffn_dim: int = 8960,
        num_layers: int = 30,
        cross_attn_norm: bool = True,
        qk_norm: str | None = "rms_norm_across_heads",
        eps: float = 1e-6,
        image_dim: int | None = None,
        added_kv_proj_dim: int | None = None,
        rope_max_seq_len: int = 1024,
        pos_embed_seq_len: int | None = None,
        prediction: Prediction = "velocity",
        timestep: float = 400.0,
        prompt_repeats: Sequence[int] | None = (1, 511),
        clip_frames: int = 81,
        clip_size: int = 512,
    ) -> None:
        super().__init__(
            patch_size=tuple(patch_size),
            num_attention_heads=num_attention_heads,
            attention_head_dim=attention_head_dim,
            in_channels=in_channels,
            out_channels=out_channels,
            text_dim=text_dim,
            freq_dim=freq_dim,
            ffn_dim=ffn_dim,
            num_layers=num_layers,
            cross_attn_norm=cross_attn_norm,
            qk_norm=qk_norm,
            eps=eps,
            image_dim=image_dim,
            added_kv_proj_dim=added_kv_proj_dim,
            rope_max_seq_len=rope_max_seq_len,
            pos_embed_seq_len=pos_embed_seq_len,
        )
        self._store_prompt(torch.zeros(len(prompt_repeats or ()), text_dim), prompt_repeats or ())

    def set_prompt(self, prompt: Tensor) -> None:
        """Store the embedding of the prompt, folding tokens that follow an equal one.

        Args:
            prompt: (tokens, text_dim), the text encoder's output, padded.

        Raises:
            ValueError: its shape does not fit.
        """
        if prompt.ndim != 2 or prompt.shape[1] != self.config.text_dim or not len(prompt):
            raise ValueError(f"the prompt is {tuple(prompt.shape)}, not (tokens, {self.config.text_dim})")
        tokens, counts = torch.unique_consecutive(prompt.float(), dim=0, return_counts=True)
        self._store_prompt(tokens.to(self.prompt), counts.tolist())
        self.register_to_config(prompt_repeats=counts.tolist())

    def _store_prompt(self, tokens: Tensor, repeats: Sequence[int]) -> None:
        self.register_buffer("prompt", tokens)
        processor = _PromptAttention(repeats) if len(repeats) > 1 else WanAttnProcessor()
        for block in self.blocks:
            block.attn2.set_processor(processor)

    def zero_output(self) -> None:
        """Zero the output layer, so that the untrained model restores every video to itself."""
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def restore(self, lq: Tensor) -> Tensor:
        """Eq. 3: the restored latents from the degraded ones, in a single step.

        Args:
            lq: z_l, normalised latents (B, C, T', H', W') with H' and W' even.

        Returns:
            the estimate of z_h, of the same shape.

        Raises:
            ValueError: no prompt is stored.
        """
        if not len(self.prompt):
            raise ValueError("the transformer holds no prompt embedding; give it one with `set_prompt`")
        batch = lq.shape[0]
        timestep = torch.full((batch,), self.config.timestep, device=lq.device, dtype=torch.float32)
        prompt = self.prompt.to(lq.dtype).expand(batch, -1, -1)
        output: Tensor = self(lq, timestep, prompt, return_dict=False)[0]
        return lq + output if self.config.prediction == "velocity" else lq - output
