"""Names and small functions that several rules use."""

from vividface.config import FACE_NETWORKS
from vividface.config.filtering import SECTIONS as JUDGE_SECTIONS
from vividface.config.filtering import SelectionConfig
from vividface.weights.cache import licences_to_accept

TRAIN = list(cfg.by_role("train"))
BENCHMARKS = list(cfg.by_role("benchmark"))
# Training datasets of which only the selected clips are trained on.
CANDIDATES = [name for name in TRAIN if cfg.datasets[name].candidates]
# Benchmarks that are published with their degraded videos, and those with a ground truth.
PAIRED = [name for name in BENCHMARKS if cfg.datasets[name].lq_source is not None]
WITH_REFERENCE = [name for name in BENCHMARKS if cfg.datasets[name].has_reference]

# How many GPUs a step takes. What a cluster grants is in slurm/config.yaml; a training takes all that it gets.
GPUS = 0 if cfg.model.preset == "nano" else 1
# mediapipe and dlib run on the CPU; facexlib's networks take the GPU where there is one.
FACE_GPUS = GPUS if cfg.faces.backend == "facexlib" else 0
# Qwen2.5-VL takes a GPU too; a server has its own, and `measured` needs none.
JUDGE_GPUS = GPUS if cfg.filter.judge == "qwen2.5-vl" else 0
MODEL_THREADS = 8 if GPUS else 1

# Keys that several rules take. A rule runs again when one of the keys that its parameter `config` picks changes; it
# may read, besides them, the keys that only say how a result is computed.
DETECTION = ["faces.backend", "faces.detection_size"]
if cfg.faces.backend == "facexlib":
    DETECTION += ["faces.detector", "faces.min_score"]
DEGRADATION = [
    "seed",
    "degradation.model",
    "degradation.codec",
    "degradation.encoder_preset",
    f"degradation.{cfg.degradation.model}",
]
JUDGE = ["filter.judge", "filter.rubric", "filter.max_attempts"]
if cfg.filter.judge in JUDGE_SECTIONS:
    JUDGE.append(f"filter.{JUDGE_SECTIONS[cfg.filter.judge]}")
SELECTION = [
    f"filter.{key}"
    for key in cfg.filter.results()
    if key in SelectionConfig.model_fields
]


# The folders of results that others made, by method and benchmark.
FOLDERS = {
    name: method.folders
    for name, method in cfg.evaluation.methods.items()
    if name not in PUBLISHED
}


wildcard_constraints:
    dataset="|".join(cfg.datasets),
    shard=r"\d{4}",
    variant="|".join(cfg.variants),
    method="|".join(cfg.methods()),


def shards(pattern, datasets):
    """`pattern` for every shard of the datasets."""
    return [
        pattern.format(dataset=dataset, shard=shard)
        for dataset in datasets
        for shard in cfg.shard_names(dataset)
    ]


def num_shards_keys(wildcards):
    """The keys that a dataset's number of shards follows from."""
    return ["num_shards", f"datasets.{wildcards.dataset}.num_shards"]


def only(names):
    """A pattern of these datasets or methods alone; nothing matches that of none."""
    return "|".join(names) or "(?!)"


def lq_clips(dataset):
    """Where the input of a restoration lies: a really degraded benchmark is used as it is."""
    kind = "lq" if dataset in WITH_REFERENCE else "hq"
    return shards(f"data/{{dataset}}/{kind}/{{shard}}", [dataset])


def checkpoint_of(wildcards):
    """The checkpoint of a variant; baselines need none."""
    if wildcards.method in cfg.variants:
        return f"checkpoints/{wildcards.method}/pixel_stage"
    return []


def selected_of(wildcards):
    """The table of the clips that a variant's training ends on."""
    by = cfg.variants[wildcards.variant].selected_by
    if by == "judge":
        return "data/selection/face90.parquet"
    return f"data/selection/study/{by}.parquet"


def judge_model(wildcards):
    """What the judge waits for: Qwen2.5-VL's folder."""
    if cfg.filter.judge == "qwen2.5-vl":
        return model_file("judge", cfg.filter.qwen.folder)
    return []


def model_file(part, folder):
    """The file that stands for a folder of weights: the folder is complete when it exists."""
    name = "tokenizer_config.json" if part == "tokenizer" else "config.json"
    return f"{folder}/{name}"


def pretrained(*parts):
    """What a rule that starts from pretrained weights waits for."""
    if cfg.model.preset == "nano":
        return []
    folders = [
        model_file(part, getattr(cfg.model, part))
        for part in parts
        if part != "prompt_embedding"
    ]
    prompt = [str(cfg.model.prompt_embedding)] if "prompt_embedding" in parts else []
    return folders + prompt


def pretrained_of(wildcards):
    """The weights of the baselines that are the model before its training."""
    parts = {
        "autoencoder": ["autoencoder"],
        "untuned": ["transformer", "autoencoder", "prompt_embedding"],
    }
    return pretrained(*parts.get(wildcards.method, []))


def published_keys(wildcards):
    """The keys that a published method's restoration takes: one of aligned faces has to find them."""
    aligned = PUBLISHED[wildcards.method].input.protocol == "aligned"
    return [
        f"evaluation.methods.{wildcards.method}.kind",
        f"evaluation.methods.{wildcards.method}.description",
        *(DETECTION if aligned else []),
    ]


def accepted_of_weights():
    """The accepted licences of the weights, as parameters: none where the weights ask for none."""
    asked = licences_to_accept(cfg.weights)
    accepted = [
        licence for licence in asked if licence in cfg.evaluation.accept_licences
    ]
    return {"accepted": accepted} if asked else {}


def method_keys(wildcards):
    """The keys that a method's restoration takes."""
    keys = ["evaluation.num_timed_runs"]
    if wildcards.method in FACE_NETWORKS:
        return [*keys, *DETECTION, "evaluation.accept_licences"]
    keys += ["restoration.window", "restoration.overlap"]
    if wildcards.method in ("autoencoder", "untuned", *cfg.variants):
        keys.append("evaluation.dtype")
    if wildcards.method in ("autoencoder", "untuned"):
        keys += AUTOENCODER
    if wildcards.method == "untuned":
        keys += TRANSFORMER
    if wildcards.method == "untuned" or wildcards.method in cfg.variants:
        keys.append("restoration.colour")
    return keys


# What the autoencoder is built from; nano's is that of the checkpoint which it starts from, or follows from its shape.
AUTOENCODER = ["model.preset", "model.autoencoder"]
if cfg.model.preset == "nano":
    AUTOENCODER += ["model.transformer"]
    if cfg.model.transformer is None:
        AUTOENCODER += ["model.nano.lapped", "model.nano.decay"]
# What a transformer is built from; nano's random weights follow from the seed.
TRANSFORMER = [
    "seed",
    "model.transformer",
    "model.prompt_embedding",
    "model.prediction",
    "model.timestep",
]
if cfg.model.preset == "nano" and cfg.model.transformer is None:
    TRANSFORMER += ["model.nano"]


def restored_methods():
    """The methods that a benchmark is restored with: without a ground truth there is no round trip of it."""
    return [
        (dataset, method)
        for dataset in BENCHMARKS
        for method in cfg.methods()
        if dataset in WITH_REFERENCE or method != "autoencoder"
        if method not in FOLDERS or dataset in FOLDERS[method]
    ]
