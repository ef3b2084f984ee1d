"""The one-step transformer: diffusers' Wan transformer, called once at a fixed timestep (section 3.1)."""

from __future__ import annotations

from typing import Literal

import torch
from diffusers import WanTransformer3DModel
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

Prediction = Literal["velocity", "wan"]


class OneStepTransformer(WanTransformer3DModel):
    """v_theta of Eq. 3, together with everything that a restoration depends on.

    A checkpoint of it carries, in config.json, the sign of its prediction and the timestep, and, in its
    safetensors, the embedding of the empty prompt: nothing of the training's configuration is needed to use
    it.

    Args:
        prediction: `velocity`: the network predicts z_h - z_l (Eq. 2). `wan`: it predicts z_l - z_h, the sign
            in which Wan is pretrained (noise - data).
        timestep: t* of Eq. 3, fed straight to the timestep embedding, on the scale 0..1000.
        prompt_tokens: length of the stored prompt embedding; Wan pads to 512.

    The other arguments are those of diffusers' WanTransformer3DModel.
    """

    @register_to_config
    def __init__(
        self,
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
        prompt_tokens: int = 512,
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
        self.register_buffer("prompt", torch.zeros(prompt_tokens, text_dim))

    def start_as_identity(self) -> None:
        """Zero the output layer, so that the untrained model restores every video to itself."""
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def restore(self, low: Tensor) -> Tensor:
        """Eq. 3: the restored latents from the degraded ones, in a single step.

        Args:
            low: z_l, normalised latents (B, C, T', H', W') with H' and W' even.

        Returns:
            the estimate of z_h, of the same shape.
        """
        batch = low.shape[0]
        timestep = torch.full((batch,), self.config.timestep, device=low.device, dtype=torch.float32)
        prompt = self.prompt.to(low.dtype).expand(batch, -1, -1)
        output = self(low, timestep, prompt, return_dict=False)[0]
        return low + output if self.config.prediction == "velocity" else low - output
