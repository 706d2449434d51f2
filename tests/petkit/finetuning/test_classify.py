"""Text classification: rows, heads of encoders and causal models, padding, loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
from transformers import pipeline

from petkit.backbones.plain import inputs_of, save_for_pipelines
from petkit.batching import collate
from petkit.errors import DataError, ModelError
from petkit.finetuning import FinetuneSettings
from petkit.finetuning.classify import CLASSIFY, encode_texts
from petkit.finetuning.kind import Job
from petkit.finetuning.models import CAUSAL, open_config, open_tokenizer
from petkit.finetuning.rows import LabelledText
from tests.builders import FAMILIES
from tests.petkit.finetuning import tiny
from tests.petkit.finetuning.tiny import encoder, job_for, jsonl, reader, writer

LABELS = ["no", "perhaps", "yes"]
TEXTS = [LabelledText(f"r:{i}", [text], LABELS[i % 3]) for i, text in enumerate(tiny.TEXTS[:9])]
PAIRS = [LabelledText(f"p:{i}", list(pair), LABELS[i % 3]) for i, pair in enumerate(zip(tiny.TEXTS[:9], tiny.TEXTS[3:], strict=True))]


def job(folder: Path, family: str = "bert", **settings: Any) -> Job:
    model = reader(family, folder) if family in CAUSAL else encoder(family, folder)
    return job_for(CLASSIFY, model, FinetuneSettings(**settings), labels=LABELS)


def classifier(folder: Path, chosen: Job) -> Any:
    """A model whose answers differ from text to text."""
    model = CLASSIFY.open(str(folder), chosen, 1)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def probabilities(model: Any, rows: list[LabelledText], chosen: Job) -> np.ndarray:
    return np.array([list(one["probabilities"].values()) for one in CLASSIFY.predict(model, rows, chosen)])


@pytest.mark.parametrize("family", [*FAMILIES, *CAUSAL])
@pytest.mark.parametrize("rows", [TEXTS, PAIRS], ids=["texts", "pairs"])
def test_a_padded_batch_answers_as_each_text_alone(family: str, rows: list[LabelledText], tmp_path: Path) -> None:
    chosen = job(tmp_path, family, max_length=96)
    model = classifier(tmp_path, chosen)
    encoded, _ = encode_texts(rows, chosen)
    assert len(set(encoded.lengths.tolist())) > 2, "or nothing is padded"
    with torch.no_grad():
        batch = collate(encoded, np.arange(len(rows)), pad_id=chosen.tokenizer.pad_token_id)
        together = model(**inputs_of(model, batch)).logits
        alone = [model(**inputs_of(model, collate(encoded, [i], pad_id=0))).logits[0] for i in range(len(rows))]
    torch.testing.assert_close(together, torch.stack(alone), atol=1e-5, rtol=1e-4)
    assert float(together.std(dim=0).max()) > 1e-3, "or nothing is compared"
    np.testing.assert_allclose(probabilities(model, rows, chosen), together.softmax(-1).numpy(), atol=1e-5)


@pytest.mark.parametrize("family", CAUSAL)
def test_causal_models_answer_from_the_last_token_of_the_text(family: str, tmp_path: Path) -> None:
    chosen = job(tmp_path, family, max_length=96)
    model = classifier(tmp_path, chosen)
    encoded, _ = encode_texts(TEXTS, chosen)
    with torch.no_grad():
        for i in range(len(TEXTS)):
            ids = torch.from_numpy(encoded.row(i).astype(np.int64))[None]
            states = model.base_model(ids).last_hidden_state
            by_hand = model.score(states[0, -1]).softmax(-1)
            np.testing.assert_allclose(probabilities(model, [TEXTS[i]], chosen)[0], by_hand.numpy(), atol=1e-5)


def test_causal_models_get_a_padding_token_and_keep_it(tmp_path: Path) -> None:
    chosen = job(tmp_path / "m", "gpt2")
    model = classifier(tmp_path / "m", chosen)
    assert model.config.pad_token_id == chosen.tokenizer.pad_token_id == chosen.tokenizer.eos_token_id
    save_for_pipelines(model, chosen.tokenizer, tmp_path / "saved", max_length=96)
    assert open_config(str(tmp_path / "saved"), CAUSAL).pad_token_id == open_tokenizer(str(tmp_path / "saved")).pad_token_id is not None


def test_causal_models_read_a_pair_with_a_line_break_between(tmp_path: Path) -> None:
    chosen = job(tmp_path, "gpt2", max_length=120)
    encoded, _ = encode_texts(PAIRS, chosen)
    assert encoded.row(0).tolist() == chosen.tokenizer("\n".join(PAIRS[0].texts))["input_ids"]


@pytest.mark.parametrize("family", ["bert", "roberta", "albert", "gpt2"])
def test_a_plain_pipeline_gives_the_same_probabilities(family: str, tmp_path: Path) -> None:
    chosen = job(tmp_path / "m", family, max_length=40)
    model = classifier(tmp_path / "m", chosen)
    spelled = " is ".join(chosen.tokenizer.all_special_tokens)
    texts = [*TEXTS, LabelledText("odd:1", [f"{spelled} here."], None)]
    pairs = [*PAIRS, *(LabelledText("odd:2", list(two), None) for two in (("A text.", ""), ("", "A text."), (spelled, spelled)))]
    rows = texts if family == "gpt2" else [*texts, *pairs]
    ours = [CLASSIFY.predict(model, part, chosen) for part in ((texts,) if family == "gpt2" else (texts, pairs))]
    save_for_pipelines(model, chosen.tokenizer, tmp_path / "saved", max_length=40)
    classify = pipeline("text-classification", model=str(tmp_path / "saved"), top_k=None)
    for row, prediction in zip(rows, [one for part in ours for one in part], strict=True):
        inputs: Any = {"text": row.texts[0], "text_pair": row.texts[1]} if len(row.texts) > 1 else row.texts[0]
        theirs = classify(inputs, truncation=True)
        found = {one["label"]: one["score"] for one in (theirs[0] if isinstance(theirs[0], list) else theirs)}
        assert found == pytest.approx(prediction["probabilities"], abs=1e-5)


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_the_loss_is_that_of_transformers_labels(family: str, tmp_path: Path) -> None:
    chosen = job(tmp_path, family, max_length=96)
    model, lessons = classifier(tmp_path, chosen), CLASSIFY.lessons(TEXTS, chosen)
    chosen_rows = np.array([4, 0, 7])
    batch = collate(lessons.encoded, chosen_rows, pad_id=chosen.tokenizer.pad_token_id)
    theirs = model(**inputs_of(model, batch), labels=torch.tensor([LABELS.index(TEXTS[i].label or "") for i in chosen_rows])).loss
    torch.testing.assert_close(lessons.loss(model, batch, chosen_rows), theirs)


def test_cut_rows_are_counted(tmp_path: Path) -> None:
    chosen = job(tmp_path, max_length=10)
    lessons = CLASSIFY.lessons(TEXTS, chosen)
    assert lessons.encoded.lengths.max() == 10
    assert lessons.counts["rows cut to --max-length"] == sum(len(chosen.tokenizer(row.texts[0])["input_ids"]) > 10 for row in TEXTS)


def test_scores_are_those_of_scikit_learn(tmp_path: Path) -> None:
    chosen = job(tmp_path)
    found = CLASSIFY.predict(classifier(tmp_path, chosen), TEXTS, chosen)
    scores = CLASSIFY.score([*TEXTS, LabelledText("r:x", ["?"], None)], [*found, found[0]], chosen)
    assert scores is not None
    truth, predicted = [row.label for row in TEXTS], [one["label"] for one in found]
    assert scores["accuracy"] == pytest.approx(accuracy_score(truth, predicted))
    assert scores["macro_f1"] == pytest.approx(f1_score(truth, predicted, labels=LABELS, average="macro", zero_division=0))
    assert scores["mcc"] == pytest.approx(matthews_corrcoef(truth, predicted))
    assert [one["label"] for one in scores["per_class"]] == LABELS
    assert CLASSIFY.score([LabelledText("r:x", ["?"], None)], found[:1], chosen) is None


def test_rows_are_read_by_their_columns(tmp_path: Path) -> None:
    settings = FinetuneSettings(fields=("a", "b"), label_column="y").resolved("classify")
    (tmp_path / "t.csv").write_text("a,b,y\none,two,1\nthree,four,\n")
    with pytest.raises(DataError, match="empty or blank text in column 'y'"):
        CLASSIFY.read(str(tmp_path / "t.csv"), settings)
    source = jsonl(tmp_path / "t.jsonl", [{"a": "one", "b": 2, "y": 1.0}, {"a": "x", "b": "y", "y": None}, {"a": "x", "b": "y"}])
    assert CLASSIFY.read(source, settings) == [
        LabelledText("t:1", ["one", "2"], "1"),
        LabelledText("t:2", ["x", "y"], None),
        LabelledText("t:3", ["x", "y"], None),
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"texts": "a", "label": "x"}],
            "no column 'text'; the columns are 'texts', 'label'; say which one holds it with --text-column",
        ),
        ([{"text": "a"}, {"label": "x"}], "no column 'text': row 2; each row needs one"),
        ([{"text": "  "}], "empty or blank text in column 'text': row 1"),
        ([{"text": ["a"]}], "column 'text' must hold text or numbers: row 1 holds a list"),
        ([], "holds no row"),
    ],
)
def test_mistakes_are_told(rows: list[dict[str, Any]], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        CLASSIFY.read(jsonl(tmp_path / "t.jsonl", rows), FinetuneSettings().resolved("classify"))
    assert message in str(caught.value)


def test_labels_come_from_the_training_rows_and_others_are_refused() -> None:
    settings = FinetuneSettings().resolved("classify")
    numbers = [LabelledText(f"r:{i}", ["a"], str(i)) for i in (10, 9, 2)]
    assert CLASSIFY.facts(numbers, [], settings) == {"labels": ["2", "9", "10"]}
    with pytest.raises(DataError, match=r"labels that no training row has: 'x' \(first in t:1\); the training rows have '2', '9', '10'"):
        CLASSIFY.facts(numbers, [LabelledText("t:1", ["a"], "x"), LabelledText("t:2", ["a"], "x")], settings)
    with pytest.raises(DataError, match="one label, '9'"):
        CLASSIFY.facts(numbers[1:2], [], settings)
    with pytest.raises(DataError, match=r"1 training rows have no label in column 'label' \(--label-column\), first r:x"):
        CLASSIFY.facts([*numbers, LabelledText("r:x", ["a"], None)], [], settings)


def test_other_kinds_of_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="model type 't5'; legal are bert"):
        open_config(str(writer("t5", tmp_path)), CLASSIFY.model_types)
