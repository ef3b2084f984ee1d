import json

import pandas as pd
import pytest

from vividface.config.filtering import FilterConfig
from vividface.errors import InputError
from vividface.filtering import scoring
from vividface.filtering.judge import Verdict

POINTS = {"clarity": 33, "stability": 19, "lighting": 18, "artifacts": 14, "occlusion": 10}
CONFIG = FilterConfig(judge="signals", rubric="face90")


class Scripted:
    """A judge that counts whom it scores, and breaks at a clip."""

    needs_faces = False

    def __init__(self, breaks_at=None, temperature=0):
        self.identity = {"judge": "openai", "model": "m", "revision": "r", "prompt": "p"}
        self.identity["settings"] = json.dumps({"temperature": temperature})
        self.breaks_at, self.asked = breaks_at, []

    def score(self, clips):
        for clip in clips:
            if clip.clip_id == self.breaks_at:
                raise InputError("the server is gone")
            self.asked.append(clip.clip_id)
            yield Verdict(clip.clip_id, POINTS, reply="r", input_tokens=7, output_tokens=2)


@pytest.fixture
def run(shard, tmp_path, monkeypatch):
    folder, table = shard

    def run(judge=None, config=CONFIG):
        if judge is not None:
            monkeypatch.setattr(scoring, "load_judge", lambda *_: judge)
        arguments = (folder / "hq", folder / "masks", folder / "faces.safetensors", config)
        return scoring.score_shard(table, *arguments, tmp_path / "journal")

    return run


def test_scoring_goes_on_after_a_failure(run, tmp_path):
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


def test_a_clip_that_cannot_be_read_is_unscored_and_the_others_are_not(shard, tmp_path):
    import shutil

    folder, table = shard
    shutil.copytree(folder / "hq", tmp_path / "hq")
    (tmp_path / "hq" / "clip_1-000000.mkv").write_bytes(b"no video")
    files = (tmp_path / "hq", folder / "masks", folder / "faces.safetensors")
    scores = scoring.score_shard(table, *files, CONFIG, tmp_path / "journal").set_index("clip_id")
    assert scores["score"].notna().sum() == 3
    row = scores.loc["clip_1-000000"]
    assert row["tier"] == "unscored"
    assert "cannot be decoded beyond frame 0" in row["problem"]
    assert "\n" not in row["problem"]


def test_a_shard_without_clips(shard, tmp_path):
    folder, table = shard
    files = (folder / "hq", folder / "masks", folder / "faces.safetensors")
    empty = scoring.score_shard(table.iloc[:0], *files, CONFIG, tmp_path / "journal")
    assert len(empty) == 0
    assert "score" in empty
