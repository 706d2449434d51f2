"""PETClassifier behind scikit-learn's contract: a tiny model, two steps."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any
from unittest import SkipTest

import datasets
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import estimator_checks_generator
from sklearn.utils.validation import validate_data

from petkit.errors import DataError, SettingsError, TaskError
from petkit.estimator import PETClassifier
from petkit.predicting import Classifier
from petkit.pvp import Task
from tests.builders import sentences
from tests.tiny_runs import TOPICS, tiny_classifier
from tests.tiny_train import SETTINGS, TASK, tiny_model

TEXTS, RAW, NEW = sentences()[:8], sentences()[8:20], list(sentences()[20:26])
LABELS = ["good", "bad"] * 4
QUICK = {**{name: value for name, value in SETTINGS.items() if name != "adapt_steps"}, "member.steps": 1, "classifier.steps": 2}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_model(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def fitted(model: str) -> PETClassifier:
    return quick(model).fit(TEXTS, LABELS, unlabeled=RAW)


def quick(model: str, **given: Any) -> PETClassifier:
    return PETClassifier(**{"model": model, "settings": QUICK, "device": "cpu", **given})


def test_strings_in_and_labels_out(fitted: PETClassifier) -> None:
    probabilities = fitted.predict_proba(NEW)
    assert list(fitted.classes_) == ["bad", "good"]
    assert probabilities.shape == (6, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert list(fitted.predict(NEW)) == [fitted.classes_[row.argmax()] for row in probabilities]
    assert fitted.score(NEW, LABELS[:6]) == accuracy_score(LABELS[:6], fitted.predict(NEW))
    assert (fitted.n_features_in_, fitted.report_["data"]["rows"]["pool"]) == (1, len(RAW))


@pytest.mark.slow
def test_columns_follow_the_sorted_labels_and_not_the_tasks(model: str) -> None:
    """The task has negative first; the labels sort the same way, so they are turned round here."""
    turned = Task(name="t", fields=("text",), patterns=("{mask}: {text}",), verbalizer={"b": "good", "a": "bad"})
    found = quick(model, task=turned).fit(TEXTS, ["a", "b"] * 4)
    np.testing.assert_array_equal(found.predict_proba(NEW), found.classifier_.predict_proba(NEW)[:, ::-1])
    assert np.ptp(found.predict_proba(NEW), axis=1).max() > 1e-4
    with pytest.raises(DataError, match=r"y has the labels \['good'\], and task 'tone' has negative, positive"):
        quick(model, task=TASK).fit(TEXTS, ["good", "negative"] * 4)


@pytest.mark.slow
def test_same_random_state_same_numbers(model: str, fitted: PETClassifier) -> None:
    again = quick(model, unlabeled=RAW).fit(TEXTS, LABELS)
    other = quick(model, unlabeled=RAW, random_state=np.random.RandomState(5)).fit(TEXTS, LABELS)
    np.testing.assert_array_equal(again.predict_proba(NEW), fitted.predict_proba(NEW))
    assert not np.array_equal(other.predict_proba(NEW), fitted.predict_proba(NEW))


@pytest.mark.parametrize("kind", [np.array, pd.Series, tuple, lambda texts: np.array([texts]).T, lambda texts: [(t,) for t in texts]])
def test_texts_may_be_held_in_many_ways(kind: Any, fitted: PETClassifier) -> None:
    np.testing.assert_array_equal(fitted.predict_proba(kind(NEW)), fitted.predict_proba(NEW))


@pytest.mark.slow
def test_a_dict_of_columns_is_read_as_a_frame_is(model: str, fitted: PETClassifier) -> None:
    columns = {"stars": range(8), "Review Text": TEXTS, "y": LABELS}
    found = quick(model, columns="Review Text").fit(columns, "y", unlabeled={"Review Text": RAW})
    np.testing.assert_array_equal(found.predict_proba({"Review Text": NEW}), fitted.predict_proba(NEW))
    with pytest.raises(DataError, match="there is no column 'Review Text'; there are text"):
        found.predict({"text": NEW})


@pytest.mark.slow
def test_frames_and_data_sets(model: str, fitted: PETClassifier) -> None:
    names = datasets.ClassLabel(names=["bad", "good"])
    features = datasets.Features({"stars": datasets.Value("int32"), "Review Text": datasets.Value("string"), "y": names})
    columns = {"stars": range(8), "Review Text": TEXTS, "y": LABELS}
    data = datasets.Dataset.from_dict({**columns, "y": [names.str2int(label) for label in LABELS]}, features=features)
    frame = pd.DataFrame(columns)
    raw = pd.DataFrame({"Review Text": RAW})
    by_data = quick(model, unlabeled=raw, label_column="y").fit(data)
    by_frame = quick(model, columns="Review Text").fit(frame, "y", unlabeled=raw)
    assert list(by_data.classes_) == list(by_frame.classes_) == ["bad", "good"]
    np.testing.assert_array_equal(by_data.predict_proba(data), by_frame.predict_proba(frame))
    np.testing.assert_array_equal(by_data.predict_proba(NEW), fitted.predict_proba(NEW))
    with pytest.raises(DataError, match="there is no column 'label' with the labels; there are stars, Review Text, y"):
        quick(model).fit(data)


def test_columns_of_frames_may_have_names_that_are_no_strings(model: str, fitted: PETClassifier, tmp_path: Path) -> None:
    frame, raw = pd.DataFrame({0: TEXTS, ("a", 1): LABELS}), {0: RAW}
    found = quick(model, label_column=("a", 1)).fit(frame, unlabeled=raw)
    np.testing.assert_array_equal(found.predict_proba(pd.DataFrame({0: NEW})), fitted.predict_proba(NEW))
    again = PETClassifier.from_run(found.save(tmp_path / "saved"), device="cpu")
    np.testing.assert_array_equal(again.predict_proba({0: NEW}), fitted.predict_proba(NEW))
    with pytest.raises(DataError, match=r"^texts: there is no column 'body'; there are 0, \('a', 1\)"):
        quick(model, columns=["body"], label_column=("a", 1)).fit(frame)


def test_the_columns_of_a_saved_estimator_may_be_called_by_tuples(fitted: PETClassifier, tmp_path: Path) -> None:
    again = PETClassifier.from_run(fitted.save(tmp_path / "saved"), device="cpu")
    again._columns_ = (("review", "text"),)
    again = PETClassifier.from_run(again.save(tmp_path / "again"), device="cpu")
    np.testing.assert_array_equal(again.predict_proba({("review", "text"): NEW}), fitted.predict_proba(NEW))


@pytest.mark.slow
def test_pairs(model: str) -> None:
    pairs = list(zip(TEXTS, reversed(TEXTS), strict=True))
    found = quick(model).fit(pairs, LABELS)
    assert (found.n_features_in_, found.task_.fields) == (2, ("text_1", "text_2"))
    dicts = [{"text_1": a, "text_2": b} for a, b in pairs]
    np.testing.assert_array_equal(found.predict_proba(dicts), found.predict_proba(pairs))
    with pytest.raises(DataError, match="there is no column 'text_1'"):
        found.predict([{"a": "x", "b": "y"}])


@pytest.mark.slow
def test_numbers_as_labels_come_back_as_numbers(model: str, tmp_path: Path) -> None:
    found = quick(model, label_words={0: "bad", 1: "good"}).fit(TEXTS, [1, 0] * 4, unlabeled=RAW)
    assert found.predict(NEW).dtype.kind == "i"
    again = PETClassifier.from_run(found.save(tmp_path / "saved"), device="cpu")
    assert again.predict(NEW).dtype.kind == "i"
    np.testing.assert_array_equal(again.predict_proba(NEW), found.predict_proba(NEW))
    assert Classifier.load(tmp_path / "saved", device="cpu").labels == ("0", "1")


def test_saving_replaces_only_what_save_wrote(fitted: PETClassifier, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    saved = fitted.save(fitted.save(tmp_path / "empty"))
    np.testing.assert_array_equal(PETClassifier.from_run(saved, device="cpu").predict_proba(NEW), fitted.predict_proba(NEW))
    (saved / "thesis.tex").write_text("ten years of work")
    (tmp_path / "file").write_text("")
    for path, words in ((saved, "holds thesis.tex; a new folder"), (tmp_path, "holds empty, file; a"), (tmp_path / "file", "is no folder")):
        with pytest.raises(SettingsError, match=words):
            fitted.save(path)
    assert (saved / "thesis.tex").read_text() == "ten years of work"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("labels", "given", "words"),
    [
        ([0, 1], {}, r"the label 0 names nothing that a language model could say; give label_words"),
        (["Good", "good"], {}, "the labels 'Good' and 'good' both give the word 'good'"),
        (["good", "bad"], {"label_words": {"good": "good", "ugly": "bad"}}, "(?s)no word for the label 'bad'.*names 'ugly'"),
        (["good", "\u0434\u043e\u043c"], {}, "the word '\u0434\u043e\u043c' is unknown to the tokenizer"),
    ],
)
def test_labels_without_a_word_are_refused(labels: list[Any], given: dict[str, Any], words: str, model: str) -> None:
    with pytest.raises(TaskError, match=words):
        quick(model, **given).fit(TEXTS, labels * 4)


def test_what_cannot_be_learned_is_refused(model: str) -> None:
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        quick(model).fit(TEXTS)
    with pytest.raises(ValueError, match=r"only one class \('good'\)"):
        quick(model).fit(TEXTS, ["good"] * 8)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        quick(model).fit(TEXTS, LABELS[:7])
    with pytest.raises(ValueError, match=r"row 1\); give texts without a label as unlabeled"):
        quick(model).fit(TEXTS, [None, *LABELS[1:]])
    for kind in (object, "string"):
        held = pd.Series([pd.NA, *LABELS[1:]], dtype=kind)
        with pytest.raises(ValueError, match=r"^y contains NaN or None \(row 1\); give texts without a label as unlabeled"):
            quick(model).fit(TEXTS, held)
        with pytest.raises(ValueError, match=r"^y contains NaN or None \(row 1\)"):
            quick(model).fit(pd.DataFrame({"text": TEXTS, "label": held}))
    with pytest.raises(DataError, match="row 2 of 'text' is 7, a int; a text is a string"):
        quick(model).fit([TEXTS[0], 7], ["good", "bad"])
    with pytest.raises(SettingsError, match="method tfidf makes no classifier"):
        quick(model, method="tfidf").fit(TEXTS, LABELS)
    with pytest.raises(SettingsError, match="task brings its own patterns"):
        quick(model, task=TOPICS, patterns=["{mask} {text}"]).fit(TEXTS, LABELS)
    with pytest.raises(NotFittedError):
        quick(model).predict(NEW)


def test_training_is_silent_unless_it_is_asked_to_tell(model: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Every unit of the run has its line; the numbers do not depend on it."""
    wanted = ["rows", "checkpoint", "untrained-p0", "g0-p0-s0", "g0-ensemble", "classifier"]
    silent = quick(model, method="single").fit(TEXTS, LABELS)
    assert capfd.readouterr() == ("", "")
    telling = quick(model, method="single", verbose=1).fit(TEXTS, LABELS)
    shown = capfd.readouterr()
    found = [line.rpartition(", ")[0] for line in shown.err.splitlines() if " Note: " not in line]
    assert (shown.out, found) == ("", [f"[PETClassifier] {number} of 6 done: {unit}" for number, unit in enumerate(wanted, start=1)])
    np.testing.assert_array_equal(telling.predict_proba(NEW), silent.predict_proba(NEW))


