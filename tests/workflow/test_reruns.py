"""What a changed key runs again: the table `reruns.yaml`, held against the rules key by key."""

import copy
import re
from pathlib import Path

import pytest
import yaml

from vividface.config import merge_files, validate_config
from vividface.config.documentation import config_keys
from vividface.errors import InputError
from vividface.evaluation.methods.catalogue import published_methods
from vividface.workflow.reruns import reruns

KEYS = {key.path: key for key in config_keys() if key.kind}
OTHER = {"title": "t", "licence": "l", "credit": "c", "source": {"kind": "folder", "path": "other"}}


def sources_of(source):
    """Both sources of an experiment, of one kind."""
    names = {"vfhq": "source", "vfhq_test_dicface": "lq_source"}
    return {"datasets": {name: {key: copy.deepcopy(source)} for name, key in names.items()}}


# Laid over the paper's experiment, so that every section is in use somewhere.
HERE = Path(__file__).parent
THEIRS = {"kind": "folder", "title": "t", "folders": {"vfhq_test": str(HERE)}}
PUBLISHED = {"kind": "published"}
KEEP = HERE.parents[1] / "vividface/evaluation/methods/published/keep.yaml"
OVERLAYS = {
    "paper": {
        "num_shards": 2,
        "datasets": {
            "rfv_lq": {"num_shards": 1},
            "vfhq": {"num_shards": 2},
            "train": {**OTHER, "role": "train"},
            "test": {**OTHER, "role": "benchmark", "degrade": False},
        },
        "evaluation": {
            "baselines": ["codeformer", "autoencoder", "untuned"],
            # One of aligned faces, which have to be found.
            "methods": {**dict.fromkeys(published_methods()), "keep": PUBLISHED},
        },
    },
    "folder": sources_of({"kind": "folder", "path": "videos"}),
    "url": sources_of({"kind": "url", "files": [{"url": "https://a.b/c.zip"}]}),
    "photos": {"datasets": {"vfhq": {"source": {"kind": "photos", "path": "portraits"}}}},
    "hub": sources_of({"kind": "hub", "repo": "a/b"}),
    "drive": sources_of({"kind": "drive", "files": ["a"]}),
    "drive folder": sources_of({"kind": "drive", "folder": "a"}),
    "others": {
        "filter": {"judge": "openai"},
        "degradation": {"model": "keep"},
        "weights": ["codeformer"],
        "variants": {"by_metric": {"title": "t", "selected_by": "metric"}},
        "evaluation": {
            "methods": {**dict.fromkeys(published_methods()), "folder": THEIRS, "seedvr2_numz": PUBLISHED}
        },
    },
}
# Keys that mean something in the paper's experiment alone, and those for which the other overlays are.
_PAPER = ("seed", "datasets.", "faces.", "filter.", "model.")
_OF_SOURCES = ("datasets.*.source", "datasets.*.lq_source")
_SPECIAL = (
    *_OF_SOURCES,
    "filter.openai",
    "degradation.keep",
    "variants.*.selected_by",
    "evaluation.accept_licences",
    "evaluation.methods",
)
# Overlays that are the paper's experiment but for its sources.
_SOURCES = ("folder", "url", "photos", "hub", "drive", "drive folder")
# Values that no rule of `another` leads to.
VALUES = {
    "clips.size": 256,
    "datasets.*.num_frames": 9,
    "datasets.*.source.kind": {"kind": "folder", "path": "elsewhere"},
    "datasets.*.source.files[].url": "https://a.b/d.zip",
    "datasets.*.lq_source.kind": {"kind": "folder", "path": "elsewhere"},
    "datasets.*.lq_source.files[].url": "https://a.b/d.zip",
    "datasets.*.lq_source.repo": "c/d",
    "datasets.*.source.max_size": 512,
    "datasets.*.source.repo": "c/d",
    "faces.mask": ["face", "hair"],
    "filter.openai.base_url": "http://other/v1",
    "variants.*.latent_stage_of": "main",
    "degradation.keep.interpolations": {"area": 2},
    "evaluation.accept_licences": ["s-lab-1.0"],
    "evaluation.baselines": ["bicubic"],
    "evaluation.methods.*.description": str(KEEP),
    "evaluation.methods.*.kind": (THEIRS, PUBLISHED | {"description": str(KEEP)}),
    "evaluation.methods.*.folders": {"vfhq_test": str(HERE.parent)},
    "evaluation.metrics": ["psnr_rgb"],
    "filter.offsets": {"clarity": 1},
    "filter.rubric": "RUBRIC",
    "filter.study.labels": "labels.csv",
    "filter.threshold": 80,
    "model.nano.patch_size": 2,
    "model.nano.width": 128,
    "model.preset": "nano",
    "model.pretrained.folder": "weights",
    "weights": ["niqe"],
}


