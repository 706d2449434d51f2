"""What a model sees of a task: every pattern filled in, the tokens of its label words, and all that is wrong, at once.

A broken task file does not get here: ``load_task`` names its problems. These are the ones that only a tokenizer or real rows show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from petkit.backbones.headcheck import HeadReport, head_report, unknown_share
from petkit.data.values import is_blank
from petkit.encoding import Encoder, Joining
from petkit.encoding.encoded import Encoded
from petkit.errors import TaskError, UserError
from petkit.metrics import evaluate
from petkit.pvp import MASK, PVP, SEGMENT_BREAK, Task, Text
from petkit.rows import UNLABELED, Rows
from petkit.scoring import plan, score_rows
from petkit.unknowns import REMEDY

__all__ = ["CheckReport", "ClozeView", "PatternCheck", "WordCheck", "check_task", "spread"]

_HEAD_TEXTS = 200
_GOLDEN: Final = 0.6180339887498949
"""The golden ratio's fraction: what is left of its multiples is spread evenly from 0 to 1, and never comes round."""


@dataclass(frozen=True)
class WordCheck:
    """A label word in the gap of a pattern: its token ids, and the tokens as the tokenizer spells them."""

    label: str
    word: str
    ids: tuple[int, ...]
    tokens: tuple[str, ...]


@dataclass(frozen=True)
class ClozeView:
    """One row's cloze.

    Attributes:
        row: the row's id.
        text: the cloze as a string, with ``mask`` for each slot and `` || `` between segments; nothing is shortened in it.
        mask: the tokenizer's mask token.
        tokens: how many the model gets, special tokens included. slots: where among them the masks stand.
        dropped: tokens left out to fit; of very long texts not all are counted (``at_least``).
    """

    row: str
    text: str
    mask: str
    tokens: int
    slots: tuple[int, ...]
    dropped: int
    at_least: bool


@dataclass(frozen=True)
class PatternCheck:
    """One pattern with its verbalizer.

    Attributes:
        pattern: its name. masks: slots of the longest word.
        words: of all labels. clozes: of the first rows.
        shortened: how many rows lost tokens. dropped: how many tokens all rows lost together; of very long texts not all are counted
            (``at_least``).
        scores: ``accuracy`` and ``macro_f1`` of the untrained model on the labelled rows; None without any, or with problems.
        problems: what is wrong; () if all is well.
    """

    pattern: str
    masks: int
    words: tuple[WordCheck, ...]
    clozes: tuple[ClozeView, ...]
    shortened: int
    dropped: int
    at_least: bool
    scores: dict[str, float] | None
    problems: tuple[str, ...]


@dataclass(frozen=True)
class CheckReport:
    """What ``check_task`` found. ``rows`` is 0 where none were given and a made-up one was shown; ``head`` and ``unknown`` are None then.

    ``unknown`` is the share of the rows' tokens that the tokenizer does not know.
    """

    task: Task
    rows: int
    labelled: int
    patterns: tuple[PatternCheck, ...]
    head: HeadReport | None
    unknown: float | None = None

    @property
    def of_rows(self) -> tuple[str, ...]:
        """Problems that are no pattern's."""
        return (f"the tokenizer knows no token of the rows; {REMEDY}",) if self.unknown == 1 else ()

    @property
    def problems(self) -> tuple[str, ...]:
        """All problems; those of a pattern with its name."""
        found = (f"pattern {check.pattern!r}: {problem}" for check in self.patterns for problem in check.problems)
        return (*self.of_rows, *found)


def check_task(
    task: Task,
    tokenizer: Any,
    *,
    model: Any = None,
    rows: Rows | None = None,
    shown: int = 2,
    max_length: int = 256,
    joining: Joining = "string",
    token_budget: int = 8192,
    on_pattern: Callable[[int, int], None] | None = None,
) -> CheckReport:
    """Look at a task through a tokenizer, and through a model if one is given with rows.

    Args:
        tokenizer: a transformers tokenizer. model: the ``MaskedLM`` it belongs to; None leaves out head and accuracy.
        rows: real rows, labelled or not; None shows a made-up one.
        shown: clozes per pattern in the report. max_length: tokens per cloze, at most what tokenizer and model take.
        on_pattern: told (done, all) after each pattern.

    Raises ModelError for a tokenizer that cannot serve. Problems of patterns and words are in the report, not raised.
    """
    most = min(max_length, int(tokenizer.model_max_length), *([model.max_length] if model is not None else []))
    encoder = Encoder(tokenizer, max_length=most, joining=joining)
    real = rows if rows is not None and len(rows) else None
    looked_at = real or Rows(("made up",), {name: (name.replace("_", " "),) for name in task.fields})
    texts = _texts(real) if real is not None else []
    some = texts[:_HEAD_TEXTS]
    head = head_report(model, some, tokenizer=tokenizer) if model is not None and real is not None else None
    unknown = unknown_share(tokenizer, some) if head is None else head.unknown
    if unknown in (None, 1):  # a problem of the rows only if it is one of all
        unknown = unknown_share(tokenizer, texts)
    checks = []
    for done, pvp in enumerate(task.pvps, start=1):
        checks.append(_check_pattern(_Look(encoder, tokenizer, model, looked_at, token_budget), pvp, shown))
        if on_pattern is not None:
            on_pattern(done, len(task.pvps))
    labelled = looked_at.labeled
    return CheckReport(task, len(real or ()), labelled, tuple(checks), head, unknown)


