"""The training loop: how many updates, at which rates, on which parameters, and the same numbers however often it is stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from petkit import training
from petkit.errors import SettingsError
from petkit.losses import mix_losses
from petkit.objectives import stream
from petkit.objectives.streams import seed_for
from petkit.training import TrainSettings, make_optimizer, parameter_groups, train
from tests.builders import FAMILIES, random_masked_lm

Losses = Callable[[int, int], Mapping[str, Tensor]]


def network(*, dropout: float = 0.0, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Dropout(dropout), nn.Linear(8, 3))


def data(step: int, *, rows: int = 8) -> tuple[Tensor, Tensor]:
    rng = stream(1, "data", step=step)
    return torch.from_numpy(rng.random((rows, 6), dtype="float32")), torch.from_numpy(rng.integers(0, 3, size=rows))


def classifying(model: nn.Module) -> Losses:
    def losses(step: int, micro: int) -> Mapping[str, Tensor]:
        inputs, labels = data(step)
        loss = nn.functional.cross_entropy(model(inputs), labels)
        return {"loss": loss, "half": loss / 2}

    return losses


def parameters(model: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture
def updates(monkeypatch: pytest.MonkeyPatch) -> list[list[float]]:
    """The learning rates of every update that an optimiser makes."""
    seen: list[list[float]] = []
    made = make_optimizer

    def watched(model: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
        optimizer = made(model, settings)
        optimizer.register_step_post_hook(lambda opt, *_: seen.append([group["lr"] for group in opt.param_groups]))
        return optimizer

    monkeypatch.setattr(training, "make_optimizer", watched)
    return seen


@pytest.mark.parametrize("steps", [1, 7, 20])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_exactly_the_updates_asked_for(updates: list[list[float]], steps: int, accumulate: int) -> None:
    """The original makes one more than asked for, at rate 0."""
    model, asked = network(), []
    losses = classifying(model)

    def counted(step: int, micro: int) -> Mapping[str, Tensor]:
        asked.append((step, micro))
        return losses(step, micro)

    trained = train(model, counted, TrainSettings(steps=steps, accumulate=accumulate), seed=1, stage="t")
    assert len(updates) == trained.steps == steps
    assert asked == [(step, micro) for step in range(steps) for micro in range(accumulate)]
    assert all(rate > 0 for rates in updates for rate in rates)


@pytest.mark.parametrize(
    ("schedule", "warmup", "expected"),
    [
        ("linear", 0.0, [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]),
        ("linear", 0.2, [0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]),
        ("linear", 5, [0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 0.8, 0.6, 0.4, 0.2]),
        ("constant", 0.0, [1.0] * 10),
        ("constant", 4, [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1]),
        ("trapezoid", 0.0, [1, 1, 1, 1, 1, 1, 1, 1, 1.0, 0.5]),
        ("trapezoid", 0.2, [0.5, 1, 1, 1, 1, 1, 1, 1, 1.0, 0.5]),
        ("linear", 20, [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5]),
    ],
)
def test_schedules_by_hand(updates: list[list[float]], schedule: Any, warmup: float, expected: list[float]) -> None:
    settings = TrainSettings(steps=10, learning_rate=0.01, schedule=schedule, warmup=warmup)
    assert [settings.rate(step) for step in range(10)] == pytest.approx(expected)
    model = network()
    train(model, classifying(model), settings, seed=1, stage="t")
    assert [rates[0] for rates in updates] == pytest.approx([0.01 * share for share in expected])


def test_a_share_of_warm_up_is_that_share() -> None:
    assert [TrainSettings(steps=100, warmup=0.07).rate(step) for step in (0, 5, 6)] == pytest.approx([1 / 7, 6 / 7, 1.0])
    assert TrainSettings(steps=10, warmup=0.01).rate(0) == 1.0


def test_the_first_four_fifths_of_a_trapezoid_are_those_of_a_longer_run() -> None:
    short, long = (TrainSettings(steps=steps, schedule="trapezoid", warmup=10) for steps in (100, 200))
    assert [short.rate(step) for step in range(80)] == [long.rate(step) for step in range(80)]
    falling = [short.rate(step) for step in range(80, 100)]
    assert falling == pytest.approx([(20 - i) / 20 for i in range(20)])


@pytest.mark.parametrize("family", FAMILIES)
def test_no_bias_and_no_norm_is_decayed(family: str) -> None:
    """The original decays ALBERT's norms, which have another name than BERT's."""
    model = random_masked_lm(family)
    decayed, spared = ({id(p) for p in group["params"]} for group in parameter_groups(model, weight_decay=0.3))
    norms = {id(p) for module in model.modules() if "norm" in type(module).__name__.lower() for p in module.parameters()}
    biases = {id(p) for name, p in model.named_parameters() if name.rpartition(".")[2] == "bias"}
    matrices = {id(module.weight) for module in model.modules() if isinstance(module, nn.Linear | nn.Embedding)}
    assert norms
    assert norms | biases <= spared
    assert matrices <= decayed
    assert len(decayed) + len(spared) == len(list(model.parameters()))
    assert [group["weight_decay"] for group in parameter_groups(model, weight_decay=0.3)] == [0.3, 0.0]


@pytest.mark.parametrize(("kind", "names"), [("xlnet", ("r_w_bias", "r_r_bias", "r_s_bias")), ("t5", ("relative_attention_bias",))])
def test_biases_that_are_matrices_are_not_decayed(kind: str, names: tuple[str, ...]) -> None:
    layers = {"xlnet": {"n_layer": 1, "n_head": 2}, "t5": {"num_layers": 1, "num_heads": 2}}
    with torch.device("meta"):
        model = AutoModel.from_config(AutoConfig.for_model(kind, vocab_size=20, d_model=8, **layers[kind]))
    spared = {id(p) for p in parameter_groups(model, weight_decay=0.3)[1]["params"]}
    biases = [p for name, p in model.named_parameters() if any(bias in name for bias in names)]
    assert biases
    assert all(p.ndim == 2 and id(p) in spared for p in biases)


def test_what_is_frozen_is_in_no_group_and_stays() -> None:
    model = network()
    model[0].requires_grad_(False)  # type: ignore[index]
    assert sum(len(group["params"]) for group in parameter_groups(model, weight_decay=0.1)) == 4
    before = parameters(model)
    train(model, classifying(model), TrainSettings(steps=2, learning_rate=0.1), seed=1, stage="t")
    assert [torch.equal(a, b) for a, b in zip(before, parameters(model), strict=True)] == [True, True, False, False, False, False]


def test_decay_shrinks_matrices_by_hand_and_leaves_vectors() -> None:
    model = nn.Linear(2, 2)
    before = parameters(model)
    settings = TrainSettings(steps=1, learning_rate=0.1, weight_decay=0.5, schedule="constant")
    train(model, lambda *_: {"loss": 0.0 * (model.weight.sum() + model.bias.sum())}, settings, seed=1, stage="t")
    torch.testing.assert_close(model.weight.detach(), before[0] * (1 - 0.1 * 0.5))
    assert torch.equal(model.bias, before[1])


def gradients_of(losses: Callable[[nn.Module], Losses], **settings: Any) -> list[Tensor]:
    """The gradients that the one update of a run is made with."""
    model, seen = network(), list[Tensor]()
    made = make_optimizer(model, TrainSettings(steps=1))
    made.register_step_pre_hook(lambda *_: seen.extend(p.grad.clone() for p in model.parameters() if p.grad is not None))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "make_optimizer", lambda *_: made)
        train(model, losses(model), TrainSettings(steps=1, **settings), seed=1, stage="t")
    return seen


def test_accumulated_micro_batches_are_one_large_batch() -> None:
    def parts(count: int) -> Callable[[nn.Module], Losses]:
        def losses(model: nn.Module) -> Losses:
            inputs, labels = data(0, rows=12)
            chunks = list(zip(inputs.chunk(count), labels.chunk(count), strict=True))
            return lambda _, micro: {"loss": nn.functional.cross_entropy(model(chunks[micro][0]), chunks[micro][1])}

        return losses

    whole = gradients_of(parts(1), clip=None)
    for count in (2, 4):
        for ours, theirs in zip(gradients_of(parts(count), accumulate=count, clip=None), whole, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("clip", [None, 0.01, 1e6])
def test_gradients_are_clipped_by_their_common_norm(clip: float | None) -> None:
    whole = gradients_of(classifying, clip=None)
    norm = float(torch.stack([g.norm() for g in whole]).norm())
    share = 1.0 if clip is None else min(1.0, clip / norm)
    for ours, theirs in zip(gradients_of(classifying, clip=clip), whole, strict=True):
        torch.testing.assert_close(ours, theirs * share, atol=1e-6, rtol=1e-4)


def test_gradients_from_before_do_not_count() -> None:
    fresh, used = network(), network()
    for p in used.parameters():
        p.grad = torch.full_like(p, 5.0)
    for model in (fresh, used):
        train(model, classifying(model), TrainSettings(steps=2, learning_rate=0.1), seed=1, stage="t")
    assert same(parameters(fresh), parameters(used))


def trained_with(seed: int, *, stage: str = "t", draw: bool = False) -> list[Tensor]:
    model = network(dropout=0.5)
    if draw:
        torch.rand(17)
    train(model, classifying(model), TrainSettings(steps=5, learning_rate=0.1), seed=seed, stage=stage)
    return parameters(model)


def test_the_same_seed_gives_the_same_numbers_and_another_one_others() -> None:
    first = trained_with(1)
    assert same(first, trained_with(1, draw=True))
    assert not same(first, trained_with(2))
    assert not same(first, trained_with(1, stage="other"))


def test_seeded_draws_are_those_of_torchs_seed() -> None:
    with training.seeded(3, "member", "dropout", 7):
        found = torch.rand(5)
    torch.manual_seed(seed_for(3, "member", "dropout", 7))
    assert torch.equal(found, torch.rand(5))


def test_torchs_own_generator_is_left_as_it_was() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    trained_with(1)
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_is_on_in_training_and_off_afterwards() -> None:
    model, modes = network(dropout=0.5).eval(), []
    losses = classifying(model)

    def noted(step: int, micro: int) -> Mapping[str, Tensor]:
        modes.append(model.training)
        return losses(step, micro)

    train(model, noted, TrainSettings(steps=2), seed=1, stage="t")
    assert modes == [True, True]
    assert not model.training


class Stopped(Exception):
    """The kill of a test."""


def stopping_at(step: int) -> Callable[[int, int, Mapping[str, float] | None], None]:
    def on_step(done: int, steps: int, means: Mapping[str, float] | None) -> None:
        if done == step:
            raise Stopped

    return on_step


@pytest.mark.parametrize("stop", [2, 10, 18, 19, 20])
def test_a_run_that_is_stopped_and_resumed_ends_with_the_same_numbers(tmp_path: Path, stop: int) -> None:
    settings = TrainSettings(steps=20, learning_rate=0.05, accumulate=2, warmup=0.1)

    def run(on_step: Any = None, checkpoint: Path | None = None) -> tuple[list[Tensor], dict[str, float], list[int]]:
        model, steps = network(dropout=0.3), []
        losses = classifying(model)

        def noted(step: int, micro: int) -> Mapping[str, Tensor]:
            steps.append(step)
            return losses(step, micro)

        trained = train(model, noted, settings, seed=4, stage="t", checkpoint=checkpoint, checkpoint_seconds=0.0, on_step=on_step)
        return parameters(model), trained.losses, steps

    undisturbed, losses, _ = run()
    path = tmp_path / "training.safetensors"
    with pytest.raises(Stopped):
        run(stopping_at(stop), path)
    resumed, losses_again, steps = run(checkpoint=path)
    assert steps[0] == stop - 1  # it goes on from the checkpoint before, and does not start over
    assert same(undisturbed, resumed)
    assert losses_again == losses


@pytest.mark.parametrize("content", [b"", b"junk", None])
def test_an_unreadable_checkpoint_costs_the_stage_and_not_the_run(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "training.safetensors"
    model = network()
    settings = TrainSettings(steps=6, learning_rate=0.1)
    with pytest.raises(Stopped):
        train(model, classifying(model), settings, seed=1, stage="t", checkpoint=path, checkpoint_seconds=0.0, on_step=stopping_at(3))
    path.write_bytes(path.read_bytes()[:-9] if content is None else content)
    again, undisturbed = network(), network()
    train(again, classifying(again), settings, seed=1, stage="t", checkpoint=path)
    train(undisturbed, classifying(undisturbed), settings, seed=1, stage="t")
    assert same(parameters(again), parameters(undisturbed))


def test_losses_are_means_over_the_last_tenth_and_progress_is_told() -> None:
    model, told = nn.Linear(1, 1), []

    def losses(step: int, micro: int) -> Mapping[str, Tensor]:
        return {"loss": 0.0 * model.weight.sum() + step, "other": torch.tensor(float(step * 10))}

    settings = TrainSettings(steps=40)
    trained = train(model, losses, settings, seed=1, stage="t", on_step=lambda *facts: told.append(facts), log_every=15)
    assert trained.losses == {"loss": 37.5, "other": 375.0}  # 36, 37, 38, 39
    assert [(step, steps) for step, steps, _ in told] == [(step, 40) for step in range(1, 41)]
    assert {step: means["loss"] for step, _, means in told if means} == {15: 7.0, 30: 22.0, 40: 34.5}


@pytest.mark.parametrize("steps", [1, 2, 9, 10, 11])
def test_short_runs_tell_the_loss_of_their_last_step(steps: int) -> None:
    model = nn.Linear(1, 1)
    trained = train(model, lambda step, _: {"loss": 0.0 * model.weight.sum() + step}, TrainSettings(steps=steps), seed=1, stage="t")
    assert trained.losses == {"loss": steps - 1}


def test_bfloat16_computes_in_it_and_keeps_float32_weights() -> None:
    model, seen = network(), []

    def losses(step: int, micro: int) -> Mapping[str, Tensor]:
        inputs, labels = data(step)
        logits = model(inputs)
        seen.append(logits.dtype)
        return {"loss": nn.functional.cross_entropy(logits.float(), labels)}

    exact = network()
    train(exact, classifying(exact), TrainSettings(steps=4, learning_rate=0.01), seed=1, stage="t")
    train(model, losses, TrainSettings(steps=4, learning_rate=0.01, precision="bfloat16"), seed=1, stage="t")
    assert set(seen) == {torch.bfloat16}
    for ours, theirs in zip(parameters(model), parameters(exact), strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, theirs, atol=0.05, rtol=0.1)


def test_every_impossible_setting_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        TrainSettings(steps=0, learning_rate=-1.0, accumulate=0, weight_decay=-0.1, eps=0, warmup=-1, schedule="x", clip=0, precision="y")  # type: ignore[arg-type]
    message = str(caught.value)
    for part in (
        "9 problems", "steps is 0; at least 1", "learning_rate is -1.0; a number above 0", "accumulate is 0", "weight_decay is -0.1",
        "eps is 0", "warmup is -1", "schedule is 'x'; legal are linear, constant, trapezoid", "clip is 0", "legal are float32, bfloat16",
    ):  # fmt: skip
        assert part in message
    assert len(caught.value.problems) == 9


@pytest.mark.parametrize("rate", [0.0, float("nan"), float("inf")])
def test_learning_rates_that_are_no_numbers_above_zero_are_refused(rate: float) -> None:
    with pytest.raises(SettingsError, match="learning_rate"):
        TrainSettings(steps=1, learning_rate=rate)


def test_the_weight_is_that_of_the_language_loss() -> None:
    """L = (1 - a) L_label + a L_MLM, as in the paper; the original's flag means 1 - a."""
    label, language = torch.tensor(2.0), torch.tensor(7.0)
    assert mix_losses(label, language, weight=1e-4).item() == pytest.approx(2.0 * 0.9999 + 7.0 * 0.0001)
    assert mix_losses(label, language, weight=0.0).item() == 2.0
    assert mix_losses(label, language, weight=1.0).item() == 7.0


