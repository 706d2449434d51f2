"""The one training loop: members, the final classifier, baselines and pretraining all run through ``train``."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from petkit.checkpoints import load_checkpoint, save_checkpoint
from petkit.choices import legal_are
from petkit.compute import any_shape
from petkit.errors import SettingsError, raise_problems
from petkit.objectives.streams import seed_for

__all__ = ["TrainSettings", "Trained", "autocast", "seeded", "train"]

Schedule = Literal["linear", "constant", "trapezoid"]
Losses = Mapping[str, Tensor]
LossFunction = Callable[[int, int], Losses]
"""(step, micro-batch within the step) -> named scalar losses; the one called "loss" is differentiated."""


@dataclass(frozen=True)
class TrainSettings:
    """How a model is trained.

    Attributes:
        steps: updates, exactly. accumulate: micro-batches per update, their gradients averaged.
        learning_rate: peak rate of AdamW. weight_decay: not on biases and norms. clip: gradient norm, None for off.
        warmup: steps with a rising rate: a share of all steps below 1, a number of steps from 1 on.
        schedule: what follows the warm-up: "linear" to 0; "constant"; or "trapezoid", constant and then linear to 0 over the last
            fifth (Hägele et al. 2024, arXiv 2405.18392), so that the first four fifths do not depend on the number of steps.
        precision: "float32", or "bfloat16" autocast.
    """

    steps: int
    learning_rate: float = 1e-5
    accumulate: int = 1
    weight_decay: float = 0.01
    eps: float = 1e-8
    beta2: float = 0.999
    warmup: float = 0.0
    schedule: Schedule = "linear"
    clip: float | None = 1.0
    precision: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        rules = (
            (self.steps >= 1, f"steps is {self.steps}; at least 1 is legal"),
            (self.accumulate >= 1, f"accumulate is {self.accumulate}; at least 1 is legal"),
            (0 < self.learning_rate < math.inf, f"learning_rate is {self.learning_rate}; a number above 0 is legal"),
            (0 <= self.weight_decay < math.inf, f"weight_decay is {self.weight_decay}; 0 or more is legal"),
            (self.eps > 0, f"eps is {self.eps}; a number above 0 is legal"),
            (0 <= self.warmup < math.inf, f"warmup is {self.warmup}; a share below 1 or a number of steps is legal"),
            (self.schedule in get_args(Schedule), f"schedule is {self.schedule!r}; {legal_are(self.schedule, get_args(Schedule))}"),
            (self.clip is None or self.clip > 0, f"clip is {self.clip}; a number above 0, or none, is legal"),
            (
                self.precision in ("float32", "bfloat16"),
                f"precision is {self.precision!r}; {legal_are(self.precision, ('float32', 'bfloat16'))}",
            ),
        )
        raise_problems(SettingsError, "training settings", [problem for holds, problem in rules if not holds])

    def rate(self, step: int) -> float:
        """The share of the peak learning rate used by update ``step`` (0-based): warm-up, then the schedule."""
        rising = math.ceil(round(self.steps * self.warmup, 6)) if self.warmup < 1 else int(self.warmup)  # 0.07 * 100 > 7
        if step < rising:
            return (step + 1) / rising
        if self.schedule == "constant":
            return 1.0
        falling = self.steps - rising if self.schedule == "linear" else math.ceil(self.steps / 5)
        return min(1.0, (self.steps - step) / max(1, falling))


@dataclass(frozen=True)
class Trained:
    """What training was: updates made, and the mean of each named loss over the last tenth of the steps.

    ``trained_parameters`` of the model's ``parameters`` could change; those that were frozen for a while count among them.
    """

    steps: int
    losses: dict[str, float]
    seconds: float
    trained_parameters: int
    parameters: int

    def extent(self) -> dict[str, float]:
        """How much was trained, for a stage's record: ``trained_parameters``, ``parameters`` and the first's ``trained_share``."""
        share = round(self.trained_parameters / self.parameters, 6)
        return {"trained_parameters": self.trained_parameters, "parameters": self.parameters, "trained_share": share}


@contextmanager
def seeded(seed: int, *names: str | int) -> Iterator[None]:
    """Torch's global generators (dropout) seeded from the names inside the block, and put back as they were after it."""
    devices, number = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else [], seed_for(seed, *names)
    with torch.random.fork_rng(devices=devices):
        # As torch.manual_seed, which without a GPU formats the stack for each kind of device that might come into being.
        torch.default_generator.manual_seed(number)
        if devices:
            torch.cuda.manual_seed_all(number)
        if torch.backends.mps.is_available():
            torch.mps.manual_seed(number)
        yield


@contextmanager
def autocast(device: torch.device, precision: str) -> Iterator[None]:
    """bf16 autocast on ``device`` if asked for, with attention for ``any_shape``; else nothing."""
    if precision != "bfloat16":
        yield
        return
    with any_shape(), torch.autocast(device.type, dtype=torch.bfloat16):
        yield


