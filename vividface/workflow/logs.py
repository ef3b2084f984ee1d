"""What a rule writes to its log, so that the last line says what to do."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vividface.errors import InputError, StoppedError


@contextmanager
def rule_log(path: Path | str) -> Iterator[logging.Logger]:
    """Send logging and standard error to `path` while a rule's script runs.

    An `InputError` ends the script with status 1 and its one sentence as the log's last line; a
    `StoppedError` likewise with status 75 ("try again"); any other exception leaves its traceback first, and
    a last line that says where to look. Processes that the script starts may append to the file. In a job of
    SLURM the first line names it, its node and its GPUs.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with path.open("a", buffering=1) as file:
        handler = logging.StreamHandler(file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root = logging.getLogger()
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        stderr, sys.stderr = sys.stderr, file
        if job := os.environ.get("SLURM_JOB_ID"):
            node, gpus = os.environ.get("SLURMD_NODENAME"), os.environ.get("CUDA_VISIBLE_DEVICES") or "none"
            file.write(f"SLURM job {job} on {node}, GPUs: {gpus}\n")
        try:
            yield logging.getLogger("vividface")
        except InputError as error:
            file.write(f"error: {error}\n")
            raise SystemExit(1) from None
        except StoppedError as error:
            file.write(f"{error}\n")
            raise SystemExit(os.EX_TEMPFAIL) from None
        except Exception as error:
            file.write(traceback.format_exc())
            file.write(f"error: {type(error).__name__}: {error} (a fault of the program: see above)\n")
            raise SystemExit(1) from None
        finally:
            sys.stderr = stderr
            root.removeHandler(handler)
