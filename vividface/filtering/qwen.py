"""The judge `qwen2.5-vl`: the paper's model (section 3.3), through transformers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from vividface.config.filtering import QwenConfig
from vividface.errors import InputError, MissingAssetError
from vividface.filtering.interview import Answer, Interview, Sampled, prompt_hash, sample_frames
from vividface.filtering.judge import JudgedClip, Verdict
from vividface.filtering.rubric import Rubric

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_ROLES = ("user", "assistant")


class QwenJudge:
    """Asks Qwen2.5-VL about several clips at a time.

    Args:
        config: the model's folder and how it is asked.
        rubric: what is asked.
        attempts: how often a reply that cannot be used is asked for again.
        device: where the model runs.

    Raises:
        MissingAssetError: the model is not there.
        InputError: it cannot be loaded.
    """

    needs_faces = False

    def __init__(self, config: QwenConfig, rubric: Rubric, attempts: int, device: str = "cpu") -> None:
        self._config, self._rubric, self._attempts, self._device = config, rubric, attempts, device
        self._processor, self._model = _load(config, device)
        settings = config.model_dump(mode="json", exclude={"repo", "revision", "folder", "batch_size"})
        self.identity = {
            "judge": "qwen2.5-vl",
            "model": config.repo,
            "revision": fetched_revision(config),
            "settings": json.dumps(settings, sort_keys=True),
            "prompt": prompt_hash(rubric, config.frames),
        }

    def score(self, clips: Sequence[JudgedClip]) -> Iterator[Verdict]:
        """See `Judge`: a batch of clips after the other."""
        size = self._config.batch_size
        for start in tqdm(range(0, len(clips), size), desc="judge", unit="batch"):
            yield from self._score(clips[start : start + size])

    def _score(self, clips: Sequence[JudgedClip]) -> Iterator[Verdict]:
        asked: list[tuple[Interview, Sampled]] = []
        for clip in clips:
            try:
                shown = sample_frames(clip.video, self._config)
            except InputError as error:
                yield Verdict(clip.clip_id, None, problem=str(error), attempts=0)
                continue
            asked.append((Interview(clip.clip_id, self._rubric, len(shown.frames), self._attempts), shown))
        while pending := [pair for pair in asked if not pair[0].done]:
            for (interview, _), answer in zip(pending, self._ask(pending), strict=True):
                interview.take(answer)
        for interview, _ in asked:
            yield interview.verdict()

    @torch.inference_mode()
    def _ask(self, asked: list[tuple[Interview, Sampled]]) -> list[Answer]:
        inputs = self._inputs(asked).to(self._device)
        config = self._config
        sampling: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if config.temperature > 0:
            sampling = {
                "do_sample": True,
                "temperature": config.temperature,
                "top_p": config.top_p,
                "top_k": 0,
            }
        # From what is asked, so that the words do not depend on what was scored before.
        text = "\n".join([str(config.seed), *(turn for interview, _ in asked for turn in interview.turns)])
        torch.manual_seed(int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big"))
        try:
            output = self._model.generate(
                **inputs, max_new_tokens=config.max_tokens, repetition_penalty=1.0, **sampling
            )
        except torch.cuda.OutOfMemoryError:
            raise InputError(
                f"filter.qwen.batch_size: {config.batch_size} clips of {config.frames} frames of "
                f"{config.pixels} pixels do not fit the GPU's memory; lower one of them, and run again: "
                "what is scored already is kept"
            ) from None
        read = inputs["attention_mask"].sum(dim=1).tolist()
        written = output[:, inputs["input_ids"].shape[1] :]
        return [self._answer(tokens, count) for tokens, count in zip(written, read, strict=True)]

    def _answer(self, tokens: torch.Tensor, read: int) -> Answer:
        ends = self._model.generation_config.eos_token_id
        ends = torch.as_tensor([ends] if isinstance(ends, int) else ends, device=tokens.device)
        stops = torch.isin(tokens, ends).nonzero()
        complete = len(stops) > 0
        tokens = tokens[: int(stops[0])] if complete else tokens
        text = self._processor.tokenizer.decode(tokens, skip_special_tokens=True)
        return Answer(text, complete, int(read), len(tokens) + complete)

    def _inputs(self, asked: list[tuple[Interview, Sampled]]) -> Any:
        texts = [self._text(interview.turns) for interview, _ in asked]
        videos = [torch.from_numpy(shown.frames).permute(0, 3, 1, 2) for _, shown in asked]
        metadata = [
            {
                "total_num_frames": len(shown.frames),
                "fps": shown.fps,
                "frames_indices": list(range(len(shown.frames))),
            }
            for _, shown in asked
        ]
        least = int(self._processor.video_processor.size["shortest_edge"])
        return self._processor(
            text=texts,
            videos=videos,
            video_metadata=metadata,
            do_sample_frames=False,
            cap_pixels_per_frame=False,
            size={
                "shortest_edge": min(least, self._config.pixels),
                "longest_edge": self._config.pixels,
            },
            padding=True,
            padding_side="left",
            return_tensors="pt",
        )

    def _text(self, turns: list[str]) -> str:
        first = {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": turns[0]}]}
        rest = [
            {"role": _ROLES[index % 2], "content": [{"type": "text", "text": text}]}
            for index, text in enumerate(turns[1:], start=1)
        ]
        text: str = self._processor.apply_chat_template([first, *rest], add_generation_prompt=True)
        return text


def fetched_revision(config: QwenConfig) -> str:
    """The commit that was fetched; the configured revision for a folder that was brought in another way."""
    done = config.folder / ".complete"
    return done.read_text().strip() if done.is_file() else config.revision


def _load(config: QwenConfig, device: str) -> tuple[Any, Any]:
    from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration

    if not (config.folder / "config.json").is_file():
        raise MissingAssetError(
            f"filter.qwen.folder: {config.folder} holds no model; fetch it with `snakemake --cores 1 "
            f"{Path(config.folder) / 'config.json'}` on a machine with network access"
        )
    try:
        processor = AutoProcessor.from_pretrained(config.folder, local_files_only=True)
        model = Qwen2_5_VLForConditionalGeneration.from_pretrained(
            config.folder,
            dtype=_DTYPES[config.dtype],
            attn_implementation=config.attention,
            local_files_only=True,
            use_safetensors=True,
        )
    except (OSError, ValueError, ImportError, KeyError) as error:
        # transformers raises these alike for missing files, other models and missing kernels.
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"filter.qwen: {config.folder} cannot be loaded as Qwen2.5-VL ({reason}); fetch it again, or "
            "correct the section"
        ) from None
    return processor, model.eval().to(device)
