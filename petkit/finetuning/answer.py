"""Answers that are spans of a context (SQuAD): windows over long contexts, the best spans over all of them, or no answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForQuestionAnswering

from petkit.backbones.plain import inputs_of
from petkit.batching import Batch
from petkit.encoding.encoded import Encoded
from petkit.encoding.tokenizing import Spans, plain_tokenizer
from petkit.errors import DataError, SettingsError
from petkit.finetuning.exactmatch import answer_scores
from petkit.finetuning.kind import Chosen, Facts, Job, Kind, Lessons, Prediction, Tuned
from petkit.finetuning.loop import batches
from petkit.finetuning.models import ENCODERS, open_model
from petkit.finetuning.rows import Question
from petkit.finetuning.settings import FinetuneSettings
from petkit.finetuning.spans import WindowScores, best_spans, null_score
from petkit.finetuning.squad import read_questions
from petkit.finetuning.threshold import DEFAULT, at_threshold, fit_threshold, threshold_story
from petkit.finetuning.windows import encode_rows, framed, windows
from petkit.tensors import on

__all__ = ["ANSWER", "LONGEST_QUESTION", "Asked", "ask", "targets"]

LONGEST_QUESTION: Final = 64
"""Tokens of a question; what is longer is cut (``max_query_length`` of BERT's code)."""


@dataclass(frozen=True)
class Asked:
    """N questions in W windows over their contexts.

    Args:
        encoded: the windows' ids: question, then a part of the context.
        owner: (W,) int64, the question of each window.
        parts: (W, 2) int64, which tokens of the context it holds: first, and one past the last.
        leads: (W,) int64, where these begin in the row.
        contexts: per question the context's tokens with their characters.
        cut: questions cut to ``LONGEST_QUESTION``.
    """

    encoded: Encoded
    owner: NDArray[np.int64]
    parts: NDArray[np.int64]
    leads: NDArray[np.int64]
    contexts: Sequence[Spans]
    cut: int


def ask(tokenizer: Any, rows: Sequence[Question], *, max_length: int, stride: int) -> Asked:
    """The windows that ``tokenizer(question, context, truncation="only_second", stride=..., return_overflowing_tokens=True)`` gives."""
    plain = plain_tokenizer(tokenizer)
    taken = plain.frame.specials(2)
    known = list(dict.fromkeys(row.context for row in rows))
    once = dict(zip(known, plain.spans(known), strict=True))
    contexts = [once[row.context] for row in rows]
    questions = plain.ids([row.question for row in rows])
    ids, types, owner, parts, leads = [], [], [], [], []
    for number, (question, context) in enumerate(zip(questions, contexts, strict=True)):
        asked = question[:LONGEST_QUESTION]
        room = max_length - taken - len(asked)
        if not stride < room:
            raise SettingsError(
                f"question {rows[number].id!r} of {len(asked)} tokens leaves {max(0, room)} of --max-length {max_length} for the context; "
                f"more than --stride ({stride}) are needed"
            )
        for start, stop in windows(len(context.ids), room=room, stride=stride):
            row, kinds, (_, lead) = framed(plain.frame, [asked, context.ids[start:stop]])
            ids.append(row)
            types.append(kinds)
            owner.append(number)
            parts.append((start, stop))
            leads.append(lead)
    bounds = np.array(parts, dtype=np.int64).reshape(-1, 2)
    cut = sum(len(question) > LONGEST_QUESTION for question in questions)
    return Asked(encode_rows(ids, types), np.array(owner, dtype=np.int64), bounds, np.array(leads, dtype=np.int64), contexts, cut)


def targets(asked: Asked, rows: Sequence[Question]) -> NDArray[np.int64]:
    """(W, 2) int64: where the first answer's first and last token stand in each window; (0, 0), the first special token, if not both do."""
    spans = np.array([_token_span(context, row) for context, row in zip(asked.contexts, rows, strict=True)]).reshape(-1, 2)
    wanted = spans[asked.owner]
    inside = (wanted[:, 0] >= asked.parts[:, 0]) & (wanted[:, 1] < asked.parts[:, 1]) & (wanted[:, 0] >= 0)
    placed = wanted - asked.parts[:, :1] + asked.leads[:, None]
    return np.asarray(np.where(inside[:, None], placed, 0), dtype=np.int64)


def _token_span(context: Spans, row: Question) -> tuple[int, int]:
    """First and last token of the first answer; (-1, -1) if there is none, or no token is left of it."""
    if not row.answers:
        return -1, -1
    start, stop = row.starts[0], row.starts[0] + len(row.answers[0])
    first = int(np.searchsorted(context.ends, start, side="right"))
    last = int(np.searchsorted(context.starts, stop, side="left")) - 1
    return (first, last) if first <= last else (-1, -1)


def facts(train: Sequence[Question], _test: Sequence[Question], _settings: FinetuneSettings) -> Facts:
    """Nothing but that every training question says what is right. Raises DataError if one does not."""
    missing = [row.id for row in train if row.answers is None]
    if missing:
        raise DataError(f"{len(missing)} training questions have no answers, first {missing[0]!r}")
    return {}


def open_answerer(path: str, job: Job, seed: int) -> Any:
    """The checkpoint with a head for starts and ends."""
    return open_model(AutoModelForQuestionAnswering, path, job.config, seed=seed).to(job.settings.device)


def _asked(rows: Sequence[Question], job: Job) -> Asked:
    return ask(job.tokenizer, rows, max_length=job.settings.max_length or 0, stride=job.settings.stride or 0)


def lessons(rows: Sequence[Question], job: Job) -> Lessons:
    """Mean of the cross-entropies of start and end, as transformers' ``start_positions=`` and ``end_positions=`` have it of a row alone.

    Padding is no place for an answer: otherwise the loss of a row would hang on the longest one beside it.
    """
    asked = _asked(rows, job)
    wanted = torch.from_numpy(targets(asked, rows))

    def loss(model: Any, batch: Batch, chosen: Chosen) -> Tensor:
        right = on(wanted[torch.from_numpy(chosen)], model.device)
        out, padding = model(**inputs_of(model, batch)), batch.attention_mask == 0
        places = (x.float().masked_fill(padding, -torch.inf) for x in (out.start_logits, out.end_logits))
        start, end = (functional.cross_entropy(x, right[:, k]) for k, x in enumerate(places))
        return (start + end) / 2

    several = int((np.bincount(asked.owner) > 1).sum())
    unmapped = sum(bool(row.answers) and _token_span(c, row)[0] < 0 for row, c in zip(rows, asked.contexts, strict=True))
    counts = {
        "contexts longer than --max-length, read in windows": several,
        f"questions cut to {LONGEST_QUESTION} tokens": asked.cut,
        "answers of which the tokenizer leaves nothing": unmapped,
    }
    return Lessons(asked.encoded, loss, counts)


def predict(model: Any, rows: Sequence[Question], job: Job) -> list[Prediction]:
    """Per question ``answer`` ("" for none), its ``start`` (None for none), ``null_difference`` and the ``n_best`` with probabilities."""
    asked = _asked(rows, job)
    scores: list[list[WindowScores]] = [[] for _ in rows]
    logits: dict[int, tuple[Any, Any]] = {}

    def forward(batch: Batch) -> tuple[Tensor, Tensor]:
        out = model(**inputs_of(model, batch))
        return out.start_logits.float(), out.end_logits.float()

    for chosen, (starts, ends) in batches(model, asked.encoded, forward, job):
        logits.update(zip(chosen.tolist(), zip(starts.cpu().numpy(), ends.cpu().numpy(), strict=True), strict=True))
    for window, owner in enumerate(asked.owner.tolist()):
        scores[owner].append(_window(asked, window, *logits[window]))
    return [_prediction(row, windows, job.settings) for row, windows in zip(rows, scores, strict=True)]


def _window(asked: Asked, window: int, starts: Any, ends: Any) -> WindowScores:
    (first, stop), lead = asked.parts[window].tolist(), int(asked.leads[window])
    context, inside = asked.contexts[int(asked.owner[window])], slice(lead, lead + stop - first)
    starts, ends = starts.astype(np.float64), ends.astype(np.float64)
    return WindowScores(starts[inside], ends[inside], context.starts[first:stop], context.ends[first:stop], float(starts[0] + ends[0]))


def _prediction(row: Question, scores: Sequence[WindowScores], settings: FinetuneSettings) -> Prediction:
    spans = best_spans(scores, row.context, longest=settings.longest_answer or 1, n=settings.n_best or 1)
    null = null_score(scores)
    shares = softmax([span.score for span in spans] + ([null] if settings.no_answer else [])) if spans or settings.no_answer else []
    listed = [
        {"answer": row.context[span.start : span.stop], "start": span.start, "score": span.score, "probability": float(share)}
        for span, share in zip(spans, shares, strict=False)
    ]
    difference = null - spans[0].score if spans else None
    given = DEFAULT if settings.null_threshold is None else settings.null_threshold
    return at_threshold({"null_difference": difference, "n_best": listed}, given if settings.no_answer else math.inf)


def score(rows: Sequence[Question], predictions: Sequence[Prediction], _job: Job) -> dict[str, Any] | None:
    """Exact match and F1 over the questions whose answers are known."""
    known = [(prediction["answer"], row.answers) for row, prediction in zip(rows, predictions, strict=True) if row.answers is not None]
    return answer_scores([answer for answer, _ in known], [golds for _, golds in known]) if known else None


def tune(rows: Sequence[Question], predictions: Sequence[Prediction], job: Job) -> Tuned | None:
    """The null threshold, fitted on the questions whose answers are known; None where it is given, or every question has an answer."""
    if not job.settings.no_answer or job.settings.null_threshold is not None:
        return None
    known = [(prediction, row.answers) for row, prediction in zip(rows, predictions, strict=True) if row.answers is not None]
    found = fit_threshold([prediction for prediction, _ in known], [golds for _, golds in known])
    decided = [at_threshold(prediction, found["value"]) for prediction in predictions]
    return Tuned({"null_threshold": found["value"]}, {"null_threshold": found}, threshold_story(found), decided)


ANSWER: Final = Kind(
    name="answer",
    row=Question,
    model_types=ENCODERS,
    pipeline=None,
    read=read_questions,
    facts=facts,
    open=open_answerer,
    lessons=lessons,
    predict=predict,
    score=score,
    tune=tune,
)
