"""Pretraining a masked language model on raw text: from scratch, or adapting a checkpoint to a domain."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from petkit.backbones import MaskedLM, load_masked_lm, load_tokenizer
from petkit.batching import Batch
from petkit.corpus import TokenUnits, pack, read_documents, tokenize_units
from petkit.errors import DataError, SettingsError, raise_problems
from petkit.executors import OnEvent, run_all, silent
from petkit.files import digest
from petkit.objectives import MaskedBatch, MaskedLanguageModeling, Vocabulary, objective, stream
from petkit.provenance import checkpoint_digest, library_versions, publish
from petkit.runs import RunFolder
from petkit.sampling import epoch_batch
from petkit.training import Schedule, TrainSettings, autocast, seeded, train
from petkit.units import Unit, UnitContext
from petkit.wordpiece import train_wordpiece

__all__ = ["SIZES", "PretrainSettings", "masked_lm_loss", "pretrain", "pretrain_unit", "run_pretraining"]

Int = npt.NDArray[np.int64]

SIZES: Final[Mapping[str, tuple[int, int]]] = {
    "tiny": (2, 128),
    "mini": (4, 256),
    "small": (4, 512),
    "medium": (8, 512),
    "base": (12, 768),
}
"""Layers and hidden size of BERT's published sizes (Turc et al. 2019, arXiv 1908.08962); heads are 64 wide."""


@dataclass(frozen=True)
class PretrainSettings:
    """How to pretrain.

    Attributes:
        objective: a preset's name. mask_rate: share of tokens with a loss; None for the preset's.
        init: checkpoint to start from; None for a new BERT of ``layers`` x ``hidden`` with ``vocabulary`` pieces at most.
        keep: words that a new tokenizer keeps whole.
        steps, rows, length: updates, rows per update, tokens per row. long_length, long_share: the last share of the
            steps takes rows of another length, as many tokens per update (BERT's schedule: Devlin et al. 2019, appendix A.2).
        held_out: share of the units of text that measures the loss and is not trained on.
        trust_remote_code: let code in the checkpoint ``init`` run.
        dropout: while pretraining; a checkpoint made here says 0.1, the usual rate for fine-tuning.
    """

    steps: int
    objective: str = "mlm"
    mask_rate: float | None = None
    init: str | None = None
    layers: int = 2
    hidden: int = 128
    vocabulary: int = 8192
    keep: tuple[str, ...] = ()
    rows: int = 32
    length: int = 128
    long_length: int | None = None
    long_share: float = 0.1
    max_positions: int = 256
    learning_rate: float = 1e-3
    warmup: float = 0.06
    schedule: Schedule = "linear"
    weight_decay: float = 0.01
    dropout: float = 0.0
    held_out: float = 0.01
    precision: str = "float32"
    device: str = "cpu"
    seed: int = 42
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        longest = max(self.length, self.long_length or 0)
        rules = (
            (self.rows >= 1, f"rows is {self.rows}; at least 1 is legal"),
            (self.length >= 8, f"length is {self.length}; at least 8 is legal"),
            (self.long_length is None or self.long_length >= 8, f"long_length is {self.long_length}; at least 8 is legal"),
            (0 <= self.long_share <= 1, f"long_share is {self.long_share}; a share from 0 to 1 is legal"),
            (self.hidden > 0 and (self.hidden % 64 == 0 or self.hidden < 64), f"hidden is {self.hidden}; a multiple of 64 is legal"),
            (self.layers >= 1, f"layers is {self.layers}; at least 1 is legal"),
            (self.vocabulary >= len(self.keep) + 100, f"vocabulary is {self.vocabulary}; at least 100 and the words to keep is legal"),
            (self.init is not None or longest <= self.max_positions, f"rows of {longest} tokens exceed {self.max_positions} positions"),
            (0 < self.held_out < 1, f"held_out is {self.held_out}; a share between 0 and 1 is legal"),
            (0 <= self.dropout < 1, f"dropout is {self.dropout}; a share from 0 to below 1 is legal"),
        )
        problems = [problem for holds, problem in rules if not holds]
        for check in (self.masking, self.training):
            try:
                check()
            except SettingsError as error:
                problems += error.problems or (str(error),)
        raise_problems(SettingsError, "pretraining settings", problems)

    def masking(self) -> MaskedLanguageModeling:
        """The objective with its rate."""
        return objective(self.objective, rate=self.mask_rate)

    def training(self) -> TrainSettings:
        """The loop's settings."""
        return TrainSettings(
            steps=self.steps,
            learning_rate=self.learning_rate,
            warmup=self.warmup,
            schedule=self.schedule,
            weight_decay=self.weight_decay,
            eps=1e-6,
            beta2=0.98,
            precision=self.precision,  # type: ignore[arg-type]
        )


