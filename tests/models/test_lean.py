"""What a process of VividFace's own leaves out of diffusers, and what it gives back."""

import subprocess
import sys

CODE = """
import sys
import numpy as np
from vividface.models.lean import claim_process, lean_diffusers
if {claimed}:
    claim_process()
with lean_diffusers():
    from vividface.restoration.pipeline import OneStepFacePipeline
from vividface.models.bundled import BUNDLED
frames = np.arange(5 * 32 * 32 * 3, dtype=np.uint8).reshape(5, 32, 32, 3)
restored = OneStepFacePipeline.from_checkpoint(BUNDLED["nano"]).restore(frames)
print(sorted({{"bitsandbytes", "peft", "scipy", "transformers"}} & sys.modules.keys()))
import peft, scipy
print(restored.tobytes().hex())
"""


def run(*, claimed):
    """The packages that came with diffusers, and frames restored without or with them."""
    command = [sys.executable, "-c", CODE.format(claimed=claimed)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return lines[-2:]


def test_a_process_of_its_own_leaves_optional_packages_out():
    """The same frames; and the packages can be imported later."""
    lean, restored = run(claimed=True)
    whole, expected = run(claimed=False)
    assert lean == "[]"
    assert whole == "['bitsandbytes', 'peft', 'scipy', 'transformers']"
    assert restored == expected
