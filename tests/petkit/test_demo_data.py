"""The demo's rows: real text of every subject, parts kept apart, nothing in a row that gives its source away."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter

import pytest

from petkit.builtin import label_words
from petkit.builtin.corpus import split_of
from petkit.builtin.demo_data import PER_LABEL, _candidates, _check_enough, _Seen, demo_rows, labeled_rows
from petkit.builtin.demo_task import WORDS, task
from petkit.builtin.demo_text import FEWEST, running_text
from petkit.builtin.demo_text import WORDS as MOST_WORDS
from petkit.builtin.docs import Docstring
from petkit.builtin.subjects import SUBJECTS
from petkit.data.overlap import normalise
from petkit.errors import DataError
from petkit.rows import Rows

PARTS = ("test", "development", "train")
NAMES = (
    "networkx|nx|sympy|mpmath|pandas|pd|numpy|np|scipy|sklearn|torch|pytorch|huggingface|transformers|fsspec|dataframes?|ndarrays?|pyarrow|"
    "os|shutil|pathlib|zipfile|tarfile|jinja2?|python"
)
MODELS = r"BERT|RoBERTa|GPT|CLIP|SAM|Llama|DETR|ViT|T5|Whisper|XLNet|Mistral|Hugging Face"


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Every row's text by its object's name (read once: some seconds)."""
    return {name: text for part in PARTS for name, text in zip(demo_rows(part).ids, demo_rows(part).fields["text"], strict=True)}


@pytest.mark.parametrize("part", PARTS)
def test_every_subject_has_enough_rows_and_none_too_many(part: str) -> None:
    rows = demo_rows(part)
    counts = Counter(rows.labels)
    assert set(counts) == set(range(len(SUBJECTS)))
    assert PER_LABEL[part] // 2 <= min(counts.values()) <= max(counts.values()) <= PER_LABEL[part]
    assert all(split_of(Docstring(name, "", "")) == part for name in rows.ids)


def test_parts_share_no_object_and_no_text(texts: dict[str, str]) -> None:
    assert len(texts) == sum(len(demo_rows(part)) for part in PARTS)
    assert len({normalise(text) for text in texts.values()}) == len(texts)
    openings = {part: {" ".join(normalise(t).split()[:8]) for t in demo_rows(part).fields["text"]} for part in PARTS}
    assert not openings["train"] & (openings["test"] | openings["development"])
    assert not openings["test"] & openings["development"]


def test_no_row_gives_its_source_away(texts: dict[str, str]) -> None:
    found = {text for text in texts.values() if re.search(rf"(?<![\w-])({NAMES})(?![\w-])", text, re.IGNORECASE)}
    assert not found
    assert not {text for text in texts.values() if re.search(rf"(?<![\w-])({MODELS})(?![\w-])", text)}


def test_no_row_holds_code_links_or_special_tokens(texts: dict[str, str]) -> None:
    code = re.compile(r"[a-z]_[a-z]|[a-z][A-Z]|\w\(\)|\w\.\w+\.\w|[`\\]|:[a-z]+:|https?:|>>>", re.ASCII)
    assert not {text for text in texts.values() if code.search(text)}
    special = re.compile(r"\[(mask|cls|sep|pad|unk|bos|eos)\]|</?\w+>|<\|", re.IGNORECASE)
    assert not {text for text in texts.values() if special.search(text)}


def test_rows_are_short_and_say_something(texts: dict[str, str]) -> None:
    lengths = [len(text.split()) for text in texts.values()]
    assert min(lengths) >= FEWEST
    assert max(lengths) <= MOST_WORDS
    assert not {text for text in texts.values() if re.match(r"(Parameters|Args|Arguments|Attributes)\b:?", text)}


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["0", "7"])
def test_rows_do_not_depend_on_the_process(seed: str) -> None:
    program = "import sys; from petkit.builtin.demo_data import demo_rows; print(*(demo_rows(p).fingerprint() for p in sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", program, *PARTS], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [demo_rows(part).fingerprint() for part in PARTS]