def test_pickles_hold_no_torch_object(fitted: PETClassifier) -> None:
    modules = set()

    class Noting(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            modules.add(module.partition(".")[0])
            return super().find_class(module, name)

    again = Noting(io.BytesIO(pickle.dumps(fitted))).load()
    assert modules <= {"petkit", "numpy", "builtins"}
    np.testing.assert_array_equal(again.predict_proba(NEW), fitted.predict_proba(NEW))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(again)).predict_proba(NEW), fitted.predict_proba(NEW))
    assert pickle.loads(pickle.dumps(quick("builtin"))).get_params() == quick("builtin").get_params()


def test_a_classifiers_folder_becomes_an_estimator(tmp_path: Path) -> None:
    folder = tiny_classifier(tmp_path)
    (folder / "modeling_notes.md").write_text("mine")
    found = PETClassifier.from_run(folder, device="cpu")
    assert not hasattr(found, "report_")
    assert (found.save(tmp_path / "saved") / "modeling_notes.md").read_text() == "mine"
    assert list(found.classes_) == ["Business", "Sports", "World"]
    assert list(found.predict(NEW)) == Classifier.load(tmp_path, device="cpu").predict(NEW)


@pytest.mark.parametrize("content", ["no JSON", "[1]", '{"mine": 1}', None])
@pytest.mark.parametrize("of_run", [False, True])
def test_a_report_is_the_runs_and_one_that_cannot_be_read_is_left_out(content: str | None, of_run: bool, tmp_path: Path) -> None:
    tiny_classifier(tmp_path)
    if content is not None:
        (tmp_path / "report.json").write_text(content)
    if of_run:
        (tmp_path / "run.json").write_text("{}")
    found = PETClassifier.from_run(tmp_path, device="cpu")
    assert getattr(found, "report_", None) == ({"mine": 1} if of_run and content == '{"mine": 1}' else None)
    assert len(found.predict(NEW)) == len(NEW)


