"""What comparisons and a study's size say, in plain sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from petkit.evaluation.statistics import EXACT, smallest_sign_flip_p
from petkit.metrics import LOWER_IS_BETTER
from petkit.report.names import METRIC_NAMES, SHARES, TINY, clipped, method_name, most_different, number, shots_name
from petkit.wording import many, verb

__all__ = ["ALIKE", "CHOICES", "NO_CHOICE", "ROWS_LABEL", "choice_sentence", "choices_sentence", "comparison_sentence", "power_sentence"]

ALIKE: Final = "splits too alike"
"""The verdict on a comparison over splits that share too many of their labelled rows."""

ROWS_LABEL: Final = "for these splits only"

CHOICES: Final = (
    "What choosing by as many development rows as labelled ones would have gained, in accuracy on the test; no result rests on it."
)
"""Above the sentences of single choices, where there are as many."""

NO_CHOICE: Final = "No method has more than one seed or pattern to choose among, so there is nothing that a development set could choose."
"""Where there are none."""

Entry = Mapping[str, Any]


def comparison_sentence(found: Entry, *, level: float, tasks: int, tests: int, draw: str) -> str:
    """One comparison, from a's point of view.

    Args:
        found: the comparison as report.json has it, with its verdict.
        tasks: over how many tasks it is a mean (where ``task`` is None). tests: how many comparisons were corrected together.
        draw: how labelled rows were drawn, as report.json has it.
    """
    where = found["task"] if found["task"] is not None else f"Mean of {tasks} tasks{_without(found.get('left_out'))}"
    return f"{where}, {shots_name(found['shots'], draw)}: {_said(found, level, tests)}."


def _without(tasks: Sequence[str] | None) -> str:
    """Which tasks a mean does without.

    >>> _without(["a"]), _without(["a", "b"])
    (' (without a, which has a single split)', ' (without a, b, which have a single split)')
    """
    return f" (without {', '.join(tasks)}, which {verb(len(tasks), 'have')} a single split)" if tasks else ""


def _said(found: Entry, level: float, tests: int) -> str:
    a, b, metric = method_name(found["a"]), method_name(found["b"]), found["metric"]
    if found["verdict"] == "too few splits":
        return _on_one_split(found, a, b)
    if found["verdict"] == ALIKE:
        return _on_alike_splits(found, a, b, level)
    gain, ends = _oriented(found)
    times = found["wins"] if gain > 0 else found["splits"] - found["wins"] - found["ties"]
    side = gain if gain > 0 else -gain
    if found["verdict"] != "no difference":
        between = _interval(metric, _turned(ends, gain), level)
        sure = f"{a} is {found['verdict']}{' of' if gain > 0 else ''} {b} by {_amount(metric, side)}{between}, on {_of(times, found)}"
        return sure if found["t_p"] is not None else f"{sure}; {_unvaried(found)}, so by the sign-flip test"
    if gain and (ends is None or not ends[0] <= 0 <= ends[1]):
        alone = f"{_interval(metric, _turned(ends, gain), level)}{' taken alone' if ends else ''}"
        times_text = f"{'better' if gain > 0 else 'worse'} on {_of(times, found)}"
        return f"{a} is {_amount(metric, side)} {_above(metric, gain)} {b}{alone}, {times_text}; {_doubt(found, tests)}"
    if found["ties"] == found["splits"]:
        return f"{a} and {b} come out the same on each of {many(found['splits'], 'split')}"
    between = (
        f"{_signed(metric, found['difference'])}{_interval(metric, found['interval'], level)}, {a} ahead on {_of(found['wins'], found)}"
    )
    return f"no difference between {a} and {b} that {many(found['splits'], 'split')} can tell: {between}"


def _doubt(found: Entry, tests: int) -> str:
    if found["t_p"] is None:
        p, smallest = found["sign_flip_p"], smallest_sign_flip_p(found["splits"]) or 1.0
        says = f"cannot go below p = {smallest:.3g}" if p <= smallest else f"has p = {p:.3g}"
        corrected = f", before it is corrected for {tests} comparisons" if tests > 1 else ""
        return f"{_unvaried(found)}, and the sign-flip test over {many(found['splits'], 'split')} {says}{corrected}"
    return f"as one of {tests} comparisons that may be chance" if tests > 1 else "that may be chance"


def _unvaried(found: Entry) -> str:
    return f"{'in each task ' if found['task'] is None else ''}always by as much, which allows no t test"


def _on_one_split(found: Entry, a: str, b: str) -> str:
    difference, metric = found["difference"], found["metric"]
    if difference is None:
        return f"{a} and {b} cannot be compared: {METRIC_NAMES[metric]} is not known for both"
    gain = -difference if metric in LOWER_IS_BETTER else difference
    known = f"is {_amount(metric, abs(gain))} {_above(metric, gain)} {b}" if gain else f"and {b} come out the same"
    return f"{a} {known} on the only split; that tells nothing of other labelled rows"


def _on_alike_splits(found: Entry, a: str, b: str, level: float) -> str:
    metric, of = found["metric"], "two of them" if found["task"] is not None else "in one of the tasks two of them"
    between = (
        f"{_signed(metric, found['difference'])}{_interval(metric, found['interval'], level)}, {a} ahead on {_of(found['wins'], found)}"
    )
    share = f"{of} share {100 * found['shared']:.0f} % of their labelled rows on average"
    same = found["task"] is not None and found["shared"] >= 1 - TINY
    return f"nothing is decided between {a} and {b}: {between}; {'they hold the same labelled rows' if same else share}"


def _above(metric: str, gain: float) -> str:
    return "above" if (gain > 0) != (metric in LOWER_IS_BETTER) else "below"


def _oriented(found: Entry) -> tuple[float, tuple[float, float] | None]:
    """Difference and ends of its interval, positive where a is better."""
    difference, ends = found["difference"], found["interval"]
    if found["metric"] in LOWER_IS_BETTER:
        return -difference, None if ends is None else (-ends[1], -ends[0])
    return difference, None if ends is None else (ends[0], ends[1])


def _turned(ends: tuple[float, float] | None, gain: float) -> tuple[float, float] | None:
    """The interval of the difference's size, as "ahead" and "behind" say the sign."""
    return ends if ends is None or gain > 0 else (-ends[1], -ends[0])


