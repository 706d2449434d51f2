"""Tasks by name and by path, what goes wrong with them, and how they pickle."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from petkit.errors import TaskError
from petkit.loading import load_task, ready_made
from petkit.pvp import Task

WHOLE = """
from petkit.pvp import MASK, Task, Text

def backwards(row):
    return [MASK, ": ", Text(row["text"][::-1])]

{name} = Task(name="mine", fields=("text",), patterns=(backwards, "{{mask}} {{text}}"), verbalizer={{"n": "bad", "p": "good"}})
"""


def write(folder: Path, text: str, name: str = "mine.py") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def message(reference: str) -> str:
    with pytest.raises(TaskError) as caught:
        load_task(reference)
    return str(caught.value)


def run_python(code: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_ready_made_task_knows_its_name() -> None:
    task = load_task("ag_news")
    assert (task.name, task.origin) == ("ag_news", "ag_news")


def test_ready_made_lists_files_that_exist() -> None:
    listed = ready_made()
    assert list(listed) == sorted(listed)
    assert all(path.is_file() and path.stem == name for name, path in listed.items())


def test_listing_imports_no_task(tmp_path: Path) -> None:
    code = (
        "import sys, petkit.loading as l; early = 'petkit.patterns' in sys.modules; l.ready_made();"
        "print(early, [m for m in sys.modules if m.startswith('petkit.patterns.')])"
    )
    assert run_python(code, tmp_path) == "False []"


@pytest.mark.parametrize("name", ["task", "other"])
def test_a_file_with_one_task(tmp_path: Path, name: str) -> None:
    task = load_task(write(tmp_path, WHOLE.format(name=name)))
    assert task.name == "mine"
    assert task.origin == str((tmp_path / "mine.py").resolve())


def test_a_path_object_and_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, WHOLE.format(name="task"))
    monkeypatch.chdir(tmp_path)
    assert load_task(Path("mine.py")).origin == load_task("./mine.py").origin == str((tmp_path / "mine.py").resolve())


def test_the_name_task_wins_over_others(tmp_path: Path) -> None:
    text = WHOLE.format(name="first") + WHOLE.format(name="task").replace("mine", "chosen")
    assert load_task(write(tmp_path, text)).name == "chosen"


def test_an_edited_file_is_read_again_and_leaves_no_cache(tmp_path: Path) -> None:
    path = write(tmp_path, WHOLE.format(name="task"))
    load_task(path)
    write(tmp_path, WHOLE.format(name="task").replace('"mine"', '"nine"'))
    assert load_task(path).name == "nine"
    assert os.listdir(tmp_path) == ["mine.py"]


def test_files_of_the_same_name_do_not_meet(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, WHOLE.format(name="task").replace('"mine"', f'"{folder}"'))
    tasks = [load_task(tmp_path / folder / "mine.py") for folder in ("a", "b")]
    sources = [task.pvps[0].pattern.source for task in tasks]
    assert [task.name for task in tasks] == ["a", "b"]
    assert sources[0].__module__ != sources[1].__module__


def test_a_task_file_may_define_dataclasses(tmp_path: Path) -> None:
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n    x: int\n"
    assert load_task(write(tmp_path, text + WHOLE.format(name="task"))).name == "mine"


def test_unknown_names_come_with_near_ones_and_the_list() -> None:
    text = message("agnews")
    assert "'agnews'" in text
    assert "did you mean ag_news" in text
    assert all(name in text for name in ready_made())


def test_an_unknown_name_points_to_a_file_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, WHOLE.format(name="task"))
    monkeypatch.chdir(tmp_path)
    assert "write mine.py" in message("mine")


def test_a_missing_file_comes_with_near_names(tmp_path: Path) -> None:
    write(tmp_path, WHOLE.format(name="task"))
    text = message(str(tmp_path / "mime.py"))
    assert "no file" in text
    assert "did you mean mine.py?" in text
    assert "no file" in message(str(tmp_path / "nowhere" / "mine.py"))


def test_paths_that_are_no_task_files(tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()
    assert "cannot read" in message(str(tmp_path / "folder.py"))
    assert "ends in .py" in message(write(tmp_path, "{}", "task.json"))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("x = 1\nraise KeyError('gone')\n", ["line 2", "KeyError: 'gone'"]),
        ("def f():\n    return 1 / 0\n\n\nf()\n", ["line 2", "ZeroDivisionError"]),
        ("import os\nx = = 1\n", ["line 2", "SyntaxError"]),
        ("\nimport no_such_module_at_all\n", ["line 2", "ModuleNotFoundError", "no_such_module_at_all"]),
        ("import sys\nsys.exit('bye')\n", ["line 2", "SystemExit: bye"]),
        ("import json\n\njson.loads('{')\n", ["line 3", "JSONDecodeError"]),
        ("x = '\0'\n", ["null bytes"]),
    ],
)
def test_a_file_that_fails_is_named_with_line_and_exception(tmp_path: Path, text: str, parts: list[str]) -> None:
    path = write(tmp_path, text)
    found = message(path)
    assert str(Path(path).resolve()) in found
    assert all(part in found for part in parts)


def test_a_wrong_task_keeps_its_own_words_and_gets_file_and_line(tmp_path: Path) -> None:
    words = "{'a': 'x', 'b': 'x'}"
    text = f"from petkit.pvp import Task\n\ntask = Task(name='t', fields='text', patterns='{{mask}} {{body}}', verbalizer={words})\n"
    found = message(write(tmp_path, text))
    assert "mine.py, line 3: task 't'" in found
    assert "{body}" in found
    assert "share the word 'x'" in found
    assert "TaskError" not in found


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_bytes(b"x = '\xff\xfe'\n")
    assert "UTF-8" in message(str(tmp_path / "mine.py"))


def test_no_task_several_tasks_and_something_else(tmp_path: Path) -> None:
    assert "defines no task" in message(write(tmp_path, "x = 1\n"))
    assert "several tasks (one, two)" in message(write(tmp_path, WHOLE.format(name="one") + WHOLE.format(name="two")))
    assert "task is a dict" in message(write(tmp_path, "task = {}\n"))


def test_a_failed_file_leaves_no_module(tmp_path: Path) -> None:
    before = set(sys.modules)
    message(write(tmp_path, "raise ValueError\n"))
    assert not [name for name in set(sys.modules) - before if name.startswith("petkit_task_")]


def test_a_task_made_in_memory_pickles_by_value() -> None:
    task = Task(name="t", fields=("text",), patterns=("{mask}: {text}",), verbalizer={"n": "bad", "p": "good"})
    again = pickle.loads(pickle.dumps(task))
    assert again == task
    assert again.pvps[0].pattern.parts({"text": "x"}) == task.pvps[0].pattern.parts({"text": "x"})


def test_a_task_with_functions_reaches_another_process(tmp_path: Path) -> None:
    task = load_task(write(tmp_path, WHOLE.format(name="task")))
    (tmp_path / "task.bin").write_bytes(pickle.dumps(task))
    code = (
        "import pickle, pathlib; task = pickle.loads(pathlib.Path('task.bin').read_bytes());"
        "print(task.name, task.pvps[0].pattern.parts({'text': 'abc'})[2].text)"
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "task.bin").rename(elsewhere / "task.bin")
    assert run_python(code, elsewhere) == "mine cba"
