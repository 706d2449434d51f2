"""How a pretraining run went: one line of JSON per report, a picture of them, and TensorBoard's files if asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from petkit.errors import SettingsError
from petkit.files import write_text
from petkit.report.drawing import SERIES, can_draw, figure, svg

__all__ = ["Curves", "TensorBoard", "draw_curves"]

Point = dict[str, Any]


class Curves:
    """The points of a run, each ``{"step", "rows", ...}`` (rows trained on so far) with losses by name.

    They are kept in a file that a killed run goes on with.

    Args:
        path: the file, JSON lines; points of it from a step that is told again are replaced.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        self.points: list[Point] = [json.loads(line) for line in lines]

    def add(self, point: Mapping[str, Any]) -> None:
        """Take a point in, in the place of those at its step and later; the file is written anew, whole."""
        self.points = [old for old in self.points if old["step"] < point["step"]] + [dict(point)]
        self.write(self._path)

    def write(self, path: Path) -> None:
        """All points into ``path``."""
        write_text(path, "".join(json.dumps(point, sort_keys=True) + "\n" for point in self.points))

    def publish(self, folder: Path) -> None:
        """``curves.jsonl``, and ``curves.svg`` where matplotlib is there, into ``folder``."""
        self.write(folder / "curves.jsonl")
        if self.points and can_draw():
            write_text(folder / "curves.svg", draw_curves(self.points))


def draw_curves(points: Sequence[Mapping[str, Any]]) -> str:
    """The losses over the updates as an SVG document that stands alone: training thin, held-out text thick."""
    names = sorted({name for point in points for name in point if "/" in name and not name.endswith("accuracy")})
    with figure(640, 300 + 17 * ((len(names) + 1) // 2)) as (found, axes):
        for number, name in enumerate(names):
            known = [(point["step"], point[name]) for point in points if name in point]
            held = name.startswith("held out/")
            look = {"linewidth": 2.0 if held else 1.0, "marker": "o" if held else "", "markersize": 3.5}
            axes.plot(*zip(*known, strict=True), label=name, color=SERIES[number % len(SERIES)], **look)
        axes.set_xlabel("updates")
        axes.set_ylabel("loss")
        found.legend(loc="outside lower center", ncols=2, frameon=False)
        drawn = svg(found, name="curves", title="Losses by update", text=_in_words(points, names))
    return _alone(drawn)


def _in_words(points: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    ends = {name: [point[name] for point in points if name in point] for name in names}
    return "; ".join(f"{name} {values[0]:.3f} to {values[-1]:.3f}" for name, values in ends.items())


def _alone(drawn: str) -> str:
    """A page's SVG as a file, with the colours that the page would give, for light and dark."""
    css = resources.files("petkit.report").joinpath("templates", "style.css").read_text("utf-8")
    light, dark = re.findall(r"(?:--series-\d: #\w+; ?)+", css)[:2]
    style = f"svg{{{light}color:#111;background:#fff}}@media(prefers-color-scheme:dark){{svg{{{dark}color:#eee;background:#16181c}}}}"
    head, _, rest = drawn.partition(">")
    return f"{head}><style>{style}</style>{rest}\n"


class TensorBoard:
    """Writes points for TensorBoard (extra ``tensorboard``). Raises SettingsError where the package is not installed.

    Args:
        folder: of the files of events; what other processes wrote there before stays.
        after: the last step that was written before; later ones in the folder, of a run that was killed, are hidden.
    """

    def __init__(self, folder: Path, *, after: int | None = None) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise SettingsError("--tensorboard needs the package tensorboard: install petkit[tensorboard]") from error
        self._writer = SummaryWriter(str(folder), purge_step=None if after is None else after + 1)

    @classmethod
    def going_on(cls, folder: Path, known: Sequence[Mapping[str, Any]]) -> TensorBoard:
        """One for a run that has these points already; they are written too where the folder is new."""
        if folder.is_dir():
            return cls(folder, after=known[-1]["step"] if known else 0)
        board = cls(folder)
        for point in known:
            board.add(point)
        return board

    def add(self, point: Mapping[str, Any]) -> None:
        """One point: a scalar for each of its figures."""
        for name, value in point.items():
            if name != "step":
                self._writer.add_scalar(name.replace(" ", "_"), value, point["step"])
        self._writer.flush()

    def close(self) -> None:
        """End the file."""
        self._writer.close()
