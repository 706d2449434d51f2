"""Kill a real run again and again, and compare its end with that of a run that was left alone.

    python benchmarks/kill.py TASK [--kills 20] [--seed 0] [--out DIR] -- --model M --train F --unlabeled F --test F [flags of petkit train]

The command ``petkit train TASK ...`` runs once undisturbed. Then it runs in another folder, and is killed (SIGKILL) at a random time
after some more units are finished, and run again, until it has been killed ``--kills`` times and is left to end. Times and numbers
of units are drawn so that the kills spread over the whole run. Prints one line for each kill, and in the end whether every file is
equal; exit code 1 if not.
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

from petkit.locks import holder

__all__ = ["differences", "kill_often"]

VOLATILE = {"record.json": ("seconds", "finished", "measured"), "run.json": ("created",), "report.json": ("seconds",)}
"""What may differ between two equal runs, by file name; in report.md it is the line with the seconds, in report.html what is marked."""


def content(path: Path) -> object:
    """What must be equal in two runs."""
    if path.name == "report.md":
        return [line for line in path.read_text("utf-8").splitlines() if ", seed " not in line]
    if path.name == "report.html":
        return [line for line in path.read_text("utf-8").splitlines() if "data-measured" not in line]
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


def kill_often(command: Sequence[str], folder: Path, *, kills: int, seconds: Sequence[float], rng: random.Random) -> list[dict[str, Any]]:
    """Run ``command`` (which makes ``folder``), kill it ``kills`` times, let it end; what happened, one entry per kill.

    Args:
        seconds: of the units of an undisturbed run. A start that ends before its kill counts as no kill: the finished folder is put aside,
            to be compared too, and the run begins anew.
    """
    log, found = folder.with_suffix(".log"), list[dict[str, Any]]()
    while len(found) < kills:
        more, after = int(len(seconds) / kills + rng.random()), rng.uniform(0, 2 * sum(seconds) / len(seconds))
        wanted = done(folder) + more
        child = begin(command, log)
        while child.poll() is None and (holder(folder / ".lock") is None or done(folder) < wanted):
            time.sleep(0.01)
        try:
            child.wait(after)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            found.append({"after": after, "units": done(folder), "work": sorted(path.name for path in folder.glob("work/*"))})
            print(
                f"kill {len(found)}: {done(folder)} units done ({more} more), {after:.2f} s later, at work: {', '.join(found[-1]['work'])}",
                flush=True,
            )
            continue
        check_end(child, folder, log)
        folder.rename(folder.with_name(f"{folder.name}-{len(found)}"))
    child = begin(command, log)
    child.wait()
    check_end(child, folder, log)
    return found


def check_end(child: subprocess.Popen[Any], folder: Path, log: Path) -> None:
    """A run that was not killed ends well, and has a report."""
    if child.returncode or not (folder / "report.json").is_file():
        raise SystemExit(f"the run in {folder} failed with exit code {child.returncode}; see {log}")


def main() -> int:
    """Run both, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="where to put the two runs; default: a temporary folder")
    parser.epilog = "After --: flags of petkit train, without --out."
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    given, flags = parser.parse_args(sys.argv[1:end]), sys.argv[end + 1 :]
    out = given.out or Path(tempfile.mkdtemp(prefix="petkit-kill-"))
    out.mkdir(parents=True, exist_ok=True)

    def command(name: str) -> list[str]:
        return [sys.executable, "-c", "from petkit.cli import main; main()", "train", given.task, "--out", str(out / name), *flags]

    left_alone = begin(command("undisturbed"), out / "undisturbed.log")
    left_alone.wait()
    check_end(left_alone, out / "undisturbed", out / "undisturbed.log")
    seconds = list(json.loads((out / "undisturbed" / "report.json").read_bytes())["seconds"].values())
    print(f"undisturbed: {sum(seconds):.1f} s in {len(seconds)} units", flush=True)
    found = kill_often(command("killed"), out / "killed", kills=given.kills, seconds=seconds, rng=random.Random(given.seed))
    others = [path for path in out.glob("killed*") if path.is_dir()]
    odd = sorted({name for path in others for name in differences(out / "undisturbed", path)})
    units = {name for kill in found for name in kill["work"]}
    print(f"{len(found)} kills, {len(units)} different units were at work; files that differ: {', '.join(odd) or 'none'} ({out})")
    return 1 if odd else 0


if __name__ == "__main__":
    sys.exit(main())
