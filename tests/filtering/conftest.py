"""A shard of clips to score, and what language models reply."""

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from vividface.filtering.base import JudgedClip
from vividface.filtering.rubric import load_rubric
from vividface.video import write_clip

REPLY = """STEP 1 - Individual Scores:
clarity: 33/35 (crisp)
stability: 19/20 (steady)
lighting: 18/20 (soft)
artifacts: 14/15 (none)
occlusion: 10/10 (free)
STEP 2 - Base Score:
Base Score = 33 + 19 + 18 + 14 + 10 = 94/100
STEP 3 - Bonuses and Penalties:
none
Total Adjustment: 0
STEP 4 - Final Results:
Final Score = 94 + 0 = 94
Quality Tier: premium
"""


@pytest.fixture(scope="session")
def rubric():
    return load_rubric("face90")


@pytest.fixture(scope="session")
def reply():
    return REPLY


@pytest.fixture(scope="session")
def shard(tmp_path_factory):
    """Four clips of 5 frames of 64 px, as a shard on disk: `hq`, `masks`, `faces.safetensors` and a table."""
    folder = tmp_path_factory.mktemp("shard")
    generator = np.random.default_rng(0)
    faces, rows = {}, []
    for index in range(4):
        name = f"clip_{index}-000000"
        frames = generator.integers(40, 200, (5, 64, 64, 3), dtype=np.uint8)
        write_clip(folder / "hq" / f"{name}.mkv", frames, 25)
        mask = np.zeros((5, 64, 64), bool)
        mask[:, 16:48, 16:48] = True
        write_clip(folder / "masks" / f"{name}.mkv", mask, 25, codec="ffv1_gray")
        five = np.array([[24, 26], [40, 26], [32, 34], [26, 42], [38, 42]], np.float32)
        faces |= {f"{name}.landmarks": np.tile(five, (5, 1, 1)), f"{name}.found": np.ones(5, np.uint8)}
        rows.append({"clip_id": name, "shard": "0000", "crop_size": 64.0})
    save_file(faces, folder / "faces.safetensors")
    return folder, pd.DataFrame(rows)


@pytest.fixture(scope="session")
def shard_files(shard):
    """The files of the shard, as `score_shard` takes them."""
    folder, _ = shard
    faces = folder / "faces.safetensors"
    return {"hq_dir": folder / "hq", "mask_dir": folder / "masks", "faces_file": faces}


@pytest.fixture(scope="session")
def judged(shard):
    folder, table = shard
    return [
        JudgedClip(
            clip_id=name,
            video=folder / "hq" / f"{name}.mkv",
            masks=folder / "masks" / f"{name}.mkv",
            landmarks=np.tile(np.float32([[24, 26], [40, 26], [32, 34], [26, 42], [38, 42]]), (5, 1, 1)),
            found=np.ones(5, np.uint8),
            crop_size=64.0,
        )
        for name in table["clip_id"]
    ]


@pytest.fixture(scope="session")
def chat_completion():
    """The body of a server's answer."""

    def body(text, **choice):
        values = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop", **choice}
        usage = {"prompt_tokens": 1000, "completion_tokens": 200}
        return json.dumps({"choices": [values], "usage": usage}).encode()

    return body