def test_parameters_are_only_stored(model: str) -> None:
    given = quick(model, unlabeled=RAW, label_words={"a": "b"})
    copy = clone(given)
    assert copy.get_params() == given.get_params()
    assert given.get_params()["unlabeled"] is RAW
    assert copy.set_params(method="single").method == "single"


@pytest.mark.slow
def test_a_run_folder_is_kept_where_it_is_asked_for(model: str, tmp_path: Path) -> None:
    found = quick(model, out=tmp_path / "run", method="single").fit(TEXTS, LABELS)
    again = PETClassifier.from_run(tmp_path / "run", device="cpu")
    assert again.report_ == found.report_
    np.testing.assert_array_equal(again.predict_proba(NEW), found.predict_proba(NEW))


@pytest.mark.slow
def test_selection_and_pipelines(model: str) -> None:
    scores = cross_val_score(quick(model, unlabeled=RAW, method="single"), TEXTS, LABELS, cv=2, error_score="raise")
    assert scores.shape == (2,)
    pipeline = make_pipeline(FunctionTransformer(lambda texts: [text.lower() for text in texts]), quick(model, method="single"))
    search = GridSearchCV(pipeline, {"petclassifier__random_state": [1, 2]}, cv=2, error_score="raise").fit(list(TEXTS), LABELS)
    assert search.predict(NEW).shape == (6,)
    by_fit = GridSearchCV(quick(model), {"method": ["single", "supervised"]}, cv=2, error_score="raise")
    assert by_fit.fit(list(TEXTS), LABELS, unlabeled=list(RAW)).best_score_ >= 0


