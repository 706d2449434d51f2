"""The papers' clozes for one row each, written out by hand."""

from __future__ import annotations

import pytest

from petkit.loading import load_task
from petkit.pvp import MASK, SEGMENT_BREAK, Pattern, Text

NEWS = {"text": "Oil falls. Prices fell."}
NEWS_PAIR = {"title": "Oil falls.", "body": "Prices fell."}
REVIEW = {"text": "Good pizza!"}
PAIR = {"text_a": "It rained.", "text_b": "The road is wet."}
QUESTION = {"text_a": "Rome is in Italy.", "text_b": "is rome in italy"}
WORD = {"text_a": "Room and board.", "text_b": "He nailed boards.", "word": "board"}
STANCE = {"question": "Soll es so sein?", "comment": "Das ist gut."}

WRONG, NO = "contradiction=Wrong entailment=Right neutral=Maybe", "contradiction=No entailment=Yes neutral=Maybe"
NEWS_WORDS = "World=World Sports=Sports Business=Business Sci/Tech=Tech"
YES = "no=No yes=Yes"
TRUE = "no=false yes=true"
STARS = "1 star=terrible 2 star=bad 3 star=okay 4 star=good 5 star=great"
RTE = "not_entailment=No entailment=Yes"

CLOZES = [
    ("ag_news", NEWS, NEWS_WORDS, "_: Oil falls. Prices fell."),
    ("ag_news", NEWS, NEWS_WORDS, "_ News: Oil falls. Prices fell."),
    ("ag_news", NEWS, NEWS_WORDS, "Oil falls. Prices fell. ( _ )"),
    ("ag_news", NEWS, NEWS_WORDS, "[ Category: _ ] Oil falls. Prices fell."),
    ("ag_news", NEWS, NEWS_WORDS, "_ - Oil falls. Prices fell."),
    ("ag_news_pair", NEWS_PAIR, NEWS_WORDS, "_: Oil falls. Prices fell."),
    ("ag_news_pair", NEWS_PAIR, NEWS_WORDS, "_ News: Oil falls. Prices fell."),
    ("ag_news_pair", NEWS_PAIR, NEWS_WORDS, "Oil falls. ( _ ) Prices fell."),
    ("ag_news_pair", NEWS_PAIR, NEWS_WORDS, "Oil falls. Prices fell. ( _ )"),
    ("ag_news_pair", NEWS_PAIR, NEWS_WORDS, "[ Category: _ ] Oil falls. Prices fell."),
    ("ag_news_pair", NEWS_PAIR, NEWS_WORDS, "_ - Oil falls. Prices fell."),
    ("yelp", REVIEW, STARS, "It was _. Good pizza!"),
    ("yelp", REVIEW, STARS, "Good pizza!. All in all, it was _."),
    ("yelp", REVIEW, STARS, "Just _! || Good pizza!"),
    ("yelp", REVIEW, STARS, "Good pizza! || In summary, the restaurant is _."),
    ("mnli", PAIR, WRONG, '"It rained" ? || _, "The road is wet."'),
    ("mnli", PAIR, WRONG, "It rained ? || _, The road is wet."),
    ("mnli", PAIR, NO, '"It rained" ? || _, "The road is wet."'),
    ("mnli", PAIR, NO, "It rained ? || _, The road is wet."),
    ("rte", PAIR, RTE, '"The road is wet" ? || _, "It rained."'),
    ("rte", PAIR, RTE, "The road is wet ? || _, It rained."),
    ("rte", PAIR, RTE, '"The road is wet" ? || _. "It rained."'),
    ("rte", PAIR, RTE, "The road is wet ? || _. It rained."),
    ("rte", PAIR, "not_entailment=false entailment=true", "It rained. question: The road is wet. True or False? answer: _"),
    ("cb", PAIR, NO, '"The road is wet" ? || _, "It rained."'),
    ("cb", PAIR, NO, "The road is wet ? || _, It rained."),
    ("cb", PAIR, NO, '"The road is wet" ? || _. "It rained."'),
    ("cb", PAIR, NO, "The road is wet ? || _. It rained."),
    (
        "cb",
        PAIR,
        "contradiction=false entailment=true neutral=neither",
        "It rained. question: The road is wet. true, false or neither? answer: _",
    ),
    ("boolq", QUESTION, YES, "Rome is in Italy.. Question: is rome in italy? Answer: _."),
    ("boolq", QUESTION, TRUE, "Rome is in Italy.. Question: is rome in italy? Answer: _."),
    ("boolq", QUESTION, YES, "Rome is in Italy.. Based on the previous passage, is rome in italy? _."),
    ("boolq", QUESTION, TRUE, "Rome is in Italy.. Based on the previous passage, is rome in italy? _."),
    ("boolq", QUESTION, YES, "Based on the following passage, is rome in italy? _. Rome is in Italy."),
    ("boolq", QUESTION, TRUE, "Based on the following passage, is rome in italy? _. Rome is in Italy."),
    ("wic", WORD, "false=No true=Yes", '"Room and board." / "He nailed boards." Similar sense of "board"? _.'),
    ("wic", WORD, "false=No true=Yes", "Room and board. He nailed boards. Does board have the same meaning in both sentences? _"),
    ("wic", WORD, "false=2 true=b", 'board . Sense (1) (a) "Room and board." ( _ ) "He nailed boards."'),
    ("xstance_de", STANCE, "FAVOR=Ja AGAINST=Nein", '"Soll es so sein?" || _. "Das ist gut."'),
    ("xstance_de", STANCE, "FAVOR=Ja AGAINST=Nein", "Soll es so sein? || _. Das ist gut."),
    ("xstance_fr", STANCE, "FAVOR=Oui AGAINST=Non", '"Soll es so sein?" || _. "Das ist gut."'),
    ("xstance_fr", STANCE, "FAVOR=Oui AGAINST=Non", "Soll es so sein? || _. Das ist gut."),
]