def masked_lm_loss(model: MaskedLM, batch: Batch, masked: MaskedBatch) -> Tensor:
    """Mean cross-entropy at the selected positions; 0 where nothing is selected. Last layer and head see those positions only.

    Args:
        batch: (B, T) with ``input_ids`` already corrupted. masked: positions (S,) into the flattened (B T), targets (S,).
    """
    if len(masked.positions) == 0:
        return model.hidden(batch).sum() * 0.0
    targets = torch.from_numpy(masked.targets).to(model.device, non_blocking=True)
    return functional.cross_entropy(model.vocab_logits(model.hidden_at(batch, masked.positions)).float(), targets)


def _batch(ids: Int, valid: npt.NDArray[np.bool_], device: torch.device) -> Batch:
    tokens, mask = torch.from_numpy(ids).to(device), torch.from_numpy(valid.astype(np.int64)).to(device)
    return Batch(tokens, mask, torch.zeros_like(tokens), torch.zeros((len(ids), 0), dtype=torch.int64, device=device))


def pretrain_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """The stage: ``spec`` holds ``settings`` (of PretrainSettings), ``sources``, ``column``; writes a checkpoint to ``context.out``."""
    settings = PretrainSettings(**{**spec["settings"], "keep": tuple(spec["settings"].get("keep", ()))})
    documents = [document for source in spec["sources"] for document in read_documents(source, column=spec["column"])]
    return pretrain(documents, settings, context=context, half=spec["half"])


def pretrain(documents: list[list[str]], settings: PretrainSettings, *, context: UnitContext, half: bool = False) -> dict[str, Any]:
    """Train on ``documents``, each a list of paragraphs; save model (in half precision if asked) and tokenizer; return the figures.

    Returns ``steps``, ``tokens`` seen, ``units``, ``parameters``, held-out ``loss`` (nats) and ``accuracy`` at masked positions,
    and ``loss_before`` where a checkpoint is adapted.
    """
    tokenizer, model = _start(documents, settings)
    if settings.init is None:
        tokenizer.save_pretrained(str(context.out))
    units = tokenize_units(documents, tokenizer, longest=settings.length - 2)
    kept, held = _split(units, settings)
    learner = _Learner(model.to(settings.device), tokenizer, settings, units)
    before = learner.measure(held) if settings.init is not None else None
    trained = learner.train(kept, context)
    after = learner.measure(held)
    if half:
        model.half()
    model.save(str(context.out))
    tokenizer.save_pretrained(str(context.out))
    figures = {
        "steps": trained.steps,
        "tokens": trained.steps * settings.rows * settings.length,
        "units": len(units),
        "text_tokens": len(units.ids),
        "parameters": sum(p.numel() for p in model.parameters()),
        "vocabulary": len(tokenizer),
        **after,
    }
    return figures if before is None else figures | {"loss_before": before["loss"], "accuracy_before": before["accuracy"]}


def _start(documents: list[list[str]], settings: PretrainSettings) -> tuple[Any, MaskedLM]:
    if settings.init is not None:
        model = load_masked_lm(settings.init, trust_remote_code=settings.trust_remote_code)
        longest = max(settings.length, settings.long_length or 0)
        if longest > model.max_length:
            raise SettingsError(f"rows of {longest} tokens exceed the {model.max_length} that {settings.init} can read; --length sets them")
        return load_tokenizer(settings.init, trust_remote_code=settings.trust_remote_code), model
    paragraphs = (paragraph for document in documents for paragraph in document)
    tokenizer = train_wordpiece(paragraphs, size=settings.vocabulary, keep=settings.keep)
    return tokenizer, new_bert(len(tokenizer), settings)


def new_bert(vocabulary: int, settings: PretrainSettings) -> MaskedLM:
    """A BERT with random weights from the settings' seed."""
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=settings.hidden,
        num_hidden_layers=settings.layers,
        num_attention_heads=max(1, settings.hidden // 64),
        intermediate_size=4 * settings.hidden,
        max_position_embeddings=settings.max_positions,
    )
    with seeded(settings.seed, "pretrain", "weights"):
        return MaskedLM(BertForMaskedLM(config))


@torch.no_grad()
def repeat_positions(model: MaskedLM, trained: int) -> None:
    """Start the position embeddings from ``trained`` on as copies of those before, so that longer rows need little learning.

    As Beltagy et al. 2020 (arXiv 2004.05150, section 5) extend a model to longer inputs. Differs from BERT's schedule, which leaves
    them at random until the longer rows come.
    """
    weight = model.model.get_submodule(model.family.encoder).embeddings.position_embeddings.weight
    for start in range(trained, len(weight), trained):
        weight[start : start + trained] = weight[: min(trained, len(weight) - start)]


def _split(units: TokenUnits, settings: PretrainSettings) -> tuple[Int, Int]:
    """Unit indices to train on and held out, by chance; at least one of each."""
    if len(units) < 2:
        raise DataError(f"the text holds {len(units)} units of up to {settings.length} tokens; that is too little to train on")
    draws = stream(settings.seed, "pretrain", "held out").random(len(units))
    out = draws < settings.held_out
    out[draws.argmin()], out[draws.argmax()] = True, False
    return np.flatnonzero(~out), np.flatnonzero(out)


