"""Members: one masked language model per (pattern, verbalizer, seed), fine-tuned on cloze questions.

Schick & Schütze 2021a, section 3.2 (arXiv 2001.07676): L = (1 - a) L_label + a L_MLM. The label loss is cross-entropy for
one-token words and the hinge loss of Schick & Schütze 2021b, section 3.1 (arXiv 2009.07118), where a word has several tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from petkit.backbones import MaskedLM, check_vocabulary
from petkit.backbones.headcheck import head_report
from petkit.batching import Batch, collate, tallying
from petkit.checkpoints import CHECKPOINT_FILE
from petkit.compute import autocast_dtype, computing
from petkit.encoding import Encoder
from petkit.encoding.encoded import Encoded
from petkit.losses import hinge_loss, label_loss, mix_losses
from petkit.metrics import accuracy, evaluate
from petkit.objectives import MaskedBatch, MaskedLanguageModeling, Vocabulary, objective, stream
from petkit.pvp import PVP
from petkit.rowfiles import load_rows, save_scores
from petkit.rows import Rows
from petkit.sampling import epoch_batch, epoch_total
from petkit.scoring import ScoringPlan, label_scores, plan, score_rows, slot_scores
from petkit.settings import MemberSettings, Settings
from petkit.stages import Stage
from petkit.strategies import strategy
from petkit.strategies.preparing import prepared
from petkit.tensors import on
from petkit.training import Trained, TrainSettings, train
from petkit.units import UnitContext

__all__ = ["MemberData", "checkpoint_unit", "member_unit", "train_member", "untrained_unit"]


@dataclass(frozen=True)
class MemberData:
    """Encoded clozes of one pattern: labelled rows with their label indices (N,) int64, and unlabelled ones (maybe none)."""

    labeled: Encoded
    labels: np.ndarray[Any, np.dtype[np.int64]]
    unlabeled: Encoded
    plan: ScoringPlan

    @classmethod
    def of(cls, encoder: Encoder, pvp: PVP, labeled: Rows, unlabeled: Rows) -> MemberData:
        """Encode both kinds of rows with the masks that training needs."""
        words = plan(encoder, pvp, labeled)
        filler = pvp.verbalizer.words[0][0]
        clozes = [encoder.clozes(rows, pvp.pattern, masks=words.masks, filler=filler) for rows in (labeled, unlabeled)]
        return cls(clozes[0], np.asarray(labeled.labels, dtype=np.int64), clozes[1], words)


def train_member(
    model: MaskedLM,
    data: MemberData,
    settings: MemberSettings,
    vocabulary: Vocabulary,
    *,
    seed: int,
    precision: str = "float32",
    context: UnitContext | None = None,
) -> Trained:
    """Fine-tune ``model`` in place: labelled micro-batches, each with an unlabelled one beside it where the MLM loss has a weight.

    Rows are drawn without replacement, shuffled anew for every epoch. The pattern's own mask slot is never an MLM target.
    """
    masking = objective(settings.objective, rate=settings.mask_rate)
    device = model.device
    with_language = _with_language(data, settings)
    on_labels = label_loss if data.plan.kind == "single" else hinge_loss

    def losses(step: int, micro: int) -> Mapping[str, Tensor]:
        index = step * settings.accumulate + micro
        chosen = epoch_batch(seed, "labeled", index=index, batch=settings.batch, size=len(data.labeled))
        batch = collate(data.labeled, chosen, pad_id=vocabulary.pad_id)
        targets = on(data.labels[chosen], device)
        if not with_language:
            label = on_labels(label_scores(model, batch.to(device), data.plan), targets)
            return {"loss": label, "label": label}
        others = epoch_batch(seed, "unlabeled", index=index, batch=settings.unlabeled_batch, size=len(data.unlabeled))
        raw = collate(data.unlabeled, others, pad_id=vocabulary.pad_id)
        corrupted, masked = corrupt(raw, masking, vocabulary, stream(seed, "mask", step=index))
        scores, language = joint_pass(model, batch, data.plan, corrupted, masked, pad_id=vocabulary.pad_id)
        label = on_labels(scores, targets)
        return {"loss": mix_losses(label, language, weight=settings.mlm_weight), "label": label, "mlm": language}

    with prepared(model, strategy(settings.strategy), seed=seed) as before_step:
        return train(
            model,
            losses,
            loop_settings(settings, precision),
            seed=seed,
            stage="member",
            checkpoint=context.work / CHECKPOINT_FILE if context else None,
            before_step=before_step,
            on_step=(lambda step, steps, means: context.progress(step, steps, **(means or {}))) if context else None,
        )


def _with_language(data: MemberData, settings: MemberSettings) -> bool:
    return settings.mlm_weight > 0 and settings.unlabeled_batch > 0 and len(data.unlabeled) > 0


def trained_tokens(data: MemberData, settings: MemberSettings, *, seed: int) -> int:
    """The real tokens that ``train_member`` runs forward and backward over, labelled and unlabelled."""
    draws = settings.steps * settings.accumulate
    total = epoch_total(seed, "labeled", lengths=data.labeled.lengths, draws=draws * settings.batch)
    if _with_language(data, settings):
        total += epoch_total(seed, "unlabeled", lengths=data.unlabeled.lengths, draws=draws * settings.unlabeled_batch)
    return total


def corrupt(batch: Batch, masking: MaskedLanguageModeling, vocabulary: Vocabulary, rng: np.random.Generator) -> tuple[Batch, MaskedBatch]:
    """A batch (B, T) on the CPU as the model is to see it, and where it has to say what."""
    masked = masking.batch(batch.input_ids.numpy(), batch.attention_mask.numpy() == 1, vocabulary, rng)
    return replace(batch, input_ids=torch.from_numpy(masked.inputs)), masked


def joint_pass(
    model: MaskedLM, labeled: Batch, plan: ScoringPlan, corrupted: Batch, masked: MaskedBatch, *, pad_id: int
) -> tuple[Tensor, Tensor]:
    """Label scores (B, C) of the labelled rows and the mean MLM loss of the others, both batches on the CPU, in one forward pass.

    Equal to two passes but for dropout's draws. Gradients of the embeddings are made once, and the last layer runs only where a
    label or a token is asked for.
    """
    joined = labeled.above(corrupted, pad_id=pad_id)
    width, slots = joined.input_ids.shape[1], labeled.slots.numpy()
    rows, places = np.divmod(masked.positions, corrupted.input_ids.shape[1])
    asked = np.concatenate([(np.arange(len(slots))[:, None] * width + slots).ravel(), (rows + len(slots)) * width + places])
    hidden = model.hidden_at(joined.to(model.device), asked)
    scores = slot_scores(model, hidden[: slots.size].unflatten(0, slots.shape), plan)
    if len(masked.targets) == 0:
        return scores, hidden.sum() * 0.0
    targets = on(masked.targets, hidden.device)
    return scores, functional.cross_entropy(model.vocab_logits(hidden[slots.size :]), targets)


def loop_settings(settings: Any, precision: str) -> TrainSettings:
    """The training loop's settings from a stage's."""
    return TrainSettings(
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        accumulate=settings.accumulate,
        weight_decay=settings.weight_decay,
        warmup=settings.warmup,
        clip=settings.clip,
        precision=precision,  # type: ignore[arg-type]
    )


def scores_of(model: MaskedLM, encoder: Encoder, rows: Rows, pvp: PVP, settings: Settings) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Label scores (N, C) float32 of rows by one model under the run's settings."""
    return score_rows(
        model,
        encoder,
        rows,
        pvp,
        token_budget=settings.token_budget,
        decoding=settings.decoding,
        autocast=autocast_dtype(settings.precision),
    )


