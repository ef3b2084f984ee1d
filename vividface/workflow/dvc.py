"""DVC's repository, with its errors as sentences that say what to do."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vividface.errors import InputError

if TYPE_CHECKING:
    from dvc.repo import Repo

LOCK = Path("dvc.lock")
_SHOWN = 3


@contextmanager
def open_repository() -> Iterator[DvcRepository]:
    """The repository of the working directory, locked.

    Raises:
        InputError: there is none, or DVC fails; in one sentence.
    """
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo, lock_repo

    # Its own lines, with tracebacks, would hide the one that says what to do.
    for name in ("dvc", "dvc_data", "dvc_objects"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with Repo() as repo, lock_repo(repo):
            yield DvcRepository(repo)
    except NotDvcRepoError:
        raise InputError(f"{Path.cwd()}: is not a clone of the project's repository; go to one") from None
    except DvcException as error:
        raise InputError(f"dvc: {str(error).strip().splitlines()[0]}") from None


class DvcRepository:
    """What publishing and pulling need of DVC.

    Args:
        repo: DVC's own object.
    """

    def __init__(self, repo: Repo) -> None:
        self._repo = repo

    def commit(self, stages: Sequence[str]) -> None:
        """Commit stages to the cache, and to dvc.lock."""
        for stage in stages:
            self._repo.commit(target=stage, force=True)

    def add(self, source: Path, target: Path) -> None:
        """Track a folder by a file of DVC beside the target.

        Args:
            source: folder; one from elsewhere is taken into the cache, and the target linked to it.
            target: path in the repository, which may be the source itself.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        out = None if source == target else str(target)
        self._repo.add(str(source), out=out)

    def push(self, targets: Sequence[str], *, remote: str | None = None) -> None:
        """Push targets, and what a remote lacks of folders whose lists of files it has.

        DVC takes such folders to be complete.

        Args:
            targets: paths of the outputs.
            remote: name of the remote; None takes the default one.

        Raises:
            InputError: the remote does not take everything.
        """
        with self._explained("push", targets, remote):
            self._repo.push(targets=targets, remote=remote)
            wanted = sorted({oid for oid in self._objects(targets).values() if oid})
            store, cache = self._repo.cloud.get_remote_odb(remote, "push"), self._repo.cache.local
            lacking = sorted(set(wanted) - set(store.oids_exist(wanted)))
            if lacking:
                store.add([cache.oid_to_path(oid) for oid in lacking], cache.fs, lacking)

    def pull(self, targets: Sequence[str], *, remote: str | None = None) -> None:
        """Pull targets into the working directory.

        Args:
            targets: paths of the outputs.
            remote: name of the remote; None takes the default one.

        Raises:
            InputError: the remote lacks some of them, or cannot be reached.
        """
        with self._explained("pull", targets, remote):
            self._repo.pull(targets=targets, remote=remote, force=True)

    def locked_stages(self) -> list[str]:
        """The names of the stages that dvc.lock holds."""
        from dvc.stage import PipelineStage

        stages = [stage for stage in self._repo.index.stages if isinstance(stage, PipelineStage)]
        return [stage.name for stage in stages if all(out.hash_info for out in stage.outs)]

    def stale_stages(self) -> list[str]:
        """The names of the stages that dvc.lock has from other data than the present.

        What changed parameters and scripts mean, Snakemake knows for each rule.
        """
        from dvc.dependency import ParamsDependency

        stale = []
        for stage in self._repo.index.stages:
            files = [dep for dep in stage.deps if not isinstance(dep, ParamsDependency)]
            data = [dep for dep in files if not dep.def_path.startswith("scripts/")]
            if any(dep.changed_checksum() for dep in data):
                stale.append(stage.name)
        return stale

    @contextmanager
    def times_may_change(self, files: Collection[Path]) -> Iterator[None]:
        """A context in which files may get other times, or be copied, without being hashed anew."""
        state, fs = self._repo.state, self._repo.fs
        paths = [str(file.absolute()) for file in files]
        hashes = {path: state.get(path, fs)[1] for path in paths}
        yield
        state.save_many([(path, hash_, None) for path, hash_ in hashes.items() if hash_], fs)

    @contextmanager
    def _explained(self, action: str, targets: Sequence[str], remote: str | None) -> Iterator[None]:
        """Turn what goes wrong at a remote into one sentence."""
        try:
            yield
        except Exception as error:
            # Each kind of remote raises its own client's errors.
            name = remote or self._repo.config["core"].get("remote") or "(none is configured)"
            url = self._repo.config["remote"].get(name, {}).get("url", "nowhere")
            reason = " ".join(str(error).split()) or type(error).__name__
            missing = self._missing(targets) if action == "pull" else []
            if missing:
                shown = ", ".join(missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
                raise InputError(
                    f"remote {name} ({url}): lacks {len(missing)} of the published files, or has them "
                    f"damaged ({shown}); `make publish` again where they were made, or choose another remote"
                ) from None
            raise InputError(f"remote {name} ({url}): cannot {action}: {reason}") from None

    def _missing(self, targets: Sequence[str]) -> list[str]:
        """Files of the targets that are not in the cache; a folder whose list of files is not."""
        cache = self._repo.cache.local
        try:
            objects = self._objects(targets)
        except Exception:
            # There is no such target: the first error says so.
            return []
        return sorted(path for path, oid in objects.items() if oid is None or not cache.exists(oid))

    def _objects(self, targets: Sequence[str]) -> dict[str, str | None]:
        """Names in the cache of all files of the targets' outputs, and of the folders' lists of files."""
        from dvc_data.hashfile.tree import Tree

        cache = self._repo.cache.local
        objects: dict[str, str | None] = {}
        outs: Any = self._repo.index.targets_view(list(targets)).outs
        for out in outs:
            path, oid = self._repo.fs.relpath(out.fs_path), out.hash_info.value if out.hash_info else None
            objects[path] = oid
            if oid and out.hash_info.isdir and cache.exists(oid):
                for name, _, entry in Tree.load(cache, out.hash_info):
                    objects["/".join((path, *name))] = entry.value
        return objects
