"""How clips are scored and selected (paper section 3.3, supplement B)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vividface.config.fields import Section, key

JudgeKind = Literal["qwen2.5-vl", "openai", "measured"]
# The sections of the judges that have settings.
SECTIONS = {"qwen2.5-vl": "qwen", "openai": "openai"}
_Finite = Annotated[float, Field(allow_inf_nan=False)]


class LanguageModelConfig(Section):
    """What a language model is shown of a clip, and how its words are drawn."""

    num_frames: int = key("frames shown of a clip, evenly spaced, first and last included", ge=1, le=768)
    max_pixels_per_frame: int = key("pixels above which a frame is shrunk; 512 x 512", ge=28 * 28)
    temperature: float = key("sampling temperature; 0 takes the likeliest word", default=0, ge=0, le=2)
    top_p: float = key("share of the likeliest words that are drawn from", default=1, gt=0, le=1)
    seed: int = key("seed of the words", default=0, ge=0)
    max_tokens: int = key("longest reply, tokens", default=1024, ge=16)


class QwenConfig(LanguageModelConfig):
    """Qwen2.5-VL through transformers."""

    repo: str = key("repository on the Hugging Face Hub; the size is ours", "section 3.3")
    revision: str = key("branch, tag or commit; the commit is recorded on first use", "", default="main")
    folder: Path = key("folder of the model", "")
    dtype: Literal["fp32", "fp16", "bf16"] = key("type of the weights")
    attention: Literal["sdpa", "eager", "flash_attention_2"] = key(
        "attention kernel; `flash_attention_2` needs the package flash-attn", default="sdpa", execution=True
    )
    batch_size: int = key("clips at a time", ge=1, execution=True)


class OpenAIConfig(LanguageModelConfig):
    """A server that speaks OpenAI's protocol of chat completions."""

    base_url: str = key("address, with the protocol's version", pattern=r"^https?://[^@\s]+$")
    model: str = key("model, as the server names it")
    revision: str = key("revision of the model, for the records", default="")
    api_key_variable: str | None = key(
        "environment variable of the API key, which is never written down", default=None, execution=True
    )
    send: Literal["images", "video"] = key("form of the frames; vLLM takes `video`", default="images")
    max_parallel: int = key("requests at a time", ge=1, le=256, execution=True)
    timeout: float = key("longest wait for a reply, s", gt=0, execution=True)
    max_retries: int = key("retries of a failed request; waiting times double", ge=0, le=20, execution=True)
    backoff: float = key("first waiting time, s", default=1, ge=0, execution=True)
    input_price: float = key(
        "price of a million tokens read; 0 sums no cost", default=0, ge=0, execution=True
    )
    output_price: float = key("price of a million tokens written", default=0, ge=0, execution=True)


class StudyConfig(Section):
    """What the study of the filter measures."""

    num_clips: int = key("clips to score repeatedly, of all training datasets", ge=1)
    num_repeats: int = key("scores of each", ge=2)
    temperature: float = key("sampling temperature of the repeated scores", ge=0, le=2)
    metrics: list[str] = key("no-reference metrics to compare with the judge", min_length=1)
    labels: Path | None = key("CSV of a person's judgements: clip_id, keep and/or score", "", default=None)


class SelectionConfig(Section):
    """Which scored clips form the selected set; changing it never scores again."""

    rubric: str = key("rubric, by its name or the path of a YAML file", "supplement B")
    threshold: _Finite | Literal["rubric"] | None = key(
        "score that a selected clip exceeds; `rubric` takes the rubric's, 90", "section 3.3", default="rubric"
    )
    top_share: float | None = key(
        "best share of the scored clips; null sets no limit", default=None, gt=0, le=1
    )
    per_video: int | None = key("most clips of one video; null sets no limit", default=None, ge=1)
    per_person: int | None = key("most clips of one person; null sets no limit", default=None, ge=1)
    offsets: dict[str, _Finite] = key(
        "points added to criteria, as `vividface rubric calibrate` proposes", default={}
    )
    max_unscored_share: float = key(
        "share of unscored clips above which a run stops", default=0.1, ge=0, le=1, execution=True
    )

    @model_validator(mode="after")
    def _selects(self) -> Self:
        if self.threshold is None and self.top_share is None:
            raise ValueError("threshold and top_share are both null, so nothing is selected by; set one")
        return self


class FilterConfig(SelectionConfig):
    """Scoring clips on a rubric, and selecting among them."""

    judge: JudgeKind = key("judge; `openai` is a server, `measured` needs no model", "section 3.3")
    max_attempts: int = key("requests for a reply that can be parsed", default=3, ge=1, le=10)
    qwen: QwenConfig | None = key("settings of the judge qwen2.5-vl", "section 3.3", default=None)
    openai: OpenAIConfig | None = key("settings of the judge openai: vLLM, SGLang, hosted", "", default=None)
    study: StudyConfig | None = key("settings of the rule filter_study", "", default=None)

    @model_validator(mode="after")
    def _described(self) -> Self:
        section = SECTIONS.get(self.judge)
        if section and getattr(self, section) is None:
            raise ValueError(f"judge: {self.judge} is chosen, but its section `{section}` is missing")
        return self
