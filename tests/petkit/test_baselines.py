"""TF-IDF against a pipeline made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_info, threadpool_limits

from petkit.baselines import fit_logistic, held_out_scores, logistic_scores, tfidf_scores, tfidf_unit
from petkit.pvp import Task
from petkit.rowfiles import load_scores
from petkit.rows import Rows
from petkit.units import stage_folder
from tests.petkit.stage_runs import context_for, deposit, spec_of, texts, tiny_settings
from tests.tiny_runs import PAIRS, TOPICS


def rows_of(*found: str, labels: tuple[int, ...] = ()) -> Rows:
    return Rows(tuple(f"r{i}" for i in range(len(found))), {"text": found}, labels)


SPORT, MONEY, STATE = (
    ("goal match team", "team won match", "match goal"),
    ("bank shares", "shares fell bank", "bank"),
    ("vote law", "law", "vote"),
)
TRAIN = rows_of(*SPORT, *MONEY, *STATE, labels=(1, 1, 1, 2, 2, 2, 0, 0, 0))
POOL = rows_of("the match was the one", "the bank and the law", "the the goal")
TEST = rows_of("a goal by the team", "the bank shares", "new law", "")


def by_hand(train: Rows, pool: Rows, test: Rows, *, c: float | None, seed: int) -> np.ndarray:
    found = {part: list(rows.fields["text"]) for part, rows in (("train", train), ("pool", pool), ("test", test))}
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b").fit(found["train"] + found["pool"])
    known = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b", vocabulary=words.vocabulary_)
    known.idf_ = words.idf_
    model = make_pipeline(known, LogisticRegression(max_iter=2000, C=c or 1.0))
    if c is None:
        search = GridSearchCV(
            LogisticRegression(max_iter=2000),
            {"C": [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]},
            cv=StratifiedKFold(3, shuffle=True, random_state=seed),
        ).fit(words.transform(found["train"]), train.labels)
        model = make_pipeline(known, search.best_estimator_)
    else:
        model[-1].fit(words.transform(found["train"]), train.labels)
    found_scores: np.ndarray = model.predict_log_proba(found["test"])
    return found_scores


def test_scores_are_those_of_a_pipeline_by_hand() -> None:
    found = tfidf_scores(TOPICS, TRAIN, POOL, TEST, seed=7)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_hand(TRAIN, POOL, TEST, c=None, seed=7), rtol=1e-4)
    assert found[:3].argmax(axis=1).tolist() == [1, 2, 0]
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, rtol=1e-5)


def test_idf_comes_from_labelled_rows_and_pool() -> None:
    """A word that fills the pool weighs less, although no labelled row has changed."""
    one_each = rows_of("the match", "the bank", "the law", labels=(0, 1, 2))
    test, plain = rows_of("the match"), POOL.select([])
    rare = tfidf_scores(TOPICS, one_each, plain, test, seed=0)
    common = tfidf_scores(TOPICS, one_each, rows_of(*["match"] * 50), test, seed=0)
    np.testing.assert_allclose(rare, by_hand(one_each, plain, test, c=1.0, seed=0), rtol=1e-5)
    np.testing.assert_allclose(common, by_hand(one_each, rows_of(*["match"] * 50), test, c=1.0, seed=0), rtol=1e-5)
    assert common[0, 0] < rare[0, 0]


def test_one_row_per_class_needs_no_validation() -> None:
    train = rows_of("match goal", "bank shares", "law vote", labels=(0, 1, 2))
    assert tfidf_scores(TOPICS, train, POOL, TEST, seed=0)[:3].argmax(axis=1).tolist() == [0, 1, 2]


def with_c(c: float, features: np.ndarray, truth: list[int]) -> np.ndarray:
    found: np.ndarray = LogisticRegression(C=c, max_iter=2000).fit(features, truth).predict_proba(features)
    return found


@pytest.mark.parametrize("truth", [[0] * 10 + [1] * 3, [0] * 6 + [1], [0, 0, 0, 0, 1, 2]])
def test_where_the_most_frequent_label_is_as_right_one_that_has_learnt_something_is_taken(truth: list[int]) -> None:
    """No row has a word of another's, so that every C calls unseen ones by the most frequent label, or there is no validation at all."""
    features = np.eye(len(truth))
    model = fit_logistic(features, truth, seed=0)
    assert logistic_scores(model, features, labels=3).argmax(axis=1).tolist() == truth
    np.testing.assert_allclose(model.predict_proba(features), with_c(1000.0, features, truth), atol=1e-6)