@pytest.fixture(scope="module")
def bases(repository, tmp_path_factory):
    """Configurations by name: the demo's, and the paper's with one thing or another changed."""
    folder = tmp_path_factory.mktemp("overlays")
    files = {"demo": repository / "configs/demo.yaml"}
    for name, values in OVERLAYS.items():
        files[name] = folder / f"{name}.yaml"
        # The paper's methods of others take many jobs, and most keys know nothing of them.
        few = {"num_shards": 2, "evaluation": {"methods": None}}
        files[name].write_text(yaml.safe_dump({**few, **values}))
    bases = {name: merge_files([repository / "config.yaml", path]) for name, path in files.items()}
    for stage in ("latent_stage", "pixel_stage"):
        shared = bases["demo"][stage].keys() & bases["demo"]["training"].keys()
        bases["shared"] = {**bases.get("shared", bases["demo"])}
        bases["shared"][stage] = {k: v for k, v in bases["demo"][stage].items() if k not in shared}
    bases["scratch"] = {**bases["demo"], "model": {**bases["demo"]["model"], "transformer": None, "nano": {}}}
    return bases


def places(values, names):
    """The mappings in which a key stands, or may stand, and its name."""
    first, *rest = names
    for name in list(values) if first == "*" else [first]:
        if not rest:
            yield values, name
        elif isinstance(values.get(name), dict):
            yield from places(values[name], rest)


def another(key, value):
    """Values that the key might have instead, the likeliest first."""
    if key.path in VALUES:
        values = VALUES[key.path]
        return list(values) if isinstance(values, tuple) else [values]
    choices = re.findall(r"`([^`]+)`", key.kind)
    if choices:
        return [choice for choice in choices if choice != value]
    if key.kind.startswith("true"):
        return [not value] if isinstance(value, bool) else [True, False]
    if "list" in key.kind:
        return [[*value, *value]] if value else [["a"]]
    if key.kind == "two numbers":
        return [[value[0], value[1] - 1], [value[0] - 1, value[1]]]
    if "integer" in key.kind or "number" in key.kind:
        start = value if isinstance(value, int | float) else 0
        return [start + 4, start + 1, start - 4, start - 1, start / 2, start + 0.01, 8, 32]
    return ["a/b" if key.path.endswith("repo") else "other" if "sha256" not in key.path else "0" * 64]


def changed(base, key):
    """The configuration with the key changed everywhere; where that is not valid, in one place at a time."""
    path, _, member = key.path.partition("[].")
    names = path.split(".")
    spots = range(sum(1 for _ in places(base, names)))
    together = _changed(base, key, names, member, spots)
    if together is not None or len(spots) < 2:
        return [together] if together else []
    alone = (_changed(base, key, names, member, [spot]) for spot in spots)
    return [values for values in alone if values is not None]


def _changed(base, key, names, member, spots):
    values = copy.deepcopy(base)
    for where, name in [list(places(values, names))[spot] for spot in spots]:
        if member:
            if not where.get(name) or not isinstance(where[name][0], dict):
                continue
            where, name = where[name][0], member
        for other in another(key, where.get(name)):
            before = copy.deepcopy(where)
            if key.path.endswith(".kind"):
                where.clear()
                where.update(other)
            else:
                where[name] = other
            config = _valid(values)
            if config is not None and (key.execution or config.results() != _valid(base).results()):
                break
            where.clear()
            where.update(before)
    return values if values != base else None


def _valid(values):
    try:
        return validate_config(values)
    except InputError:
        return None


def _bases_of(path, bases):
    if path.startswith("training."):
        return ["shared"]
    if path.startswith("model.nano."):
        return ["scratch"]
    if path.startswith(_SPECIAL):
        return [name for name in bases if path.startswith(_OF_SOURCES) or name not in _SOURCES]
    return ["demo", *(["paper"] if path.startswith(_PAPER) else [])]


def run_again(before, after):
    """The rules with jobs that are new, or have other parameters or inputs."""
    return {rule[0] for rule, job in after.items() if before.get(rule) != job}


def test_every_key_has_a_row_and_every_row_a_key():
    assert set(reruns()) == set(KEYS)


def test_keys_of_execution_run_nothing_again_and_others_something():
    for path, rules in reruns().items():
        assert bool(rules) != KEYS[path].execution, path


def test_keys_of_execution_are_no_parameters(bases, plan):
    """All of them changed at once."""
    for name, base in bases.items():
        values = base
        for key in KEYS.values():
            if key.execution:
                (values,) = changed(values, key) or [values]
        assert values != base
        assert run_again(plan(base), plan(values)) == set(), name


def test_the_rules_agree_with_the_table(bases, plan):
    plans = {name: plan(values) for name, values in bases.items()}
    wrong = {}
    for path, key in KEYS.items():
        rules, tried = set(), 0
        for name in () if key.execution else _bases_of(path, bases):
            for values in changed(bases[name], key):
                tried += 1
                rules |= run_again(plans[name], plan(values))
        single = key.kind.count("`") == 2 and "," not in key.kind and "or" not in key.kind
        if single and not tried:
            continue
        row = set(reruns().get(path, ()))
        # A stage may override what it shares, as config.yaml's does.
        right = rules <= row if path.startswith("training.") else rules == row
        if not right or not (tried or key.execution):
            wrong[path] = f"{tried} changes run {sorted(rules)} again, the table says {reruns().get(path)}"
    assert not wrong, yaml.safe_dump(wrong, width=1000)
