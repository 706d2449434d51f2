"""Every learner lowers its loss on a text that repeats itself, and what it saved is what plain transformers opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from petkit.objectives import Documents, pair_rows, preset, stream
from petkit.pretraining.architectures import kind_of
from petkit.pretraining.learners import Learner, learner_for
from petkit.training import seeded
from tests.petkit.pretraining.learners.tiny import CASES, teacher_of, tiny, vocabulary

AUTO = {
    "masked": transformers.AutoModelForMaskedLM,
    "pairs": transformers.AutoModelForMaskedLM,
    "replaced": transformers.AutoModelForMaskedLM,
    "distilled": transformers.AutoModelForMaskedLM,
    "text-to-text": transformers.AutoModelForSeq2SeqLM,
    "causal": transformers.AutoModelForCausalLM,
    "permutation": transformers.XLNetLMHeadModel,
}
ALL = [*CASES, ("electra", "electra"), ("distilbert", "distilbert")]


def text(kind: int, length: int, start: int) -> np.ndarray[Any, Any]:
    """Words of one kind of four, four words each, that follow one another."""
    return vocabulary().ordinary[4 * kind + (start + np.arange(length)) % 4]


def documents(rng: np.random.Generator, name: str) -> Documents:
    """Four documents of 16 sentences of 5 words. Each document is of one kind; or (SOP) kinds follow one another in each of them."""
    kinds = np.repeat(np.arange(4), 16) if name == "nsp" else np.tile(np.arange(4), 16)
    ids = np.concatenate([text(kind, 5, start) for kind, start in zip(kinds, rng.integers(0, 4, 64), strict=True)])
    return Documents(ids, np.arange(0, 321, 5), np.arange(0, 65, 16))


def batch_at(name: str, step: int, rows: int = 16) -> Any:
    objective, rng = preset(name), stream(1, "learning", step=step)
    if kind_of(objective) == "pairs":
        texts = documents(rng, name)
        pairs = objective.build(texts, rng, tokens=20, short=0.0)
        chosen = rng.choice(len(pairs.labels), size=rows)
        return objective.batch(pair_rows(texts, pairs, chosen, rng, vocabulary(), length=23), vocabulary(), rng)
    kinds, starts = rng.integers(0, 4, rows), rng.integers(0, 4, rows)
    ends = [vocabulary().bos_id], [vocabulary().eos_id]
    ids = np.array([[*ends[0], *text(kind, 20, start), *ends[1]] for kind, start in zip(kinds, starts, strict=True)], dtype=np.int64)
    return objective.batch(ids, np.ones(ids.shape, dtype=bool), vocabulary(), rng)


def trained(learner: Learner, name: str, steps: int) -> list[dict[str, float]]:
    optimizer, found = torch.optim.AdamW(learner.parameters(), lr=5e-3), []
    learner.train()
    for step in range(steps):
        batch = batch_at(name, step)
        with seeded(1, "learning", step):
            losses = learner(batch, learner.counts(batch))
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
        found.append({part: value.item() for part, value in losses.items()})
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("arch", "name"), ALL)
def test_a_few_steps_lower_the_loss_and_what_is_saved_opens(arch: str, name: str, tmp_path: Path) -> None:
    options = {"teacher": teacher_of(spread=0.05)} if name == "distilbert" else {}
    learner = learner_for(preset(name), tiny(arch, name, spread=0.0), vocabulary(), **options)
    losses = trained(learner, name, 60)
    words_part = "mlm" if name == "distilbert" else next(iter(learner.counts(batch_at(name, 0))))
    first, last = (np.mean([step[words_part] for step in part]) for part in (losses[:5], losses[-5:]))
    assert last < 0.75 * first
    learner.save(tmp_path, half=False)
    opened = AUTO[kind_of(preset(name))].from_pretrained(tmp_path).eval()
    model = getattr(learner.model, "generator", learner.model).eval()
    model = getattr(model, "model", model) if kind_of(preset(name)) not in ("text-to-text", "causal", "permutation") else model
    ids = torch.from_numpy(batch_at("mlm", 99).inputs)
    inputs = {"input_ids": ids} | ({"decoder_input_ids": ids} if kind_of(preset(name)) == "text-to-text" else {})
    with torch.no_grad():
        mine, theirs = (each(**inputs) for each in (model, opened))
    logits = getattr(mine, "logits", None) if getattr(mine, "logits", None) is not None else mine.prediction_logits
    torch.testing.assert_close(logits, theirs.logits, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "part"), [("sop", "sop"), ("spanbert", "sbo")])
def test_the_second_part_is_learned_too(name: str, part: str) -> None:
    """Texts in order begin with one kind of words; spans follow from what is around them."""
    learner = learner_for(preset(name), tiny("bert", name, spread=0.0), vocabulary())
    losses = trained(learner, name, 200)
    first, last = (np.mean([step[part] for step in some]) for some in (losses[:10], losses[-10:]))
    assert last < 0.7 * first


@pytest.mark.slow
def test_the_discriminator_learns_too() -> None:
    """First it says how often tokens are replaced, then which."""
    learner = learner_for(preset("electra"), tiny("electra", "electra", spread=0.0), vocabulary())
    losses = trained(learner, "electra", 150)
    first, last = (np.mean([step["discriminator"] for step in some]) for some in (losses[:10], losses[-10:]))
    assert last < 0.75 * first