def test_labelled_rows_are_balanced_follow_the_seed_and_leave_the_pool_unlabelled() -> None:
    train = demo_rows("train")
    labelled, pool = labeled_rows(train, per_label=8, seed=1)
    assert Counter(labelled.labels) == dict.fromkeys(range(len(SUBJECTS)), 8)
    assert pool.labels == ()
    assert sorted(labelled.ids + pool.ids) == sorted(train.ids)
    assert labeled_rows(train, per_label=8, seed=1)[0].ids == labelled.ids
    assert labeled_rows(train, per_label=8, seed=2)[0].ids != labelled.ids
    with pytest.raises(DataError, match="graphs"):
        labeled_rows(train, per_label=10_000, seed=1)


def test_too_little_documentation_is_told_with_every_subject_and_part() -> None:
    empty = Rows(ids=(), fields={"text": ()}, labels=())
    with pytest.raises(DataError, match=r"test texts about graphs \(0\), algebra(.|\n)*train texts about") as caught:
        _check_enough({"test": empty, "train": empty})
    assert all(subject.name in str(caught.value) for subject in SUBJECTS)


BY_HAND = {
    "Return the number of nodes in the :class:`~networkx.Graph` G, each once.\n\nParameters\n----------\nG : a graph\n": (
        "Return the number of nodes in this G, each once."
    ),
    "sort(a, b)\n\nSort the values along the given axis in place.": "Sort the values along the given axis in place.",
    "Construct a Conditional DETR image processor for finding one or more of them.": (
        "Construct this image processor for finding one or more of them."
    ),
    "Get the files that Hugging Face keeps of everything there.\n@a{b}": "Get the files that this keeps of everything there.",
    "Replaces the [MASK] and </s> tokens of the text by words.": "Replaces the and tokens of the text by words.",
    "Reads a file_name. See `the guide <https://a.b/c>`_ on what it finds.": "Reads this. See the guide on what it finds.",
    "Reads by readinto() or .read() what there is to find in all files.": "Reads by this or this what there is to find in all files.",
    "Pools :math:`k` values, or :math:`\\frac{1}{2}` of all those there are.": "Pools k values, or this of all those there are.",
    "Explanation\n===========\nThe roots of a polynomial: where it is zero.\n\n>>> f(1)": "The roots of a polynomial: where it is zero.",
    "Compute the mean of all the values given.\nReturns:\n  float: the mean": "Compute the mean of all the values given.",
    "Returns the density (a fraction) of edges in graphs.": "Returns the density (a fraction) of edges in graphs.",
    "The pandas Series and the series of values that come from it.": "This and the series of values that come from it.",
}


@pytest.mark.parametrize(("written", "read"), list(BY_HAND.items()))
def test_running_text_by_hand(written: str, read: str) -> None:
    assert running_text(written, names=frozenset({"conditionaldetr"})) == read


@pytest.mark.parametrize(
    "written",
    ["", "Return True.", "Parameters\n----------\nx : int\n    The number of things to count.", "a_b c.d e_f g() h_i j_k of the l_m"],
)
def test_texts_that_say_nothing_are_no_rows(written: str) -> None:
    assert running_text(written) is None


def test_a_class_name_is_blanked_and_a_plain_function_name_is_language() -> None:
    text = "Dropout zeroes some of the elements of its input with probability p."
    assert running_text(text, own="Dropout") == "This zeroes some of the elements of its input with probability p."
    assert running_text(text.lower(), own="dropout") == text.lower()


def test_near_duplicates_are_seen_in_either_direction() -> None:
    seen = _Seen()
    seen.keep("Compute the bounding boxes around the given input masks, in pixels.")
    assert seen.near("Compute the bounding boxes around the given input masks. The rest says much more.")
    assert seen.near("Bounding boxes around the given input masks")
    assert not seen.near("Compute the mean of the given values along an axis, in the order given.")


def test_candidates_name_every_object_by_its_module() -> None:
    first = next(_candidates())
    assert first.name.startswith("networkx")
    assert first.label == 0


def test_the_task_has_a_label_per_subject_and_words_the_tokenizer_keeps() -> None:
    assert task.labels == tuple(subject.name for subject in SUBJECTS)
    assert all(WORDS[subject.name][0] == subject.word for subject in SUBJECTS)
    assert {subject.word for subject in SUBJECTS} <= set(label_words())
    assert all(not [p for p in pvp.pattern.problems(task.fields)] for pvp in task.pvps)
