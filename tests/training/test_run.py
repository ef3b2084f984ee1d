"""Both stages, from a job's files to a checkpoint."""

import pandas as pd
import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from vividface.data.encoding import encode_shard
from vividface.errors import InputError
from vividface.files import digest
from vividface.models.autoencoders import DCTAutoencoder
from vividface.models.checkpoints import load_checkpoint
from vividface.training import run
from vividface.training.run import train_latent_stage, train_pixel_stage
from vividface.training.trainer import Trainer

from .conftest import CLIPS, PEOPLE
from .helpers import same_weights, trained_weights

# Of a quarter of eight clips: one person's.
VALIDATION = {"clip_0", "clip_1"}
SELECTED = set(CLIPS[1:4]) - VALIDATION


@pytest.fixture
def seen(monkeypatch):
    """The clips of every step of a training, in order."""
    steps = []

    class RecordingTrainer(Trainer):
        def __init__(self, transformer, stage, *, config, **rest):
            for step in range(config.iterations):
                steps.append(set(stage.batch(step, part=0, num_parts=1).clip_ids))
            super().__init__(transformer, stage, config=config, **rest)

    monkeypatch.setattr(run, "Trainer", RecordingTrainer)
    return steps


@pytest.fixture
def validated(monkeypatch, seen):
    """The digest of the clips that each training is validated on."""
    digests = []

    class RecordingTrainer(run.Trainer):
        def __init__(self, *arguments, settings, **rest):
            digests.append(settings["validation clips"])
            super().__init__(*arguments, settings=settings, **rest)

    monkeypatch.setattr(run, "Trainer", RecordingTrainer)
    return digests


def test_the_last_share_of_the_steps_sees_the_selected_clips_alone(latent_job, seen):
    train_latent_stage(latent_job)
    assert set().union(*seen[:3]) == set(CLIPS) - VALIDATION
    assert set().union(*seen[4:]) <= SELECTED
    transformer, autoencoder = load_checkpoint(latent_job.output)
    assert transformer.proj_out.weight.abs().max() > 0
    assert transformer.config.clip_frames == 5
    assert transformer.config.clip_size == 32
    assert autoencoder.fingerprint == DCTAutoencoder(decay=0.0, lapped=True).fingerprint
    curve = pd.read_csv(latent_job.curve)
    assert list(curve["step"]) == [1, 2, 3, 4, 5, 6]
    validation = pd.read_csv(latent_job.validation)
    assert list(validation["step"]) == [3, 6]
    assert validation["psnr_input"].nunique() == 1
    assert validation["psnr"].iloc[-1] > validation["psnr_input"].iloc[-1]
    assert not latent_job.paths.states.exists()


def test_both_stages_measure_the_same_people_and_train_on_neither(
    make_job, make_pixel_job, seen, validated, tmp_path
):
    latent = make_job(tmp_path, {"num_validation_clips": 1}, selected=None)
    train_latent_stage(latent)
    train_pixel_stage(make_pixel_job(tmp_path, latent.output, {"num_validation_clips": 1}, selected=None))
    assert set(validated) <= {digest(["clip_0"]), digest(["clip_1"])}
    assert validated[0] == validated[1]
    trained = set().union(*seen)
    assert {PEOPLE[CLIPS.index(clip)] for clip in trained} == {"ben", "cleo", "dan"}


def test_without_the_selected_set_every_step_sees_all_clips(make_job, seen, tmp_path):
    train_latent_stage(make_job(tmp_path, selected=None))
    assert set().union(*seen[3:]) == set(CLIPS) - VALIDATION


@pytest.fixture
def with_candidates(data, tmp_path):
    """Of the clips the first four as the coarse set, the others as candidates, of which one is selected."""
    for name, part in (("coarse", slice(0, 4)), ("pool", slice(4, 8))):
        base = tmp_path / name
        base.mkdir()
        clips = pd.read_parquet(data / "mine/clips.parquet").iloc[part]
        clips.to_parquet(base / "clips.parquet")
        folders = {kind: data / "mine" / kind / "0000" for kind in ("hq", "lq", "masks")}
        for kind, folder in folders.items():
            (base / kind).mkdir()
            (base / kind / "0000").symlink_to(folder)
        encode_shard(
            clips,
            DCTAutoencoder(decay=0.0, lapped=True),
            num_frames=5,
            hq_dir=folders["hq"],
            lq_dir=folders["lq"],
            mask_dir=folders["masks"],
            output=base / "latents/0000.safetensors",
        )
    pd.DataFrame({"clip_id": [CLIPS[1], CLIPS[5]]}).to_parquet(tmp_path / "selected.parquet")
    bases = [tmp_path / "coarse", tmp_path / "pool"]
    latent = {"latents": [base / "latents/0000.safetensors" for base in bases]}
    pixel = {kind: [base / kind / "0000" for base in bases] for kind in ("hq", "lq", "masks")}
    return latent, pixel | {"clips": [base / "clips.parquet" for base in bases]}


@pytest.mark.parametrize("selected", [True, False])
def test_candidates_are_trained_on_where_they_are_selected(
    with_candidates, make_job, make_pixel_job, seen, tmp_path, selected
):
    latent, pixel = with_candidates
    rest = {"candidates": ["pool"], "selected": tmp_path / "selected.parquet" if selected else None}
    few = {"num_validation_clips": 0, "fine_share": 0.5, "batch_size": 4}
    job = make_job(tmp_path, few, **latent, **rest)
    train_latent_stage(job)
    coarse, chosen = set(CLIPS[:4]), {CLIPS[1], CLIPS[5]}
    assert set().union(*seen[:3]) == coarse
    assert set().union(*seen[3:]) == (chosen if selected else coarse)
    seen.clear()
    few = {"num_validation_clips": 0, "batch_size": 4, "iterations": 1}
    train_pixel_stage(make_pixel_job(tmp_path, job.output, few, **pixel, **rest))
    assert seen == [chosen if selected else coarse]


