"""The real Snakefile at a tiny scale: three clips of 9 frames, 64 px, a few training steps."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

TINY = {
    "name": "tiny",
    "shards": 1,
    "assets": ["lpips_alex", "dists", "facemesh"],
    "clips": {"frames": 9, "size": 64},
    "degradation": {"vividface": {"sigma": [0.1, 0.8], "scale": [1, 2], "noise": [0, 4]}},
    "filter": {"threshold": 20, "study": {"metrics": ["lpips_alex", "landmark_motion"]}},
    "latent_stage": {"frames": 9, "iterations": 4, "warmup": 1, "batch_size": 1, "log_every": 1},
    "pixel_stage": {"frames": 5, "iterations": 2, "warmup": 1, "log_every": 1},
    "variants": dict.fromkeys(("p0", "p1", "unfiltered")),
    "evaluation": {"baselines": ["bicubic"], "metrics": ["psnr_rgb", "ids", "fvd_set"]},
    "restoration": {"window": 9, "overlap": 2},
}


class Workspace:
    """A folder in which the workflow runs with its own overlay."""

    def __init__(self, repository: Path, folder: Path, overlay: dict) -> None:
        self.repository, self.folder, self.overlay = repository, folder, overlay

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess:
        overlay = self.folder / "overlay.yaml"
        text = yaml.safe_dump(self.overlay)
        if not overlay.exists() or overlay.read_text() != text:
            overlay.write_text(text)
        command = [
            *(sys.executable, "-m", "snakemake"),
            *("--configfile", str(self.repository / "configs" / "demo.yaml"), str(overlay)),
            *("--snakefile", str(self.repository / "Snakefile"), "--directory", str(self.folder)),
            *("--cores", "2"),
        ]
        return subprocess.run(
            [*command, *arguments],
            cwd=self.repository,
            capture_output=True,
            text=True,
            timeout=550,
            check=False,
        )

    def planned(self, *arguments: str) -> dict[str, int]:
        """The rules that a dry run would execute, with their numbers of jobs."""
        result = self.snakemake("--quiet", "rules", "--dry-run", *arguments)
        assert result.returncode == 0, result.stdout + result.stderr
        counts = {}
        _, _, statistics = (result.stdout + result.stderr).partition("Job stats:")
        for line in statistics.splitlines():
            words = line.split()
            if len(words) == 2 and words[1].isdigit() and words[0] != "total":
                counts[words[0]] = int(words[1])
        return counts


@pytest.fixture(scope="session")
def make_workspace(repository, face_video, tmp_path_factory):
    def make(**sources: Path) -> Workspace:
        folder = tmp_path_factory.mktemp("workspace")
        videos = folder / "videos"
        videos.mkdir()
        for name, source in (sources or {"face": face_video}).items():
            shutil.copyfile(source, videos / f"{name}{source.suffix}")
        source = {"kind": "folder", "path": str(videos)}
        dataset = {"title": "t", "licence": "l", "credit": "c", "source": source, "max_clips": 3}
        datasets = {
            "demo_train": None,
            "held_out": None,
            "mine": {**dataset, "role": "train"},
            "test": {**dataset, "role": "benchmark", "max_clips": 1, "shards": 1},
        }
        return Workspace(repository, folder, {**TINY, "datasets": datasets})

    return make
