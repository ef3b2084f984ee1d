"""Reading, overlaying and validating the configuration."""

import pytest
import yaml

from vividface.config import load_config, merge, validate_config
from vividface.errors import InputError
from vividface.filtering.rubric import load_rubric


@pytest.fixture
def values(repository):
    base = yaml.safe_load((repository / "config.yaml").read_text())
    return merge(base, yaml.safe_load((repository / "configs" / "demo.yaml").read_text()))


def test_paper_values(repository):
    config = load_config(repository / "config.yaml")
    assert config.latent_stage.iterations + config.pixel_stage.iterations == 32_000
    assert (config.latent_stage.num_frames, config.clips.size, config.pixel_stage.num_frames) == (81, 512, 13)
    assert config.model.timestep == 400
    assert config.pixel_stage.dists_weight == 0.1
    assert config.variants["main"].latent_p == config.variants["main"].pixel_p == 0.5
    assert (config.filter.judge, load_rubric(config.filter.rubric).threshold) == ("qwen2.5-vl", 90)
    assert config.latent_stage.learning_rate == 1e-4
    assert config.datasets["vfhq"].source.sample == 3000
    degradation = config.degradation.vividface
    assert (degradation.sigma, degradation.scale, degradation.noise, degradation.crf) == (
        (0.1, 10),
        (1, 4),
        (0, 10),
        (18, 25),
    )


def test_benchmarks_are_taken_as_they_are(repository):
    benchmarks = load_config(repository / "config.yaml").by_role("benchmark")
    for dataset in benchmarks.values():
        assert (dataset.crop, dataset.num_frames, dataset.split_shots) == (False, "whole", False)
    assert {name: dataset.has_reference for name, dataset in benchmarks.items()} == {
        "vfhq_test": True,
        "vfhq_test_dicface": True,
        "rfv_lq": False,
    }


def test_demo_holds_out_a_person(values):
    config = validate_config(values)
    people = {
        role: {m.person for d in config.by_role(role).values() for m in d.source.members}
        for role in ("train", "benchmark")
    }
    assert people["train"]
    assert people["benchmark"]
    assert not people["train"] & people["benchmark"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("clips", "frmes"), 81, "clips.frmes: unknown key"),
        (("clips", "num_frames"), 80, "clips.num_frames: 80 frames do not fit"),
        (("clips", "size"), 100, "clips.size: 100 px is not a multiple of 16"),
        (("pixel_stage", "dists_weight"), -1, "pixel_stage.dists_weight: Input should be greater"),
        (
            ("degradation", "vividface", "crf"),
            [25, 18],
            "degradation.vividface: crf: [25, 18] is not an increasing range",
        ),
        (("variants", "p0", "latent_p"), 1.5, "variants.p0.latent_p: Input should be less"),
        (("variants", "main"), None, "the variant `main` is missing"),
        (("variants", "latent_only", "latent_stage_of"), "nobody", "variants.latent_only.latent_stage_of"),
        (("pixel_stage", "num_frames"), 33, "pixel_stage.num_frames: 33 is more than clips.num_frames"),
        (
            ("pixel_stage", "num_validation_clips"),
            3,
            "pixel_stage.num_validation_clips: more than latent_stage.num_validation_clips",
        ),
        (
            ("model", "preset"),
            "wan-1.3b",
            "model: preset wan-1.3b needs transformer and autoencoder and prompt",
        ),
        (("model", "tokenizer"), "folder", "model: text_encoder and tokenizer are needed together"),
        (("restoration", "overlap"), 9, "restoration: overlap: 9 frames are more than half the window of 17"),
        (("datasets", "held_out"), None, "none has the role 'benchmark'"),
        (("seed",), "many", "seed: Input should be a valid integer"),
        (("training", "batch_size"), None, "training.batch_size: Input should be a valid integer"),
        (("latent_stage", "lerning_rate"), 1, "latent_stage.lerning_rate: unknown key"),
        (("datasets", "demo_train", "source", "kind"), "floder", "datasets.demo_train.source"),
        (("datasets", "demo_train", "crop"), False, "datasets.demo_train: `lq_source`, `crop: false` and"),
        (("datasets", "demo_train", "num_frames"), "whole", "`num_frames: whole` are for benchmarks"),
        (("datasets", "demo_train", "candidates"), True, "`candidates`, so the coarse set is empty"),
        (("datasets", "held_out", "candidates"), True, "datasets.held_out: `candidates` is for training"),
        (("datasets", "held_out", "num_frames"), "whole", "`num_frames: whole` needs `split_shots: false`"),
        (("datasets", "held_out", "num_frames"), 0, "datasets.held_out.num_frames"),
        (("datasets", "held_out", "degrade"), False, "no benchmark has `degrade: true` or an `lq_source`"),
        (
            ("datasets", "held_out", "lq_source"),
            {"kind": "folder", "path": "lq"},
            "datasets.held_out: `lq_source` needs `degrade: false` and `crop: false`",
        ),
    ],
)
def test_wrong_values_name_their_key(values, path, value, message):
    section = values
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    with pytest.raises(InputError, match="configuration: ") as caught:
        validate_config(values)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_overlay_merges_and_null_removes(values):
    config = validate_config(values)
    assert set(config.datasets) == {"demo_train", "held_out"}
    assert config.degradation.vividface.crf == (18, 25), "an overlay of one key keeps its neighbours"


def test_a_section_of_another_kind_is_replaced(repository, tmp_path):
    """As the README says to use one's own videos: the package's members mean nothing to a folder."""
    overlay = tmp_path / "mine.yaml"
    overlay.write_text("datasets: {demo_train: {source: {kind: folder, path: /my/videos}}}")
    config = load_config(repository / "config.yaml", repository / "configs" / "demo.yaml", overlay)
    source = config.datasets["demo_train"].source
    assert (source.kind, str(source.path)) == ("folder", "/my/videos")
    assert config.datasets["demo_train"].role == "train", "its neighbours stay"


def test_stages_inherit_and_override_what_they_share(values):
    values["training"]["weight_decay"] = 0.5
    values["pixel_stage"]["weight_decay"] = 0.25
    config = validate_config(values)
    assert config.latent_stage.weight_decay == 0.5
    assert config.pixel_stage.weight_decay == 0.25


def test_a_restricted_section_refuses_other_keys_than_those_of_execution(values):
    config = validate_config(values)
    picked = config.pick("faces.backend", "datasets.*.title", "latent_stage")
    restricted = config.restricted(picked)
    assert restricted.faces.backend == "mediapipe"
    assert restricted.faces.batch_size == config.faces.batch_size, "how it is computed may be read"
    assert restricted.latent_stage == config.latent_stage
    with pytest.raises(AttributeError):
        _ = restricted.faces.mask
    with pytest.raises(AttributeError):
        _ = restricted.datasets["demo_train"].source.members
    with pytest.raises(AttributeError):
        _ = restricted.seed
    assert "log_every" not in picked["latent_stage"]
    with pytest.raises(AttributeError):
        config.pick("faces.bakend")


def test_unreadable_file(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.yaml"):
        load_config(tmp_path / "nothing.yaml")