def _signed(metric: str, difference: float) -> str:
    """a minus b with its sign; what rounds to nothing has none.

    >>> _signed("accuracy", 0.018), _signed("log_loss", -0.02), _signed("accuracy", -0.0001)
    ('+1.8 points', '-0.020 (log loss)', '0.0 points')
    """
    text = _amount(metric, abs(difference))
    return text if float(number(metric, abs(difference))) == 0 else f"{'+' if difference > 0 else '-'}{text}"


def _amount(metric: str, size: float) -> str:
    """12.3 points, or 0.123 in the metric's own unit; accuracy is not named.

    >>> _amount("accuracy", 0.123), _amount("macro_f1", 0.5), _amount("mcc", 0.123)
    ('12.3 points', '50.0 points of macro-F1', '0.123 (Matthews correlation)')
    """
    if metric not in SHARES:
        return f"{number(metric, size)} ({METRIC_NAMES[metric]})"
    return f"{number(metric, size)} points" + ("" if metric == "accuracy" else f" of {METRIC_NAMES[metric]}")


def _interval(metric: str, ends: Sequence[float] | None, level: float) -> str:
    """With the comma before it, no further out than a difference can be; nothing if there is none.

    >>> _interval("accuracy", (0.098, 0.149), 0.95), _interval("accuracy", (-1.224, 0.999), 0.95)
    (', 95 % interval 9.8 to 14.9', ', 95 % interval -100.0 to 99.9')
    >>> _interval("mcc", (-2.4, 0.1), 0.95), _interval("log_loss", (-3.0, 4.0), 0.95)
    (', 95 % interval -2.000 to 0.100', ', 95 % interval -3.000 to 4.000')
    """
    if ends is None:
        return ""
    low, high = (number(metric, end if float(number(metric, end)) else 0.0) for end in clipped(metric, ends))  # -0.0 has no sign
    return f", {100 * level:g} % interval {low} to {high}"


def _of(times: int, found: Entry) -> str:
    return f"{times} of {many(found['splits'], 'split')}"


def power_sentence(
    splits: int,
    sizes: Sequence[float],
    *,
    metric: str,
    level: float,
    tests: int,
    most: int | None = None,
    single: Sequence[str] = (),
    means: bool = False,
    alike: Sequence[str] = (),
    detect: float = 0.8,
) -> str:
    """What a study of this size can tell at all.

    Args:
        splits: the fewest of any task that has several; one or none if no task has. sizes: the detectable differences of the comparisons.
        tests: how many were corrected together. most: the most splits of any task; None for as many. single: what has one split
        beside tasks with several. means: whether means over tasks are compared too. alike: what has splits that decide nothing,
        since they share too many of their rows; they do not count as splits here.
    """
    if alike and splits < 2:
        return f"Nothing can be said of other labelled rows: {_too_alike(alike)}."
    if splits < 2:
        over_rows = f"intervals and tests over test rows hold {ROWS_LABEL}"
        return f"With {many(splits, 'split')} nothing can be said of other labelled rows: {over_rows}."
    corrected = f", corrected for {tests} comparisons (Holm)" if tests > 1 else ""
    rule = f"Verdicts rest on the paired t test over splits{corrected}, and speak of other labelled rows, not of other test rows."
    lines = [_flips(splits, max(splits, most or 0), level, means=means), rule, *_reach(sizes, metric, tests, detect)]
    if means and most is not None and most > splits:
        lines.append("Means over tasks take all splits of each task, and every task alike.")
    if single:
        they = "it" if len(single) == 1 else "they"
        left_out = f"; {they} {verb(len(single), 'are')} left out of means over tasks" if means else ""
        lines.append(
            f"{'; '.join(single)} {verb(len(single), 'have')} a single split, which tells nothing of other labelled rows{left_out}."
        )
    if alike:
        neither = ", nor does a mean over tasks that they have part in" if means else ""
        lines.append(f"But {_too_alike(alike)}{neither}.")
    return " ".join(lines)


