"""The server and the plain ONNX program of docs/export-and-serve.md, as they stand there."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from petkit.predicting import Classifier
from tests.builders import sentences
from tests.tiny_runs import tiny_classifier

PAGE = Path(__file__).parents[1] / "docs" / "export-and-serve.md"
TEXTS = [" ".join(text.split()[:12]) for text in sentences()[:5]]  # none so long that it would be cut


def program(name: str) -> str:
    return re.findall(rf"^```python {name}\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)[0]


def ask(app: Any, body: bytes) -> tuple[int, Any]:
    """One POST, spoken to the application as a server does (ASGI), without a socket."""
    sent: list[dict[str, Any]] = []
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/predict",
        "headers": [],
        "query_string": b"",
        "http_version": "1.1",
        "scheme": "http",
    }
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent[1:]))


def test_the_server_answers_what_the_classifier_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("starlette", reason="starlette is not installed")
    classifier = Classifier.load(tiny_classifier(tmp_path), device="cpu")
    monkeypatch.setenv("CLASSIFIER", str(tmp_path))
    found: dict[str, Any] = {}
    exec(compile(program("serve"), str(PAGE), "exec", dont_inherit=True), found)
    status, answer = ask(found["app"], json.dumps({"texts": TEXTS}).encode())
    assert status == 200
    assert [one[0]["label"] for one in answer] == classifier.predict(TEXTS)
    expected = classifier.predict_proba(TEXTS).max(axis=1)
    assert [one[0]["score"] for one in answer] == pytest.approx(expected.tolist(), abs=1e-5)
    for wrong in ({}, {"texts": "one"}, {"texts": []}, {"texts": [1]}, {"texts": ["x"] * 65}, [], ["texts"], "texts", 1, None):
        assert ask(found["app"], json.dumps(wrong).encode())[0] == 422
    for body in (b"", b"no JSON", b'{"texts": ["cut', b"\xff\xfe"):
        assert ask(found["app"], body)[0] == 422


@pytest.mark.slow
def test_onnx_without_petkit_and_torch(tmp_path: Path) -> None:
    """In a process of its own, which imports neither."""
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    import subprocess
    import sys

    from petkit.exporting import export_onnx

    tiny_classifier(tmp_path / "run" / "classifier")
    export_onnx(tmp_path / "run", tmp_path / "run" / "onnx")
    code = program("onnx") + "\nimport sys\nassert not {'petkit', 'torch', 'transformers'} & set(sys.modules)\n"
    code += f"print(json.dumps(classify({TEXTS!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == Classifier.load(tmp_path / "run", device="cpu").predict(TEXTS)
