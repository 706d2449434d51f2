"""Pretraining a masked language model on raw text: from scratch, or adapting a checkpoint to a domain."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from petkit.backbones import MaskedLM, load_masked_lm, load_tokenizer
from petkit.batching import Batch
from petkit.errors import DataError, SettingsError
from petkit.executors import OnEvent, run_all, silent
from petkit.files import digest
from petkit.objectives import MaskedLanguageModeling, Vocabulary, objective, stream
from petkit.pretraining.corpus import TokenUnits, pack, read_documents, tokenize_units
from petkit.pretraining.learners import masked_lm_loss
from petkit.pretraining.settings import PretrainSettings
from petkit.pretraining.wordpiece import train_wordpiece
from petkit.provenance import checkpoint_digest, library_versions, publish
from petkit.runs import RunFolder
from petkit.sampling import epoch_batch
from petkit.training import autocast, seeded, train
from petkit.units import Unit, UnitContext

__all__ = ["new_bert", "pretrain", "pretrain_unit", "repeat_positions", "run_pretraining"]

Int = npt.NDArray[np.int64]


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
    unit = Unit("model", "petkit.pretraining.run:pretrain_unit", spec, files=inputs)
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