def _too_alike(names: Sequence[str]) -> str:
    return f"splits that share half of their labelled rows or more decide nothing ({'; '.join(names)})"


def _flips(splits: int, most: int, level: float, *, means: bool) -> str:
    """What the sign-flip test can tell with the fewest and with the most splits."""
    highest, lowest = smallest_sign_flip_p(splits) or 1.0, smallest_sign_flip_p(most) or 1.0
    numbers, ends = (f"{splits}", f"{highest:.3g}") if most == splits else (f"{splits} to {most}", f"{highest:.3g} to {lowest:.3g}")
    never = f"it alone is never sure at {100 * level:g} %"
    sure = f", so that {never}" if lowest >= 1 - level else f", so that with {splits} {never}" if highest >= 1 - level else ""
    exact = "exact " if most <= EXACT else ""
    return f"With {numbers} splits{' of a task' if means else ''} the {exact}sign-flip test cannot go below p = {ends}{sure}."


def _reach(sizes: Sequence[float], metric: str, tests: int, detect: float) -> list[str]:
    if not sizes:
        return []
    least, middle, most = (float(size) for size in np.quantile(sizes, [0.0, 0.5, 1.0]))
    ends = number(metric, least), _no_more(metric, most)
    between = f" (median; from {ends[0]} to {ends[1]})" if ends[0] != ends[1] else ""
    alone = "Taken alone, a comparison" if tests > 1 else "The comparison"
    more = "; the correction asks for more" if tests > 1 else ""
    if middle > most_different(metric):
        which = f"{alone} of the median spread" if tests > 1 else "With its spread, the comparison"
        return [f"{which} finds no true difference, however large, in {100 * detect:g} % of such studies{more}."]
    return [f"{alone} finds a true difference of {_amount(metric, middle)}{between} in {100 * detect:g} % of such studies{more}."]


def _no_more(metric: str, size: float) -> str:
    """A size of a difference, up to what a difference can be.

    >>> _no_more("accuracy", 0.126), _no_more("accuracy", 2.177), _no_more("mcc", 2.177), _no_more("log_loss", 2.177)
    ('12.6', 'more than 100', 'more than 2', '2.177')
    """
    most = most_different(metric)
    return f"more than {100 * most if metric in SHARES else most:g}" if size > most else number(metric, size)


def choices_sentence(sizes: Sequence[tuple[int, int]]) -> str:
    """What the choices are made by: ``sizes`` holds (labelled rows, development rows) of each split.

    >>> choices_sentence([(8, 8), (16, 16)]) == CHOICES, choices_sentence([(6, 20), (7, 20)]).partition(" would")[0]
    (True, 'What choosing by 20 development rows, with 6 to 7 labelled ones,')
    """
    if all(labelled == development for labelled, development in sizes):
        return CHOICES
    labelled, development = (_from_to(numbers) for numbers in zip(*sizes, strict=True))
    return CHOICES.replace("as many development rows as labelled ones", f"{development} development rows, with {labelled} labelled ones,")


def _from_to(numbers: Sequence[int]) -> str:
    least, most = min(numbers), max(numbers)
    return str(most) if least == most else f"{least} to {most}"


def choice_sentence(found: Entry, *, level: float, draw: str) -> str:
    """What choosing by development rows would have gained, for one task, number of rows and method.

    Args:
        found: the choice as report.json has it. draw: how labelled rows were drawn, as there.
    """
    where = f"{found['task']}, {shots_name(found['shots'], draw)}, {method_name(found['method'])}"
    seeds = f" with {many(found['seeds'], 'seed')} each" if found["what"] != "seed" and found["seeds"] > 1 else ""
    splits, by_splits = many(found["splits"], "split"), found["interval"] is not None
    over = f"mean of {splits}{seeds}" if by_splits else f"{_alike(found['gain'])} of {splits}{seeds}"
    over = over if found["splits"] > 1 else "on the only split, which tells nothing of other ones"
    return (
        f"{where}: choosing the {found['what']} by development rows {_gains(found['gain'])} over not choosing"
        f"{_interval('accuracy', found['interval'], level)}, {over}; the best {found['what']} in hindsight "
        f"{_gains(found['best'] - found['mean'])}."
    )


def _alike(gain: float) -> str:
    """What is said of splits that all gain as much."""
    return "on any" if _gains(gain) == _gains(0) else "as much on each"


def _gains(gain: float) -> str:
    """A gain in accuracy; what rounds to nothing is none.

    >>> _gains(0.012), _gains(-0.012), _gains(0.0004)
    ('gains 1.2 points', 'loses 1.2 points', 'gains nothing')
    """
    size = number("accuracy", abs(gain))
    return "gains nothing" if float(size) == 0 else f"{'gains' if gain > 0 else 'loses'} {size} points"
