"""Names and small functions that several rules use."""

TRAIN = list(cfg.by_role("train"))
BENCHMARKS = list(cfg.by_role("benchmark"))
DEGRADED = [name for name, dataset in cfg.datasets.items() if dataset.degrade]
DEGRADED_BENCHMARKS = [name for name in BENCHMARKS if name in DEGRADED]

# How many GPUs a step takes, and its device when it has one. What a cluster grants is in slurm/config.yaml; a
# training takes all that it gets.
GPUS = 0 if cfg.model.preset == "nano" else 1
DEVICE = "cuda" if GPUS else "auto"
# dlib runs on the CPU; facexlib's networks take the GPU where there is one.
FACE_GPUS = GPUS if cfg.faces.backend == "facexlib" else 0
FACE_DEVICE = "cuda" if FACE_GPUS else "cpu"
# Qwen2.5-VL takes a GPU too; a server has its own, and `signals` needs none.
JUDGE_GPUS = GPUS if cfg.filter.judge == "qwen2.5-vl" else 0
JUDGE_DEVICE = DEVICE if JUDGE_GPUS else "cpu"
MODEL_THREADS = 8 if GPUS else 1
# A folder of weights is there when its configuration is.
DESCRIPTIONS = {"tokenizer": "tokenizer_config.json"}


wildcard_constraints:
    dataset="|".join(cfg.datasets),
    shard=r"\d{4}",
    variant="|".join(cfg.variants),
    method="|".join(cfg.methods()),


def section(model):
    """A section of the configuration as a rule's parameter: the rule reruns when it changes."""
    return model.model_dump(mode="json")


def shards(pattern, datasets):
    """`pattern` for every shard of the datasets."""
    return [
        pattern.format(dataset=dataset, shard=shard)
        for dataset in datasets
        for shard in cfg.shard_names(dataset)
    ]


def degraded_clips(dataset):
    """Where the input of a restoration lies: a really degraded dataset is used as it is."""
    kind = "lq" if dataset in DEGRADED else "hq"
    return shards(f"data/{{dataset}}/{kind}/{{shard}}", [dataset])


def checkpoint_of(wildcards):
    """The checkpoint of a variant; baselines need none."""
    if wildcards.method in cfg.variants:
        return f"checkpoints/{wildcards.method}/pixel_stage"
    return []


def selected_of(wildcards):
    """The table of the clips that a variant's training ends on."""
    by = cfg.variants[wildcards.variant].selected_by
    return "data/face90.parquet" if by == "judge" else f"data/study/{by}.parquet"


def judge_model(wildcards):
    """What the judge waits for: Qwen2.5-VL's folder."""
    return (
        described("judge", cfg.filter.qwen.folder)
        if cfg.filter.judge == "qwen2.5-vl"
        else []
    )


def described(part, path):
    """The file that stands for a folder of weights."""
    return f"{path}/{DESCRIPTIONS.get(part, 'config.json')}"


def pretrained(*parts):
    """What a rule that starts from pretrained weights waits for."""
    if cfg.model.preset == "nano":
        return []
    folders = [
        described(part, getattr(cfg.model, part))
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


def restored_methods():
    """The methods that a benchmark is restored with: without a ground truth there is no round trip of it."""
    return [
        (dataset, method)
        for dataset in BENCHMARKS
        for method in cfg.methods()
        if dataset in DEGRADED or method != "autoencoder"
    ]
