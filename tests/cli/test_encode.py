"""`petkit encode` through the whole application."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from petkit.cli.app import app
from petkit.representations import load_vectors
from tests.builders import tiny_masked_lm

runner = CliRunner()
PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "encode.md"


def petkit(*arguments: str | Path, code: int = 0, **options: str) -> Result:
    found = runner.invoke(app, ["encode", *(str(argument) for argument in arguments)], **options)  # type: ignore[arg-type]
    assert found.exit_code == code, found.output
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_masked_lm("bert", tmp_path_factory.mktemp("model"), initializer_range=0.2)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text("key,premise,hypothesis\na,The graph is good,A graph\nb,,A number\n")
    return path


def test_sentences_to_parquet(model: Path, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    flags = ("--text-column", "premise", "--id-column", "key", "--pooling", "mean", "--layer", "1", "--device", "cpu")
    found = petkit(model, table, "--out", out, *flags)
    assert found.stdout == ""
    assert found.stderr == (
        f"Note: 1 of 2 rows have a blank or missing text; they are encoded all the same\nEncoded 2 rows, 32 numbers in mean: {out}\n"
    )
    written = pq.read_table(out)
    assert written.column_names == ["id", "mean"]
    assert written["id"].to_pylist() == ["a", "b"]
    vectors = load_vectors(str(model), layer=1, device="cpu")
    expected = vectors.sentences(vectors.tokens([("The graph is good",), ("",)]))["mean"]
    np.testing.assert_allclose(np.stack(written["mean"].to_numpy()), expected, atol=1e-6)
    assert json.loads(written.schema.metadata[b"petkit"]) == {"layer": 1, "max_length": 512, "model": str(model)}


def test_json_says_what_was_written(model: Path, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    found = petkit(model, table, "--out", out, "--text-column", "premise", "--pair-column", "hypothesis", "--max-length", "6", "--json")
    facts = json.loads(found.stdout)
    assert found.stderr == ""
    assert facts["out"] == str(out)
    assert (facts["rows"], facts["written"], facts["blank"], facts["cut"], facts["columns"], facts["width"]) == (
        2,
        2,
        1,
        1,
        ["cls", "mean"],
        32,
    )


def test_columns_by_the_flags_of_before(model: Path, table: Path, tmp_path: Path) -> None:
    written = []
    for flags in (("--text-column", "premise", "--pair-column", "hypothesis"), ("--column", "text=premise", "--pair=hypothesis")):
        petkit(model, table, "--out", tmp_path / "out.parquet", "--device", "cpu", *flags)
        written.append(pq.read_table(tmp_path / "out.parquet"))
    assert written[0].equals(written[1])
    assert "--text-column" in petkit(model, table, "--out", tmp_path / "out.parquet", "--column", "txt=premise", code=2).stderr


def test_tokens_from_standard_input(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    petkit(model, "-", "--out", out, "--tokens", input='{"text": "The graph"}\n')
    found = pq.read_table(out)
    assert found["text"].to_pylist() == ["The", "graph"]
    assert found["start"].to_pylist() == [0, 4]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--out", "x.csv"], "--out is 'x.csv'; a name that ends in .parquet is legal"),
        (["--out", "x.parquet", "--tokens", "--pooling", "cls"], "give one of them"),
        (["--out", "x.parquet", "--pooling", "max"], "--pooling is 'max'; legal are cls, mean"),
        (["--out", "x.parquet", "--layer", "9"], "--layer is 9; this model has 0 (the embeddings) to 2"),
        (["--out", "x.parquet", "--token-budget", "0", "--text-column", "premise"], "at least 1 of its tokens"),
        (
            ["--out", "x.parquet"],
            "'premise', 'hypothesis'; say which one holds it with --text-column",
        ),
        (["--out", "x.parquet", "--text-column", "premise", "--pair-column", "hypotheses"], "--pair-column hypothesis"),
        (["--out", "nowhere/x.parquet", "--text-column", "premise"], "nowhere"),
    ],
)
def test_wrong_orders_are_told(model: Path, table: Path, flags: list[str], message: str) -> None:
    found = petkit(model, table, *flags, code=2)
    assert message in found.stderr
    assert found.stdout == ""
    assert not Path("x.parquet").exists()


@pytest.mark.slow
def test_the_example_of_two_senses_prints_what_the_page_says(tmp_path: Path) -> None:
    if not PAGE.is_file():
        pytest.skip("the page is in the checkout")
    page = PAGE.read_text("utf-8").partition("## A word with two senses")[2]
    rows, code, printed = (re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL)[0] for kind in ("json", "python", "text"))
    (tmp_path / "cranes.jsonl").write_text(rows, "utf-8")
    petkit("builtin", tmp_path / "cranes.jsonl", "--id-column", "id", "--tokens", "--out", tmp_path / "cranes.parquet", "--device", "cpu")
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert re.sub(r"\d\.\d\d", "", found) == re.sub(r"\d\.\d\d", "", printed)
    numbers = [np.array(re.findall(r"\d\.\d\d", text), dtype=float) for text in (found, printed)]
    np.testing.assert_allclose(*numbers, atol=0.011)
