"""What one folder publishes, another pulls: the tiny workflow, through real remotes."""

import contextlib
import hashlib
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from vividface.cli.main import main
from vividface.models.checkpoints import load_checkpoint
from vividface.workflow.dvc_yaml import read_settings
from vividface.workflow.milestones import MILESTONES
from vividface.workflow.snakemake_state import planned_jobs

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.xdist_group("workflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:dvc"),
]

CHECKPOINT = "checkpoints/main/pixel_stage"


class Clone:
    """A clone of the project with a remote."""

    def __init__(self, folder: Path, url: Path | str) -> None:
        self.folder = folder
        self.dvc("remote", "modify", "--local", "local", "url", str(url))

    def run(self, *command, status=0):
        """What a command prints."""
        result = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        assert result.returncode == status, result.stdout[-4000:] + result.stderr[-4000:]
        return result.stdout + result.stderr

    def dvc(self, *arguments):
        return self.run(sys.executable, "-m", "dvc", *arguments)

    def vividface(self, *arguments, status=0):
        printed, told = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(told),
        ):
            found = main(list(arguments))
        said = printed.getvalue() + told.getvalue()
        assert found == status, said[-4000:]
        return said

    def commit(self):
        self.run("git", "add", "--all")
        user = ("-c", "user.name=t", "-c", "user.email=t@localhost")
        self.run("git", *user, "commit", "--quiet", "--message", "a run")

    def clone(self, folder: Path, url: Path | str) -> "Clone":
        self.run("git", "clone", "--quiet", str(self.folder), str(folder))
        return Clone(folder, url)

    def planned(self):
        """Of the working directory, which has to be the clone."""
        return planned_jobs(read_settings()[0])

    def cached(self):
        """The cache's files, by the checksum that they are named by."""
        files = (self.folder / ".dvc/cache/files/md5").rglob("*")
        return {path.parent.name + path.name.removesuffix(".dir"): path for path in files if path.is_file()}


@pytest.fixture(scope="session", autouse=True)
def _caches_apart(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path_factory.mktemp("dvc")))
        yield


@pytest.fixture(scope="module")
def remote(tmp_path_factory):
    return tmp_path_factory.mktemp("remote")


