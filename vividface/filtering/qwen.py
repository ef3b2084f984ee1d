"""The judge `qwen2.5-vl`: the paper's model (section 3.3), through transformers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from vividface.config.filtering import QwenConfig
from vividface.downloads import LOCKS
from vividface.errors import InputError, MissingWeightsError
from vividface.filtering.base import JudgedClip, JudgeDescription, Verdict
from vividface.filtering.conversation import (
    Answer,
    Conversation,
    ShownFrames,
    begin,
    prompt_hash,
    settings_json,
)
from vividface.filtering.rubric import Rubric
from vividface.hub import fetched_commit
from vividface.weights.sources import judge_source

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_ROLES = ("user", "assistant")

# A conversation, and the frames that it is about.
_Asked = tuple[Conversation, ShownFrames]


class QwenJudge:
    """Asks Qwen2.5-VL about several clips at a time.

    Args:
        config: folder of the model, and its settings.
        rubric: rubric that the clips are scored on.
        max_attempts: number of replies that cannot be used after which a clip remains unscored.
        device: device of the model.

    Raises:
        MissingWeightsError: the folder holds no model.
        InputError: the model cannot be loaded.
    """

    needs_faces = False

    def __init__(self, config: QwenConfig, rubric: Rubric, *, max_attempts: int, device: str = "cpu") -> None:
        self._config, self._rubric = config, rubric
        self._max_attempts, self._device = max_attempts, device
        self._processor, self._model = _load(config, device)
        self.description = JudgeDescription(
            judge="qwen2.5-vl",
            model=config.repo,
            # The configured revision of a folder that was brought in another way.
            revision=fetched_commit(config.folder) or config.revision,
            settings=settings_json(config),
            prompt=prompt_hash(rubric, config.num_frames),
        )

    def score(self, clips: Sequence[JudgedClip]) -> Iterator[Verdict]:
        """See `Judge`; batch after batch."""
        size = self._config.batch_size
        for start in tqdm(range(0, len(clips), size), desc="judge", unit="batch"):
            yield from self._score(clips[start : start + size])

    def _score(self, clips: Sequence[JudgedClip]) -> Iterator[Verdict]:
        asked: list[_Asked] = []
        for clip in clips:
            try:
                asked.append(begin(clip, self._rubric, config=self._config, max_attempts=self._max_attempts))
            except InputError as error:
                yield Verdict(clip.clip_id, None, problem=str(error), attempts=0)
        while pending := [pair for pair in asked if not pair[0].done]:
            for (conversation, _), answer in zip(pending, self._ask(pending), strict=True):
                conversation.take(answer)
        for conversation, _ in asked:
            yield conversation.verdict()

    @torch.inference_mode()
    def _ask(self, asked: list[_Asked]) -> list[Answer]:
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
        # Seeded by the questions, so that the words do not depend on the clips that were scored before.
        turns = [turn for conversation, _ in asked for turn in conversation.turns]
        text = "\n".join([str(config.seed), *turns])
        torch.manual_seed(int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big"))
        try:
            output = self._model.generate(
                **inputs, max_new_tokens=config.max_tokens, repetition_penalty=1.0, **sampling
            )
        except torch.cuda.OutOfMemoryError:
            raise InputError(
                f"filter.qwen.batch_size: {config.batch_size} clips of {config.num_frames} frames of "
                f"{config.max_pixels_per_frame} pixels do not fit the GPU's memory; lower one of them, and "
                "run again: what is scored already is kept"
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

    def _inputs(self, asked: list[_Asked]) -> Any:
        texts = [self._text(conversation.turns) for conversation, _ in asked]
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
                "shortest_edge": min(least, self._config.max_pixels_per_frame),
                "longest_edge": self._config.max_pixels_per_frame,
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


def fetch_model(config: QwenConfig, *, locks: Path = LOCKS) -> None:
    """Download the model from the Hugging Face Hub, unless it is complete.

    Args:
        config: repository, revision and folder of the model.
        locks: folder of the lock, `judge.json`, that the commit is recorded in.

    Raises:
        InputError: the repository cannot be reached, or not all of its files arrived.
    """
    judge_source(config, locks=locks).fetch()


def _load(config: QwenConfig, device: str) -> tuple[Any, Any]:
    from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration

    if not (config.folder / "config.json").is_file():
        raise MissingWeightsError(
            f"filter.qwen.folder: {config.folder} holds no model; run the rule fetch_judge, or "
            "`vividface weights fetch qwen2.5-vl`, on a machine with network access"
        )
    try:
        processor: Any = AutoProcessor.from_pretrained(  # type: ignore[no-untyped-call]
            config.folder, local_files_only=True
        )
        model: Any = Qwen2_5_VLForConditionalGeneration.from_pretrained(
            config.folder,
            dtype=_DTYPES[config.dtype],
            attn_implementation=config.attention,
            local_files_only=True,
            use_safetensors=True,
        )
    except (OSError, ValueError, ImportError, KeyError) as error:
        # transformers raises these for missing files, other models and missing kernels.
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"filter.qwen: {config.folder} cannot be loaded as Qwen2.5-VL ({reason}); fetch it again, or "
            "correct the section"
        ) from None
    return processor, model.eval().to(device)
