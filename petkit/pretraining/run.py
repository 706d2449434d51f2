"""The stage of ``petkit pretrain``: text and settings -> a checkpoint; alone, or with other processes under a launcher."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from petkit.data.text import ENCODING
from petkit.errors import DataError
from petkit.executors import OnEvent, run_all, silent
from petkit.files import write_bytes
from petkit.objectives import Vocabulary
from petkit.pretraining.architectures import check_learnable
from petkit.pretraining.corpus import source_digest
from petkit.pretraining.curves import Curves, TensorBoard
from petkit.pretraining.loop import Course, Joint
from petkit.pretraining.ranks import barrier, joined, ranks, tell
from petkit.pretraining.settings import PretrainSettings
from petkit.pretraining.starting import join_learners, lengthen, start_model
from petkit.pretraining.tasks import make_tasks
from petkit.pretraining.texts import InMemory, Text, data_sets, read_texts
from petkit.pretraining.tokens import SplitTokens
from petkit.provenance import checkpoint_digest, library_versions, publish
from petkit.runs import RunFolder
from petkit.units import Unit, UnitContext

__all__ = ["pretrain", "pretrain_unit", "run_pretraining"]


def pretrain_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """The stage: ``spec`` holds ``settings`` (of PretrainSettings), ``sources``, ``column``, ``encoding``, ``half``, ``cache``,
    ``tensorboard``.

    Writes the checkpoint to ``context.out / "model"`` and the curves beside it.
    """
    tell({"root": str(context.root), "out": str(context.out), "work": str(context.work)})
    return _carry_out(spec, context)


def _follow(spec: dict[str, Any]) -> dict[str, Any]:
    """What other ranks than 0 do: the same, without writing, if rank 0 has it to do."""
    places = tell()
    if places is None:
        return {}
    root, out, work = (Path(places[name]) for name in ("root", "out", "work"))
    return _carry_out(spec, UnitContext("model", root, out, work, _unheard, None, {}))


def _unheard(done: int, total: int | None = None, **facts: Any) -> None:
    """Progress that nobody is told."""


def _carry_out(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    settings = PretrainSettings.from_json(spec["settings"])
    board = TensorBoard(context.root / "tensorboard") if spec["tensorboard"] and ranks().first else None
    cache = Path(spec["cache"]) if spec["cache"] else context.root / "tokens"
    texts = data_sets(spec["sources"], spec["column"], encoding=spec["encoding"], separate=settings.separate)
    return pretrain(texts, settings, context=context, folder=context.out / "model", cache=cache, half=spec["half"], board=board)


def pretrain(
    texts: Mapping[str, Text] | Sequence[list[str]],
    settings: PretrainSettings,
    *,
    context: UnitContext,
    folder: Path | None = None,
    cache: Path | None = None,
    half: bool = False,
    board: TensorBoard | None = None,
) -> dict[str, Any]:
    """Train on texts; save model (in half precision if asked) and tokenizer; return the figures.

    Args:
        texts: data sets by name, or the documents of a single one, each a list of paragraphs.
        folder: for the checkpoint; default ``context.out``, where the curves go anyway. cache: for the tokens; default ``context.work``.

    Returns ``steps``, ``tokens`` seen, ``text_tokens`` there are, ``held_out_tokens`` of them, ``parameters``, ``vocabulary``,
    ``held_out`` (by part: loss in nats, accuracy), ``loss`` and ``accuracy`` of the first part of it; ``rates`` of the tasks where
    there are several; ``held_out_before``, ``loss_before`` and ``accuracy_before`` where a checkpoint is adapted. On other ranks than
    0 nothing.
    """
    sets: Mapping[str, Text] = texts if isinstance(texts, Mapping) else {"text": InMemory(texts)}
    tokenizer, tokens = _in_turn(lambda: read_texts(sets, settings, context.work, cache or context.work / "tokens"))
    vocabulary = Vocabulary.of(tokenizer)
    model = start_model(settings, tokenizer)
    joint = join_learners(model, settings, vocabulary)
    course = Course(joint, make_tasks(tokens, settings, vocabulary), settings, vocabulary, before_step=partial(lengthen, model, settings))
    curves = Curves(context.work / "curves.jsonl")
    before = _measured(course) if settings.init is not None and ranks().first else {}
    trained = course.train(context, curves, board)
    if not ranks().first:
        return {}
    after = _measured(course)
    curves.add({**curves.points[-1], **after})
    if board is not None:
        board.add(curves.points[-1])
        board.close()
    _save(joint, tokenizer, folder or context.out, half=half)
    curves.publish(context.out)
    context.measured.update(course.speed(trained))
    return _figures(course, tokens, before, after)


def _save(joint: Joint, tokenizer: Any, folder: Path, *, half: bool) -> None:
    for learner in joint.learners:
        learner.save(folder, half=half)  # type: ignore[operator]
    for config in sorted(folder.rglob("config.json")):  # of ELECTRA two
        tokenizer.save_pretrained(str(config.parent))


def _in_turn(work: Callable[[], Any]) -> Any:
    """Rank 0 first: the others find what it has made."""
    found = work() if ranks().first else None
    barrier()
    return found if ranks().first else work()


def _measured(course: Course) -> dict[str, float]:
    """Held-out figures. Raises DataError where there is nothing to measure."""
    figures = course.held_out()
    if any(value != value for value in figures.values()):
        raise DataError("the tokenizer knows no word of the text held out; it is of another language")
    return figures


def _figures(course: Course, tokens: Mapping[str, SplitTokens], before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, Any]:
    settings = course.settings
    figures: dict[str, Any] = {
        "steps": settings.steps,
        "tokens": settings.steps * settings.rows * settings.length,
        "text_tokens": sum(len(part.ids) for split in tokens.values() for part in (split.train, split.held)),
        "held_out_tokens": sum(len(split.held.ids) for split in tokens.values()),
        "parameters": sum(p.numel() for p in course.joint.parameters()),
        "vocabulary": len(course.vocabulary.special),
        "held_out": _parts(after),
        **_first_part(after),
    }
    if len(course.tasks) > 1:
        figures["rates"] = {task.name: round(float(rate), 6) for task, rate in zip(course.tasks, course.rates, strict=True)}
    if before:
        figures |= {"held_out_before": _parts(before)} | {f"{name}_before": value for name, value in _first_part(before).items()}
    return figures


def _parts(figures: Mapping[str, float]) -> dict[str, float]:
    return {name.removeprefix("held out/"): value for name, value in figures.items()}


def _first_part(figures: Mapping[str, float]) -> dict[str, float]:
    """``loss`` of the first part, and its ``accuracy`` where it has one."""
    first = next(iter(figures))
    found = {"loss": figures[first]}
    return found | {"accuracy": figures[f"{first}_accuracy"]} if f"{first}_accuracy" in figures else found


def run_pretraining(
    sources: Sequence[str],
    settings: PretrainSettings,
    out: str,
    *,
    column: str = "text",
    encoding: str = ENCODING,
    half: bool = False,
    cache: str | None = None,
    tensorboard: bool = False,
    on_event: OnEvent = silent,
) -> dict[str, Any]:
    """Pretrain in the run folder ``out``; the checkpoint ends in ``out/model``. Run again after an interruption, it resumes.

    Under torchrun or ``accelerate launch`` every process calls this alike; they train one model together, and rank 0 writes.

    Args:
        column, encoding: of the sources. cache: a folder for tokenised text, for several runs to use; default ``out/tokens``.
        tensorboard: also write ``out/tensorboard``.

    Returns the figures of ``pretrain`` and ``model``, the checkpoint's folder; on other ranks than 0 an empty dictionary.
    """
    if settings.init is None:
        check_learnable(settings.arch, settings.rows_of_table())
    common = {"settings": json.loads(json.dumps(asdict(settings))), "sources": list(sources), "column": column, "half": half}
    spec = {**common, "encoding": encoding, "seed": settings.seed, "cache": cache, "tensorboard": tensorboard}
    with joined(settings.device) as here:
        if not here.first:
            return _follow(spec)
        inputs = {source: source_digest(source) for source in sources} | _checkpoint_digests(settings)
        unit = Unit("model", "petkit.pretraining.run:pretrain_unit", spec, files=inputs)
        with RunFolder.open(out, settings=common, inputs=inputs, versions=library_versions()) as run:
            result = run_all([unit], run, on_event=on_event)["model"]
            if result.skipped:
                tell(None)
            publish(result.path / "model", run.root / "model")
            for curve in result.path.glob("curves.*"):
                write_bytes(run.root / curve.name, curve.read_bytes())
            return {**result.record, "model": str(run.root / "model")}


def _checkpoint_digests(settings: PretrainSettings) -> dict[str, str]:
    """By role: what the run starts from and reads beside the text."""
    roles = {"init": settings.init, "tokenizer": settings.tokenizer, "teacher": settings.teacher}
    return {role: checkpoint_digest(path) for role, path in roles.items() if path}