TOPICS = (
    "Society & Culture=Society Science & Mathematics=Science Health=Health Education & Reference=Education "
    "Computers & Internet=Computer Sports=Sports Business & Finance=Business Entertainment & Music=Entertainment "
    "Family & Relationships=Relationship Politics & Government=Politics"
)
CLOZES += [("yahoo_answers", NEWS, TOPICS, text.replace("News", "Question")) for name, _, _, text in CLOZES if name == "ag_news"]
CLOZES += [
    ("yahoo_answers_pair", {"question": "Oil falls.", "answer": "Prices fell."}, TOPICS, text.replace("News", "Question"))
    for name, _, _, text in CLOZES
    if name == "ag_news_pair"
]


def cloze(pattern: Pattern, row: dict[str, str]) -> str:
    names = {str(MASK): "_", str(SEGMENT_BREAK): " || "}
    return "".join(part.text if isinstance(part, Text) else names.get(str(part), str(part)) for part in pattern.parts(row))


@pytest.mark.parametrize("name", sorted({name for name, *_ in CLOZES}))
def test_clozes_and_words_are_the_papers(name: str) -> None:
    task = load_task(name)
    expected = [(words, text) for task_name, _, words, text in CLOZES if task_name == name]
    row = next(row for task_name, row, _, _ in CLOZES if task_name == name)
    found = [(" ".join(f"{k}={v}" for k, v in pvp.verbalizer.mapping.items()), cloze(pvp.pattern, row)) for pvp in task.pvps]
    assert found == expected


def test_polarity_has_the_patterns_of_the_stars_and_two_words() -> None:
    polarity, stars = load_task("yelp_polarity"), load_task("yelp")
    assert [pvp.pattern for pvp in polarity.pvps] == [pvp.pattern for pvp in stars.pvps]
    assert polarity.pvps[0].verbalizer.mapping == {"negative": "bad", "positive": "good"}
