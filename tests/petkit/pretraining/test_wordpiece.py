"""A trained WordPiece tokenizer: the words to keep are kept, ids are dense and the same every time, and transformers opens it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from petkit.pretraining.wordpiece import SPECIAL_TOKENS, train_wordpiece
from tests.builders import docstrings, sentences

KEEP = ("Sports", "terrible", "Business", "Caf\u00e9", "xylophone")


@pytest.fixture(scope="module")
def words() -> Any:
    return train_wordpiece(docstrings()[:200], size=900, keep=KEEP)


def test_words_to_keep_are_one_piece_each(words: Any) -> None:
    for word in KEEP:
        assert len(words.tokenize(word)) == 1
        assert words.unk_token not in words.tokenize(word)
    naive = train_wordpiece(docstrings()[:200], size=900)
    assert len(naive.tokenize("xylophone")) > 1  # not just learned from the text


def test_upper_and_lower_case_are_one_unless_asked(words: Any) -> None:
    assert words("The SPORTS Caf\u00e9")["input_ids"] == words("the sports cafe")["input_ids"]
    cased = train_wordpiece(docstrings()[:50], size=400, keep=("Sports",), lowercase=False)
    assert cased.tokenize("Sports") == ["Sports"]
    assert cased.tokenize("sports") != ["Sports"]


def test_size_is_kept_and_ids_have_no_gap(words: Any) -> None:
    ids = sorted(words.get_vocab().values())
    assert ids == list(range(900)) == list(range(len(words)))


def test_special_tokens_come_first_and_frame_single_texts_and_pairs(words: Any) -> None:
    assert words.convert_ids_to_tokens([0, 1, 2, 3, 4]) == list(SPECIAL_TOKENS)
    assert set(words.all_special_ids) == {0, 1, 2, 3, 4}
    assert (words.pad_token_id, words.unk_token_id, words.cls_token_id, words.sep_token_id, words.mask_token_id) == (0, 1, 2, 3, 4)
    one, two = words("the file"), words("the", "file")
    assert words.decode(one["input_ids"]) == "[CLS] the file [SEP]"
    assert words.decode(two["input_ids"]) == "[CLS] the [SEP] file [SEP]"
    assert one["token_type_ids"] == [0, 0, 0, 0]
    assert two["token_type_ids"] == [0, 0, 0, 1, 1]
    assert words("[MASK]")["input_ids"] == [2, 4, 3]


def test_characters_of_the_texts_are_never_unknown_and_others_are(words: Any) -> None:
    assert all(words.unk_token_id not in words(text)["input_ids"] for text in docstrings()[:200])
    assert words.unk_token_id in words("\u4e66")["input_ids"]


def test_the_same_texts_give_the_same_ids(words: Any) -> None:
    """A run that resumes trains its tokenizer again, and goes on with weights that know the first one's ids."""
    assert train_wordpiece(iter(docstrings()[:200]), size=900, keep=KEEP).get_vocab() == words.get_vocab()


@pytest.mark.slow
def test_another_process_gives_the_same_ids(words: Any) -> None:
    code = (
        "from tests.builders import docstrings; from petkit.pretraining.wordpiece import train_wordpiece; import json;"
        f"print(json.dumps(train_wordpiece(docstrings()[:200], size=900, keep={KEEP!r}).get_vocab()))"
    )
    root = Path(__file__).resolve().parents[3]
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert json.loads(other.stdout) == words.get_vocab()


def test_saved_and_opened_by_transformers_it_gives_the_same_ids(words: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words.save_pretrained(tmp_path)
    opened = AutoTokenizer.from_pretrained(tmp_path)
    for text in (*sentences()[:60], "Caf\u00e9 [MASK] xylophone!", ""):
        assert dict(opened(text)) == dict(words(text))
    assert dict(opened("a file", "a table")) == dict(words("a file", "a table"))
    assert (opened.mask_token, opened.model_max_length, opened.get_vocab()) == ("[MASK]", 256, words.get_vocab())
    assert opened.decode(opened("it returns a file")["input_ids"], skip_special_tokens=True) == "it returns a file"
    assert not [line for line in capfd.readouterr() if line]
