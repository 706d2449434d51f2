"""Members: one step against a naive one, what carries the MLM loss, which rows come when, and the stages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

import petkit.batching
import petkit.members
from petkit.backbones import MaskedLM, load_masked_lm, load_tokenizer
from petkit.encoding import Encoder
from petkit.members import MemberData, member_unit, train_member, untrained_unit
from petkit.objectives import Vocabulary
from petkit.pvp import PVP, Pattern, Task, Verbalizer
from petkit.rowfiles import load_scores, save_rows
from petkit.rows import Rows
from petkit.scoring import score_encoded, score_rows
from petkit.settings import MemberSettings, Settings
from petkit.units import stage_folder
from tests.builders import FAMILIES, random_masked_lm, tiny_masked_lm, tokenizer
from tests.petkit.stage_runs import context_for, deposit, spec_of, texts, tiny_settings
from tests.tiny_runs import TOPICS

ONE = Verbalizer({"World": ("World", "number"), "Sports": "Sports", "Business": "Business"})
SEVERAL = Verbalizer({"World": ("World", "number table"), "Sports": "good Sports file", "Business": "Business"})
LENGTH = 64
LABELED, UNLABELED = texts(4, labels=3), texts(6, start=10, name="u")
STEP = MemberSettings(steps=1, learning_rate=1e-3, batch=4, accumulate=1, unlabeled_batch=6, mlm_weight=0.25, mask_rate=0.4)

Step = Callable[[int, int], dict[str, Tensor]]


def data_for(words: Verbalizer, family: str = "bert", *, unlabeled: Rows = UNLABELED) -> MemberData:
    encoder = Encoder(tokenizer(FAMILIES[family][0]), max_length=LENGTH)
    return MemberData.of(encoder, PVP(Pattern("{text} ( {mask} ) || It is."), words), LABELED, unlabeled)


def step_of(model: MaskedLM, data: MemberData, settings: MemberSettings, monkeypatch: pytest.MonkeyPatch, *, seed: int = 0) -> Step:
    """The function (step, micro-batch) -> losses that a member is trained with."""
    caught: list[Step] = []
    with monkeypatch.context() as patch:
        patch.setattr(petkit.members, "train", lambda model, losses, *args, **options: caught.append(losses))
        train_member(model, data, settings, Vocabulary.of(tokenizer(FAMILIES[model.model.config.model_type][0])), seed=seed)
    return caught[0]


def padded(encoded: Any, index: int, ids: np.ndarray | None = None) -> dict[str, Tensor]:
    """One row padded to the maximum, as the classic way has it."""
    row = encoded.row(index) if ids is None else ids
    start, length = encoded.offsets[index], encoded.lengths[index]
    inputs = {name: torch.zeros(1, LENGTH, dtype=torch.int64) for name in ("input_ids", "attention_mask", "token_type_ids")}
    inputs["input_ids"][0, :length] = torch.from_numpy(np.asarray(row, dtype=np.int64))
    inputs["attention_mask"][0, :length] = 1
    inputs["token_type_ids"][0, :length] = torch.from_numpy(encoded.types[start : start + length].astype(np.int64))
    return inputs


def naive_label_loss(model: Any, data: MemberData, pad: int) -> Tensor:
    """Row by row, word by word, from logits at every position."""
    losses = []
    for i, truth in enumerate(data.labels):
        logits = model(**fitting(model, padded(data.labeled, i), pad)).logits[0]
        per_label = []
        for words in data.plan.words:
            if data.plan.kind == "single":
                each = [logits[data.labeled.slots[i, 0], word[0]] for word in words]
            else:
                logs = logits.log_softmax(-1)
                each = [torch.stack([logs[data.labeled.slots[i, j], t] for j, t in enumerate(word)]).sum() for word in words]
            per_label.append(torch.stack(each).mean())
        s = torch.stack(per_label)
        if data.plan.kind == "single":
            losses.append(-s.log_softmax(0)[truth])
        else:
            losses.append(sum(((1 - s[truth] + s[w]).clamp(min=0) for w in range(len(s)) if w != truth), torch.zeros(())))
    return torch.stack(losses).mean()


def fitting(model: Any, inputs: dict[str, Tensor], pad: int) -> dict[str, Tensor]:
    inputs["input_ids"][inputs["attention_mask"] == 0] = pad
    return inputs if getattr(model.config, "type_vocab_size", 0) > 1 else {k: v for k, v in inputs.items() if k != "token_type_ids"}


def naive_language_loss(model: Any, data: MemberData, batch: Any, masked: Any, pad: int) -> Tensor:
    """Row by row from logits at every position; masked inputs and targets as given, rows found again by their tokens."""
    targets = np.full(batch.input_ids.numel(), -100)
    targets[masked.positions] = masked.targets
    total, count = torch.zeros(()), 0
    for row, length, wanted in zip(batch.input_ids, batch.attention_mask.sum(1), targets.reshape(batch.input_ids.shape), strict=True):
        whole = np.where(wanted[:length] >= 0, wanted[:length], row[:length].numpy())
        (index,) = [i for i in range(len(data.unlabeled)) if np.array_equal(data.unlabeled.row(i), whole)]
        inputs = fitting(model, padded(data.unlabeled, index, row[:length].numpy()), pad)
        goal = torch.full((LENGTH,), -100)
        goal[:length] = torch.from_numpy(wanted[:length])
        total = total + functional.cross_entropy(model(**inputs).logits[0], goal, reduction="sum")
        count += int((goal >= 0).sum())
    return total / count


def gradients(model: Any, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad(set_to_none=True)
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def catch_masking(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    """Every (batch, masked) that the MLM loss is asked for."""
    found: list[tuple[Any, Any]] = []
    compute = petkit.members.joint_pass

    def watched(model: MaskedLM, labeled: Any, plan: Any, batch: Any, masked: Any, *, pad_id: int) -> tuple[Tensor, Tensor]:
        found.append((batch, masked))
        return compute(model, labeled, plan, batch, masked, pad_id=pad_id)

    monkeypatch.setattr(petkit.members, "joint_pass", watched)
    return found


# One step


@pytest.mark.parametrize("language", [True, False])
@pytest.mark.parametrize("words", [ONE, SEVERAL])
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_step_is_that_of_the_naive_way(family: str, words: Verbalizer, language: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Padded to the maximum, a full vocabulary at every position, one row at a time: the same losses and gradients to 1e-5."""
    plain = random_masked_lm(family, seed=4)
    model, data = MaskedLM(plain), data_for(words, family)
    assert data.plan.kind == ("single" if words is ONE else "multi")
    settings = STEP if language else MemberSettings(steps=1, batch=4, mlm_weight=0.0)
    seen = catch_masking(monkeypatch)
    losses = step_of(model, data, settings, monkeypatch)(0, 0)
    ours = gradients(plain, losses["loss"])
    pad = tokenizer(FAMILIES[family][0]).pad_token_id
    wanted = label = naive_label_loss(plain, data, pad)
    if language:
        ((batch, masked),) = seen
        assert len(masked.positions) > 10, "or nothing is compared"
        mlm = naive_language_loss(plain, data, batch, masked, pad)
        torch.testing.assert_close(losses["mlm"], mlm, atol=1e-5, rtol=1e-5)
        wanted = 0.75 * label + 0.25 * mlm
    else:
        assert not seen
    torch.testing.assert_close(losses["label"], label, atol=1e-5, rtol=1e-5)
    theirs = gradients(plain, wanted)
    assert max(float(g.abs().max()) for g in theirs.values()) > 1e-2
    for name, gradient in theirs.items():
        mine = ours.get(name, torch.zeros_like(gradient))
        torch.testing.assert_close(mine, gradient, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("words", [ONE, SEVERAL])
def test_the_patterns_own_mask_special_tokens_and_padding_are_never_targets(words: Verbalizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a mask rate of 1 everything that may be a target is one. (In the original padding and the mask slot are.)"""
    data, seen = data_for(words), catch_masking(monkeypatch)
    everything = MemberSettings(batch=1, unlabeled_batch=6, mlm_weight=0.5, mask_rate=1.0)
    step = step_of(MaskedLM(random_masked_lm("bert")), data, everything, monkeypatch)
    special = set(tokenizer("wordpiece").all_special_ids)
    for micro in range(3):
        step(micro, 0)
        batch, masked = seen[-1]
        allowed = batch.attention_mask.numpy() == 1
        np.put_along_axis(allowed, batch.slots.numpy(), False, axis=1)
        assert batch.slots.shape[1] == data.plan.masks
        assert set(masked.targets.tolist()).isdisjoint(special)
        rows = len(allowed)
        specials_per_row = 3  # [CLS] and two [SEP]
        assert len(masked.positions) == allowed.sum() - rows * specials_per_row
        assert allowed.reshape(-1)[masked.positions].all()
        still = batch.input_ids.gather(1, batch.slots)
        assert (still == tokenizer("wordpiece").mask_token_id).all(), "the gap itself is left as it is"


def test_a_users_literal_mask_token_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no slot, and its pieces may be targets like those of any word."""
    rows = Rows(("a",), {"text": ("the [MASK] token [SEP] here",)})
    data, seen = data_for(ONE, unlabeled=rows), catch_masking(monkeypatch)
    settings = MemberSettings(batch=1, unlabeled_batch=1, mlm_weight=0.5, mask_rate=1.0)
    step_of(MaskedLM(random_masked_lm("bert")), data, settings, monkeypatch)(0, 0)
    assert data.unlabeled.slots.shape == (1, 1)
    pieces = tokenizer("wordpiece").convert_ids_to_tokens(seen[0][1].targets.tolist())
    assert "[MASK]" not in pieces
    assert "the [ mask ] token [" in " ".join(pieces).replace(" ##", "")


# Training


def trained(seed: int = 1, *, steps: int = 3, words: Verbalizer = ONE, family: str = "bert") -> tuple[MaskedLM, dict[str, float]]:
    model = MaskedLM(random_masked_lm(family, seed=2))
    settings = MemberSettings(steps=steps, learning_rate=5e-3, batch=4, accumulate=1, unlabeled_batch=3, mlm_weight=0.05)
    data = data_for(words, family)
    return model, train_member(model, data, settings, Vocabulary.of(tokenizer(FAMILIES[family][0])), seed=seed).losses


@pytest.mark.parametrize("words", [ONE, SEVERAL])
def test_training_learns_the_labelled_rows(words: Verbalizer) -> None:
    _, first = trained(steps=1, words=words)
    model, last = trained(steps=40, words=words)
    assert set(last) == {"loss", "label", "mlm"}
    assert last["label"] < 0.5 * first["label"]
    assert last["mlm"] < first["mlm"]
    data = data_for(words)
    scores = score_encoded(model, data.labeled, data.plan, pad_id=tokenizer("wordpiece").pad_token_id, token_budget=999)
    assert scores.argmax(axis=1).tolist() == list(LABELED.labels)


def test_the_same_seed_gives_the_same_model_and_another_seed_another() -> None:
    state = torch.get_rng_state()
    one, again, other = (trained(seed)[0].state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(torch.get_rng_state(), state), "the global stream is left alone"


def rows_seen(settings: MemberSettings, steps: int, monkeypatch: pytest.MonkeyPatch, *, seed: int = 0) -> tuple[list[Any], list[Any]]:
    """Indices of the labelled and the unlabelled rows of each micro-batch."""
    data = data_for(ONE)
    seen: tuple[list[Any], list[Any]] = ([], [])
    collate = petkit.batching.collate

    def watched(encoded: Any, indices: Any, **options: Any) -> Any:
        seen[encoded is data.unlabeled].append(np.asarray(indices).tolist())
        return collate(encoded, indices, **options)

    step = step_of(MaskedLM(random_masked_lm("bert")), data, settings, monkeypatch, seed=seed)
    with monkeypatch.context() as patch:
        patch.setattr(petkit.members, "collate", watched)
        for index in range(steps):
            for micro in range(settings.accumulate):
                step(index, micro)
    return seen


def test_every_row_comes_once_before_any_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """6 unlabelled rows, 2 a micro-batch, 3 micro-batches: each update is an epoch; 4 labelled rows by one likewise."""
    settings = MemberSettings(batch=1, accumulate=3, unlabeled_batch=2, mlm_weight=0.5)
    labeled, unlabeled = rows_seen(settings, 4, monkeypatch)
    assert [len(batch) for batch in unlabeled] == [2] * 12, "a fresh batch beside each labelled one"
    epochs = np.array(unlabeled).reshape(4, 6)
    assert (np.sort(epochs, axis=1) == np.arange(6)).all()
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 4, "shuffled anew"
    epochs = np.array(labeled).reshape(3, 4)
    assert (np.sort(epochs, axis=1) == np.arange(4)).all()
    assert len({tuple(epoch) for epoch in epochs.tolist()}) > 1


def test_the_order_is_the_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = MemberSettings(batch=2, unlabeled_batch=3, mlm_weight=0.5)
    first, again, other = (rows_seen(settings, 2, monkeypatch, seed=seed) for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("change", [{"mlm_weight": 0.0}, {"unlabeled_batch": 0}])
def test_without_the_mlm_loss_no_unlabelled_row_is_touched(change: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    settings = MemberSettings(**{"batch": 2, "unlabeled_batch": 3, "mlm_weight": 0.5, **change})
    labeled, unlabeled = rows_seen(settings, 1, monkeypatch)
    assert (len(labeled), unlabeled) == (settings.accumulate, [])


def test_a_pool_without_rows_trains_on_labels_alone() -> None:
    data = data_for(ONE, unlabeled=texts(0))
    found = train_member(MaskedLM(random_masked_lm("bert")), data, MemberSettings(steps=1), Vocabulary.of(tokenizer("wordpiece")), seed=0)
    assert set(found.losses) == {"loss", "label"}


# The stages


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_masked_lm("bert", tmp_path_factory.mktemp("model"), seed=5)


TEST = texts(7, start=20, labels=3, name="t")


def run_member(
    root: Path, checkpoint: Path, settings: Settings, *, chosen: Rows | None = None, task: Task = TOPICS, **more: Any
) -> dict[str, Any]:
    deposit(root, train=LABELED, pool=UNLABELED, test=TEST)
    needs = []
    if chosen is not None:
        stage_folder(root, "g1-sets").mkdir()
        save_rows(stage_folder(root, "g1-sets") / "mine.parquet", chosen)
        needs, more = ["g1-sets"], {**more, "set": ["g1-sets", "mine.parquet"], "generation": 1}
    given = {"pattern": 1, "repetition": 0, "generation": 0, "set": None, "keep": False, **more}
    return member_unit(spec_of(task, settings, model=checkpoint, **given), context_for(root, "member", *needs))


@pytest.mark.parametrize("chosen", [None, texts(5, start=30, labels=3, name="c")])
def test_a_member_starts_from_the_checkpoint_and_scores_pool_and_test(checkpoint: Path, tmp_path: Path, chosen: Rows | None) -> None:
    """The stage is no more than: load the checkpoint, train on labelled and chosen rows, score. Later generations likewise."""
    settings = tiny_settings()
    record = run_member(tmp_path, checkpoint, settings, chosen=chosen)
    labeled = Rows.concat([LABELED, chosen]) if chosen else LABELED
    assert record["labeled"] == len(labeled)
    model, words = load_masked_lm(str(checkpoint)), load_tokenizer(str(checkpoint))
    encoder, pvp = Encoder(words, max_length=64), TOPICS.pvps[1]
    seed = context_for(tmp_path, "other").seed_for("member", 1 if chosen else 0, 1, 0)
    losses = train_member(model, MemberData.of(encoder, pvp, labeled, UNLABELED), settings.member, Vocabulary.of(words), seed=seed).losses
    assert record["losses"] == losses
    for part, rows in (("pool", UNLABELED), ("test", TEST)):
        wanted = score_rows(model, encoder, rows, pvp, token_budget=512)
        np.testing.assert_array_equal(load_scores(stage_folder(tmp_path, "member") / f"{part}.parquet"), wanted)
    assert record["test"]["accuracy"] == pytest.approx(np.mean(wanted.argmax(axis=1) == np.array(TEST.labels)))
    assert not (stage_folder(tmp_path, "member") / "model").exists()


def test_repetitions_differ_and_the_same_one_does_not(checkpoint: Path, tmp_path: Path) -> None:
    scores = []
    for run, repetition in (("a", 0), ("b", 0), ("c", 1)):
        run_member(tmp_path / run, checkpoint, tiny_settings(), repetition=repetition)
        scores.append((stage_folder(tmp_path / run, "member") / "pool.parquet").read_bytes())
    assert scores[0] == scores[1] != scores[2]


def test_a_kept_member_gives_its_scores_again(checkpoint: Path, tmp_path: Path) -> None:
    run_member(tmp_path, checkpoint, tiny_settings(), keep=True)
    folder = stage_folder(tmp_path, "member") / "model"
    assert [path.name for path in folder.glob("*.safetensors")] == ["model.safetensors"]
    assert not [path for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pkl")]
    encoder = Encoder(load_tokenizer(str(folder)), max_length=64)
    again = score_rows(load_masked_lm(str(folder)), encoder, UNLABELED, TOPICS.pvps[1], token_budget=512)
    np.testing.assert_allclose(again, load_scores(stage_folder(tmp_path, "member") / "pool.parquet"), atol=1e-5)


def test_members_of_words_with_several_tokens_run(checkpoint: Path, tmp_path: Path) -> None:
    task = Task(name="t", fields=("text",), patterns=("{mask} {text}", "{text} {mask}"), verbalizer=SEVERAL.mapping)
    record = run_member(tmp_path, checkpoint, tiny_settings(decoding="parallel"), task=task)
    assert np.isfinite(record["losses"]["label"])
    assert (load_scores(stage_folder(tmp_path, "member") / "pool.parquet") < 0).all(), "log-probabilities"


@pytest.mark.parametrize("labeled", [True, False])
@pytest.mark.parametrize("pool", [True, False])
def test_an_untrained_pattern_gives_the_weight(checkpoint: Path, tmp_path: Path, labeled: bool, pool: bool) -> None:
    """The weight is the accuracy on the labelled rows before training; null without any. (In the original: a KeyError.)"""
    train = LABELED if labeled else texts(0)
    deposit(tmp_path, train=train, pool=UNLABELED, test=TEST)
    spec = spec_of(TOPICS, tiny_settings(), model=checkpoint, pattern=0, pool=pool)
    record = untrained_unit(spec, context_for(tmp_path, "untrained-p0"))
    encoder = Encoder(load_tokenizer(str(checkpoint)), max_length=64)
    scores = score_rows(load_masked_lm(str(checkpoint)), encoder, LABELED, TOPICS.pvps[0], token_budget=512)
    accuracy = np.mean(scores.argmax(axis=1) == np.array(LABELED.labels))
    assert record["weight"] == (pytest.approx(accuracy) if labeled else None)
    assert record["pattern"] == "{mask}: {text}"
    assert set(record["test"]) == {"accuracy", "macro_f1"}
    files = {path.name for path in stage_folder(tmp_path, "untrained-p0").glob("*.parquet")}
    assert files == {"train.parquet", "test.parquet"} | ({"pool.parquet"} if pool else set())
