"""Scoring shards with a scripted judge, and with the judge `measured`."""

import json
import shutil

import pandas as pd
import pytest

from vividface.config.filtering import FilterConfig
from vividface.errors import InputError
from vividface.filtering import scoring
from vividface.filtering.base import JudgeDescription, Verdict
from vividface.filtering.columns import AFTER_CRITERIA, BEFORE_CRITERIA

POINTS = {"clarity": 33, "stability": 19, "lighting": 18, "artifacts": 14, "occlusion": 10}
CONFIG = FilterConfig(judge="measured", rubric="face90")


class Scripted:
    """A judge that counts whom it scores, and breaks at a clip."""

    needs_faces = False

    def __init__(self, breaks_at=None, temperature=0):
        settings = json.dumps({"temperature": temperature})
        self.description = JudgeDescription(
            judge="openai", model="m", revision="r", settings=settings, prompt="p"
        )
        self.breaks_at, self.asked = breaks_at, []

    def score(self, clips):
        for clip in clips:
            if clip.clip_id == self.breaks_at:
                raise InputError("the server is gone")
            self.asked.append(clip.clip_id)
            yield Verdict(clip.clip_id, POINTS, reply="r", input_tokens=7, output_tokens=2)


@pytest.fixture
def run(shard, shard_files, tmp_path, monkeypatch):
    _, table = shard

    def run(judge=None, config=CONFIG):
        if judge is not None:
            monkeypatch.setattr(scoring, "load_judge", lambda *_, **__: judge)
        return scoring.score_shard(table, config, **shard_files, journal=tmp_path / "journal")

    return run


def test_scoring_resumes_after_a_failure(run, tmp_path):
    with pytest.raises(InputError, match="the server is gone"):
        run(Scripted(breaks_at="clip_2-000000"))
    with (tmp_path / "journal").open("a") as file:
        file.write('{"key": "half a li')
    second = Scripted()
    table = run(second)
    assert second.asked == ["clip_2-000000", "clip_3-000000"]
    assert list(table["clip_id"]) == [f"clip_{i}-000000" for i in range(4)]
    assert (table["score"] == 94).all()
    third = Scripted()
    pd.testing.assert_frame_equal(run(third), table)
    assert third.asked == []


def test_other_settings_score_again(run):
    run(Scripted())
    other = Scripted(temperature=1)
    run(other)
    assert len(other.asked) == 4


def test_the_same_scores_are_the_same_bits(run, tmp_path):
    run().to_parquet(tmp_path / "a.parquet")
    (tmp_path / "journal").unlink()
    run().to_parquet(tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_the_columns_are_the_same_with_and_without_clips(run, shard, shard_files, tmp_path):
    _, clips = shard
    table = run()
    assert list(table) == [*BEFORE_CRITERIA, *POINTS, *AFTER_CRITERIA]
    empty = scoring.score_shard(clips.iloc[:0], CONFIG, **shard_files, journal=tmp_path / "journal")
    assert len(empty) == 0
    assert list(empty) == list(table)


def test_repeated_scores_differ_in_their_seed_and_resume(shard, shard_files, tmp_path, monkeypatch):
    judges = []

    def load(config, rubric, *, device):
        judges.append(Scripted(temperature=(config.openai.seed, config.openai.temperature)))
        return judges[-1]

    monkeypatch.setattr(scoring, "load_judge", load)
    openai = {"base_url": "http://h/v1", "model": "m", "num_frames": 1, "max_pixels_per_frame": 4096}
    openai |= {"max_parallel": 1, "timeout": 1, "max_retries": 0}
    study = {"num_clips": 1, "num_repeats": 2, "temperature": 0.7, "metrics": ["niqe"]}
    config = FilterConfig(judge="openai", rubric="face90", openai=openai, study=study)
    inputs = {**shard_files, "journal": tmp_path / "journal"}
    table = scoring.score_repeatedly(shard[1], config, **inputs)
    assert list(table["repeat"]) == [0] * 4 + [1] * 4
    settings = [json.loads(judge.description.settings)["temperature"] for judge in judges]
    assert settings == [[0, 0.7], [1, 0.7]]
    pd.testing.assert_frame_equal(scoring.score_repeatedly(shard[1], config, **inputs), table)
    assert [len(judge.asked) for judge in judges] == [4, 4, 0, 0]


def test_a_clip_that_cannot_be_read_is_unscored_and_the_others_are_not(shard, shard_files, tmp_path):
    _, table = shard
    files = {**shard_files, "hq_dir": tmp_path / "hq"}
    shutil.copytree(shard_files["hq_dir"], files["hq_dir"])
    (files["hq_dir"] / "clip_1-000000.mkv").write_bytes(b"no video")
    scores = scoring.score_shard(table, CONFIG, **files, journal=tmp_path / "journal").set_index("clip_id")
    assert scores["score"].notna().sum() == 3
    row = scores.loc["clip_1-000000"]
    assert row["tier"] == "unscored"
    assert "cannot be decoded beyond frame 0" in row["problem"]
    assert "\n" not in row["problem"]
