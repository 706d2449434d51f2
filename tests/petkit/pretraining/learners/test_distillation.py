"""DistilBERT: the three losses by hand, where a student starts, and a teacher that stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from petkit.errors import ModelError, SettingsError
from petkit.objectives import preset, share
from petkit.pretraining.learners import DistillationLearner, learner_for
from petkit.pretraining.students import start_from, student_layers
from tests.petkit.pretraining.learners.tiny import batch_of, teacher_of, tiny, vocabulary


def learner_of(*, teacher: Any = None, **changes: Any) -> DistillationLearner:
    objective, student = preset("distilbert", **changes), tiny("distilbert", "distilbert", seed=1)
    learner = learner_for(objective, student, vocabulary(), teacher=teacher or teacher_of())
    assert isinstance(learner, DistillationLearner)
    return learner


def by_hand(learner: DistillationLearner, batch: Any) -> dict[str, float]:
    """From transformers' own outputs at all places; position by position."""
    ids = torch.from_numpy(batch.inputs)
    valid = ids != vocabulary().pad_id
    with torch.no_grad():
        mine, theirs = (
            model.model(input_ids=ids, attention_mask=valid.long(), output_hidden_states=True) for model in (learner.model, learner.teacher)
        )
    heat, soft, hard, cosine = learner.objective.temperature, 0.0, 0.0, 0.0
    for place, target in zip(batch.positions, batch.targets, strict=True):
        student, teacher = (out.logits.flatten(0, 1)[place].double() for out in (mine, theirs))
        p, q = torch.softmax(teacher / heat, -1), torch.softmax(student / heat, -1)
        soft += float((p * (p.log() - q.log())).sum()) * heat**2
        hard -= float(torch.log_softmax(student, -1)[target])
    for place in valid.flatten().nonzero()[:, 0]:
        a, b = (out.hidden_states[-1].flatten(0, 1)[place].double() for out in (mine, theirs))
        cosine += 1 - float((a @ b) / (a.norm() * b.norm()))
    return {"soft": soft / len(batch.positions), "mlm": hard / len(batch.positions), "cosine": cosine / int(valid.sum())}


@pytest.mark.parametrize("temperature", [2.0, 1.0])
def test_the_three_losses_are_the_formulas(temperature: float) -> None:
    learner, batch = learner_of(temperature=temperature).eval(), batch_of("distilbert")
    found, wanted = learner(batch, learner.counts(batch)), by_hand(learner, batch)
    assert {name: found[name].item() for name in wanted} == pytest.approx(wanted, abs=1e-5)
    assert found["loss"].item() == pytest.approx(5 * wanted["soft"] + 2 * wanted["mlm"] + wanted["cosine"], rel=1e-5)
    scores = learner.score(batch)
    assert {name: scores[name][0] / scores[name][1] for name in wanted} == pytest.approx(wanted, abs=1e-5)
    assert set(scores) == {*wanted, "mlm_accuracy"}


def test_the_weights_are_the_objectives() -> None:
    learner, batch = learner_of(soft_weight=1.0, masked_weight=3.0, cosine_weight=7.0).eval(), batch_of("distilbert")
    found = learner(batch, learner.counts(batch))
    wanted = found["soft"].item() + 3 * found["mlm"].item() + 7 * found["cosine"].item()
    assert found["loss"].item() == pytest.approx(wanted, rel=1e-5)


def test_a_student_that_is_its_teacher_has_nothing_to_learn_from_it() -> None:
    """As many layers as the teacher: the same function, types, positions and head included."""
    teacher = teacher_of(layers=2)
    learner, batch = learner_of(teacher=teacher).eval(), batch_of("distilbert")
    start_from(learner.model.model, teacher, (0, 1))
    found = learner(batch, learner.counts(batch))
    assert abs(found["soft"].item()) < 1e-5
    assert abs(found["cosine"].item()) < 1e-5
    assert found["mlm"].item() > 0.1


def test_the_teacher_is_neither_trained_nor_saved_nor_in_training_mode(tmp_path: Path) -> None:
    learner, batch = learner_of().train(), batch_of("distilbert")
    before = {name: value.clone() for name, value in learner.teacher.state_dict().items()}
    own = {id(p) for p in learner.model.parameters()}
    assert {id(p) for p in learner.parameters()} == own
    assert not any("teacher" in name for name in learner.state_dict())
    learner.train()
    assert not any(module.training for module in learner.teacher.modules())
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.1)
    learner(batch, learner.counts(batch))["loss"].backward()
    optimizer.step()
    assert all(p.grad is None for p in learner.teacher.parameters())
    assert all(torch.equal(value, before[name]) for name, value in learner.teacher.state_dict().items())
    learner.save(tmp_path, half=False)
    assert {file.name for file in tmp_path.iterdir()} == {"config.json", "model.safetensors"}


