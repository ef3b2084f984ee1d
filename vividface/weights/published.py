"""The models of others that `vividface weights fetch` brings: what they are, and where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vividface.downloads import cache_directory
from vividface.weights.catalogue import WebFile
from vividface.weights.sources import HubFiles


@dataclass(frozen=True, kw_only=True)
class PublishedModel:
    """A model that others published.

    Attributes:
        what: name for people, as `vividface weights list` prints it.
        licence: licence, as far as its publisher states one.
        page: address of the page that states it.
        size: number of bytes to download; None where no list of its files was seen.
        use: command that uses it; empty where the configuration does.
        modules: modules that its conversion needs beside those that enhancing needs.
        groups: groups of files that it is used with, which are fetched too.
        sources: origins of its parts, by their names; empty where the configuration names them.
    """

    what: str
    licence: str
    page: str
    size: int | None = None
    use: str = ""
    modules: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    sources: Mapping[str, HubFiles | WebFile] = field(default_factory=dict)


_HUB = "https://huggingface.co"
_WAN = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"
_QWEN = "Qwen/Qwen2.5-VL-7B-Instruct"
_TAEHV = "https://raw.githubusercontent.com/madebyollin/taehv/1a88a7dcafa06f46866661c0d687654aafa5521b"

PUBLISHED: dict[str, PublishedModel] = {
    "vividface-1.3b": PublishedModel(
        what="VividFace, its authors' checkpoint, with Wan 2.1's autoencoder and the empty prompt",
        licence="Apache-2.0, as its authors' README says (the licence file that it names is not published); "
        "Wan 2.1: Apache-2.0",
        page=f"{_HUB}/shulianz/VividFace",
        use="vividface enhance INPUT -o OUTPUT --model vividface-1.3b",
        modules=("transformers",),
        # A GPU's face backend.
        groups=("facexlib",),
        sources={
            "text": HubFiles(_WAN, ("text_encoder/*", "tokenizer/*")),
            "transformer": HubFiles("shulianz/VividFace", ("vividface.ckpt",)),
            "autoencoder": HubFiles(_WAN, ("vae/*",)),
        },
    ),
    "wan-2.1-1.3b": PublishedModel(
        what="Wan 2.1 T2V 1.3B, which training starts from, with the empty prompt",
        licence="Apache-2.0",
        page=f"{_HUB}/{_WAN}",
        # At commit 0fad780a534b: text encoder 22.7 GB, transformer 5.7 GB, autoencoder 0.5 GB.
        size=28_928_886_708,
        modules=("transformers",),
    ),
    "taew2_1": PublishedModel(
        what="TAEHV's tiny autoencoder of Wan 2.1's latents, for --autoencoder",
        licence="MIT",
        page="https://github.com/madebyollin/taehv",
        use="vividface enhance INPUT -o OUTPUT --model vividface-1.3b --autoencoder taew2_1",
        sources={"autoencoder": WebFile(f"{_TAEHV}/taew2_1.pth")},
    ),
    "qwen2.5-vl": PublishedModel(
        what="Qwen2.5-VL, the judge of clips",
        licence="Apache-2.0",
        page=f"{_HUB}/{_QWEN}",
    ),
}


def published_folder(name: str) -> Path:
    """Where a published model that enhances videos lies, or will.

    That is `weights/` of the working directory, if it holds the whole model, else the cache.

    Args:
        name: name of a model with sources.
    """
    local = Path("weights") / name
    return local if is_whole(local) else cache_directory() / "models" / name


def is_whole(folder: Path) -> bool:
    """Whether a folder holds a whole checkpoint, or an autoencoder; never touches the network."""
    return any((folder / name).is_file() for name in ("model_index.json", "config.json"))