def c_by_hand(features: np.ndarray, truth: list[int], *, seed: int) -> tuple[float, bool]:
    """The C of the rule, and whether it is another than the first of the best."""
    folds, strengths = StratifiedKFold(min(np.bincount(truth)), shuffle=True, random_state=seed), [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]
    models = [LogisticRegression(C=c, max_iter=2000) for c in strengths]
    right = [cross_val_score(model, features, truth, cv=folds).mean() for model in models]
    best = [i for i, share in enumerate(right) if share == max(right)]
    learnt = [i for i in best if len(set(cross_val_predict(models[i], features, truth, cv=folds))) > 1]
    chosen = learnt[0] if learnt else best[-1]
    return strengths[chosen], chosen != best[0]


@pytest.mark.parametrize(("seed", "c", "other"), [(0, 10.0, True), (5, 1.0, True), (7, 100.0, True), (1, 10.0, False)])
def test_c_is_the_smallest_of_the_best_that_has_learnt_something(seed: int, c: float, other: bool) -> None:
    """Of rows that hardly tell the rarer label; ``other``: scikit-learn, which takes the first of the best, takes a smaller C."""
    truth = [0] * 8 + [1] * 3
    features = np.random.default_rng(seed).random((11, 4)) + 0.2 * np.array(truth)[:, None]
    assert c_by_hand(features, truth, seed=seed) == (c, other)
    np.testing.assert_allclose(fit_logistic(features, truth, seed=seed).predict_proba(features), with_c(c, features, truth), atol=1e-6)


def test_rows_alone_in_their_class_are_left_out_of_the_validation() -> None:
    truth = [0] * 5 + [1] * 5 + [2]
    features = np.random.default_rng(5).random((11, 6)) + 0.5 * np.eye(6)[truth]
    c, _ = c_by_hand(features[:10], truth[:10], seed=0)
    assert c == 100.0
    np.testing.assert_allclose(fit_logistic(features, truth, seed=0).predict_proba(features), with_c(c, features, truth), atol=1e-6)


