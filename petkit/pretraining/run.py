"""The stage of ``petkit pretrain``: text and settings -> a checkpoint; alone, or with other processes under a launcher."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from petkit.backbones.modelfiles import resolve
from petkit.compute import accelerator, choose_device, computing, computing_on, resumed_threads
from petkit.data.text import ENCODING
from petkit.errors import SettingsError
from petkit.executors import OnEvent, run_all, silent
from petkit.files import DamagedFileError, write_bytes
from petkit.memory import memory_explained
from petkit.objectives import Vocabulary
from petkit.pretraining.architectures import check_learnable
from petkit.pretraining.corpus import source_digest
from petkit.pretraining.curves import Curves, TensorBoard
from petkit.pretraining.learners.boundary import FILE as BOUNDARY_FILE
from petkit.pretraining.loop import LOOKED_AT, Course, Joint
from petkit.pretraining.needs import other_vocabulary
from petkit.pretraining.ranks import awaited, in_turn, joined, leading, ranks, summon, together
from petkit.pretraining.repeats import copies, refuse_repeats
from petkit.pretraining.settings import PretrainSettings
from petkit.pretraining.starting import join_learners, lengthen, new_weights, start_model
from petkit.pretraining.tasks import left_out, make_tasks, random_pairs, rows_and_tokens
from petkit.pretraining.texts import InMemory, Text, data_sets, read_texts
from petkit.pretraining.tokens import SplitTokens
from petkit.provenance import checkpoint_digest, library_versions, publish
from petkit.runs import RunFolder
from petkit.units import StageRecord, Unit, UnitContext, stage_folder
from petkit.unknowns import NOTED, unknown_notice
from petkit.withdrawing import withdrawn_if_refused

__all__ = ["measured", "pretrain", "pretrain_unit", "run_pretraining"]

TOKENS, TENSORBOARD, CURVES = "tokens", "tensorboard", "curves.jsonl"
"""What else than every run has lies in the folder of a pretraining run."""

UNIT = "petkit.pretraining.run:pretrain_unit"


def pretrain_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """The stage: ``spec`` holds ``settings`` (of PretrainSettings), ``sources``, ``column``, ``encoding``, ``half``, and ``quotes`` where
    they mean nothing; the unit is told aside ``cache``, ``tensorboard`` and ``workers``.

    Writes the checkpoint to ``context.out / "model"`` and the curves beside it.
    """
    board = _board(context.root, context.work / CURVES) if context.aside["tensorboard"] else None
    places = {"root": str(context.root), "out": str(context.out), "work": str(context.work)}
    summon({"spec": spec, "places": places, "aside": dict(context.aside)})
    return _carry_out(spec, context, board)


def _follow() -> dict[str, Any]:
    """What other ranks than 0 do: the same as rank 0, without writing, if that has something to do."""
    told = awaited()
    if told is None:
        return {}
    root, out, work = (Path(told["places"][name]) for name in ("root", "out", "work"))
    with memory_explained("unit model", UNIT):
        return _carry_out(told["spec"], UnitContext("model", root, out, work, _unheard, None, {}, aside=told["aside"]))


def _unheard(*_: Any, **__: Any) -> None:
    """Progress and notices that nobody is told."""


def _carry_out(spec: dict[str, Any], context: UnitContext, board: TensorBoard | None = None) -> dict[str, Any]:
    settings = replace(PretrainSettings.from_json(spec["settings"]), workers=context.aside["workers"])
    cache = Path(context.aside["cache"] or context.root / TOKENS)
    texts = data_sets(
        spec["sources"], spec["column"], encoding=spec["encoding"], quotes=spec.get("quotes", True), separate=settings.separate
    )
    return pretrain(texts, settings, context=context, folder=context.out / "model", cache=cache, half=spec["half"], board=board)


def _board(root: Path, curves: Path) -> TensorBoard:
    """TensorBoard's files of a run, with what its curves hold already."""
    return TensorBoard.going_on(root / TENSORBOARD, Curves(curves).points)


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
        folder: for the checkpoint; default ``context.out``, where the curves go anyway.
        cache: for the tokens; default ``context.work / "tokens"``, which goes when the unit is done.

    Returns ``steps``, ``tokens`` seen (places in rows: padding counts, and text that was read twice counts twice), ``text_tokens`` there
    are, ``held_out_tokens`` of them, ``parameters``, ``vocabulary``, ``held_out`` (by part: loss in nats, accuracy), ``loss`` and
    ``accuracy`` of the first part of it; ``rates`` of the tasks where there are several; ``held_out_before``, ``loss_before`` and
    ``accuracy_before`` where a checkpoint is adapted; ``unknown_tokens``, their share where it is large; ``unmeasured`` where a part has
    nothing to measure in the text held out, with the reason; ``left_out`` where pairs could not be made of all text, by task
    [stretches left out, pairs]; ``random_pairs`` where far more than half of the pairs are of two documents, by task their share. On
    other ranks than 0 nothing.
    """
    sets: Mapping[str, Text] = texts if isinstance(texts, Mapping) else {"text": InMemory(texts)}
    with computing(settings):
        tokenizer, tokens = in_turn(lambda: read_texts(sets, settings, context.work, cache or context.work / TOKENS))
        course, lacking = together(lambda: _start(tokenizer, tokens, settings))
        curves = Curves(context.work / CURVES)
        before = together(lambda: course.held_out() if settings.init is not None and ranks().first else {})
        trained = course.train(context, curves, board)
        if not ranks().first:
            return {}
        after, speed = course.held_out(), course.speed(trained)
        curves.add({**curves.points[-1], **after})
        if board is not None:
            board.add(curves.points[-1])
            board.add({"step": settings.steps, **{f"measured/{name}": value for name, value in speed.items() if name != "objectives"}})
            board.close()
        _save(course.joint, tokenizer, folder or context.out, half=half)
        curves.publish(context.out)
        context.measured.update(speed)
        return _figures(course, tokens, before, after) | _asides(course, lacking) | _unknown(tokenizer, tokens)


def _save(joint: Joint, tokenizer: Any, folder: Path, *, half: bool) -> None:
    for learner in joint.learners:
        learner.save(folder, half=half)  # type: ignore[operator]
    for config in sorted(folder.rglob("config.json")):  # of ELECTRA two
        tokenizer.save_pretrained(str(config.parent))


def _start(tokenizer: Any, tokens: Mapping[str, SplitTokens], settings: PretrainSettings) -> tuple[Course, dict[str, str]]:
    """The course before its first update, and what of the text held out cannot be measured."""
    vocabulary = Vocabulary.of(tokenizer)
    model = start_model(settings, tokenizer)
    joint, tasks = join_learners(model, settings, vocabulary), make_tasks(tokens, settings, vocabulary)
    course = Course(joint, tasks, settings, vocabulary, before_step=partial(lengthen, model, settings))
    return course, course.unmeasured()


def _figures(course: Course, tokens: Mapping[str, SplitTokens], before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, Any]:
    settings = course.settings
    figures: dict[str, Any] = {
        "steps": settings.steps,
        "tokens": rows_and_tokens(settings, settings.steps)[1],
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


def _asides(course: Course, lacking: Mapping[str, str]) -> dict[str, Any]:
    """What was not measured, and what could not be used; nothing where there is none."""
    found: dict[str, dict[str, Any]] = {
        "unmeasured": dict(lacking),
        "left_out": left_out(course.tasks),
        "random_pairs": random_pairs(course.tasks),
    }
    return {name: value for name, value in found.items() if value}


def _unknown(tokenizer: Any, tokens: Mapping[str, SplitTokens]) -> dict[str, float]:
    """``unknown_tokens``: the share of them at the beginnings of the data sets, where it is worth a word."""
    if tokenizer.unk_token_id is None:
        return {}
    beginnings = [split.train.ids[:LOOKED_AT] for split in tokens.values()]
    share = sum(int((ids == tokenizer.unk_token_id).sum()) for ids in beginnings) / max(1, sum(map(len, beginnings)))
    return {"unknown_tokens": round(share, 4)} if share >= NOTED else {}


def _asides_told(record: Mapping[str, Any]) -> Iterator[str]:
    if unknown := unknown_notice({"the text": record.get("unknown_tokens")}):
        yield unknown
    for part, why in record.get("unmeasured", {}).items():
        yield f"{part} has no figure for the text held out: {why}"
    for task, (lost, made) in record.get("left_out", {}).items():
        yield f"--objective {task} left out {lost} of {lost + made} stretches of the text: a single sentence makes no pair"
    for task, share in record.get("random_pairs", {}).items():
        yield (
            f"--objective {task}: {share:.0%} of the pairs are of two documents (label 1) instead of half, since a stretch of a single "
            "sentence has none that follows; who always says so is right as often"
        )


def _parts(figures: Mapping[str, float]) -> dict[str, float]:
    return {name.removeprefix("held out/"): value for name, value in figures.items()}


def _first_part(figures: Mapping[str, float]) -> dict[str, float]:
    """``loss`` of the first part, and its ``accuracy`` where it has one."""
    first = next(iter(figures))
    found = {"loss": figures[first]}
    return found | {"accuracy": figures[f"{first}_accuracy"]} if f"{first}_accuracy" in figures else found


def run_pretraining(
    sources: Sequence[str | PathLike[str]],
    settings: PretrainSettings,
    out: str | PathLike[str],
    *,
    column: str = "text",
    encoding: str = ENCODING,
    quotes: bool = True,
    half: bool = False,
    cache: str | None = None,
    tensorboard: bool = False,
    on_event: OnEvent = silent,
    on_notice: Callable[[str], None] = _unheard,
) -> dict[str, Any]:
    """Pretrain in the run folder ``out``; the checkpoint ends in ``out/model``. Run again after an interruption, it resumes.

    Under torchrun or ``accelerate launch`` every process calls this alike; they train one model together, and rank 0 writes.

    Args:
        column, encoding: of the sources. quotes: whether ``"`` encloses cells in CSV and TSV.
        cache: a folder for tokenised text, for several runs to use; default ``out/tokens``.
        tensorboard: also write ``out/tensorboard``. Neither decides anything of the result, nor does ``workers`` of the settings: all three
            may be others when a run goes on.
        on_event: told of the progress. on_notice: told, once each, what the user should know.

    Settings of the device ``auto`` take the GPU where there is one. Returns the figures of ``pretrain`` and ``model``, the checkpoint's
    folder; on other ranks than 0 an empty dictionary. Raises SettingsError for sources that are one string and no list. Where the run is
    refused, other ranks raise ``petkit.pretraining.ranks.Dismissed``.
    """
    if isinstance(sources, str | PathLike):
        raise SettingsError(f"sources is {str(sources)!r}; a list such as {[str(sources)]!r} is legal")
    settings = replace(settings, device=choose_device(settings.device))
    with joined(settings.device) as here:
        together(partial(_check, settings, here.size))
        if not here.first:
            return _follow()
        with leading():
            root = Path(out).absolute()  # whatever the working directory is meanwhile
            settings = replace(settings, threads=resumed_threads(root, settings.threads))
            reading = {"sources": [fspath(source) for source in sources], "column": column, "encoding": encoding, "half": half}
            reading |= {} if quotes else {"quotes": False}  # left out otherwise: as in runs that were made before there was a choice
            aside = {"cache": cache, "tensorboard": tensorboard, "workers": settings.workers}
            settings = replace(settings, workers=PretrainSettings.workers)  # the same in every record and key
            return _lead(settings, reading, aside, str(root), on_event=on_event, on_notice=on_notice)


def _lead(
    settings: PretrainSettings,
    reading: dict[str, Any],
    aside: dict[str, Any],
    out: str,
    *,
    on_event: OnEvent,
    on_notice: Callable[[str], None],
) -> dict[str, Any]:
    """What rank 0 does: the unit in its run folder, which it opens, and takes back where the run is refused before it trains."""
    refuse_repeats(reading["sources"])
    repeated = copies(reading["sources"])
    common = {"settings": json.loads(json.dumps(asdict(settings))), **reading}
    inputs = {source: source_digest(source) for source in reading["sources"]} | _checkpoint_digests(settings)
    unit = Unit("model", UNIT, {**common, "seed": settings.seed}, files=inputs, aside=aside)
    hardware = accelerator(settings.device)
    with (
        RunFolder.open(out, settings=common, inputs=inputs, versions=library_versions(), hardware=hardware) as run,
        withdrawn_if_refused(run, prepares=lambda _: False, also=(TOKENS, TENSORBOARD)),
    ):
        for notice in (*computing_on(settings.device, settings.precision), *_notices(settings), *repeated):
            on_notice(notice)
        result = run_all([unit], run, on_event=on_event)["model"]
        if result.skipped:
            summon(None)
            if aside["tensorboard"]:
                _board(run.root, result.path / CURVES).close()
        for notice in _asides_told(result.record):
            on_notice(notice)
        return {**result.record, "model": str(_published(result.path, run.root))}


def _published(stage: Path, root: Path) -> Path:
    """The checkpoint of the finished stage in the run folder, its curves beside it."""
    publish(stage / "model", root / "model")
    for curve in stage.glob("curves.*"):
        write_bytes(root / curve.name, curve.read_bytes())
    return root / "model"


def _check(settings: PretrainSettings, processes: int) -> None:
    if settings.init is None:
        check_learnable(settings.arch, settings.rows_of_table())
    settings.check_processes(processes)


def measured(out: str | Path) -> dict[str, Any]:
    """What a finished run measured of itself, which differs from machine to machine and is no part of its figures.

    ``tokens_per_second`` and ``rows_per_second`` of training, both of all processes together, ``objectives`` (see ``Course.speed``), and
    ``peak_memory_bytes``. Nothing where no run is finished; no speed where all was trained before and a killed run only had to end.
    """
    try:
        return StageRecord.read(stage_folder(Path(out), "model")).measured
    except DamagedFileError:
        return {}


def _notices(settings: PretrainSettings) -> Iterator[str]:
    """What the user should know of the checkpoint and its tokenizer."""
    if (notice := other_vocabulary(settings)) is not None:
        yield notice
    if missing := new_weights(settings):
        named = f"{', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}"
        yield f"{settings.init} lacks {len(missing)} weights of the head that --objective trains ({named}), so they start at random"
    if settings.init is None or not any(getattr(objective, "boundary", False) for objective in settings.rows_of_table()):
        return
    if not (Path(resolve(settings.init)) / BOUNDARY_FILE).is_file():
        yield f"{settings.init} has no {BOUNDARY_FILE} beside it, so the span boundary head starts anew"


def _checkpoint_digests(settings: PretrainSettings) -> dict[str, str]:
    """By role: what the run starts from and reads beside the text."""
    roles = {"init": settings.init, "tokenizer": settings.tokenizer, "teacher": settings.teacher}
    return {role: checkpoint_digest(path) for role, path in roles.items() if path}