def test_flicker_adds_to_the_loss_of_the_pixel_stage(make_pixel_job, latent_job, tmp_path):
    train_latent_stage(latent_job)
    first = []
    for weight in (0.0, 10.0):
        job = make_pixel_job(
            tmp_path / str(weight), latent_job.output, {"iterations": 1, "motion_weight": weight}
        )
        train_pixel_stage(job)
        first.append(pd.read_csv(job.curve).iloc[0])
    assert "motion" not in first[0]
    assert first[0]["squared_error"] == first[1]["squared_error"]
    assert first[1]["loss"] == pytest.approx(first[0]["loss"] + 10 * first[1]["motion"])


def test_the_pixel_stage_starts_from_the_latent_stage(make_pixel_job, latent_job, seen, tmp_path):
    train_latent_stage(latent_job)
    seen.clear()
    job = make_pixel_job(tmp_path, latent_job.output, {"iterations": 1})
    train_pixel_stage(job)
    assert seen[0] <= SELECTED
    before, after = trained_weights(latent_job), trained_weights(job)
    distance = max((after[name] - before[name]).abs().max() for name in before)
    assert 0 < distance <= 2 * job.stage.learning_rate, "one step of AdamW from where it started"


def test_the_pixel_stage_gives_the_same_bits_with_its_clips_in_memory(make_pixel_job, latent_job, tmp_path):
    train_latent_stage(latent_job)
    jobs = [
        make_pixel_job(tmp_path / str(kept), latent_job.output, {"in_memory": kept}) for kept in (False, True)
    ]
    for job in jobs:
        train_pixel_stage(job)
    assert same_weights(*jobs)


def test_a_selection_that_leaves_nothing_is_refused(make_job, tmp_path):
    pd.DataFrame({"clip_id": ["elsewhere"]}).to_parquet(tmp_path / "none.parquet")
    job = make_job(tmp_path, selected=tmp_path / "none.parquet")
    with pytest.raises(InputError, match=r"no clip with latents is left.*filter\.threshold"):
        train_latent_stage(job)
    assert not job.output.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("fingerprint", "holds latents of the autoencoder 'another'"),
        ("length", r"0000\.safetensors: the latents of the clip clip_0 are \(768, 3, 4, 4\)"),
        ("size", r"the latents of the clip clip_1 are \(768, 2, 6, 4\)"),
        ("mask", r"clip_0\.mask is \(2, 4, 5\) instead of \(2, 4, 4\)"),
        ("missing", "the clip clip_0 is not complete"),
    ],
)
def test_a_shard_that_does_not_fit_is_refused_by_name(change, message, make_job, data, tmp_path):
    source, shard = data / "mine" / "latents" / "0000.safetensors", tmp_path / "0000.safetensors"
    tensors = load_file(source)
    with safe_open(source, "pt") as file:
        made_with = file.metadata()["autoencoder"]
    if change == "fingerprint":
        made_with = "another"
    elif change == "length":
        tensors["clip_0.hq"] = torch.zeros(768, 3, 4, 4)
    elif change == "size":
        tensors["clip_1.hq"] = torch.zeros(768, 2, 6, 4)
    elif change == "mask":
        tensors["clip_0.mask"] = torch.zeros(2, 4, 5)
    else:
        del tensors["clip_0.lq"]
    save_file(tensors, shard, {"autoencoder": made_with})
    with pytest.raises(InputError, match=message):
        train_latent_stage(make_job(tmp_path, latents=[shard]))


def test_training_twice_gives_the_same_bits_however_batches_are_read(config, make_job, tmp_path):
    ways = [{"num_workers": 0}, {"num_workers": 2}, {"in_memory": True}]
    jobs = [
        make_job(tmp_path / str(number), way | {"checkpoint_every": 6}, model=config.model)
        for number, way in enumerate(ways)
    ]
    for job in jobs:
        train_latent_stage(job)
    assert same_weights(*jobs)


def test_adapters_are_merged_into_a_plain_checkpoint(make_job, tmp_path):
    job = make_job(tmp_path, {"lora_rank": 4})
    train_latent_stage(job)
    transformer, _ = load_checkpoint(job.output)
    assert not any("lora" in name for name in transformer.state_dict())
    assert transformer.proj_out.weight.abs().max() > 0
    curve = pd.read_csv(job.curve)
    assert curve["loss"].iloc[-1] < curve["loss"].iloc[0]


def test_checkpointing_and_precision_leave_the_curve(make_job, tmp_path):
    stages = {"plain": {}, "checkpointing": {"gradient_checkpointing": True}, "bf16": {"precision": "bf16"}}
    curves = {}
    for name, values in stages.items():
        AcceleratorState._reset_state(reset_partial_state=True)
        job = make_job(tmp_path / name, values)
        train_latent_stage(job)
        curves[name] = pd.read_csv(job.curve)["loss"].to_numpy()
    assert curves["checkpointing"] == pytest.approx(curves["plain"], rel=1e-5)
    assert curves["bf16"] == pytest.approx(curves["plain"], rel=0.02)
    assert (curves["bf16"] != curves["plain"]).any()
