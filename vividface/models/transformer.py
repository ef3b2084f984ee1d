"""The one-step transformer: diffusers' Wan transformer, called once at a fixed timestep (section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from diffusers import WanTransformer3DModel
from diffusers.configuration_utils import register_to_config
from diffusers.models.attention_dispatch import AttentionBackendName, attention_backend, dispatch_attention_fn

# DiffusionPipeline.from_pretrained looks for a component's base class in the component's module.
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401
from diffusers.models.transformers.transformer_wan import WanAttnProcessor
from torch import Tensor, nn

from vividface.models.products import use_fast_products
from vividface.models.window_attention import attend, attends_faster

Prediction = Literal["velocity", "wan"]
# The backend that takes a mask, or a bias of the logits, whatever computes the other attention.
_WITH_MASK = AttentionBackendName.NATIVE


class _ConstantPrompt:
    """Attention to a prompt of one token: its softmax is 1, so the result is the same at every place."""

    def __call__(self, attn: Any, hidden_states: Tensor, *arguments: Any) -> Tensor:
        constant: Tensor = attn.to_out[0](attn.to_v(arguments[0]))
        return constant


class _WindowAttention(WanAttnProcessor):
    """Self-attention within windows of a frame's tokens, over all frames (Swin, Liu et al., ICCV 2021).

    The same values as diffusers', whose rotation of strided halves is slow on a CPU: here it is a product of
    complex numbers. Windows with a mask are computed by the native backend, which on some CPUs is replaced by
    `vividface.models.window_attention`.

    Args:
        size: side of a window, tokens.
        shift: offset of the windows, tokens; those at the border are smaller.
    """

    def __init__(self, size: int, shift: int) -> None:
        super().__init__()
        self._size, self._shift = size, shift
        # Frames, rows and columns of tokens: the transformer sets it, since tokens come in one row.
        self.grid = (0, 0, 0)
        self._known = (self.grid, torch.empty(0))

    def __call__(self, attn: nn.Module, hidden_states: Tensor, *arguments: Any) -> Tensor:
        _, rows, columns = self.grid
        # (1, tokens, 1, D), each number twice, to pairs (1, tokens, D).
        cosines, sines = (part[:, :, 0, 0::2] for part in arguments[-1])
        angles = torch.stack([cosines, sines], dim=-1).flatten(2)
        if rows <= self._size and columns <= self._size:
            return self._attend(attn, hidden_states, angles, mask=None)
        batch = hidden_states.shape[0]
        # One set for every sample.
        angles = self._to_windows(angles).repeat(batch, 1, 1)
        mask = self._mask(hidden_states.device)
        attended = self._attend(attn, self._to_windows(hidden_states), angles, mask=mask)
        return self._from_windows(attended, batch)

    def _attend(self, attn: Any, tokens: Tensor, angles: Tensor, *, mask: Tensor | None) -> Tensor:
        """Attention among the tokens (B, N, D) of each window; a mask is of one sample's windows."""
        query, key = (
            _rotated(norm(project(tokens)).unflatten(2, (attn.heads, -1)), angles)
            for project, norm in ((attn.to_q, attn.norm_q), (attn.to_k, attn.norm_k))
        )
        value = attn.to_v(tokens).unflatten(2, (attn.heads, -1))
        if self._attention_backend in {None, _WITH_MASK} and attends_faster(value):
            bias = None if mask is None else self._bias(mask)
            attended = attend(query.to(value.dtype), key.to(value.dtype), value, bias)
        else:
            backend = self._attention_backend if mask is None else _WITH_MASK
            if mask is not None:
                mask = mask.repeat(len(tokens) // len(mask), 1, 1, 1)
            attended = dispatch_attention_fn(query, key, value, attn_mask=mask, backend=backend)
        projected: Tensor = attn.to_out[0](attended.flatten(2).type_as(query))
        return projected

    def _bias(self, mask: Tensor) -> Tensor:
        """A mask as what is added to the logits, (windows, N, N) float32; kept for frames of this size."""
        if self._known[0] != self.grid:
            hidden = torch.zeros(mask.shape).masked_fill_(~mask, -torch.inf)
            self._known = (self.grid, hidden.squeeze(1))
        return self._known[1]

    def _to_windows(self, tokens: Tensor) -> Tensor:
        """(B, frames * rows * columns, D) to (B * windows, frames * size * size, D), padded by zeros."""
        (frames, rows, columns), size = self.grid, self._size
        tokens = tokens.reshape(len(tokens), frames, rows, columns, -1)
        tokens = nn.functional.pad(tokens, (0, 0, 0, -columns % size, 0, -rows % size))
        tokens = tokens.roll((-self._shift, -self._shift), dims=(2, 3))
        down, across = tokens.shape[2] // size, tokens.shape[3] // size
        tokens = tokens.reshape(len(tokens), frames, down, size, across, size, -1)
        return tokens.permute(0, 2, 4, 1, 3, 5, 6).flatten(3, 5).flatten(0, 2)

    def _from_windows(self, tokens: Tensor, batch: int) -> Tensor:
        (frames, rows, columns), size = self.grid, self._size
        down, across = -(-rows // size), -(-columns // size)
        tokens = tokens.view(batch, down, across, frames, size, size, -1).permute(0, 3, 1, 4, 2, 5, 6)
        tokens = tokens.flatten(4, 5).flatten(2, 3).roll((self._shift, self._shift), dims=(2, 3))
        return tokens[:, :, :rows, :columns].flatten(1, 3)

    def _mask(self, device: torch.device) -> Tensor | None:
        """Which tokens of a window see each other, (windows, 1, N, N) bool; None where all do.

        A window that the shift moved over the border holds tokens of opposite sides, and padding, apart.
        """
        (frames, rows, columns), size = self.grid, self._size
        if not self._shift and not rows % size and not columns % size:
            return None
        row = (torch.arange(rows, device=device) - self._shift).div(size, rounding_mode="floor") + 2
        column = (torch.arange(columns, device=device) - self._shift).div(size, rounding_mode="floor") + 2
        parts = (row[:, None] * (columns + 3) + column).expand(frames, -1, -1).reshape(1, -1, 1).float()
        part = self._to_windows(parts)
        # Padding, which is 0, sees padding: a row of the softmax without any token would not be a number.
        return (part == part.transpose(1, 2)).unsqueeze(1)


def _rotated(tokens: Tensor, angles: Tensor) -> Tensor:
    """Rotary position embedding (Su et al., 2021): tokens (B, N, heads, D) turned by angles (B, N, D).

    Angles are pairs of a cosine and a sine.
    """
    pairs = tokens.float().reshape(*tokens.shape[:-1], -1, 2)
    turns = angles.reshape(*angles.shape[:-1], 1, -1, 2)
    if torch.compiler.is_compiling():
        # Compiled code has no complex numbers.
        (x, y), (cosine, sine) = pairs.unbind(-1), turns.unbind(-1)
        turned = torch.stack([x * cosine - y * sine, x * sine + y * cosine], dim=-1)
    else:
        turned = torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(turns))
    return turned.flatten(3).type_as(tokens)


class _PromptAttention(nn.Module):
    """Attention to a prompt whose equal tokens are folded into one each.

    n equal keys add up to one key whose logit is larger by log n, exactly: so the 512 keys of a padded empty
    prompt are two. The bias keeps it to the native backend.
    """

    bias: Tensor

    def __init__(self, repeats: Sequence[int]) -> None:
        super().__init__()
        # Held, not inherited: `set_attention_backend` changes what has an `_attention_backend` of its own.
        self._native = WanAttnProcessor()
        self._native._attention_backend = _WITH_MASK
        bias = torch.tensor(list(repeats), dtype=torch.float32).log()
        self.register_buffer("bias", bias, persistent=False)

    def forward(self, attn: nn.Module, hidden_states: Tensor, *arguments: Any) -> Tensor:
        prompt = arguments[0]
        bias = self.bias.to(hidden_states.dtype).view(1, 1, 1, -1)
        attended: Tensor = self._native(attn, hidden_states, prompt, attention_mask=bias)
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
        attention_window: side of the windows that self-attention is kept to, tokens; every second layer's are
            shifted by half of it. None: all tokens see each other, as in Wan.
        keep_detail: energy of the change relative to the input's, both of fine detail (what a Gaussian of
            1 px blurs away), dB, up to which the input is kept, since the model found next to nothing to
            restore. None: every input is restored, as in the paper.

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
        attention_window: int | None = None,
        keep_detail: float | None = None,
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
        use_fast_products(self)
        self._store_prompt(torch.zeros(len(prompt_repeats or ()), text_dim), prompt_repeats or ())
        self._windows: list[_WindowAttention] = []
        if attention_window is not None:
            for number, block in enumerate(self.blocks):
                window = _WindowAttention(attention_window, number % 2 * (attention_window // 2))
                block.attn1.set_processor(window)
                self._windows.append(window)

    def forward(self, hidden_states: Tensor, *arguments: Any, **options: Any) -> Any:
        """See diffusers' WanTransformer3DModel."""
        sides = zip(hidden_states.shape[2:], self.config.patch_size, strict=True)
        grid = tuple(int(side) // patch for side, patch in sides)
        for window in self._windows:
            window.grid = grid
        return super().forward(hidden_states, *arguments, **options)

    def set_attention_backend(self, backend: str) -> None:
        """Choose what computes the self-attention of this transformer, and of no other model.

        Attention to the prompt, and within windows at a picture's border, has a mask or a bias, which flash
        and sage attention do not take: the native backend computes it.

        Args:
            backend: diffusers' name of the backend.

        Raises:
            ValueError: diffusers has no such backend.
            RuntimeError: its package is not installed.
        """
        # Diffusers also makes it the default of every model of the process, until this context ends.
        with attention_backend(backend):
            super().set_attention_backend(backend)

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
        processor = _PromptAttention(repeats) if len(repeats) > 1 else _ConstantPrompt()
        for block in self.blocks:
            block.attn2.set_processor(processor)

    def freeze_unused(self) -> None:
        """Freeze the weights that change no result: queries and keys where the prompt has one token."""
        if len(self.prompt) == 1:
            for block in self.blocks:
                for module in (block.attn2.to_q, block.attn2.to_k, block.attn2.norm_q, block.attn2.norm_k):
                    module.requires_grad_(requires_grad=False)
                block.norm2.requires_grad_(requires_grad=False)

    def zero_output(self) -> None:
        """Zero the output layer, so that the untrained model restores every video to itself."""
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def restore(self, lq: Tensor, *, strength: float = 1) -> Tensor:
        """Eq. 3: the restored latents from the degraded ones, in a single step.

        Args:
            lq: z_l, normalised latents (B, C, T', H', W') with H' and W' even.
            strength: share s of the step, z_l + s v, in [0, 1].

        Returns:
            the estimate of z_h at strength 1, z_l at 0, of the same shape.

        Raises:
            ValueError: no prompt is stored.
        """
        if not len(self.prompt):
            raise ValueError("the transformer holds no prompt embedding; give it one with `set_prompt`")
        batch = lq.shape[0]
        timestep = torch.full((batch,), self.config.timestep, device=lq.device, dtype=torch.float32)
        # Only the change has the precision of the weights: what stays keeps its own.
        states = lq.to(self.dtype)
        prompt = self.prompt.to(states.dtype).expand(batch, -1, -1)
        output: Tensor = self(states, timestep, prompt, return_dict=False)[0]
        return torch.add(lq, output, alpha=strength if self.config.prediction == "velocity" else -strength)
