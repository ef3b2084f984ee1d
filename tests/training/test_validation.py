"""Who is held out for validation."""

import logging
from itertools import pairwise

import pandas as pd
import pytest

from vividface.training.validation import hold_out

SEEDS = range(20)


def table(people):
    """Clips of people: by each one's name, the numbers of clips of their videos."""
    rows = [
        {"clip_id": f"{person}_{video}-{clip:06d}", "video_id": f"{person}_{video}", "person": person}
        for person, videos in people.items()
        for video, count in enumerate(videos)
        for clip in range(count)
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def crowd():
    return table({f"person {number:02d}": [1 + number % 3, number % 2] for number in range(30)})


def owners(clips, column, clip_ids):
    return set(clips[column][clips["clip_id"].isin(clip_ids)])


@pytest.mark.parametrize("seed", SEEDS)
def test_nobody_is_measured_who_is_trained_on(crowd, seed):
    held = hold_out(crowd, 5, seed=seed)
    trained = set(crowd["clip_id"]) - held.clip_ids
    for column in ("person", "video_id"):
        assert not owners(crowd, column, trained) & owners(crowd, column, held.clip_ids)
    assert held.measured <= held.clip_ids
    assert len(held.measured) == 5
    assert len(held.clip_ids) < 5 + crowd["person"].value_counts().max(), "no more people than it takes"


def test_the_choice_follows_from_the_seed_and_the_names_alone(crowd):
    chosen = [hold_out(crowd, 5, seed=seed) for seed in SEEDS]
    assert len({frozenset(held.clip_ids) for held in chosen}) > 10
    again = hold_out(crowd.sample(frac=1, random_state=1, ignore_index=True), 5, seed=0)
    assert again == chosen[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_more_clips_hold_out_the_same_people_and_others(crowd, seed):
    several = [hold_out(crowd, count, seed=seed).clip_ids for count in (0, 1, 4, 9, 100)]
    for fewer, more in pairwise(several):
        assert fewer <= more
    assert several[0] == set()


@pytest.mark.parametrize("seed", SEEDS)
def test_most_is_left_to_train_on(crowd, seed):
    held = hold_out(crowd, 1000, seed=seed)
    assert len(held.clip_ids) <= len(crowd) / 4
    assert held.measured == held.clip_ids
    few_large = table({"a": [1], "b": [1], "c": [1], "d": [30]})
    people = owners(few_large, "person", hold_out(few_large, 1000, seed=seed).clip_ids)
    assert len(people) == 2, "half of four"
    assert "d" not in people


@pytest.mark.parametrize("seed", SEEDS)
def test_among_few_people_the_one_with_the_fewest_clips_is_held_out(seed):
    clips = table({"long": [9, 9], "short": [4, 4], "longest": [20]})
    held = hold_out(clips, 2, seed=seed)
    assert owners(clips, "person", held.clip_ids) == {"short"}
    assert (len(held.clip_ids), len(held.measured)) == (8, 2)


def test_of_one_person_videos_are_held_out(caplog):
    clips = table({"anna": [3, 5, 4, 4]})
    with caplog.at_level(logging.INFO):
        held = hold_out(clips, 2, seed=0)
    assert len(owners(clips, "video_id", held.clip_ids)) == 1
    assert "1 of 4 videos are held out" in caplog.text
    assert "all clips are of one person, who is trained on" in caplog.text


def test_of_one_video_clips_are_held_out_and_the_log_says_so(caplog):
    clips = table({"anna": [12]})
    with caplog.at_level(logging.INFO):
        held = hold_out(clips, 2, seed=0)
    assert len(held.clip_ids) == len(held.measured) == 2
    assert "all clips are of one video: their neighbours are trained on" in caplog.text
    assert hold_out(table({"anna": [1]}), 2, seed=0).clip_ids == set()


@pytest.mark.parametrize("unknown", ["", None])
def test_where_no_person_is_known_the_video_stands_for_it(unknown, caplog):
    clips = table({"anna": [2, 2, 2], "ben": [2, 2]})
    clips.loc[clips["person"] == "ben", "person"] = unknown
    with caplog.at_level(logging.INFO):
        held = [hold_out(clips, 1, seed=seed).clip_ids for seed in SEEDS]
    assert "1 of 3 people are held out, with 2 of 10 clips, of which 1 are measured" in caplog.text
    videos = {frozenset(owners(clips, "video_id", clip_ids)) for clip_ids in held}
    assert videos == {frozenset({"ben_0"}), frozenset({"ben_1"})}
