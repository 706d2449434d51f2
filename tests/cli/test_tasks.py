"""`petkit tasks` and `petkit new`, through a small application of their own."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from petkit.cli.options import pairs
from petkit.cli.renamed import NewCommand
from petkit.cli.tasks import new, tasks
from petkit.data import read_rows
from petkit.errors import SettingsError, TaskError
from petkit.loading import load_task, ready_made

app = typer.Typer()
app.command("tasks")(tasks)
app.command("new", cls=NewCommand)(new)
runner = CliRunner()


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.csv"
    path.write_text("id,review,mood\n" + "".join(f"{i},This is review {i} of them.,{'glad' if i % 2 else 'sad'}\n" for i in range(8)))
    return path


def output(*arguments: str) -> str:
    result = runner.invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_list_has_a_line_for_each_task() -> None:
    rows = [re.split(r"  +", line.strip()) for line in output("tasks").splitlines()]
    names = [row[0] for row in rows if row[0] in ready_made()]
    assert names == list(ready_made())
    assert ["ag_news", "World, Sports, Business, Sci/Tech", "text", "5", "en", "arXiv 2001.07676"] in rows
    assert ["sms_spam", "ham, spam", "text", "4", "en", "ours"] in rows


def test_names_stay_whole_in_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert set(ready_made()) <= set(output("tasks").split())


def test_the_list_as_json() -> None:
    found = json.loads(output("tasks", "--json"))
    assert [task["name"] for task in found["tasks"]] == list(ready_made())


def test_one_task_shows_patterns_with_brackets_and_words() -> None:
    text = output("tasks", "ag_news")
    assert "[ Category: {mask} ] {text}" in text
    assert "Sci/Tech: Tech" in text
    assert "fields: text; language: en" in text


def test_one_task_as_json() -> None:
    found = json.loads(output("tasks", "rte", "--json"))
    assert found["pvps"][4]["words"] == {"not_entailment": ["false"], "entailment": ["true"]}
    assert found["fields"] == ["text_a", "text_b"]
    assert found["origin"] == "rte"


def test_an_unknown_task_is_the_users_mistake() -> None:
    result = runner.invoke(app, ["tasks", "agnews"])
    assert isinstance(result.exception, TaskError)


def test_new_writes_a_task_that_loads_and_shows(reviews: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.py"
    text = output("new", str(reviews), "--out", str(out))
    assert "texts review; labels in mood:" in text
    assert "  glad  4 rows" in text
    assert load_task(out).labels == ("glad", "sad")
    assert "{mask}: {review}" in output("tasks", str(out))


@pytest.mark.parametrize(("text", "label"), [("--text-column", "--label-column"), ("--text", "--label")])
def test_new_takes_columns_by_name_and_a_default_file(text: str, label: str, reviews: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(reviews.parent)
    output("new", str(reviews), text, "id", text, "review", label, "mood")
    task = load_task("./task.py")
    assert (task.name, task.fields, task.label_column) == ("reviews", ("id", "review"), "mood")


@pytest.mark.parametrize("name", ["reviews.csv", "my reviews.csv", "it's $5.csv"])
def test_the_command_that_comes_next_can_be_pasted(name: str, tmp_path: Path) -> None:
    data, out = tmp_path / name, tmp_path / "my tasks" / "sp.py"
    out.parent.mkdir()
    texts = [f"{i},This is review {i} of them.,{'glad' if i % 2 else 'sad'}\n" for i in range(8)]
    data.write_text("id,Review Text,mood\n" + "".join(texts))
    text = output("new", str(data), "--out", str(out))
    _, _, command = text.rstrip("\n").partition("look at them with ")
    expected = ["petkit", "check", str(out), "--data", str(data), "--column", "Review_Text=Review Text"]
    assert shlex.split(command) == expected
    assert len(read_rows(str(data), load_task(out), labels="required", columns=pairs(expected[6:], "--column"))) == 8


def test_what_messages_advise_can_be_given_and_comes_with_the_next_command(tmp_path: Path) -> None:
    data, out = tmp_path / "rows.csv", tmp_path / "task.py"
    data.write_text('text;label\n"Bär;gut\nWolf;böse\n', encoding="cp1252")
    text = output("new", str(data), "--out", str(out), "--encoding", "cp1252", "--no-quotes")
    _, _, command = text.rstrip("\n").partition("look at them with ")
    assert shlex.split(command) == ["petkit", "check", str(out), "--data", str(data), "--encoding", "cp1252", "--no-quotes"]


def test_new_notes_labels_that_look_alike(tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"text": f"Row {i}", "label": ("good", "good ")[i % 2]}) + "\n" for i in range(4)))
    assert "Note: 'good', 'good ' look alike and are different labels" in output("new", str(data), "--out", str(tmp_path / "task.py"))


def test_new_notes_a_first_line_that_may_be_a_row(tmp_path: Path) -> None:
    data = tmp_path / "rows.csv"
    data.write_text("Kommentar,2023\nRegen,a\nSonne,b\nNebel,a\nWind,b\n")
    text = output("new", str(data), "--out", str(tmp_path / "task.py"))
    assert "Note: The first line may be a row: '2023' would be the name of a column; if it is one, add a line" in text


def test_new_replaces_only_by_force(reviews: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.py"
    out.write_text("precious = True\n")
    result = runner.invoke(app, ["new", str(reviews), "--out", str(out)])
    assert isinstance(result.exception, SettingsError)
    assert "--force" in str(result.exception)
    assert out.read_text() == "precious = True\n"
    output("new", str(reviews), "--out", str(out), "--force")
    assert load_task(out).name == "mine"