@pytest.mark.slow
def test_voting_needs_words_by_number(model: str) -> None:
    """It gives its classifiers the places of the sorted labels, and turns what they answer back into labels."""
    named = VotingClassifier([("pet", quick(model, method="single", label_words={"bad": "bad", "good": "good"}))])
    with pytest.raises(TaskError, match="no word for the label 0"):
        named.fit(list(TEXTS), LABELS)
    numbered = quick(model, method="single", label_words={0: "bad", 1: "good"})
    for voting in ("hard", "soft"):
        found = VotingClassifier([("pet", numbered)], voting=voting).fit(list(TEXTS), LABELS)
        alone = found.estimators_[0].predict_proba(NEW)
        assert found.predict(NEW).tolist() == [("bad", "good")[best] for best in alone.argmax(axis=1)]


class OfNumbers(PETClassifier):
    """Numbers written out as texts, so that scikit-learn's checks, which feed numbers, apply to all but the texts."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array, tags.input_tags.one_d_array = False, True, False
        tags.classifier_tags.poor_score = True
        return tags

    def fit(self, X: Any, y: Any = None, *, unlabeled: Any = None) -> OfNumbers:
        if y is None:
            return super().fit([], None)  # type: ignore[return-value]
        X, y = validate_data(self, X, y)
        columns = self.n_features_in_
        inner = PETClassifier(**{**self.get_params(), "label_words": self.label_words_of(y)}).fit(_written(X), y)
        self.__dict__ |= {name: value for name, value in vars(inner).items() if name.endswith("_") and not name.endswith("__")}
        self.n_features_in_ = columns
        return self

    def predict_proba(self, X: Any) -> Any:
        return super().predict_proba(_written(validate_data(self, X, reset=False)))

    @staticmethod
    def label_words_of(y: Any) -> dict[Any, str]:
        return dict(zip(np.unique(y).tolist(), ("good", "bad", "World", "Sports", "Business", "graph"), strict=False))


def _written(X: Any) -> list[str]:
    return [" ".join(f"{value:.2f}" for value in row) or "nothing" for row in np.asarray(X, dtype=float)]


EXCEPTIONS = {"check_array_api_input": "runs only where SCIPY_ARRAY_API is set, and texts are no arrays of numbers"}
"""Check -> why it does not apply."""


@pytest.mark.slow
def test_scikit_learns_checks(model: str) -> None:
    failures = {}
    for estimator, check in estimator_checks_generator(OfNumbers(model=model, settings=QUICK, device="cpu", method="supervised")):
        name = check.func.__name__
        try:
            check(estimator)
        except (Exception, SkipTest) as error:
            failures[name] = f"{type(error).__name__}: {error}"
    assert failures.keys() == EXCEPTIONS.keys(), failures


def test_the_five_lines_of_the_documents_run() -> None:
    text = (Path(__file__).parents[2] / "docs" / "scikit-learn.md").read_text("utf-8")
    lines = text.partition("```python\n")[2].partition("```")[0].strip().splitlines()
    assert len([line for line in lines if line.strip()]) == 5
    quickened = "\n".join(lines).replace("PETClassifier()", "PETClassifier(settings=QUICK)")
    found: dict[str, Any] = {"QUICK": {**QUICK, "max_length": 64, "classifier.batch": 2}}
    exec(quickened, found)
    assert list(found["labels"])
    assert set(found["labels"]) <= {"good", "bad"}
