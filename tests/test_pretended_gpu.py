"""The pretended GPU: what it refuses, and the tests of a GPU on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
MISTAKES = """
from tests.pretended_gpu import pretend
pretend()
import torch

there, here = torch.ones(2, 3, device="cuda"), torch.ones(3)
assert (there.cpu() @ here).tolist() == [3, 3] and (there + torch.tensor(1.0)).device.type == "cuda"
def told(act):
    try:
        act()
    except RuntimeError as error:
        return str(error)
assert "same device" in told(lambda: there @ here)
torch.cuda.set_sync_debug_mode("error")
queued = here.pin_memory().to("cuda", non_blocking=True)
assert (there @ queued).shape == (2,)
for act in (there.sum().item, there.cpu, lambda: here.to("cuda"), lambda: there[there > 0], lambda: bool(there.sum() > 1)):
    assert "synchronizing" in told(act), act
torch.cuda.set_sync_debug_mode("default")
assert there.sum().item() == 6
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(torch.version.cuda or torch.version.hip), reason="this torch is built for real ones"),
    pytest.mark.skipif(shutil.which(os.environ.get("CXX", "c++")) is None, reason="no C++ compiler"),
]


def test_it_refuses_what_a_gpu_refuses_and_knows_what_waits() -> None:
    subprocess.run([sys.executable, "-c", MISTAKES], cwd=ROOT, check=True)


def test_the_tests_of_a_gpu_pass_on_it() -> None:
    pytest_ = [sys.executable, "-m", "pytest", "-q", "-p", "tests.pretended_gpu.plugin", "-p", "no:cacheprovider"]
    done = subprocess.run([*pytest_, "tests/petkit/test_gpu.py"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout.splitlines()[-1]
