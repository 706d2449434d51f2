"""Kill a real run again and again, and compare its end with that of a run that was left alone.

    python benchmarks/kill.py TASK [--kills 20] [--seed 0] [--out DIR] -- --model M --train F --unlabeled F --test F [flags of petkit train]

The command ``petkit train TASK ...`` runs once undisturbed. Then it runs in another folder, and is killed (SIGKILL) after a random
time, and run again, until it has been killed ``--kills`` times and is left to end. Times are drawn anew for each start from 0 to what
is left of the undisturbed run's time, so that kills hit the start, the stages and the end alike. Prints one line for each kill, and in
the end whether every file is equal; exit code 1 if not.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["differences", "kill_often"]

VOLATILE = {"record.json": ("seconds", "finished"), "run.json": ("created",), "report.json": ("seconds",)}
"""What may differ between two equal runs, by file name; in report.md it is the line with the seconds."""
START_SECONDS = 5.0
"""What a start takes at least on a slow machine: loading torch and transformers."""


def content(path: Path) -> object:
    """What must be equal in two runs."""
    if path.name == "report.md":
        return [line for line in path.read_text("utf-8").splitlines() if ", seed " not in line]
    if path.name in VOLATILE:
        return {name: value for name, value in json.loads(path.read_bytes()).items() if name not in VOLATILE[path.name]}
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def snapshot(folder: Path) -> dict[str, object]:
    """Content by name of all files but the lock."""
    return {p.relative_to(folder).as_posix(): content(p) for p in sorted(folder.rglob("*")) if p.is_file() and p.name != ".lock"}


def differences(first: Path, second: Path) -> list[str]:
    """Names of files that one run folder has and the other has not, or has with other content."""
    one, two = snapshot(first), snapshot(second)
    return [name for name in sorted(one | two) if name not in one or name not in two or one[name] != two[name]]


def done(folder: Path) -> int:
    """How many units are finished."""
    return len(list(folder.glob("stages/*/record.json")))


def begin(command: Sequence[str], log: Path) -> subprocess.Popen[Any]:
    """Start the command, its output into ``log``."""
    with log.open("ab") as output:
        return subprocess.Popen(command, stdout=output, stderr=output)


def kill_often(command: Sequence[str], folder: Path, *, kills: int, seconds: float, rng: random.Random) -> list[dict[str, Any]]:
    """Run ``command`` (which makes ``folder``), kill it ``kills`` times, let it end; what happened, one entry per kill.

    Args:
        seconds: of an undisturbed run. A start that ends before its kill counts as no kill; the folder is then taken away and the run
            begins anew, so that every kill hits a run at work.
    """
    log, found = folder.with_suffix(".log"), list[dict[str, Any]]()
    while len(found) < kills:
        left = max(2 * START_SECONDS, seconds * (kills - len(found)) / kills)
        after = rng.uniform(0.2, left)
        child = begin(command, log)
        try:
            code = child.wait(after)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            found.append({"after": after, "units": done(folder), "begun": sorted(path.name for path in folder.glob("work/*"))})
            print(
                f"kill {len(found)}: after {after:.1f} s, {done(folder)} units done, at work: {', '.join(found[-1]['begun']) or '-'}",
                flush=True,
            )
            continue
        if code:
            raise SystemExit(f"the run failed with exit code {code}; see {log}")
        print(f"ended before its kill after {after:.1f} s; begins anew", flush=True)
        check_end(folder)
        folder.rename(folder.with_name(f"{folder.name}-ended-{len(found)}-{time.monotonic_ns()}"))
    if begin(command, log).wait():
        raise SystemExit(f"the run failed; see {log}")
    return found


def check_end(folder: Path) -> None:
    """A run that says it has ended has a report."""
    if not (folder / "report.json").is_file():
        raise SystemExit(f"{folder} has no report.json though the run has ended")


def main() -> int:
    """Run both, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="where to put the two runs; default: a temporary folder")
    parser.add_argument("flags", nargs="*", help="after --: flags of petkit train, without --out")
    given = parser.parse_args()
    out = given.out or Path(tempfile.mkdtemp(prefix="petkit-kill-"))
    out.mkdir(parents=True, exist_ok=True)

    def command(name: str) -> list[str]:
        return [sys.executable, "-c", "from petkit.cli import main; main()", "train", given.task, "--out", str(out / name), *given.flags]

    started = time.monotonic()
    if begin(command("undisturbed"), out / "undisturbed.log").wait():
        raise SystemExit(f"the undisturbed run failed; see {out / 'undisturbed.log'}")
    seconds = time.monotonic() - started
    print(f"undisturbed: {seconds:.1f} s, {done(out / 'undisturbed')} units", flush=True)
    found = kill_often(command("killed"), out / "killed", kills=given.kills, seconds=seconds, rng=random.Random(given.seed))
    others = [path for path in out.glob("killed*") if path.is_dir()]
    odd = sorted({name for path in others for name in differences(out / "undisturbed", path)})
    stages = {name for kill in found for name in kill["begun"]}
    print(f"{len(found)} kills, in {len(stages)} different units at work; files that differ: {', '.join(odd) or 'none'} ({out})")
    return 1 if odd else 0


if __name__ == "__main__":
    sys.exit(main())
