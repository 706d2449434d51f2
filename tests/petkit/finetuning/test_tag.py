"""Tags: pieces, windows and loss against transformers; a plain pipeline gives the same tags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForTokenClassification, pipeline

from petkit.backbones.plain import save_for_pipelines
from petkit.batching import collate
from petkit.errors import DataError, SettingsError
from petkit.finetuning import FinetuneSettings
from petkit.finetuning.kind import Job
from petkit.finetuning.rows import TaggedSentence
from petkit.finetuning.tag import TAG, tokenise
from tests.builders import FAMILIES, tokenizer
from tests.petkit.finetuning.tiny import TEXTS, encoder, job_for

LABELS = ["O", "B-X", "I-X"]
SENTENCES = [text.split() for text in TEXTS]
ROWS = [TaggedSentence(f"r:{i}", words, [LABELS[(i + k) % 3] for k in range(len(words))]) for i, words in enumerate(SENTENCES)]


def job(folder: Path, family: str = "bert", **settings: Any) -> Job:
    return job_for(TAG, encoder(family, folder), FinetuneSettings(**settings), labels=LABELS)


def tagger(folder: Path, chosen: Job, *, seed: int = 0) -> Any:
    """A model whose tags differ from word to word."""
    model = TAG.open(str(folder), chosen, seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4.0 if parameter.ndim > 1 else 1.0)
    return model.eval()


@pytest.mark.parametrize("family", ["bert", "distilbert", "electra", "modernbert"])
def test_first_pieces_are_those_of_the_tokenizers_own_words(family: str) -> None:
    words = tokenizer(FAMILIES[family][0])
    for sentence in SENTENCES:
        found = tokenise(words, [sentence], max_length=400, stride=0)
        theirs = words(sentence, is_split_into_words=True)
        if family == "modernbert":  # tells words apart by the blank before them, which this call leaves out
            assert [words.decode(found.encoded.row(0)[place]).strip()[:1] for place in found.words[:, 3]] == [w[0] for w in sentence]
            continue
        assert found.encoded.row(0).tolist() == theirs["input_ids"]
        firsts = [theirs.word_ids().index(word) for word in range(len(sentence))]
        assert found.words.tolist() == [[0, word, 0, place] for word, place in enumerate(firsts)]


@pytest.mark.parametrize("family", list(FAMILIES))
def test_every_word_has_one_place_at_a_piece_that_begins_it(family: str) -> None:
    words = tokenizer(FAMILIES[family][0])
    found = tokenise(words, SENTENCES, max_length=12, stride=3)
    assert [(s, w) for s, w, _, _ in found.words.tolist()] == [(s, w) for s, row in enumerate(SENTENCES) for w in range(len(row))]
    assert found.lost == 0
    assert found.long >= 6
    assert found.encoded.lengths.max() <= 12
    for sentence, word, window, place in found.words.tolist():
        piece = words.decode([found.encoded.row(window)[place]]).strip().removeprefix("##")
        assert SENTENCES[sentence][word].lower().startswith(piece.lower()) or piece == words.unk_token


def test_words_of_which_nothing_is_left_are_counted_and_tagged_o(tmp_path: Path) -> None:
    chosen = job(tmp_path)
    rows = [TaggedSentence("r:1", ["Anna", "\u200b\u200d", "ran"], ["B-X", "O", "O"])]
    found = tokenise(chosen.tokenizer, [rows[0].tokens], max_length=20, stride=0)
    assert (found.lost, found.words[:, 1].tolist()) == (1, [0, 2])
    assert TAG.predict(tagger(tmp_path, chosen), rows, chosen)[0]["tags"][1] == "O"


def test_the_loss_is_that_of_transformers_labels(tmp_path: Path) -> None:
    chosen = job(tmp_path, max_length=200)
    model, lessons = tagger(tmp_path, chosen), TAG.lessons(ROWS, chosen)
    batch = collate(lessons.encoded, range(len(ROWS)), pad_id=0)
    labels = torch.full_like(batch.input_ids, -100)
    for i, row in enumerate(ROWS):
        ids = chosen.tokenizer(list(row.tokens), is_split_into_words=True).word_ids()
        for word, tag in enumerate(row.tags or ()):
            labels[i, ids.index(word)] = LABELS.index(tag)
    theirs = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=labels).loss
    torch.testing.assert_close(lessons.loss(model, batch, np.arange(len(ROWS))), theirs)


def test_in_windows_each_word_carries_a_loss_once(tmp_path: Path) -> None:
    chosen = job(tmp_path, max_length=12, stride=4)
    lessons = TAG.lessons(ROWS, chosen)
    assert len(lessons.encoded) > 1.5 * len(ROWS)
    alone = [len(chosen.tokenizer(" ".join(row.tokens))["input_ids"]) for row in ROWS]
    assert lessons.counts["sentences longer than --max-length, read in windows"] == sum(length > 12 for length in alone) >= 6
    model, total = tagger(tmp_path, chosen), 0.0
    logits: dict[int, torch.Tensor] = {}
    for window in range(len(lessons.encoded)):
        batch = collate(lessons.encoded, [window], pad_id=0)
        logits[window] = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits[0].log_softmax(-1).detach()
    places = tokenise(chosen.tokenizer, SENTENCES, max_length=12, stride=4).words.tolist()
    for sentence, word, window, place in places:
        total -= float(logits[window][place, LABELS.index((ROWS[sentence].tags or ())[word])])
    sums = 0.0
    for window in range(len(lessons.encoded)):
        count = sum(one[2] == window for one in places)
        batch = collate(lessons.encoded, [window], pad_id=0)
        sums += count * lessons.loss(model, batch, np.array([window])).item()
    assert sums == pytest.approx(total, rel=1e-4)


def test_a_window_without_a_first_piece_has_no_loss_and_no_nan(tmp_path: Path) -> None:
    chosen = job(tmp_path, max_length=8, stride=0)
    word = "internationalization" * 3
    lessons = TAG.lessons([TaggedSentence("r:1", [word], ["B-X"])], chosen)
    assert len(lessons.encoded) > 1
    model = tagger(tmp_path, chosen)
    last = len(lessons.encoded) - 1
    assert lessons.loss(model, collate(lessons.encoded, [last], pad_id=0), np.array([last])).item() == 0.0


@pytest.mark.parametrize("family", ["bert", "roberta", "albert", "deberta-v2"])
def test_a_plain_pipeline_gives_the_same_tags(family: str, tmp_path: Path) -> None:
    chosen = job(tmp_path / "m", family, max_length=128)
    model = tagger(tmp_path / "m", chosen)
    found = TAG.predict(model, ROWS, chosen)
    assert len({tag for row in found for tag in row["tags"]}) > 1
    save_for_pipelines(model, chosen.tokenizer, tmp_path / "saved", max_length=128)
    tag = pipeline("token-classification", model=str(tmp_path / "saved"), ignore_labels=[])
    for row, prediction in zip(ROWS, found, strict=True):
        text, pieces = " ".join(row.tokens), tag(" ".join(row.tokens))
        start = 0
        for word, ours in zip(row.tokens, prediction["tags"], strict=True):
            first = next(piece for piece in pieces if piece["end"] > start and text[piece["start"] : piece["end"]].strip())
            assert first["entity"] == ours
            start += len(word) + 1


def test_tags_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    chosen = job(tmp_path)
    model = tagger(tmp_path, chosen)
    alone = [TAG.predict(model, [row], chosen)[0] for row in ROWS]
    assert TAG.predict(model, ROWS, chosen) == alone


def test_the_saved_head_names_its_tags(tmp_path: Path) -> None:
    chosen = job(tmp_path)
    save_for_pipelines(TAG.open(str(tmp_path), chosen, 0), chosen.tokenizer, tmp_path / "saved", max_length=64)
    assert list(AutoModelForTokenClassification.from_pretrained(tmp_path / "saved").config.id2label.values()) == LABELS


def test_facts_are_the_tags_and_what_does_not_fit_is_refused() -> None:
    settings = FinetuneSettings().resolved("tag")
    one = TaggedSentence("a:1", ["x", "y"], ["B-X", "O"])
    longer = TaggedSentence("t:1", ["x", "y"], ["B-X", "I-X"])
    assert TAG.facts([one], [longer], settings) == {"labels": ["O", "B-X", "I-X"]}, "what goes on may be in no training row"
    with pytest.raises(DataError, match=r"tags that no training row has: 'B-Y' \(first in t:2\); the training rows have 'O', 'B-X', 'I-X'"):
        TAG.facts([one], [longer, TaggedSentence("t:2", ["x"], ["B-Y"])], settings)
    with pytest.raises(DataError, match="no entity"):
        TAG.facts([TaggedSentence("a:1", ["x"], ["O"])], [], settings)
    with pytest.raises(DataError, match="1 training rows have no tags in column 'tags'"):
        TAG.facts([TaggedSentence("a:1", ["x"], None)], [], settings)


def test_a_stride_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(SettingsError, match="--stride is 11; with --max-length 12, 0 to 9 is legal"):
        tokenise(tokenizer("wordpiece"), SENTENCES, max_length=12, stride=11)


def test_scores_leave_out_rows_whose_tags_are_not_known(tmp_path: Path) -> None:
    chosen = job(tmp_path)
    rows = [ROWS[0], TaggedSentence("r:9", ["x"], None)]
    predictions = [{"tags": ROWS[0].tags}, {"tags": ["B-X"]}]
    scores = TAG.score(rows, predictions, chosen)
    assert scores is not None
    assert scores["f1"] == 1.0
    assert TAG.score(rows[1:], predictions[1:], chosen) is None