def checkpoint_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: whether the checkpoint's masked-LM head works, measured on a few texts of the pool. Record: ``head`` (see ``headcheck``)."""
    stage = Stage.of(spec, context)
    pool = stage.rows("pool")
    texts = [" ".join(pool.row(i).values()) for i in range(min(len(pool), spec["texts"]))]
    with computing(stage.settings):
        model = stage.masked_lm()
        tokenizer = stage.tokenizer()
        check_vocabulary(model, tokenizer)
        head = head_report(model, texts, tokenizer=tokenizer, max_length=min(128, stage.settings.max_length))
    return {"head": asdict(head)}


def untrained_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: one pattern before any training. Scores labelled, test and (``spec["pool"]``) pool rows.

    Record: ``pattern``, ``weight`` (accuracy on the labelled rows, None without any), ``test`` scores, ``counts``, ``parameters``.
    """
    stage = Stage.of(spec, context)
    pvp = stage.task.pvps[spec["pattern"]]
    with computing(stage.settings):
        model = stage.masked_lm()
        encoder = stage.encoder(stage.tokenizer(), longest=model.max_length)
        parts = {part: stage.rows(part) for part in ("train", "test", *(["pool"] if spec["pool"] else []))}
        with tallying() as tally:
            scores = {part: scores_of(model, encoder, rows, pvp, stage.settings) for part, rows in parts.items()}
    for part, rows in parts.items():
        save_scores(context.out / f"{part}.parquet", rows.ids, stage.task.labels, scores[part])
    return {
        "pattern": pvp.pattern.name,
        "weight": accuracy(parts["train"].labels, scores["train"]),
        "test": evaluate(parts["test"].labels, scores["test"]),
        "counts": {"forward_tokens": tally.tokens},
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


def member_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: train one member, then score pool and test rows with it.

    ``spec``: ``pattern`` index, ``repetition``, ``generation``, ``set`` (unit and file of the rows labelled for it, or None), and
    ``development`` if a study wants the scores of such rows too, which no count includes.
    Record: ``pattern``, ``test`` scores, mean ``losses`` at the end, number of ``labeled`` rows, ``counts``, and how much was trained:
    ``trained_parameters``, ``parameters``, ``trained_share``.
    """
    stage = Stage.of(spec, context)
    settings, pvp = stage.settings, stage.task.pvps[spec["pattern"]]
    labeled = stage.rows("train")
    if spec["set"]:
        unit, file = spec["set"]
        labeled = Rows.concat([part for part in (labeled, load_rows(context.need(unit) / file)) if len(part)])
    with computing(settings):
        model = stage.masked_lm()
        tokenizer = stage.tokenizer()
        encoder = stage.encoder(tokenizer, longest=model.max_length)
        pool = stage.rows("pool")
        data = MemberData.of(encoder, pvp, labeled, pool if settings.member.mlm_weight > 0 else pool.select([]))
        seed = context.seed_for("member", spec["generation"], spec["pattern"], spec["repetition"])
        vocabulary = Vocabulary.of(tokenizer)
        trained = train_member(model, data, settings.member, vocabulary, seed=seed, precision=settings.precision, context=context)
        parts = {"pool": pool, "test": stage.rows("test")}
        with tallying() as tally:
            scores = {part: scores_of(model, encoder, rows, pvp, settings) for part, rows in parts.items()}
        if spec.get("development"):
            parts["development"] = stage.rows("development")
            scores["development"] = scores_of(model, encoder, parts["development"], pvp, settings)
    for part, rows in parts.items():
        save_scores(context.out / f"{part}.parquet", rows.ids, stage.task.labels, scores[part])
    if spec["keep"]:
        model.save(str(context.out / "model"))
        tokenizer.save_pretrained(str(context.out / "model"))
    return {
        "pattern": pvp.pattern.name,
        "labeled": len(labeled),
        "test": evaluate(parts["test"].labels, scores["test"]),
        "losses": trained.losses,
        **trained.extent(),
        "counts": {
            "trained_steps": trained.steps,
            "trained_tokens": trained_tokens(data, settings.member, seed=seed),
            "forward_tokens": tally.tokens,
        },
    }