def test_every_weight_of_the_student_learns() -> None:
    learner, batch = learner_of().train(), batch_of("distilbert")
    learner(batch, learner.counts(batch))["loss"].backward()
    assert all(p.grad is not None and p.grad.any() for p in learner.parameters())


def test_nothing_selected_leaves_the_cosine_alone() -> None:
    learner, batch = learner_of().train(), batch_of("distilbert", lengths=(0, 0))
    found = learner(batch, learner.counts(batch))
    found["loss"].backward()
    assert found["soft"].item() == found["mlm"].item() == 0.0
    assert found["loss"].item() == pytest.approx(found["cosine"].item())


def test_halves_of_a_batch_have_the_gradient_of_the_whole() -> None:
    learner, batch = learner_of().train(), batch_of("distilbert")
    weights, counts = list(learner.parameters()), learner.counts(batch)
    whole = torch.autograd.grad(learner(batch, counts)["loss"], weights)
    half = {part: count / 2 for part, count in counts.items()}
    parts = [torch.autograd.grad(learner(share(batch, rank=rank, ranks=2), half)["loss"], weights) for rank in range(2)]
    for one, first, second in zip(whole, *parts, strict=True):
        torch.testing.assert_close((first + second) / 2, one, atol=1e-5, rtol=1e-4)


# Where a student starts


def test_layers_are_spread_from_the_first_to_the_last() -> None:
    row = preset("distilbert")
    assert student_layers(row, teacher=12, student=6) == (0, 2, 4, 7, 9, 11) == row.teacher_layers
    assert student_layers(row, teacher=24, student=6) == (0, 5, 9, 14, 18, 23)
    assert student_layers(row, teacher=4, student=2) == (0, 3)
    assert student_layers(row, teacher=3, student=3) == (0, 1, 2)
    assert student_layers(row, teacher=5, student=1) == (0,)
    mine = preset("distilbert", teacher_layers=(1, 3))
    assert student_layers(mine, teacher=4, student=2) == (1, 3)
    for student, teacher in ((3, 4), (2, 3)):
        with pytest.raises(SettingsError, match=r"teacher_layers \(1, 3\) do not fit"):
            student_layers(mine, teacher=teacher, student=student)


def test_a_student_begins_with_the_teachers_layers() -> None:
    teacher = teacher_of(layers=4)
    student = tiny("distilbert", "distilbert", seed=1).model.eval()
    start_from(student, teacher, (0, 3))
    ids = torch.tensor([[1, 50, 60, 70, 2]])
    with torch.no_grad():
        torch.testing.assert_close(student.distilbert.embeddings(ids), teacher.model.bert.embeddings(ids))
        states = torch.randn(1, 5, 32, generator=torch.Generator().manual_seed(1))
        for mine, theirs in ((0, 0), (1, 3)):
            found = student.distilbert.transformer.layer[mine](states)
            wanted = teacher.model.bert.encoder.layer[theirs](states)
            torch.testing.assert_close(*(out[0] if isinstance(out, tuple) else out for out in (found, wanted)))
        logits = student.vocab_projector(student.vocab_layer_norm(student.activation(student.vocab_transform(states))))
        torch.testing.assert_close(logits, teacher.model.cls(states))


# Refused


def test_a_teacher_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    row, student = preset("distilbert"), tiny("distilbert", "distilbert")
    with pytest.raises(SettingsError, match="--objective distilbert needs a --teacher"):
        learner_for(row, student, vocabulary())
    with pytest.raises(SettingsError, match="have a hidden size of 32 and 48"):
        learner_for(row, student, vocabulary(), teacher=teacher_of(hidden=48))
    learner_for(preset("mlm"), tiny("roberta"), vocabulary()).save(tmp_path, half=False)
    with pytest.raises(ModelError, match="has the model type 'roberta'; --objective distilbert takes a bert"):
        learner_for(row, student, vocabulary(), teacher=str(tmp_path))


def test_a_teacher_is_opened_from_its_folder(tmp_path: Path) -> None:
    teacher = teacher_of()
    learner_for(preset("mlm"), teacher, vocabulary()).save(tmp_path, half=False)
    batch = batch_of("distilbert")
    objects, paths = (learner_of(teacher=each).eval() for each in (teacher, str(tmp_path)))
    counts = objects.counts(batch)
    assert objects(batch, counts)["loss"].item() == pytest.approx(paths(batch, counts)["loss"].item(), abs=1e-6)
