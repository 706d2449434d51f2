"""The card names data, labels, patterns, settings, scores and limits."""

from __future__ import annotations

from typing import Any

from huggingface_hub import ModelCard
from yaml import safe_load  # type: ignore[import-untyped]

from petkit.modelcard import model_card
from petkit.pvp import Task
from petkit.settings import Settings
from tests.tiny_runs import PAIRS

TASK = Task(
    name="mood",
    fields=("text",),
    patterns=("{mask}! {text}", "It is {mask}. {text}"),
    verbalizer={"sad": ("bad", "sad"), "glad": "good"},
    language="no",
)
ROWS = {"train": 20, "pool": 300, "test": 77}


def card(task: Task = TASK, **more: Any) -> str:
    given = {"origin": "some/model", "rows": ROWS, "settings": Settings().as_dict(), "temperature": 1.25, "scores": None, **more}
    return model_card(task, **given)


def test_the_card_of_a_plain_head_tells_of_labelled_rows_alone() -> None:
    plain = card(settings=Settings(method="supervised").as_dict(), temperature=None)
    assert "from `some/model` with 20 labelled rows." in plain
    assert "It was trained on a few examples" in plain
    assert not any(word in plain for word in ("## Patterns", "unlabelled", "guesses"))


def test_without_labelled_rows_no_example_is_claimed() -> None:
    found = card(rows={**ROWS, "train": 0})
    assert "Its labels come from a language\nmodel's guesses alone, without any labelled example,\nso it can be wrong" in found
    assert "a few examples" not in found
    assert "a few examples and a\nlanguage model's guesses,\n" in card()


def test_names_that_hold_commas_stand_in_quotes() -> None:
    task = Task(name="t", fields=("text",), patterns="{mask} {text}", verbalizer={"Food, drink": "food", "Other": "other"})
    assert "one of 2 labels: 'Food, drink', Other." in card(task)
    assert "with 'Food, drink' = food, Other = other" in card(task)


def test_the_front_matter_is_what_hubs_read() -> None:
    """The language code no is a string, not YAML's false."""
    _, head, body = card().split("---\n", 2)
    known = {"language": "no", "pipeline_tag": "text-classification", "library_name": "transformers", "tags": ["petkit", "few-shot"]}
    assert safe_load(head) == known
    assert body.strip().startswith("# mood")


def test_the_hubs_own_reader_takes_it() -> None:
    found = ModelCard(card(scores={"accuracy": 0.81249, "macro_f1": 0.7}), ignore_metadata_errors=False).data
    assert (found.language, found.license, found.model_name) == ("no", None, "mood")
    results = [(result.metric_type, result.metric_value, result.dataset_name) for result in found.eval_results or []]
    assert results == [("accuracy", 0.8125, "mood (77 test rows)"), ("f1", 0.7, "mood (77 test rows)")]
    untold = replace_language(TASK, "und")
    assert ModelCard(card(untold)).data.language is None
    assert ModelCard(card()).data.eval_results is None


def replace_language(task: Task, language: str) -> Task:
    return Task(name=task.name, fields=task.fields, patterns=task.pvps, language=language)


def test_it_says_what_it_was_made_from() -> None:
    found = card(scores={"accuracy": 0.81249, "macro_f1": 0.7})
    for part in (
        "Gives a text one of 2 labels: sad, glad.",
        "from `some/model` with 20 labelled and 300 unlabelled rows",
        "On 77 test rows: accuracy 0.812, macro-F1 0.700.",
        "temperature 1.250",
        "- `{mask}! {text}` with sad = bad / sad, glad = good",
        "- `It is {mask}. {text}` with",
        "## Limits",
        "- member.learning_rate: 1e-05",
        "- seed: 42",
    ):
        assert part in found


def test_without_test_rows_it_says_so() -> None:
    found = card(temperature=None)
    assert "nothing is known of how good it is" in found
    assert "calibrated" not in found
    assert "accuracy" not in found


def test_pairs_are_shown_as_pairs() -> None:
    found = card(PAIRS)
    assert "Gives a pair of texts one of 2 labels" in found
    assert '"text_pair"' in found
    assert '"text_pair"' not in card()
