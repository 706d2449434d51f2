"""``--adapt``: masked language modelling on the run's own pool before all else (Gururangan et al. 2020, arXiv 2004.10964)."""

from __future__ import annotations

from typing import Any

from transformers import AutoConfig

from petkit.backbones import longest_input
from petkit.backbones.modelfiles import open_pretrained, resolve
from petkit.pretraining import PretrainSettings, pretrain
from petkit.stages import Stage
from petkit.units import UnitContext

__all__ = ["adapt_unit"]


def adapt_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: adapt the checkpoint to pool and labelled texts (never test texts); writes a checkpoint, returns ``pretrain``'s figures."""
    stage = Stage.of(spec, context)
    settings = stage.settings
    pool, train = stage.rows("pool"), stage.rows("train")
    documents = [[" ".join(rows.row(i).values())] for rows in (pool, train) for i in range(len(rows))]
    config = open_pretrained(AutoConfig, resolve(stage.checkpoint), trust_remote_code=stage.trust_remote_code)
    how = PretrainSettings(
        steps=settings.adapt_steps,
        init=stage.checkpoint,
        objectives=(settings.adapt_objective,),
        mask_rate=settings.adapt_mask_rate,
        learning_rate=settings.adapt_learning_rate,
        rows=32,
        length=min(128, settings.max_length, longest_input(config)),
        held_out=0.05,
        measure_every=0,
        precision=settings.precision,
        device=stage.device,
        seed=context.seed_for("adapt") % 2**31,
        threads=settings.threads,
        deterministic=settings.deterministic,
        trust_remote_code=stage.trust_remote_code,
    )
    return pretrain(documents, how, context=context)