class _Learner:
    """A model, its tokenizer and the tokenised text, as the loop wants them."""

    def __init__(self, model: MaskedLM, tokenizer: Any, settings: PretrainSettings, units: TokenUnits) -> None:
        self.model, self.settings, self.units = model, settings, units
        self.vocabulary = Vocabulary.of(tokenizer)
        self.ids = {"cls_id": tokenizer.cls_token_id, "sep_id": tokenizer.sep_token_id, "pad_id": tokenizer.pad_token_id}
        self.objective = settings.masking()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = settings.dropout

    def rows(self, units: Int, length: int) -> npt.NDArray[np.int32]:
        order = stream(self.settings.seed, "pretrain", "pack", length).permutation(units)
        return pack(self.units, order, length=length, **self.ids)

    def train(self, units: Int, context: UnitContext) -> Any:
        settings = self.settings
        short = self.rows(units, settings.length)
        long = self.rows(units, settings.long_length) if settings.long_length else short
        turn = settings.steps - round(settings.steps * settings.long_share)

        def losses(step: int, _micro: int) -> dict[str, Tensor]:
            rows = short if step < turn else long
            if step == turn and rows.shape[1] > settings.length and settings.init is None:
                repeat_positions(self.model, settings.length)
            batch = max(1, settings.rows * settings.length // rows.shape[1])
            chosen = epoch_batch(settings.seed, "pretrain", "rows", index=step, batch=batch, size=len(rows))
            return {"loss": self.loss(rows[chosen].astype(np.int64), self.objective, stream(settings.seed, "pretrain", "mask", step=step))}

        def on_step(step: int, steps: int, means: Mapping[str, float] | None) -> None:
            context.progress(step, steps, **(means or {}))

        return train(
            self.model,
            losses,
            settings.training(),
            seed=settings.seed,
            stage="pretrain",
            checkpoint=context.work / "training.safetensors",
            on_step=on_step,
        )

    def loss(self, ids: Int, how: MaskedLanguageModeling, rng: np.random.Generator) -> Tensor:
        valid = ids != self.ids["pad_id"]
        masked = how.batch(ids, valid, self.vocabulary, rng)
        return masked_lm_loss(self.model, _batch(masked.inputs, valid, self.model.device), masked)

    @torch.inference_mode()
    def measure(self, units: Int, *, rows: int = 64, most: int = 2048) -> dict[str, float]:
        """Loss and accuracy where 15 % of held-out tokens are masked, the same ones every time."""
        packed = pack(self.units, units, length=self.settings.length, **self.ids)[:most].astype(np.int64)
        how, total, right, count = replace(objective("mlm"), masked=1.0, random=0.0), 0.0, 0, 0
        self.model.eval()
        for start in range(0, len(packed), rows):
            ids = packed[start : start + rows]
            valid = ids != self.ids["pad_id"]
            masked = how.batch(ids, valid, self.vocabulary, stream(0, "measure", step=start))
            with autocast(self.model.device, self.settings.precision):
                hidden = self.model.hidden(_batch(masked.inputs, valid, self.model.device))
                logits = self.model.vocab_logits(hidden.flatten(0, 1)[torch.from_numpy(masked.positions)]).float()
            targets = torch.from_numpy(masked.targets).to(logits.device)
            total += float(functional.cross_entropy(logits, targets, reduction="sum"))
            right += int((logits.argmax(-1) == targets).sum())
            count += len(targets)
        if not count:
            raise DataError("the tokenizer knows no word of the text held out; it is of another language")
        return {"loss": total / count, "accuracy": right / count}


def run_pretraining(
    sources: Sequence[str],
    settings: PretrainSettings,
    out: str,
    *,
    column: str = "text",
    half: bool = False,
    on_event: OnEvent = silent,
) -> dict[str, Any]:
    """Pretrain in the run folder ``out``; the checkpoint ends in ``out/model``. Run again after an interruption, it resumes.

    Returns the figures of ``pretrain`` and ``model``, the checkpoint's folder.
    """
    values = json.loads(json.dumps(asdict(settings)))
    spec = {"settings": values, "sources": list(sources), "column": column, "half": half, "seed": settings.seed}
    inputs = {source: _source_digest(source) for source in sources} | ({"init": checkpoint_digest(settings.init)} if settings.init else {})
    unit = Unit("model", "petkit.pretraining:pretrain_unit", spec, files=inputs)
    with RunFolder.open(out, settings=spec, inputs=inputs, versions=library_versions()) as run:
        result = run_all([unit], run, on_event=on_event)["model"]
        publish(result.path, run.root / "model")
        return {**result.record, "model": str(run.root / "model")}


def _source_digest(source: str) -> str:
    if source == "builtin:docs":
        return "builtin:docs"
    if not Path(source).exists():
        raise DataError(f"{source}: no such file or folder")
    return digest(Path(source))
