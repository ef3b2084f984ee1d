"""Records of two small jobs, and the lineage from the second one's output back to a source."""

import json
from types import SimpleNamespace

import pytest

from vividface.cli.main import main
from vividface.config import load_config
from vividface.errors import InputError
from vividface.files import sha256
from vividface.workflow import checksums
from vividface.workflow.checksums import checksum
from vividface.workflow.lineage import trace
from vividface.workflow.records import origin
from vividface.workflow.rule import run_rule


class Named(dict):
    """As Snakemake's lists with names: iterating gives the values."""

    def __iter__(self):
        return iter(self.values())


@pytest.fixture
def config(repository):
    return load_config(repository / "config.yaml", repository / "configs/demo.yaml").model_dump(mode="json")


@pytest.fixture
def run(tmp_path, monkeypatch, config):
    """A function that runs a rule's script in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    # A rule's script has a process of its own; this one is the tests'.
    monkeypatch.setattr("vividface.models.lean._claimed", False)

    def run(rule, inputs, outputs, write, **wildcards):
        job = SimpleNamespace(
            rule=rule,
            input=Named(enumerate(inputs)),
            output=Named(enumerate(outputs)),
            wildcards=Named(wildcards),
            params=Named(config={"seed": 42}),
            resources={},
            log=[f"logs/{rule}.log"],
            config=config,
        )
        with run_rule(job) as recorded:
            write(recorded)

    return run


@pytest.fixture
def lineage(run, tmp_path):
    """source.mp4 -> a folder of clips -> a table."""
    (tmp_path / "source.mp4").write_bytes(b"video")

    def extract(job):
        (tmp_path / "hq/0000").mkdir(parents=True)
        (tmp_path / "hq/0000/a.mkv").write_bytes(b"a")
        (tmp_path / "hq/0000/b.mkv").write_bytes(b"b")
        job.uses(["source.mp4"], [sha256("source.mp4")])

    run("extract_clips", [], ["hq/0000"], extract, dataset="mine", shard="0000")
    run("write_tables", ["hq/0000"], ["t.csv"], lambda job: (tmp_path / "t.csv").write_text("1\n"))
    return tmp_path


def problems(path="t.csv", **options):
    return [link.problem for link in trace(path, **options) if link.problem]


def test_the_lineage_leads_to_the_source(lineage, capsys):
    assert main(["provenance", "t.csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["t.csv", "hq/0000", "source.mp4"]
    assert "<- write_tables, commit " in lines[0]
    assert lines[2].endswith("<- a source")
    assert [link.depth for link in trace("hq/0000/a.mkv")] == [0, 1]
    assert problems(lineage / "t.csv") == []
    assert main(["provenance", "t.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[1]["record"]["rule"] == "extract_clips"


def test_a_record_names_code_data_and_packages(lineage, config):
    record = json.loads((lineage / "provenance/data/extract_clips/mine-0000.json").read_text())
    assert record == json.loads((lineage / "hq/0000/provenance.json").read_text())
    assert record["inputs"] == {"source.mp4": sha256(lineage / "source.mp4")}
    assert record["outputs"]["hq/0000"]["files"]["a.mkv"] == sha256(lineage / "hq/0000/a.mkv")
    assert record["params"] == {"config": {"seed": 42}}
    assert record["versions"]["torch"]
    assert len(record["commit"]) == 40
    assert record["config"] != origin({**config, "seed": 7})["config"]
    execution = {**config, "training": {**config["training"], "log_every": 7}}
    assert record["config"] == origin(execution)["config"], "how it was computed is not in a record"


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda p: (p / "hq/0000/b.mkv").write_bytes(b"c"), "hq/0000/b.mkv has changed since extract_clips"),
        (lambda p: (p / "hq/0000/b.mkv").unlink(), "hq/0000/b.mkv is missing"),
        (lambda p: (p / "hq/0000/c.mkv").write_bytes(b"c"), "hq/0000/c.mkv was added since"),
        (lambda p: (p / "source.mp4").unlink(), "source.mp4 is missing"),
        (lambda p: (p / "source.mp4").write_bytes(b"other"), "source.mp4 has changed since it was used"),
        (lambda p: (p / "t.csv").write_text("2 \n"), "t.csv has changed since write_tables"),
    ],
)
def test_a_broken_link_is_found(lineage, capsys, damage, problem):
    damage(lineage)
    assert main(["provenance", "t.csv"]) == 1
    output = capsys.readouterr()
    assert f"BROKEN: {problem}" in output.out
    assert output.err.startswith(f"error: {problem}")
    assert len(output.err.splitlines()) == 1


def test_what_was_made_again_breaks_what_used_it(lineage, run):
    def extract(job):
        (lineage / "hq/0000/a.mkv").write_bytes(b"new")

    run("extract_clips", [], ["hq/0000"], extract, dataset="mine", shard="0000")
    assert problems() == ["hq/0000 was made again after it was used"]


def test_a_failed_job_leaves_no_record(lineage, run):
    def fail(job):
        raise InputError("no such clip")

    with pytest.raises(SystemExit):
        run("write_tables", ["hq/0000"], ["t.csv"], fail)
    assert not (lineage / "provenance/tables/write_tables/write_tables.json").exists()
    with pytest.raises(InputError, match=r"t\.csv: no record in provenance/"):
        trace("t.csv")


def test_a_folder_that_came_alone_says_what_it_was_made_from(lineage):
    (lineage / "provenance").rename(lineage / "elsewhere")
    assert [link.path for link in trace("hq/0000")] == ["hq/0000", "source.mp4"]


def test_a_damaged_record_is_named(lineage):
    path = lineage / "provenance/tables/write_tables/write_tables.json"
    path.write_text(path.read_text()[:50])
    with pytest.raises(InputError, match=r"write_tables\.json: is not a record"):
        trace("t.csv")


def test_nothing_is_hashed_again_while_sizes_and_times_stay(lineage, monkeypatch):
    hashed = []
    monkeypatch.setattr(checksums, "sha256", lambda path: hashed.append(path) or sha256(path))
    assert problems() == []
    # The jobs have hashed the others.
    assert [str(path) for path in hashed] == ["source.mp4"]
    assert problems() == []
    assert len(hashed) == 1
    assert problems(trust_times=False) == []
    assert len(hashed) == 5
    assert checksum(lineage / "t.csv").sha256 == sha256(lineage / "t.csv")
