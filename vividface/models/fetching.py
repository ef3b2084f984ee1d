"""Fetching published models: download, convert, check, delete what is not needed any more.

A fetch is a list of steps, each of which leaves a file behind; one that was interrupted resumes with the
first step whose file is missing, and with what has arrived of its downloads.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vividface.errors import InputError
from vividface.files import format_size, is_disk_full
from vividface.weights.published import PublishedModel
from vividface.weights.sources import Source, num_present

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """One step of a fetch.

    Attributes:
        title: what it does, for people.
        sources: what is downloaded for it.
        target: file that is there when the step is done.
        make: function that makes the target of the downloads, which are then deleted; None keeps them.
        grows: whether what is made is as large as the downloads; otherwise it is small.
        memory: bytes of memory that it takes; 0 where it is little.
    """

    title: str
    sources: tuple[Source, ...]
    target: Path
    make: Callable[[], None] | None = None
    grows: bool = False
    memory: int = 0

    def is_done(self) -> bool:
        """Whether the step need not run; never touches the network."""
        if self.make is None:
            return all(source.fetched() is not None for source in self.sources)
        return self.target.exists()


@dataclass(frozen=True)
class Amounts:
    """What a fetch will take.

    Attributes:
        download: bytes that are still to be downloaded.
        disk: bytes of disk that are needed at most at once.
        kept: bytes that will be there afterwards, beside those that are there already.
        memory: bytes of memory; 0 where it takes little.
    """

    download: int
    disk: int
    kept: int
    memory: int


@dataclass(frozen=True, kw_only=True)
class ModelFetch:
    """How one published model is brought.

    Attributes:
        name: name of the model.
        model: what it is.
        folder: folder of the result.
        steps: steps, in their order.
        downloads: folder of downloads that only the steps need; None where there is none.
    """

    name: str
    model: PublishedModel
    folder: Path
    steps: tuple[Step, ...]
    downloads: Path | None = field(default=None)

    def is_complete(self) -> bool:
        """Whether there is nothing to do."""
        lasting = [step for step in self.steps if step.make is None]
        return all(step.is_done() for step in [*lasting, self.steps[-1]])

    def has_begun(self) -> bool:
        """Whether something of it is there."""
        return self.folder.is_dir() or (self.downloads is not None and self.downloads.is_dir())

    def amounts(self, *, keep: bool = False) -> Amounts:
        """Ask the publishers for what the rest of a fetch that is not complete will take.

        Args:
            keep: whether downloads are kept that are not needed any more.

        Raises:
            InputError: a publisher cannot be reached.
        """
        download = used = most = 0
        for step in self.steps:
            if step.is_done():
                continue
            sizes = [size for source in step.sources for size in source.sizes().items()]
            total = sum(size for _, size in sizes)
            rest = total - sum(min(num_present(path), size) for path, size in sizes)
            download += rest
            used += rest + (total if step.grows else 0)
            most = max(most, used)
            if step.make is not None and not keep:
                used -= total
        memory = max(step.memory for step in self.steps if not step.is_done())
        return Amounts(download, most, used, memory)

    def run(self, *, keep: bool = False, tell: Callable[[str], None] = logger.info) -> None:
        """Run the steps that are not done.

        Args:
            keep: whether downloads are kept that are not needed any more.
            tell: function that is told each step as it begins.

        Raises:
            InputError: a download fails or is not what its publisher lists, parts do not fit, or the disk is
                full.
        """
        for number, step in enumerate(self.steps, 1):
            if not step.is_done():
                tell(f"{self.name}: step {number} of {len(self.steps)}, {step.title}")
                for source in step.sources:
                    source.fetch()
                if step.make is not None:
                    self._make(step, step.make)
            if step.make is not None and not keep:
                for source in step.sources:
                    shutil.rmtree(source.folder, ignore_errors=True)
        if self.downloads is not None and not keep:
            shutil.rmtree(self.downloads, ignore_errors=True)

    def _make(self, step: Step, make: Callable[[], None]) -> None:
        try:
            make()
        except Exception as error:
            if not is_disk_full(error):
                raise
            needed = sum(path.stat().st_size for source in step.sources for path in source.fetched() or [])
            size = f"writes up to {format_size(needed)}" if step.grows else "writes a few MB"
            raise InputError(
                f"{self.name}: the disk of {step.target.parent} is full while {step.title}, which {size}; "
                "make room and run again, it resumes"
            ) from None


def require_space(fetches: Sequence[tuple[ModelFetch, Amounts]]) -> None:
    """Raise `InputError` where models, fetched one after the other, would not fit on their disks.

    Args:
        fetches: fetches with what each will take.
    """
    kept: dict[int, int] = {}
    for fetch, amounts in fetches:
        place = existing_parent(fetch.downloads or fetch.folder)
        disk = place.stat().st_dev
        needed = kept.get(disk, 0) + amounts.disk
        free = shutil.disk_usage(place).free
        if needed > free:
            raise InputError(
                f"{fetch.name}: {format_size(needed)} of disk are needed in {place}, but {format_size(free)} "
                "are free; make room, or set VIVIDFACE_CACHE to a folder of a larger disk"
            )
        kept[disk] = kept.get(disk, 0) + amounts.kept


def existing_parent(path: Path) -> Path:
    """The folder that exists and would hold a path."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())