def spread(rows: Rows, most: int) -> Rows:
    """At most ``most`` rows, as ``stretches`` chooses them."""
    return rows if len(rows) <= most else rows.select(stretches(len(rows), most))


def stretches(count: int, most: int) -> list[int]:
    """At most ``most`` of ``count`` numbers: one from each of as many stretches of the whole, since files are often sorted by label, and
    not at equal distances, since in some files two kinds of rows alternate.

    >>> stretches(6, 3), stretches(2, 3)
    ([0, 3, 4], [0, 1])
    """
    if count <= most:
        return list(range(count))
    bounds = np.arange(most + 1) * count // most
    return [int(number) for number in bounds[:-1] + np.arange(most) * _GOLDEN % 1 * np.diff(bounds)]


@dataclass(frozen=True)
class _Look:
    """What a pattern is looked at with."""

    encoder: Encoder
    tokenizer: Any
    model: Any
    rows: Rows
    token_budget: int


def _texts(rows: Rows) -> list[str]:
    columns = list(rows.fields.values())
    return [text for i in range(len(rows)) for column in columns if not is_blank(text := column[i])]


def _check_pattern(look: _Look, pvp: PVP, shown: int) -> PatternCheck:
    problems = _plan_problems(look, pvp)
    words, encoded = _words(look, pvp), None
    masks = max((len(word.ids) for word in words), default=1)
    filler = next((word.word for word in words if word.ids), pvp.verbalizer.words[0][0])
    try:
        encoded = look.encoder.clozes(look.rows, pvp.pattern, masks=masks or 1, filler=filler)
    except TaskError as error:
        problems += [line for line in _lines(error, pvp) if line not in problems]
    scores = None if problems else _scores(look, pvp)
    clozes = () if encoded is None else tuple(_view(look, pvp, encoded, i) for i in range(min(shown, len(encoded))))
    dropped = np.zeros(0) if encoded is None else encoded.dropped
    lost = int((dropped > 0).sum()), int(dropped.sum()), any(_cut_off(look, i) for i in np.flatnonzero(dropped).tolist())
    return PatternCheck(pvp.pattern.name, masks, words, clozes, *lost, scores, tuple(problems))


def _cut_off(look: _Look, index: int) -> bool:
    """Whether a row has a text of which only the beginning is read, so that not all of its dropped tokens are counted."""
    return any(look.encoder.is_cut_off(text) for text in look.rows.row(index).values())


def _plan_problems(look: _Look, pvp: PVP) -> list[str]:
    """What a run would refuse of pattern and words, in any row."""
    try:
        plan(look.encoder, pvp, look.rows)
    except TaskError as error:
        return _lines(error, pvp)
    return []


def _words(look: _Look, pvp: PVP) -> tuple[WordCheck, ...]:
    """The words in the gap of the first row; () if the pattern fails there."""
    pairs = [(label, word) for label, words in zip(pvp.verbalizer.labels, pvp.verbalizer.words, strict=True) for word in words]
    try:
        ids = look.encoder.word_gap(pvp.pattern, [word for _, word in pairs], look.rows.row(0)).ids
    except TaskError:
        return ()
    return tuple(
        WordCheck(label, word, tuple(map(int, each)), tuple(look.tokenizer.convert_ids_to_tokens([int(i) for i in each])))
        for (label, word), each in zip(pairs, ids, strict=True)
    )


def _scores(look: _Look, pvp: PVP) -> dict[str, float] | None:
    known = [i for i, label in enumerate(look.rows.labels) if label != UNLABELED]
    if look.model is None or not known:
        return None
    rows = look.rows.select(known)
    return evaluate(rows.labels, score_rows(look.model, look.encoder, rows, pvp, token_budget=look.token_budget))


def _view(look: _Look, pvp: PVP, encoded: Encoded, index: int) -> ClozeView:
    slots, mask = tuple(int(slot) for slot in encoded.slots[index]), str(look.tokenizer.mask_token)
    text = _spelled(pvp, look.rows.row(index), mask * len(slots))
    dropped = int(encoded.dropped[index])
    return ClozeView(look.rows.ids[index], text, mask, int(encoded.lengths[index]), slots, dropped, dropped > 0 and _cut_off(look, index))


def _spelled(pvp: PVP, row: dict[str, str], mask: str) -> str:
    marks = {MASK: mask, SEGMENT_BREAK: " || "}
    parts = pvp.pattern.parts(row)
    return "".join(part.text if isinstance(part, Text) else part if isinstance(part, str) else marks[part] for part in parts)


def _lines(error: UserError, pvp: PVP) -> list[str]:
    """The problems of an error of one pattern, without the pattern's name, which every title begins with."""
    head, *rest = str(error).splitlines()
    head = head.removeprefix("pattern function ").removeprefix("pattern ").removeprefix(repr(pvp.pattern.name)).removeprefix(":").strip()
    listed = [line.removeprefix("  - ") for line in rest]
    title = head.rpartition(":")[0]
    return [f"{title}: {line}" if title else line for line in listed] or [head]