# Losses that are no numbers


def exploding(model: nn.Module, at: int) -> Losses:
    """Losses of ``classifying``; from update ``at`` on (from 0) a part is no number."""

    def losses(step: int, micro: int) -> Mapping[str, Tensor]:
        named = classifying(model)(step, micro)
        return {**named, "half": named["half"] * float("nan")} if step >= at else named

    return losses


@pytest.mark.parametrize(("log_every", "told"), [(1, 3), (2, 4), (50, 9)])
def test_training_that_diverges_ends_when_its_losses_are_read(log_every: int, told: int) -> None:
    model, seen = network(), list[int]()
    settings = TrainSettings(steps=9, learning_rate=0.5)
    with pytest.raises(SettingsError, match=rf"training diverged at update {told} of 9 .*: half is nan; lower --learning-rate .* 0.5$"):
        train(model, exploding(model, 2), settings, seed=1, stage="t", on_step=lambda step, *_: seen.append(step), log_every=log_every)
    assert seen == list(range(1, told))


def test_training_that_diverges_ends_though_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    monkeypatch.setattr(training, "_means", lambda sums, means=training._means: reads.append("read") or means(sums))
    model = network()
    with pytest.raises(SettingsError, match="training diverged at update 60 of 60"):
        train(model, exploding(model, 2), TrainSettings(steps=60), seed=1, stage="t", log_every=1)
    assert reads == ["read"]  # the CPU waited for the device once
