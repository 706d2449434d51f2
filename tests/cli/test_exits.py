"""Exit codes of the real command in processes of its own, and what reaches which stream."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from petkit.cli.exits import PROGRAM_FAILED

MAIN = "from petkit.cli import main; main()"
FAILING = "import petkit.runs\ndef fail(path): raise ZeroDivisionError('a bug')\npetkit.runs.read_status = fail\n"
WAITING = """
import signal, sys, time, petkit.runs
signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent may have had it ignored
def wait(path):
    print("ready", flush=True)
    time.sleep(60)
petkit.runs.read_status = wait
"""


def petkit(*arguments: str | Path, before: str = "", **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", before + MAIN, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)  # type: ignore[call-overload, no-any-return]


@pytest.mark.wheel
def test_success_is_0(tmp_path: Path) -> None:
    found = petkit("tasks", "--json")
    assert (found.returncode, found.stderr) == (0, "")
    assert len(json.loads(found.stdout)["tasks"]) > 10


def test_the_users_mistake_is_2_and_one_message(tmp_path: Path) -> None:
    found = petkit("status", tmp_path)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == f"Error: {tmp_path} is not a run folder: it has no run.json\n"


def test_wrong_usage_is_2() -> None:
    found = petkit("status")
    assert (found.returncode, found.stdout) == (2, "")
    assert "DIR" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_failure_of_ours_is_1_and_keeps_its_traceback(tmp_path: Path) -> None:
    found = petkit("status", tmp_path, before=FAILING)
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.startswith("Traceback (most recent call last)")
    assert "ZeroDivisionError: a bug" in found.stderr
    assert PROGRAM_FAILED in found.stderr


@pytest.mark.parametrize(
    ("sent", "code", "message"), [(signal.SIGINT, 130, "Interrupted.\n"), (signal.SIGTERM, 143, "Ended by SIGTERM.\n")]
)
def test_an_interruption_is_130_and_sigterm_143(tmp_path: Path, sent: signal.Signals, code: int, message: str) -> None:
    command = [sys.executable, "-c", WAITING + MAIN, "status", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(sent)
        rest, errors = process.communicate(timeout=30)
    assert (process.returncode, rest) == (code, "")
    assert errors == message


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_stream_that_is_ended_leaves_no_half_written_file(tmp_path: Path, sent: signal.Signals) -> None:
    """``encode`` from standard input, whose end never comes."""
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "  # a parent may have had it ignored
    command = [sys.executable, "-c", heard + MAIN, "encode", "builtin", "-", "--out", str(tmp_path / "out.parquet"), "--device", "cpu"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        process.stdin.write('{"text": "one"}\n' * 2000)
        process.stdin.flush()
        for _ in range(600):
            if list(tmp_path.iterdir()):
                break
            time.sleep(0.1)
        assert list(tmp_path.iterdir()), "nothing was begun"
        process.send_signal(sent)
        process.communicate(timeout=30)
    assert (process.returncode, list(tmp_path.iterdir())) == (128 + sent, [])


def test_a_reader_that_has_seen_enough_is_no_failure() -> None:
    command = f"{sys.executable} -c '{MAIN}' tasks --json | true; echo ${{PIPESTATUS[0]}}"
    found = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert (found.stdout, found.stderr) == ("0\n", "")


def test_labels_in_any_script_reach_an_ascii_stream() -> None:
    found = petkit("tasks", "eprstmt", env={"PYTHONIOENCODING": "ascii", "PATH": ""})
    assert found.returncode == 0, found.stderr
    assert "\\u" in found.stdout


@pytest.mark.parametrize("arguments", [[], ["--help"], ["train", "--help"], ["predict", "--help"], ["pretrain", "--help"], ["--version"]])
def test_help_answers_fast_because_it_loads_nothing_heavy(arguments: list[str]) -> None:
    heavy = ("torch", "transformers", "datasets", "pyarrow", "numpy", "sklearn", "scipy")
    code = f"import atexit, sys\natexit.register(lambda: print([n for n in {heavy} if n in sys.modules], file=sys.stderr))\n"
    found = petkit(*arguments, before=code)
    assert found.returncode in (0, 2 if not arguments else 0)
    assert "petkit" in found.stdout + found.stderr
    assert found.stderr.endswith("[]\n")
