"""How clips are scored and selected (paper section 3.3, supplement B)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from vividface.config.base import Section

JudgeKind = Literal["qwen2.5-vl", "openai", "signals"]
# The sections of the judges that have settings.
SECTIONS = {"qwen2.5-vl": "qwen", "openai": "openai"}


class SampledFrames(Section):
    """What a language model is shown of a clip.

    Attributes:
        frames: at most so many, evenly spread, the first and the last among them.
        pixels: of a frame, at most; larger ones are made smaller.
    """

    frames: Annotated[int, Field(ge=1, le=768)]
    pixels: Annotated[int, Field(ge=28 * 28)]


class Sampling(Section):
    """How a language model's words are drawn; temperature 0 takes the likeliest."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1
    seed: Annotated[int, Field(ge=0)] = 0
    max_tokens: Annotated[int, Field(ge=16)] = 1024


class QwenConfig(SampledFrames, Sampling):
    """Qwen2.5-VL through transformers.

    Attributes:
        repo: of the Hugging Face Hub, and `revision` a branch, tag or commit of it.
        folder: where the model is fetched to, and read from.
        dtype: of the weights.
        attention: kernel; `flash_attention_2` needs the package flash-attn.
        batch_size: clips at a time.
    """

    repo: str
    revision: str = "main"
    folder: Path
    dtype: Literal["fp32", "fp16", "bf16"]
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    batch_size: Annotated[int, Field(ge=1)]


class OpenAIConfig(SampledFrames, Sampling):
    """A server that speaks OpenAI's protocol of chat completions.

    Attributes:
        base_url: with the version, as `http://127.0.0.1:8000/v1`.
        model: as the server names it.
        revision: of the model, for the records.
        api_key_variable: the environment variable that holds the key; None sends none.
        send: `images` as OpenAI knows them, or one `video`, as vLLM and SGLang take it.
        parallel: requests at a time.
        timeout: seconds for an answer, and `retries` how often a failed request is sent again; the waiting
            times between them double from `backoff` seconds on, or are what the server asks for.
        input_price: of a million tokens, and `output_price` likewise, in any currency; 0 counts no cost.
    """

    base_url: Annotated[str, Field(pattern=r"^https?://[^@\s]+$")]
    model: str
    revision: str = ""
    api_key_variable: str | None = None
    send: Literal["images", "video"] = "images"
    parallel: Annotated[int, Field(ge=1, le=256)]
    timeout: Annotated[float, Field(gt=0)]
    retries: Annotated[int, Field(ge=0, le=20)]
    backoff: Annotated[float, Field(ge=0)] = 1
    input_price: Annotated[float, Field(ge=0)] = 0
    output_price: Annotated[float, Field(ge=0)] = 0


class StudyConfig(Section):
    """What the study of the filter measures.

    Attributes:
        clips: of all training datasets, that are scored again.
        repeats: scores of each.
        temperature: at which a language model is asked again; at 0 it would repeat itself.
        metrics: no-reference metrics whose ranking is compared with the judge's.
        labels: a CSV of a person's judgements, as docs/filtering.md describes it.
    """

    clips: Annotated[int, Field(ge=1)]
    repeats: Annotated[int, Field(ge=2)]
    temperature: Annotated[float, Field(ge=0, le=2)]
    metrics: Annotated[list[str], Field(min_length=1)]
    labels: Path | None = None


class SelectionConfig(Section):
    """Which scored clips form the selected set; changing it never scores again.

    Attributes:
        rubric: by which they were scored: its name, or the path of a YAML file.
        threshold: clips score above it; `rubric`: the rubric's own; None: none.
        top_share: share of the scored clips, the best of which are kept; with a threshold both must hold.
        per_video: most clips of one video, and `per_person` of one person: the best are kept.
        offsets: points added to a criterion before the sums, as `vividface rubric calibrate` proposes them.
        max_unscored_share: a run in which more clips than this remain without a score stops.
    """

    rubric: str
    threshold: Annotated[float, Field(allow_inf_nan=False)] | Literal["rubric"] | None = "rubric"
    top_share: Annotated[float, Field(gt=0, le=1)] | None = None
    per_video: Annotated[int, Field(ge=1)] | None = None
    per_person: Annotated[int, Field(ge=1)] | None = None
    offsets: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = Field({})
    max_unscored_share: Annotated[float, Field(ge=0, le=1)] = 0.1

    @model_validator(mode="after")
    def _selects(self) -> SelectionConfig:
        if self.threshold is None and self.top_share is None:
            raise ValueError("threshold and top_share are both null, so nothing is selected by; set one")
        return self


class FilterConfig(SelectionConfig):
    """Scoring clips on a rubric, and selecting among them.

    Attributes:
        judge: who scores.
        attempts: how often a language model is asked for a reply that can be used.
    """

    judge: JudgeKind
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    qwen: QwenConfig | None = None
    openai: OpenAIConfig | None = None
    study: StudyConfig | None = None

    @model_validator(mode="after")
    def _described(self) -> FilterConfig:
        section = SECTIONS.get(self.judge)
        if section and getattr(self, section) is None:
            raise ValueError(f"judge: {self.judge} is chosen, but its section `{section}` is missing")
        return self

    def judging(self) -> dict[str, Any]:
        """What decides a clip's score, as values of JSON: the judge, its section, the rubric and attempts."""
        section = SECTIONS.get(self.judge)
        keys = {"judge", "rubric", "attempts"} | ({section} if section else set())
        return self.model_dump(mode="json", include=keys)

    def selection(self) -> SelectionConfig:
        """What decides which scored clips are selected."""
        return SelectionConfig(**self.model_dump(include=set(SelectionConfig.model_fields)))
