"""The documents hold: links lead somewhere, commands and settings exist, examples compile, and what is listed is there."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

from petkit.cli.app import app
from petkit.cli.options import pairs
from petkit.settings import METHODS, PRESETS, Settings, apply_changes

ROOT = Path(__file__).resolve().parent.parent
if not (ROOT / "docs").is_dir():
    pytest.skip("these tests read the checkout", allow_module_level=True)

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]\n]+\]\(([^)\s]+)\)")
STAGE_SETTINGS = ("member", "classifier", "supervised", "ipet")


def blocks(text: str, *languages: str) -> Iterator[str]:
    """The fenced blocks in one of the languages."""
    for match in FENCE.finditer(text):
        if match[1] in languages:
            yield match[2]


def prose(text: str) -> str:
    """The text without its fenced blocks."""
    return FENCE.sub("", text)


def commands(text: str) -> Iterator[list[str]]:
    """The arguments of every `petkit` command in console and bash blocks. What a console prints is not a command."""
    for language in ("console", "bash"):
        for block in blocks(text, language):
            for line in block.replace("\\\n", " ").splitlines():
                if language == "console" and not line.startswith("$ "):
                    continue
                yield from _petkit_commands(line.removeprefix("$ "))


def _petkit_commands(line: str) -> Iterator[list[str]]:
    words = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    words.whitespace_split = True
    current: list[str] = []
    for word in [*words, ";"]:
        if set(word) <= set("|&;<>"):
            yield from _arguments(current)
            current = []
        else:
            current.append(word)


def _arguments(words: list[str]) -> Iterator[list[str]]:
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    if words and words[0].rpartition("/")[2] == "petkit":
        yield words[1:]


@cache
def _group() -> Any:
    return typer.main.get_command(app)


def parsed(arguments: list[str]) -> dict[str, Any]:
    """The parameters of a command line, as the real command reads them; whatever it refuses is raised."""
    if arguments[0].startswith("-"):
        assert arguments[0] in {name for parameter in _group().params for name in parameter.opts} | {"--help"}
        return {}
    name, *rest = arguments
    assert name in _group().commands, f"petkit has no command {name!r}"
    if "--help" in rest:
        return {}
    found: dict[str, Any] = _group().commands[name].make_context(name, rest).params
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_links_lead_somewhere(path: Path) -> None:
    targets = [target for target in LINK.findall(prose(path.read_text("utf-8"))) if "://" not in target]
    broken = []
    for target in targets:
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        if not found.exists() or (anchor and anchor not in _anchors(found)):
            broken.append(target)
    assert broken == []


def _anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", prose(path.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_commands_are_read_by_the_real_command_line(path: Path) -> None:
    for arguments in commands(path.read_text("utf-8")):
        values = parsed(arguments)
        changes = pairs(values.get("settings"), "--set")
        assert apply_changes(Settings(), changes) is not None
        assert values.get("method") in (None, *METHODS)
        assert values.get("preset", "auto") in ("auto", *PRESETS)


def test_commands_are_found_and_wrong_ones_refused() -> None:
    text = "```console\n$ X=1 petkit status run | head  # a comment\npetkit printed this\n$ petkit train t.py \\\n    --out run\n```\n"
    assert list(commands(text)) == [["status", "run"], ["train", "t.py", "--out", "run"]]
    assert parsed(["train", "t.py", "--out", "run", "--adapt"])["adapt"] == 500
    for wrong in (["train", "t.py", "--out", "run", "--unlabelled", "x"], ["status"], ["predict", "run", "x", "--out"]):
        with pytest.raises(Exception, match=r"(?i)no such option|missing parameter|requires an argument"):
            parsed(wrong)


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_options_named_in_prose_exist(path: Path) -> None:
    known = {name for command in _group().commands.values() for parameter in command.params for name in parameter.opts}
    known |= {name for command in _group().commands.values() for parameter in command.params for name in parameter.secondary_opts}
    known |= {"--help", *(name for parameter in _group().params for name in parameter.opts)}
    known |= {option for file in (ROOT / "benchmarks").glob("*.py") for option in re.findall(r'"(--[a-z-]+)"', file.read_text("utf-8"))}
    named = set(re.findall(r"`(?:[^`\n]*\s)?(--[a-z][\w-]*)", prose(path.read_text("utf-8"))))
    assert named - known == set()


def test_every_option_is_named_in_a_document() -> None:
    text = "\n".join(path.read_text("utf-8") for path in DOCUMENTS)
    missing = [
        f"petkit {name} {parameter.opts[0]}"
        for name, command in _group().commands.items()
        for parameter in command.params
        if not any(re.search(rf"{form}(?![\w-])", text) for form in (*parameter.opts, *parameter.secondary_opts))
        and parameter.opts[0].startswith("--")
    ]
    assert missing == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_settings_named_in_prose_exist(path: Path) -> None:
    named = re.findall(rf"`((?:{'|'.join(STAGE_SETTINGS)})\.\w+)", prose(path.read_text("utf-8")))
    values = Settings().as_dict()
    unknown = [name for name in named if name.partition(".")[2] not in values[name.partition(".")[0]] and not name.endswith(".parquet")]
    assert unknown == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_python_examples_compile_and_tasks_are_sound(path: Path) -> None:
    for block in blocks(path.read_text("utf-8"), "python"):
        compile(block, str(path), "exec", dont_inherit=True)
        if "Task(" in block and not {"train(", "load("} & set(re.findall(r"\w+\(", block)):
            found: dict[str, Any] = {}
            exec(compile(block, str(path), "exec", dont_inherit=True), found)
            assert found["task"].labels


def _modules(*folders: str) -> set[str]:
    files = [file for folder in folders for file in (ROOT / folder).glob("*.py")]
    return {file.relative_to(ROOT).as_posix() for file in files if not file.name.startswith("__")}


def test_the_picture_of_the_code_is_true() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    drawn = set(re.findall(r"(?<![\w/])(?:petkit|cli|benchmarks)/(?:\w+/)*\w+\.py", text))
    missing = _modules("petkit", *(f"petkit/{p.name}" for p in (ROOT / "petkit").iterdir() if (p / "__init__.py").is_file()), "cli") - drawn
    gone = {name for name in drawn if not (ROOT / name).is_file()}
    assert (missing, gone) == (set(), set())


def test_formulas_name_functions_that_are_there() -> None:
    text = (ROOT / "docs" / "maths.md").read_text("utf-8")
    named = set(re.findall(r"`petkit\.([\w.]+)\.(\w+)`", text))
    assert len(named) > 20
    assert [f"{module}.{name}" for module, name in sorted(named) if name not in _defined(module)] == []


def _defined(module: str) -> set[str]:
    """Names of functions, classes and values at the top of a module of the library."""
    place = ROOT / "petkit" / module.replace(".", "/")
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    if not file.is_file():
        return set()
    names = set()
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def test_every_key_of_the_report_is_described() -> None:
    text = (ROOT / "docs" / "run-folder.md").read_text("utf-8")
    tree = ast.parse((ROOT / "petkit" / "report" / "run.py").read_text("utf-8"))
    constants = [key for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in node.keys if isinstance(key, ast.Constant)]
    keys = {str(key.value) for key in constants}
    assert len(keys) > 30
    assert {key for key in keys if not re.search(rf"[`.]{key}\b", text)} == set()


def test_ready_made_tasks_in_the_list_are_those_that_exist() -> None:
    from petkit.loading import ready_made

    section = (ROOT / "docs" / "tasks.md").read_text("utf-8").partition("## Ready-made tasks")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE)) == set(ready_made())


def _of_site(name: str) -> ModuleType:
    """A module of docs/site, which is no package."""
    place = importlib.util.spec_from_file_location(f"docs_site_{name}", ROOT / "docs" / "site" / f"{name}.py")
    assert place is not None
    assert place.loader is not None
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return module


def test_the_index_links_every_page() -> None:
    site = _of_site("pages")
    names = set(site.pages(ROOT).values())
    assert {"tutorial.md", "faq.md", "readme.md"} <= names
    assert names - {"index.md"} - set(site.linked_from_index(ROOT)) <= {"builtin-model.md"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_addresses_have_the_form_of_one(path: Path) -> None:
    site = _of_site("pages")
    assert [link for link in LINK.findall(prose(path.read_text("utf-8"))) if "://" in link and not site.well_formed(link)] == []


def test_links_are_changed_for_the_site_and_wrong_ones_told(tmp_path: Path) -> None:
    for folder in ("docs", "petkit/builtin/model", "site"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("CHANGELOG.md", "LOG.md", "petkit/builtin/model/README.md"):
        (tmp_path / name).write_text("# X\n", "utf-8")
    (tmp_path / "README.md").write_text("---\nlicense: x\n---\n[maths](docs/maths.md#a)\n", "utf-8")
    (tmp_path / "docs" / "maths.md").write_text("[card](../petkit/builtin/model/README.md) [shape](shape.json) [me](#a)\n", "utf-8")
    (tmp_path / "docs" / "shape.json").write_text("{}", "utf-8")
    index = "[home](../README.md) `[a](b.md)`\n```\n[c](d.md)\n```\n[e](gone.md) [f](https://x.org/y) [h](https://x)\n"
    (tmp_path / "docs" / "index.md").write_text(index, "utf-8")
    site = _of_site("pages")
    problems = site.lay_out(tmp_path, tmp_path / "site")
    assert [problem.split(" is no")[0] for problem in problems] == ["docs/index.md: gone.md", "docs/index.md: https://x"]
    written = {file.name: file.read_text("utf-8") for file in (tmp_path / "site").glob("*.md")}
    assert written["readme.md"] == "[maths](maths.md#a)\n"
    assert written["maths.md"] == "[card](builtin-model.md) [shape](files/docs/shape.json) [me](#a)\n"
    assert written["index.md"] == index.replace("../README.md", "readme.md")
    assert (tmp_path / "site" / "files" / "docs" / "shape.json").read_text("utf-8") == "{}"


def test_the_command_page_has_every_option_of_every_command() -> None:
    page = _of_site("reference").command_page()
    for name, command in _group().commands.items():
        part = page.partition(f"## petkit {name}\n")[2].partition("\n## ")[0]
        wanted = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts) if option[:2] == "--"}
        assert {option for option in wanted if not re.search(rf"`[^`\n]*{option}\b", part)} == set(), name


def test_the_python_pages_have_every_public_name() -> None:
    pytest.importorskip("sphinx", reason="the extra docs is not installed")
    site = _of_site("reference")
    pages = "".join(site.module_page(module) for module in site.MODULES)
    named = set(re.findall(r"^\.\. (?:auto\w+|py:data):: (\S+)$", pages, re.MULTILINE))
    wanted = {f"{module}.{name}" for module in site.MODULES for name in importlib.import_module(module).__all__}
    assert {name for name in wanted - named if name.replace("petkit.", "petkit.errors.") not in named} == set()


def test_docstrings_become_what_they_look_like() -> None:
    site = _of_site("conf")
    assert site.pictures_as_they_stand(["A tree:", "", "    a", "    b", "", "End."]) == [
        "A tree:",
        "",
        "::",
        "",
        "    a",
        "    b",
        "",
        "End.",
    ]
    arguments = ["Args:", "    n: rows. shots: per label, e.g. 4.", "    m: more."]
    assert site.pictures_as_they_stand(arguments) == arguments
    assert site.one_argument_a_line(arguments) == ["Args:", "    n: rows.", "    shots: per label, e.g. 4.", "    m: more."]
