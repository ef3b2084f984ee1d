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
    assert (config.latent_stage.frames, config.clips.size, config.pixel_stage.frames) == (81, 512, 13)
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
        (("clips", "frames"), 80, "clips.frames: 80 frames do not fit"),
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
        (("pixel_stage", "frames"), 33, "pixel_stage.frames: 33 is more than clips.frames"),
        (
            ("model", "preset"),
            "wan-1.3b",
            "model: preset wan-1.3b needs transformer and autoencoder and prompt",
        ),
        (("model", "tokenizer"), "folder", "model: text_encoder and tokenizer are needed together"),
        (("restoration", "overlap"), 9, "restoration: overlap: 9 frames are more than half the window of 17"),
        (("datasets", "held_out"), None, "none has the role 'benchmark'"),
        (("seed",), "many", "seed: Input should be a valid integer"),
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


def test_unreadable_file(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.yaml"):
        load_config(tmp_path / "nothing.yaml")
