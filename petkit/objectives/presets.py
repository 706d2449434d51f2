"""The table of objectives: name -> parts and numbers, with the source of each. Users add rows of their own with ``register``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Final, Protocol, runtime_checkable

from petkit.choices import legal_are
from petkit.errors import SettingsError, raise_problems
from petkit.objectives import texttotext as t2t
from petkit.objectives.masked import Distillation, MaskedLanguageModeling, PairPrediction, ReplacedTokenDetection
from petkit.objectives.ordered import NextToken, Permutation
from petkit.objectives.pairs import nsp_pairs, sop_pairs
from petkit.objectives.select import (
    select_dynamic,
    select_exact,
    select_independent,
    select_suffix,
    select_whole_words,
)
from petkit.objectives.spans import Lengths, select_ngrams, select_spans
from petkit.objectives.t5 import select_t5_spans
from petkit.objectives.texttotext import Denoising, SpanCorruption

__all__ = ["PRESETS", "Objective", "adapting_objectives", "numbers", "objective", "plain_objectives", "preset", "register"]


@runtime_checkable
class Objective(Protocol):
    """A row of the table: a frozen value with a ``batch`` that draws from a generator and from nothing else."""

    @property
    def name(self) -> str:
        """How it is called."""

    @property
    def summary(self) -> str:
        """What exactly it does."""

    @property
    def source(self) -> str:
        """Who says so."""

    @property
    def batch(self) -> Any:
        """(ids, valid, vocabulary, generator, words=, sentences=) -> arrays."""


_BERT = "Devlin et al. 2019, section 3.1, arXiv 1810.04805"
_WWM = "Cui et al. 2021, arXiv 1906.08101"
_ALBERT = "Lan et al. 2020, section 4.1, arXiv 1909.11942"
_SPAN = "Joshi et al. 2020, section 3, arXiv 1907.10529"
_T5 = "Raffel et al. 2020, section 3.3, arXiv 1910.10683"
_BART = "Lewis et al. 2020, section 2.2, arXiv 1910.13461; numbers of fairseq's recipe"

_MLM = MaskedLanguageModeling("mlm", select_exact, _BERT, summary="exactly max(1, round(p n)) tokens; 80 % mask, 10 % random, 10 % kept")
_SPANBERT = MaskedLanguageModeling(
    "spanbert",
    select_spans,
    _SPAN,
    needs_words=True,
    summary="spans of words up to ceil(p n) tokens, 80/10/10 by span; a second head predicts each span from its two neighbours",
    lengths=Lengths("geometric", 10),
    by_run=True,
    boundary=True,
)
_NGRAM = MaskedLanguageModeling(
    "ngram",
    select_ngrams,
    _ALBERT,
    needs_words=True,
    summary="n-grams of words, shrunk to fit the count, never overlapping",
    lengths=Lengths("reciprocal", 3),
)
_WHOLE = MaskedLanguageModeling(
    "whole-word", select_whole_words, _WWM, needs_words=True, summary="whole words in random order while they fit; others are skipped"
)

_MASKED = (
    _MLM,
    MaskedLanguageModeling("mlm-independent", select_independent, _BERT, summary="each token on its own with probability p"),
    MaskedLanguageModeling(
        "roberta",
        select_dynamic,
        "Liu et al. 2019, section 4.1, arXiv 1907.11692; fairseq's rounding",
        summary="as mlm, floor(p n + u) tokens with u random: right on average",
    ),
    _WHOLE,
    replace(_WHOLE, name="chinese-words", given_units=True, summary="as whole-word; units are a segmenter's words (jieba)"),
    _NGRAM,
    replace(
        _NGRAM,
        name="ngram-geometric",
        source=f"{_ALBERT}; lengths of {_SPAN}",
        lengths=Lengths("geometric", 10),
        summary="as ngram, with geometric lengths",
    ),
    replace(
        _NGRAM,
        name="chinese-ngram",
        given_units=True,
        source=f"{_ALBERT}; units of {_WWM}",
        summary="as ngram; units are a segmenter's words (jieba). MacBERT's n-grams are others: up to 4 words, and similar words for masks",
    ),
    replace(
        _WHOLE,
        name="ernie",
        given_units=True,
        source="Sun et al. 2019, section 3.2, arXiv 1904.09223",
        summary="as whole-word; units are phrases or entities that come with the text, and the words outside of them",
    ),
    replace(
        _SPANBERT,
        name="spanbert-masks",
        boundary=False,
        summary="spans of words up to ceil(p n) tokens, 80/10/10 by span; no second head",
    ),
    _SPANBERT,
)

_OTHERS = (
    ReplacedTokenDetection(
        "electra",
        replace(_MLM, name="electra-generator", masked=0.85, random=0.0),
        "Clark et al. 2020, arXiv 2003.10555; the reference masks 85 % of the selected",
        summary="a small generator fills the masks, a discriminator tells replaced tokens from original ones everywhere",
    ),
    Distillation(
        "distilbert",
        _MLM,
        "Sanh et al. 2019, section 3, arXiv 1910.01108; weights of its training script",
        summary="mlm; a student learns the teacher's soft targets, the targets, and by cosine the last hidden states",
    ),
    PairPrediction("nsp", _MLM, nsp_pairs, _BERT, summary="mlm on pairs, half of them from two documents: label 0 follows, 1 is random"),
    PairPrediction(
        "sop",
        _NGRAM,
        sop_pairs,
        "Lan et al. 2020, section 3.1, arXiv 1909.11942",
        summary="ngram on pairs out of one document, half of them swapped: label 0 in order, 1 swapped",
    ),
    NextToken("causal", "Radford et al. 2018, section 3.1", summary="each token from those before it; the shift is the model's"),
    Permutation(
        "xlnet",
        "Yang et al. 2019, sections 2.2 to 2.3, arXiv 1906.08237; spans of its reference implementation",
        summary="spans in a random order within blocks, from the context and the targets before; contents are not changed",
    ),
)

_TEXT_TO_TEXT = (
    SpanCorruption(
        "t5",
        select_t5_spans,
        t2t.sentinel_inputs,
        t2t.sentinel_targets,
        _T5,
        summary="spans become sentinels, targets are the sentinels with what was there; all ways to cut are equally likely",
        mean=3.0,
    ),
    SpanCorruption(
        "t5-replace-spans",
        select_independent,
        t2t.sentinel_inputs,
        t2t.sentinel_targets,
        f"{_T5}, table 3",
        summary="as t5, each token noise on its own",
    ),
    SpanCorruption(
        "t5-drop",
        select_independent,
        t2t.dropped,
        t2t.selected,
        f"{_T5}, table 3",
        summary="noise tokens are left out, targets are those",
    ),
    SpanCorruption(
        "t5-bert",
        select_independent,
        partial(t2t.masked, random=0.1),
        t2t.whole,
        f"{_T5}, table 3",
        summary="90 % of noise tokens masks, 10 % random; target is the text",
    ),
    SpanCorruption(
        "t5-mass",
        select_independent,
        t2t.masked,
        t2t.whole,
        f"{_T5}, table 3 (MASS-style)",
        summary="noise tokens are masks; target is the text",
    ),
    SpanCorruption(
        "t5-prefix-lm",
        select_suffix,
        t2t.dropped,
        t2t.selected,
        f"{_T5}, table 3",
        summary="the text is cut at a random place; the second part from the first",
        rate=None,
    ),
    SpanCorruption(
        "t5-deshuffle",
        None,
        t2t.shuffled,
        t2t.whole,
        f"{_T5}, table 3",
        summary="all tokens in random order; target is the text",
        rate=None,
    ),
    SpanCorruption(
        "span-collapse",
        select_t5_spans,
        t2t.collapsed,
        t2t.whole,
        "Song et al. 2019, arXiv 1905.02450, and Lewis et al. 2020, section 2.2: one mask for a span",
        summary="each span becomes one mask; target is the text",
        mean=3.0,
    ),
    Denoising("bart", ("permute-sentences", "infill"), _BART, summary="sentences in random order, spans of words become one mask each"),
    Denoising("bart-infill", ("infill",), _BART, summary="spans of words become one mask each; empty ones are put in"),
    Denoising("bart-permute", ("permute-sentences",), _BART, summary="sentences in random order"),
    Denoising("bart-mask", ("mask",), _BART, summary="tokens become masks"),
    Denoising("bart-delete", ("delete",), _BART, summary="tokens are deleted"),
    Denoising("bart-rotate", ("rotate",), _BART, summary="the text begins with a random token, what was before it comes last"),
)

_TABLE: dict[str, Any] = {row.name: row for row in (*_MASKED, *_OTHERS, *_TEXT_TO_TEXT)}
PRESETS: Final[Mapping[str, Any]] = MappingProxyType(_TABLE)
"""All objectives by name, registered ones too."""


def register(row: Any, *, force: bool = False) -> None:
    """Add a row to the table, in this process: an object with ``name``, ``summary``, ``source`` and ``batch``.

    ``petkit.objectives.MaskedLanguageModeling`` and its neighbours make rows of any selector, corrupter or noises. Plain masked ones then
    work wherever an objective is named in this process; worker processes of their own do not know them.

    Args:
        force: replace a row of this name.
    """
    problems = [f"it has no {part}" for part in ("name", "source", "summary", "batch") if not hasattr(row, part)]
    name = getattr(row, "name", "")
    if not problems and not (isinstance(name, str) and name and not set(name) & set(", \t\n")):
        problems.append(f"its name is {name!r}; a word without commas and blanks is legal")
    if not problems and name in _TABLE and not force:
        problems.append("the name is taken; legal are other names, or force=True to replace it")
    raise_problems(SettingsError, f"objective {name or row!r}", problems)
    _TABLE[name] = row


def preset(name: str, **changes: Any) -> Any:
    """A row by name, with other numbers if given. Raises SettingsError on an unknown name or number."""
    if name not in _TABLE:
        raise SettingsError(f"objective {name!r} is unknown; {legal_are(name, _TABLE)}")
    row = _TABLE[name]
    known = sorted(field.name for field in fields(row)) if is_dataclass(row) else []
    problems = [f"there is no {key}; {legal_are(key, known)}" for key in changes if key not in known]
    problems += [] if 0 < changes.get("rate", 1) <= 1 else [f"rate is {changes['rate']}; above 0 and at most 1 is legal"]
    raise_problems(SettingsError, f"objective {name!r}", problems)
    return replace(row, **changes) if changes else row


def plain_objectives() -> tuple[str, ...]:
    """The names of those that a masked language model and text are enough for: what PET members take."""
    return tuple(name for name, row in _TABLE.items() if isinstance(row, MaskedLanguageModeling) and row.plain)


def adapting_objectives() -> tuple[str, ...]:
    """Those with which ``--adapt`` can train a checkpoint on: the plain ones, and SpanBERT with its boundary head, which is thrown away."""
    return (*plain_objectives(), "spanbert")


def objective(name: str, *, rate: float | None = None) -> MaskedLanguageModeling:
    """A plain masked objective by name (see ``plain_objectives``), with another mask rate if given.

    Raises SettingsError on a name that is unknown or of another kind, and on a rate outside (0, 1].
    """
    if name not in plain_objectives():
        why = "needs more than a masked language model and text" if name in _TABLE else "is unknown"
        raise SettingsError(f"--objective {name!r} {why}; {legal_are(name, plain_objectives())}")
    row: MaskedLanguageModeling = _TABLE[name]
    if rate is None:
        return row
    if not 0 < rate <= 1:
        raise SettingsError(f"mask rate {rate} is not legal; it lies above 0 and at most 1")
    return replace(row, rate=rate)


def numbers(row: Any) -> dict[str, Any]:
    """The numbers of a row by name, those of the masked objective in it too, as ``petkit objectives`` shows them."""
    if isinstance(row, Denoising):
        return {key: value for name in row.noises for key, value in row.numbers_of(name).items()}
    found: dict[str, Any] = {}
    for field in fields(row) if is_dataclass(row) else ():
        value = getattr(row, field.name)
        if isinstance(value, MaskedLanguageModeling):
            found = {**numbers(value), **found}
        elif isinstance(value, Lengths):
            found[field.name] = str(value)
        elif isinstance(value, tuple) or (isinstance(value, int | float) and not isinstance(value, bool)):
            found[field.name] = list(value) if isinstance(value, tuple) else value
    return found