def parameter_groups(model: nn.Module, *, weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters in two groups: biases, norms and other vectors and scalars without weight decay, the rest with it.

    Norms by shape, not by name: the original missed ALBERT's and XLNet's, whose names differ. Biases by name too: XLNet's of attention
    and T5's of relative positions are matrices.
    """
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (spared if parameter.ndim <= 1 or _is_bias(name) else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": spared, "weight_decay": 0.0}]


def _is_bias(name: str) -> bool:
    """Whether a parameter is a bias by its own name or its module's.

    >>> [_is_bias(name) for name in ("layer.0.rel_attn.r_w_bias", "SelfAttention.relative_attention_bias.weight", "dense.weight")]
    [True, True, False]
    """
    return any(part.endswith("bias") for part in name.split(".")[-2:])


def make_optimizer(model: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """Fused AdamW (Loshchilov & Hutter 2019) over ``parameter_groups``."""
    groups = parameter_groups(model, weight_decay=settings.weight_decay)
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, settings.beta2), eps=settings.eps, fused=True)


def train(
    model: nn.Module,
    losses: LossFunction,
    settings: TrainSettings,
    *,
    seed: int,
    stage: str,
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 60.0,
    before_step: Callable[[int, int], None] | None = None,
    on_step: Callable[[int, int, Mapping[str, float] | None], None] | None = None,
    log_every: int = 50,
    pooled: Callable[[Losses], Losses] | None = None,
) -> Trained:
    """Make exactly ``settings.steps`` updates of ``model`` (in place; in train mode while it runs, in eval mode after).

    Raises SettingsError where a loss is no finite number; that shows when losses are read, every ``log_every`` updates and at the end.

    Args:
        losses: called once per micro-batch; must draw from stateless streams of the step, so that a resumed run equals
            an undisturbed one. Dropout's generator is seeded before every step.
        checkpoint: file for exact resume, written about every ``checkpoint_seconds`` and removed by nobody here;
            an unreadable one is ignored and training starts over.
        before_step: called before every update with (step, steps), steps from 0; may freeze and thaw weights of those that are
            trainable at the start. A frozen weight gets no update and no decay, and AdamW counts no step for it.
        on_step: called after every update with (step, steps, mean losses since the last report or None).
        pooled: losses of this process -> their means over all that train the model, for what is told and recorded; called after every
            micro-batch.
    """
    device = next(model.parameters()).device
    optimizer = make_optimizer(model, settings)
    parameters = list(model.parameters())
    meter = _Meter(pooled)
    first, extra = load_checkpoint(checkpoint, model, optimizer) if checkpoint else (0, {})
    meter.restore(extra, device)
    started = saved = time.monotonic()
    optimizer.zero_grad(set_to_none=True)
    model.train()
    for step in range(first, settings.steps):
        if before_step is not None:
            before_step(step, settings.steps)
        with seeded(seed, stage, "dropout", step):
            _update(parameters, optimizer, losses, settings, step, device, meter)
        if step + 1 == settings.steps - max(1, settings.steps // 10):
            meter.start_tail()  # before the checkpoint, which holds the tail
        due = (step + 1) % log_every == 0 or step + 1 == settings.steps
        means = meter.read() if due and on_step is not None else None
        _refuse_diverged(means or {}, step + 1, settings)
        if on_step is not None:  # before the checkpoint: killed in between, the same is told once more
            on_step(step + 1, settings.steps, means)
        if checkpoint and time.monotonic() - saved > checkpoint_seconds and step + 1 < settings.steps:
            save_checkpoint(checkpoint, model, optimizer, step + 1, meter.state())
            saved = time.monotonic()
    model.eval()
    tail = meter.tail()
    _refuse_diverged(tail, settings.steps, settings)
    trained = sum(p.numel() for group in optimizer.param_groups for p in group["params"])
    return Trained(settings.steps, tail, time.monotonic() - started, trained, sum(p.numel() for p in parameters))


def _update(
    parameters: Sequence[nn.Parameter],
    optimizer: torch.optim.Optimizer,
    losses: LossFunction,
    settings: TrainSettings,
    step: int,
    device: torch.device,
    meter: _Meter,
) -> None:
    for group in optimizer.param_groups:
        group["lr"] = settings.learning_rate * settings.rate(step)
    for micro in range(settings.accumulate):
        with autocast(device, settings.precision):
            named = losses(step, micro)
        (named["loss"] / settings.accumulate).backward()
        meter.add(named)
    if settings.clip is not None:
        nn.utils.clip_grad_norm_(parameters, settings.clip, foreach=device.type != "mps")
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _refuse_diverged(means: Mapping[str, float], step: int, settings: TrainSettings) -> None:
    for name, value in means.items():
        if not math.isfinite(value):
            raise SettingsError(
                f"training diverged at update {step} of {settings.steps} or shortly before: {name} is {value}; lower --learning-rate "
                f"(of petkit train: --set member.learning_rate and the like), which is {settings.learning_rate}"
            )


class _Meter:
    """Sums and counts of named losses, (2,) each, kept on the device; the CPU waits for them only when they are read."""

    def __init__(self, pooled: Callable[[Losses], Losses] | None = None) -> None:
        self._recent: dict[str, Tensor] = {}
        self._tail: dict[str, Tensor] = {}
        self._pooled = pooled or dict

    def add(self, named: Losses) -> None:
        for name, value in self._pooled(named).items():
            one = torch.stack([value.detach().float(), torch.ones((), device=value.device)])
            for sums in (self._recent, self._tail):
                sums[name] = sums[name] + one if name in sums else one

    def state(self) -> dict[str, Tensor]:
        kinds = {"recent": self._recent, "tail": self._tail}
        return {f"{kind}/{name}": value for kind, sums in kinds.items() for name, value in sums.items()}

    def restore(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        for kind, sums in (("recent/", self._recent), ("tail/", self._tail)):
            sums.update({name.removeprefix(kind): value.to(device) for name, value in state.items() if name.startswith(kind)})

    def start_tail(self) -> None:
        self._tail.clear()

    def read(self) -> dict[str, float]:
        means = _means(self._recent)
        self._recent.clear()
        return means

    def tail(self) -> dict[str, float]:
        return _means(self._tail)


def _means(sums: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: float(value[0] / value[1]) for name, value in sums.items()}
