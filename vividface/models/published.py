"""How each published model is fetched: its downloads, and what is made of them.

What converts is imported when it is needed, because it takes seconds to load.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from vividface.config import Config, load_config
from vividface.downloads import cache_directory
from vividface.errors import InputError
from vividface.models.fetching import ModelFetch, Step
from vividface.weights.published import PUBLISHED, published_folder
from vividface.weights.sources import HubFiles, Source, judge_source, pretrained_source

_CONFIG = Path("config.yaml")
# UMT5-XXL's encoder, 5.7 G parameters in bfloat16.
_TEXT_ENCODER_MEMORY = 12_000_000_000


def model_fetch(name: str) -> ModelFetch:
    """How a published model is fetched.

    Args:
        name: name of the model, of `PUBLISHED`.

    Raises:
        InputError: it belongs to the folders of config.yaml, and the working directory has none.
    """
    if name == "vividface-1.3b":
        return _vividface(name)
    if name == "taew2_1":
        return _tiny_autoencoder(name)
    if not _CONFIG.is_file():
        raise InputError(
            f"{name}: lies in the folders that {_CONFIG} names, and there is none in {Path.cwd()}; run it in "
            "the project's folder"
        )
    config = load_config(_CONFIG)
    return _judge(name, config) if name == "qwen2.5-vl" else _pretrained(name, config)


def _vividface(name: str) -> ModelFetch:
    folder, downloads = published_folder(name), _downloads(name)
    sources = _sources(name)
    prompt = downloads / "empty_prompt.safetensors"

    def embed() -> None:
        text = sources["text"].folder
        _embed(text / "text_encoder", text / "tokenizer", prompt)

    def convert() -> None:
        parts = [sources["transformer"].folder / "vividface.ckpt", sources["autoencoder"].folder / "vae"]
        converted = _convert([*parts, prompt], downloads)
        _check(converted, parts[0])
        _install(converted, folder)

    return ModelFetch(
        name=name,
        model=PUBLISHED[name],
        folder=folder,
        downloads=downloads,
        steps=(
            _embedding((sources["text"],), prompt, embed),
            Step(
                "converting the checkpoint",
                (sources["transformer"], sources["autoencoder"]),
                folder / "model_index.json",
                convert,
                grows=True,
            ),
        ),
    )


def _tiny_autoencoder(name: str) -> ModelFetch:
    folder, downloads = published_folder(name), _downloads(name)
    source = _sources(name)["autoencoder"]

    def convert() -> None:
        from vividface.models.checkpoints import load_autoencoder

        converted = _convert(source.fetched() or [], downloads) / "autoencoder"
        load_autoencoder(converted)
        _install(converted, folder)

    step = Step("converting the autoencoder", (source,), folder / "config.json", convert, grows=True)
    return ModelFetch(name=name, model=PUBLISHED[name], folder=folder, downloads=downloads, steps=(step,))


def _pretrained(name: str, config: Config) -> ModelFetch:
    model, source = config.model, pretrained_source(config.model)
    if source is None:
        raise InputError(
            f"{name}: model.pretrained is null in {_CONFIG}, so its folders are yours; name a repository"
        )
    steps = [Step("downloading Wan 2.1", (source,), source.folder)]
    if model.prompt_embedding is not None and model.text_encoder is not None:
        assert model.tokenizer is not None
        embed = partial(_embed, model.text_encoder, model.tokenizer, model.prompt_embedding)
        steps.append(_embedding((), model.prompt_embedding, embed))
    return _configured(name, source, steps)


def _judge(name: str, config: Config) -> ModelFetch:
    if config.filter.qwen is None:
        raise InputError(f"{name}: filter.qwen is null in {_CONFIG}; name its repository there")
    source = judge_source(config.filter.qwen)
    return _configured(name, source, [Step("downloading the judge", (source,), source.folder)])


def _configured(name: str, source: Source, steps: Sequence[Step]) -> ModelFetch:
    """A model of the repository that the configuration names, which may be another than usual."""
    model, files = PUBLISHED[name], source.files
    assert isinstance(files, HubFiles)
    if not model.page.endswith(files.repo):
        page = f"https://huggingface.co/{files.repo}"
        model = replace(model, what=files.repo, licence="as its page says", page=page, size=None)
    return ModelFetch(name=name, model=model, folder=source.folder, steps=tuple(steps))


def _sources(name: str) -> dict[str, Source]:
    """The sources of a model, each with a folder of its own."""
    lock = cache_directory() / "models" / "lock.json"
    return {
        part: Source(files, _downloads(name) / part, lock) for part, files in PUBLISHED[name].sources.items()
    }


def _downloads(name: str) -> Path:
    return cache_directory() / "downloads" / name


def _embedding(sources: tuple[Source, ...], target: Path, embed: Callable[[], None]) -> Step:
    return Step("embedding the empty prompt", sources, target, embed, memory=_TEXT_ENCODER_MEMORY)


def _embed(text_encoder: Path, tokenizer: Path, target: Path) -> None:
    from vividface.models.prompt import embed_prompt, write_prompt

    write_prompt(target, embed_prompt(text_encoder, tokenizer))


def _convert(parts: Sequence[Path], downloads: Path) -> Path:
    """A checkpoint folder made of published parts, in a place of its own."""
    from vividface.models.conversion import import_checkpoint

    converted = downloads / "converted"
    # What a run that was killed has left.
    shutil.rmtree(converted, ignore_errors=True)
    import_checkpoint(parts, converted)
    return converted


def _check(checkpoint: Path, source: Path) -> None:
    """Read a checkpoint back; `InputError` if it is not complete, or its parts do not fit."""
    from vividface.models.checkpoints import load_checkpoint

    transformer, autoencoder = load_checkpoint(checkpoint)
    if autoencoder.latent_channels != transformer.config.in_channels:
        raise InputError(
            f"{source}: takes latents of {transformer.config.in_channels} channels, but the autoencoder's "
            f"have {autoencoder.latent_channels}"
        )


def _install(made: Path, folder: Path) -> None:
    """Move a folder that is whole to its place."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.is_dir():
        shutil.rmtree(folder)
    made.replace(folder)