@pytest.mark.parametrize("smallest", [2, 3, 6])
def test_folds_follow_the_smallest_class(smallest: int) -> None:
    """No warning of classes with fewer members than folds (warnings are errors here)."""
    train = rows_of(*["match goal"] * 7, *["bank shares"] * 9, *["law vote"] * smallest, labels=(0,) * 7 + (1,) * 9 + (2,) * smallest)
    assert tfidf_scores(TOPICS, train, POOL, TEST, seed=2**63 - 1)[:3].argmax(axis=1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("each", [1, 2])
def test_many_labels_of_few_rows_are_no_reason_to_warn(each: int) -> None:
    """scikit-learn takes them for a regression (warnings are errors here)."""
    truth = [label for label in range(30) for _ in range(each)]
    features = np.eye(30)[truth]
    model = fit_logistic(features, truth, seed=0)
    assert logistic_scores(model, features, labels=30).argmax(axis=1).tolist() == truth
    assert (held_out_scores(features, truth, labels=30, seed=0) is None) is (each == 1)


def over_all_columns(features: csr_matrix, truth: list[int], *, seed: int) -> Any:
    model = LogisticRegression(max_iter=2000)
    if min(np.bincount(truth)) >= 2:
        folds = StratifiedKFold(min(5, min(np.bincount(truth))), shuffle=True, random_state=seed)
        model = GridSearchCV(model, {"C": [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]}, cv=folds)
    return model.fit(features, truth)


@pytest.mark.parametrize("truth", [[0, 1, 2], [0, 0, 0, 1, 1, 1], [2, 0, 1] * 4])
def test_columns_that_no_labelled_row_uses_change_no_probability(truth: list[int]) -> None:
    random = np.random.default_rng(1)
    test = random.random((40, 300)) * (random.random((40, 300)) < 0.1)
    train = random.random((len(truth), 300)) * (random.random((len(truth), 300)) < 0.05) * (np.arange(300) % 3 == 0)
    train[np.arange(len(truth)), 30 * np.array(truth)] += 1
    model = fit_logistic(csr_matrix(train), truth, seed=4)
    expected = over_all_columns(csr_matrix(train), truth, seed=4)
    np.testing.assert_allclose(model.predict_proba(csr_matrix(test)), expected.predict_proba(csr_matrix(test)), rtol=0, atol=1e-12)


def test_the_fit_sees_the_columns_in_use_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vocabulary is that of the whole pool, and costs nothing where no labelled row has its words."""
    seen: list[int] = []
    fit = LogisticRegression.fit
    monkeypatch.setattr(
        LogisticRegression, "fit", lambda self, features, truth: seen.append(features.shape[1]) or fit(self, features, truth)
    )
    features, truth = csr_matrix(np.eye(6, 5000)), [0, 1, 0, 1, 0, 1]
    model = fit_logistic(features, truth, seed=0)
    assert set(seen) == {6}
    assert logistic_scores(model, features, labels=2).shape == (6, 2)
    held_out_scores(features, truth, labels=2, seed=0)
    assert max(seen) == 6


def test_labelled_rows_without_a_known_word_have_their_labels_alone_to_go_by() -> None:
    model = fit_logistic(csr_matrix((3, 5)), [0, 0, 1], seed=0)
    np.testing.assert_allclose(model.predict_proba(csr_matrix(np.eye(1, 5))), [[2 / 3, 1 / 3]], rtol=1e-4)


def test_a_label_without_rows_is_never_predicted() -> None:
    train = rows_of("match goal", "match", "bank shares", "bank", labels=(0, 0, 2, 2))
    found = tfidf_scores(TOPICS, train, POOL, TEST, seed=0)
    assert (found[:, 1] == -30).all()
    assert found[:2].argmax(axis=1).tolist() == [0, 2]


def test_pairs_are_read_whole() -> None:
    rows = Rows(("a", "b"), {"premise": ("same", "same"), "hypothesis": ("goal", "bank")}, (0, 1))
    assert tfidf_scores(PAIRS, rows, rows, rows, seed=0).argmax(axis=1).tolist() == [0, 1]


def test_texts_without_a_word_are_told_apart_by_their_characters() -> None:
    train = rows_of("😀😀!", "😀", "👎", "👎!!", labels=(0, 0, 1, 1))
    scores = tfidf_scores(TOPICS, train, rows_of("...", "!!"), rows_of("😀!", "👎👎"), seed=0)
    assert scores.argmax(axis=1).tolist() == [0, 1]


def test_words_of_one_letter_count() -> None:
    """By default scikit-learn drops them, and with them Chinese characters that stand alone."""
    train = rows_of("a", "b", "c", labels=(0, 1, 2))
    assert tfidf_scores(TOPICS, train, train, train, seed=0).argmax(axis=1).tolist() == [0, 1, 2]


def test_the_stage_writes_scores_and_tells_accuracy(tmp_path: Path) -> None:
    task: Task = TOPICS
    test = texts(6, labels=3, name="t")
    deposit(tmp_path, train=TRAIN, pool=POOL, test=test)
    record = tfidf_unit(spec_of(task, tiny_settings()), context_for(tmp_path, "baseline-tfidf"))
    scores = load_scores(stage_folder(tmp_path, "baseline-tfidf") / "test.parquet")
    assert record["test"]["accuracy"] == pytest.approx(np.mean(scores.argmax(axis=1) == np.array(test.labels)))


def test_the_stage_without_test_rows(tmp_path: Path) -> None:
    deposit(tmp_path, train=TRAIN, pool=POOL, test=texts(0))
    assert tfidf_unit(spec_of(TOPICS, tiny_settings()), context_for(tmp_path, "baseline-tfidf")) == {"test": None}


def test_it_is_fitted_by_one_thread_and_others_go_on_with_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Watched(GridSearchCV):
        def fit(self, *args: Any, **named: Any) -> Any:
            seen.extend(pool["num_threads"] for pool in threadpool_info())
            return super().fit(*args, **named)

    monkeypatch.setattr("petkit.baselines.GridSearchCV", Watched)
    with threadpool_limits(2):
        tfidf_scores(TOPICS, TRAIN, POOL, TEST, seed=0)
        after = {pool["num_threads"] for pool in threadpool_info()}
    assert set(seen) == {1}
    assert after == {2}
