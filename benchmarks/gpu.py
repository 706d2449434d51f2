"""What a GPU makes of it: the demo, labelling, a member's step, pretraining. Seconds by the clock, everything that is queued waited for.

    python -m benchmarks.gpu [--device cuda] [--size 12x768] [--rows 4000] [--rounds 3] [--no-demo]

Labelling and steps on random BERTs of that size, float32 and bf16, beside the naive way (padded to 256, logits everywhere, one row of a
label at a time) in bf16; medians of the rounds. ``--device cpu --size 2x64 --rows 200 --steps 3`` tries the command itself.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from benchmarks import naive
from benchmarks.material import Material, bert, gather
from petkit.backbones import MaskedLM
from petkit.builtin.demo import run_demo
from petkit.compute import accelerator, autocast_dtype, default_token_budget
from petkit.members import MemberData, train_member
from petkit.objectives import Vocabulary
from petkit.pretraining import PretrainSettings, measured, run_pretraining
from petkit.scoring import plan, score_encoded
from petkit.settings import MemberSettings
from petkit.training import autocast

PRECISIONS = ("float32", "bfloat16")
NAIVE_ROWS, LABELLED, UNLABELLED = 256, 4, 12


def wait(device: str) -> None:
    """For all that is queued."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def per_second(work: Callable[[], object], amount: float, device: str, rounds: int) -> float:
    """Median units per second, after one round to warm up."""
    times = []
    for _ in range(rounds + 1):
        wait(device)
        start = time.perf_counter()
        work()
        wait(device)
        times.append(time.perf_counter() - start)
    return amount / statistics.median(times[1:])


def labelling(material: Material, model: MaskedLM, device: str, rounds: int) -> Iterator[tuple[str, float]]:
    """Texts per second from token ids to scores, one pattern."""
    encoder = material.encoder()
    scoring = plan(encoder, material.pvp, material.rows)
    encoded = encoder.clozes(material.rows, material.pvp.pattern, filler=material.pvp.verbalizer.words[0][0])
    for precision in PRECISIONS:
        budget, dtype = default_token_budget(device), autocast_dtype(precision)
        ours = partial(score_encoded, model, encoded, scoring, pad_id=encoder.pad_id, token_budget=budget, autocast=dtype)
        yield f"labelling, ours, {precision}: texts/s", per_second(ours, len(encoded), device, rounds)
    features = naive.encode(material.tokenizer, material.rows.select(range(min(NAIVE_ROWS, len(material.rows)))), material.pvp)
    there, words = naive.Features(*(column.to(device) for column in vars(features).values())), material.word_ids()

    def classic() -> None:
        with autocast(torch.device(device), "bfloat16"):
            naive.evaluate(model.model, there, words)

    yield "labelling, naive, bfloat16: texts/s", per_second(classic, len(features), device, rounds)


def training(material: Material, model: MaskedLM, device: str, rounds: int, updates: int) -> Iterator[tuple[str, float]]:
    """Updates of 4 labelled and 12 unlabelled rows per second."""
    rows, vocabulary = material.rows, Vocabulary.of(material.tokenizer)
    data = MemberData.of(material.encoder(), material.pvp, rows.select(range(100)), rows.select(range(100, len(rows))))
    settings = MemberSettings(steps=updates, batch=LABELLED, accumulate=1, unlabeled_batch=UNLABELLED)
    for precision in PRECISIONS:
        ours = partial(train_member, model, data, settings, vocabulary, seed=0, precision=precision)
        yield f"training, ours, {precision}: updates/s", per_second(ours, updates, device, rounds)


def pretraining(size: tuple[int, int], device: str, folder: Path, steps: int) -> Iterator[tuple[str, float]]:
    """Tokens per second of masked language modelling on builtin text, 64 rows of 128."""
    for precision in PRECISIONS:
        settings = PretrainSettings(
            steps=steps, layers=size[0], hidden=size[1], rows=64, tokenizer="builtin", precision=precision, device=device
        )
        run_pretraining(["builtin:docs"], settings, str(folder / precision), cache=str(folder / "tokens"))
        yield f"pretraining, {precision}: tokens/s", measured(folder / precision)["tokens_per_second"]


def main() -> None:
    """Measure and print, a line when it is known, then all of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", default="12x768", type=lambda text: tuple(map(int, text.split("x"))), help="layers x hidden")
    parser.add_argument("--rows", type=int, default=4000, help="texts to label; more than 100")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100, help="updates of a member and of pretraining")
    parser.add_argument("--no-demo", action="store_true")
    options = parser.parse_args()
    device, found = options.device, {}

    def tell(name: str, value: float) -> None:
        found[name] = value
        print(f"{name} {value:.1f}", flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not options.no_demo:
            start = time.perf_counter()
            scores = run_demo(folder / "demo", device=device).report["scores"]
            tell("demo: seconds", time.perf_counter() - start)
            tell("demo: classifier's accuracy, %", 100 * scores["classifier"]["accuracy"])
        material, model = gather(folder, rows=options.rows), bert(*options.size).to(torch.device(device))
        for each in labelling(material, model, device, options.rounds):
            tell(*each)
        for each in training(material, model, device, options.rounds, options.steps):
            tell(*each)
        del model
        for each in pretraining(options.size, device, folder, options.steps):
            tell(*each)
    print(json.dumps({"torch": torch.__version__, **accelerator(device), **found}))


if __name__ == "__main__":
    main()
