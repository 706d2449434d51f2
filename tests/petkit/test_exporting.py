"""ONNX beside torch on the run's own rows, and in a process that knows nothing of petkit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from petkit.errors import RunError, SettingsError
from petkit.exporting import Exported, export_onnx, real_rows
from petkit.predicting import Classifier
from petkit.rowfiles import save_rows
from petkit.rows import Rows
from tests.builders import sentences
from tests.tiny_runs import PAIRS, tiny_classifier

pytest.importorskip("onnxscript", reason="the extra onnx is not installed")

TEXTS = sentences()[:9]
PLAIN = """
import json, sys
import numpy, onnxruntime
from transformers import AutoTokenizer
folder, texts = sys.argv[1], json.loads(sys.argv[2])
words = AutoTokenizer.from_pretrained(folder)
session = onnxruntime.InferenceSession(folder + "/model.onnx", providers=["CPUExecutionProvider"])
names = [entry.name for entry in session.get_inputs()]
given = words(texts, padding=True, truncation=True, return_tensors="np")
logits = session.run(["logits"], {name: given[name].astype("int64") for name in names})[0]
names = json.load(open(folder + "/config.json"))["id2label"]
print(json.dumps([names[str(best)] for best in logits.argmax(1)]), json.dumps(logits.tolist()), sep="\\n")
assert not [name for name in sys.modules if name.split(".")[0] in ("petkit", "torch")] or "torch" in sys.modules
assert "petkit" not in sys.modules
"""


def run_folder(root: Path, part: str = "test", *, labels: tuple[int, ...] = ()) -> Path:
    tiny_classifier(root / "classifier")
    (root / "stages" / "rows").mkdir(parents=True)
    save_rows(root / "stages" / "rows" / f"{part}.parquet", Rows(tuple(map(str, range(len(TEXTS)))), {"text": TEXTS}, labels))
    return root


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    root = run_folder(tmp_path_factory.mktemp("run"), labels=(0, 1, 2) * 3)
    return export_onnx(root, root / "onnx", int8=True)


@pytest.mark.slow
def test_it_gives_what_the_original_gives(exported: Exported) -> None:
    original, onnx, int8 = exported.forms
    assert (exported.rows, exported.compared, onnx.file, int8.file) == ("test", 9, "model.onnx", "model.int8.onnx")
    assert (original.difference, original.agreement, onnx.agreement) == (0.0, 1.0, 1.0)
    assert onnx.difference < 1e-5
    assert 1e-5 < int8.difference < 0.2, "eight bits cost something, and not everything"
    known = np.array((0, 1, 2) * 3)
    found = Classifier.load(exported.path.parent, device="cpu").predict_proba(list(TEXTS)).argmax(axis=1)
    assert original.accuracy == onnx.accuracy == pytest.approx((found == known).mean())
    assert int8.bytes < 0.5 * onnx.bytes
    assert onnx.bytes == (exported.path / "model.onnx").stat().st_size
    assert json.loads((exported.path / "export.json").read_bytes()) == exported.as_dict()
    assert not list(exported.path.glob("*.safetensors"))


@pytest.mark.slow
def test_plain_onnxruntime_and_tokenizer_open_it(exported: Exported) -> None:
    """In another process, which imports no petkit; all texts in one padded batch."""
    command = [sys.executable, "-c", PLAIN, str(exported.path), json.dumps(list(TEXTS))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=exported.path)
    assert done.returncode == 0, done.stderr
    labels, logits = map(json.loads, done.stdout.strip().splitlines()[-2:])
    classifier = Classifier.load(exported.path.parent, device="cpu")
    assert labels == classifier.predict(list(TEXTS))
    from scipy.special import softmax

    np.testing.assert_allclose(softmax(logits, axis=1), classifier.predict_proba(list(TEXTS)), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["roberta", "distilbert", "albert", "deberta-v2", "electra", "modernbert"])
def test_other_families(family: str, tmp_path: Path) -> None:
    tiny_classifier(tmp_path / "c", PAIRS, family=family)
    found = export_onnx(tmp_path / "c", tmp_path / "onnx").forms
    assert found[1].difference < 1e-5


def test_rows_are_the_runs_own(tmp_path: Path) -> None:
    root = run_folder(tmp_path / "run", "pool")
    classifier = Classifier.load(root, device="cpu")
    assert [name for name, _ in (real_rows(root, classifier), real_rows(root / "classifier", classifier))] == ["pool", "pool"]
    alone = tiny_classifier(tmp_path / "alone")
    which, rows = real_rows(alone, classifier)
    assert (which, len(rows), rows.labels) == ("examples", 3, ())
    save_rows(root / "stages" / "rows" / "test.parquet", Rows((), {"text": ()}))
    assert real_rows(root, classifier)[0] == "pool"


def test_what_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(SettingsError, match="there already and not empty"):
        export_onnx(tmp_path, tmp_path / "full")
    with pytest.raises(RunError, match="no such folder"):
        export_onnx(tmp_path / "none", tmp_path / "onnx")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnxruntime" else object())
    with pytest.raises(SettingsError, match=r"--onnx needs onnxruntime, which the extra onnx brings: pip install 'petkit\[onnx\]'"):
        export_onnx(tmp_path, tmp_path / "onnx")