@pytest.fixture(scope="module")
def published(finished_workspace, repository, remote, tmp_path_factory):
    """The project as it is here, with what the tiny workflow made in it, published."""
    folder = tmp_path_factory.mktemp("published")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (repository / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(repository / name, folder / name)
    shutil.copy2(finished_workspace.folder / "overlay.yaml", folder / "configs/tiny.yaml")
    for name in ("data", "checkpoints", "results", "provenance", ".snakemake/metadata"):
        shutil.copytree(finished_workspace.folder / name, folder / name)
    (folder / ".snakemake/incomplete").mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    clone = Clone(folder, remote)
    clone.vividface("render-dvc", "--configfile", "configs/demo.yaml", "configs/tiny.yaml")
    said = clone.vividface("publish")
    assert f"published: {', '.join(MILESTONES)}\n" in said
    assert "git add dvc.yaml dvc.lock" in said
    clone.commit()
    return clone


@pytest.fixture(scope="module")
def pulled(published, remote, tmp_path_factory):
    """A fresh clone, filled from the remote by DVC's own command, then made to agree."""
    clone = published.clone(tmp_path_factory.mktemp("clones") / "pulled", remote)
    clone.dvc("pull")
    assert "Snakemake has nothing to do" in clone.vividface("pull", "--no-fetch")
    return clone


@pytest.fixture
def inside(pulled, monkeypatch):
    monkeypatch.chdir(pulled.folder)
    return pulled


@pytest.fixture
def hashed(monkeypatch):
    """The files that DVC reads to hash them."""
    from dvc_data.hashfile import hash as hashing

    files, original = [], hashing.file_md5

    def counting(path, *rest, **options):
        # The lists of a folder's files are hashed in memory.
        if not str(path).startswith("memory://"):
            files.append(str(path))
        return original(path, *rest, **options)

    monkeypatch.setattr(hashing, "file_md5", counting)
    return files


@pytest.mark.parametrize("where", ["published", "pulled"])
def test_nothing_runs_again_and_nothing_is_hashed_twice(where, request, monkeypatch, hashed):
    from dvc.repo import Repo

    clone = request.getfixturevalue(where)
    hashed.clear()
    monkeypatch.chdir(clone.folder)
    assert clone.planned() == {}
    with Repo() as repo:
        assert repo.status() == {}
    # A clone's scripts were not hashed before.
    assert [path for path in hashed if "/scripts/" not in path] == []


def test_large_folders_are_links_into_the_cache(published, pulled):
    for clone in (published, pulled):
        cached = {path.stat().st_ino for path in clone.cached().values()}
        clips = list((clone.folder / "data/mine/hq/0000").glob("*.mkv"))
        latents = clone.folder / "data/mine/latents/0000.safetensors"
        assert len(clips) == 3
        assert {path.stat().st_ino for path in [*clips, latents]} <= cached


def test_the_lineage_of_a_table_leads_to_the_videos(inside, capsys):
    assert main(["provenance", "results/tables/table1.csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    depths = {line.split()[0]: len(line) - len(line.lstrip()) for line in reversed(lines)}
    lineage = [
        "results/tables/table1.csv",
        "results/metrics/test/main.parquet",
        "results/restored/test/main",
        "checkpoints/main/pixel_stage",
        "checkpoints/main/latent_stage",
    ]
    assert [depths[path] for path in lineage] == [0, 2, 4, 6, 8]
    for path in (
        "data/selection/face90.parquet",
        "data/mine/latents/0000.safetensors",
        "data/mine/scores/0000.parquet",
    ):
        assert path in depths
    assert any(line.strip().split()[0].endswith("videos/face.mp4") for line in lines)

    selected = Path("data/selection/face90.parquet")
    kept = selected.rename("kept.parquet")
    assert main(["provenance", "results/tables/table1.csv"]) == 1
    assert "error: data/selection/face90.parquet is missing" in capsys.readouterr().err
    selected.write_bytes(kept.read_bytes() + b"0")
    assert main(["provenance", "results/tables/table1.csv"]) == 1
    assert "error: data/selection/face90.parquet has changed since select_clips" in capsys.readouterr().err
    kept.replace(selected)
    assert main(["provenance", "results/tables/table1.csv"]) == 0


def test_a_changed_key_or_script_runs_what_depends_on_it(inside):
    overlay, script = Path("configs/tiny.yaml"), Path("scripts/select_clips.py")
    before = {path: path.read_text() for path in (overlay, script)}
    values = yaml.safe_load(before[overlay])
    values["pixel_stage"]["iterations"] = 3
    overlay.write_text(yaml.safe_dump(values))
    planned = inside.planned()
    assert planned["pixel_stage"] == 1
    assert not {"latent_stage", "encode_latents"} & set(planned)
    status = inside.dvc("status", "pixel_stage")
    assert "configs/tiny.yaml" in status
    said = inside.vividface("publish", "--no-push")
    assert "published: data, degraded, scores, study, latents, latent_stage\n" in said
    assert "left out: pixel_stage (Snakemake has to run pixel_stage (1))" in said
    inside.vividface("pull", "--no-fetch")
    assert inside.planned() == planned
    overlay.write_text(before[overlay])
    script.write_text(before[script])
    assert inside.planned()["select_clips"] == 1
    assert "Snakemake has nothing to do" in inside.vividface("pull", "--no-fetch")


def test_what_was_made_from_other_data_is_not_taken_for_up_to_date(inside):
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    (selected,) = [
        d for d in lock["stages"]["latent_stage"]["deps"] if d["path"] == "data/selection/face90.parquet"
    ]
    selected["md5"] = "0" * 32
    before = Path("dvc.lock").read_text()
    Path("dvc.lock").write_text(yaml.safe_dump(lock))
    said = inside.vividface("pull", "--no-fetch")
    assert "Snakemake would run latent_stage (1)" in said
    Path("dvc.lock").write_text(before)
    assert "Snakemake has nothing to do" in inside.vividface("pull", "--no-fetch")


def test_dvc_speaks_of_the_same_stages_metrics_and_curves(inside):
    said = inside.dvc("repro")
    assert said.count("didn't change, skipping") == len(MILESTONES)
    assert '"latent_stage" -> "pixel_stage"' in inside.dvc("dag", "--dot")
    summary = Path("results/summary/main.json")
    kept = summary.rename("kept.json")
    values = json.loads(kept.read_text())
    values["test"]["psnr_rgb"] += 1
    summary.write_text(json.dumps(values))
    shown = json.loads(inside.dvc("metrics", "show", "--json"))
    assert shown[""]["data"]["results/summary/main.json"]["data"] == values
    difference = json.loads(inside.dvc("metrics", "diff", "--json"))
    assert list(difference) == ["results/summary/main.json"]
    assert difference["results/summary/main.json"]["test.psnr_rgb"]["diff"] == pytest.approx(1)
    kept.replace(summary)
    inside.dvc("plots", "diff", "HEAD")
    page = Path("dvc_plots/index.html").read_text()
    for title in ("latent stage: loss", "pixel stage: loss"):
        assert title in page


def test_a_rerun_never_writes_into_the_cache(inside):
    files = ("--configfile", "configs/demo.yaml", "configs/tiny.yaml", "--cores", "2")
    targets = ["data/selection/face90.parquet", "data/mine/lq/0000"]
    cached = {path.stat().st_ino for path in inside.cached().values()}
    assert Path(targets[0]).stat().st_ino in cached
    snakemake = (sys.executable, "-m", "snakemake", *files)
    inside.run(*snakemake, "--force", *targets)
    table = ("--allowed-rules", "write_tables", "--force", "results/tables/table1.md")
    inside.run(*snakemake, *table)
    for path in (targets[0], "results/tables/table1.md"):
        assert Path(path).stat().st_ino not in cached
    for checksum, path in inside.cached().items():
        assert hashlib.md5(path.read_bytes()).hexdigest() == checksum, path
    assert "Snakemake has nothing to do" in inside.vividface("pull")


def broken(url, folder, part, damage):
    """A copy of a remote in which one object of a checkpoint is damaged; `part` is in its path."""
    shutil.copytree(url, folder)
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    outs = {out["path"]: out["md5"] for out in lock["stages"]["pixel_stage"]["outs"]}

    def stored(checksum):
        return folder / "files/md5" / checksum[:2] / checksum[2:]

    listing = stored(outs[CHECKPOINT])
    files = {entry["relpath"]: entry["md5"] for entry in json.loads(listing.read_text())}
    path = stored(files[part]) if part else listing
    path.chmod(0o644)
    damage(path)
    return folder


@pytest.mark.parametrize(
    ("part", "damage"),
    [
        ("transformer/config.json", Path.unlink),
        ("transformer/config.json", lambda path: path.write_bytes(path.read_bytes()[:-9])),
        ("", Path.unlink),
    ],
    ids=["missing", "truncated", "listing"],
)
def test_a_broken_remote_is_told_in_one_line(published, remote, tmp_path, monkeypatch, part, damage):
    monkeypatch.chdir(published.folder)
    url = broken(remote, tmp_path / "remote", part, damage)
    clone = published.clone(tmp_path / "clone", url)
    said = clone.vividface("pull", CHECKPOINT, status=1).strip().splitlines()[-1]
    assert said.startswith(
        f"error: remote local ({url}): lacks 1 of the published files, or has them damaged"
    )
    assert CHECKPOINT in said
    assert "`make publish` again where they were made" in said
    assert not (clone.folder / CHECKPOINT).exists()


def test_publishing_again_completes_a_remote(published, remote, tmp_path, monkeypatch):
    monkeypatch.chdir(published.folder)
    url = broken(remote, tmp_path / "remote", "transformer/config.json", Path.unlink)
    published.dvc("remote", "add", "--local", "again", str(url))
    published.vividface("publish", "--remote", "again")
    clone = published.clone(tmp_path / "clone", url)
    clone.vividface("pull", CHECKPOINT)
    load_checkpoint(clone.folder / CHECKPOINT)


def test_what_cannot_be_pulled_says_why(published, tmp_path):
    clone = published.clone(tmp_path / "clone", tmp_path / "nowhere")
    said = clone.vividface("pull", status=1).strip().splitlines()[-1]
    assert f"remote local ({tmp_path / 'nowhere'}): lacks" in said
    said = clone.vividface("pull", "nonsense", status=1)
    assert "'nonsense' does not exist" in said
    (clone.folder / "dvc.lock").unlink()
    said = clone.vividface("pull", status=1)
    assert "error: dvc.lock: holds no milestone, so nothing was published at this commit" in said
    assert "no milestone is up to date; run Snakemake first" in clone.vividface("publish", status=1)


def test_one_artifact_alone(published, remote, tmp_path, monkeypatch, capsys):
    clone = published.clone(tmp_path / "clone", remote)
    clone.dvc("pull", CHECKPOINT)
    load_checkpoint(clone.folder / CHECKPOINT)
    assert not (clone.folder / "data").exists()
    monkeypatch.chdir(clone.folder)
    assert main(["provenance", CHECKPOINT]) == 1
    output = capsys.readouterr()
    assert output.out.startswith(f"{CHECKPOINT}  <- pixel_stage, commit ")
    assert "error: checkpoints/main/latent_stage is missing" in output.err


@pytest.fixture
def bucket(monkeypatch):
    """The URL of a bucket of a server of S3 on this machine."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket="artifacts")
    yield "s3://artifacts/vividface", endpoint
    server.stop()


def test_a_remote_in_s3(published, bucket, tmp_path):
    url, endpoint = bucket
    clone = published.clone(tmp_path / "clone", tmp_path / "nowhere")
    for project in (published, clone):
        project.dvc("remote", "add", "--local", "s3", url)
        project.dvc("remote", "modify", "--local", "s3", "endpointurl", endpoint)
    published.vividface("publish", "--remote", "s3")
    clone.vividface("pull", "--remote", "s3", "latent_stage")
    load_checkpoint(clone.folder / "checkpoints/main/latent_stage")
