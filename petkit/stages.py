"""What the stages of a training run share: the part of their specification that is the same for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from petkit.backbones import MaskedLM, load_masked_lm, load_tokenizer
from petkit.encoding import Encoder
from petkit.encoding.shared import units_encoder
from petkit.errors import RunError
from petkit.pvp import Task
from petkit.rowfiles import load_rows
from petkit.rows import Rows
from petkit.settings import Settings, from_dict
from petkit.taskspec import task_from_spec
from petkit.units import StageRecord, UnitContext

__all__ = ["ADAPT", "ROWS", "SHARED", "Stage"]

ROWS, ADAPT = "rows", "adapt"
"""Names of the units that prepare the data and the checkpoint."""

SHARED = "shared-rows"
"""The rows that many runs over one task share, where ``ROWS`` holds only what is a run's own (see ``petkit.evaluation``)."""


@dataclass(frozen=True)
class Stage:
    """A stage's common ground, from its specification: task, settings, checkpoint, device, rows."""

    task: Task
    settings: Settings
    checkpoint: str
    origin: str
    """The checkpoint's name as the user gave it."""
    device: str
    context: UnitContext
    trust_remote_code: bool = False

    @classmethod
    def of(cls, spec: Mapping[str, Any], context: UnitContext) -> Stage:
        """Read the specification; the adapted checkpoint takes the place of the given one where the unit needs it."""
        checkpoint = str(context.need(ADAPT)) if ADAPT in context.needed else spec["model"]
        settings = from_dict(spec["settings"])
        return cls(
            task_from_spec(spec["task"]), settings, checkpoint, spec["model"], spec["device"], context, spec.get("trust_remote_code", False)
        )

    def rows(self, part: str) -> Rows:
        """``train``, ``pool`` or ``test``; empty if the run has none, as the records of the units that hold rows say.

        Raises RunError for rows that a record names and that are not there.
        """
        for unit in (ROWS, *([SHARED] if SHARED in self.context.needed else [])):
            folder = self.context.need(unit)
            path = folder / f"{part}.parquet"
            if path.exists():
                return load_rows(path)
            if part in StageRecord.read(folder).record.get("rows", {}):
                raise RunError(f"{path} is missing, which the unit {folder.name} made; run the same command again to make it again")
        return Rows((), {name: () for name in self.task.fields})

    def masked_lm(self) -> MaskedLM:
        """The checkpoint as a masked language model, on the device."""
        return load_masked_lm(self.checkpoint, trust_remote_code=self.trust_remote_code).to(self.device)

    def tokenizer(self) -> Any:
        """The checkpoint's tokenizer."""
        return load_tokenizer(self.checkpoint, trust_remote_code=self.trust_remote_code)

    def encoder(self, tokenizer: Any, *, longest: int | None = None) -> Encoder:
        """The tokenizer as an encoder under the run's settings; ``longest`` is what the model can take.

        Units that run one after another share it, and with it the texts that it has tokenised.
        """
        length = min(self.settings.max_length, longest or self.settings.max_length)
        return units_encoder(tokenizer, max_length=length, joining=self.settings.joining)
