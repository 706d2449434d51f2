"""A GPU that is pretended, so that tests of the GPU run where there is none.

    make pretended-gpu                             tests/petkit/test_gpu.py; ARGS="tests/petkit/finetuning" runs other tests
    python -m pytest -p tests.pretended_gpu.plugin tests/petkit/test_gpu.py

``gpu.cpp`` gives torch's CPU build a device "cuda" whose memory and kernels are the CPU's. It refuses operands on different devices and
knows when the host would wait for the device, in this process and in all that it starts. Speed, memory, numbers, streams and races of
a real GPU cannot be seen on it. Needs a C++ compiler and the headers that torch brings; written for torch 2.13.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

__all__ = ["build", "pretend"]

_HERE: Final = Path(__file__).resolve().parent
_CHECKOUT: Final = _HERE.parent.parent
_NAME: Final = "pretended GPU"


def build() -> Path:
    """The library made of ``gpu.cpp`` for the torch that is installed, in build/; made when it is not there yet.

    Raises subprocess.CalledProcessError if it cannot be compiled, FileNotFoundError without a compiler.
    """
    source, torch = _HERE / "gpu.cpp", _torch()
    made_of = source.read_bytes() + importlib.metadata.version("torch").encode()
    library = _CHECKOUT / "build" / "pretended_gpu" / f"{hashlib.sha256(made_of).hexdigest()[:16]}.so"
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        part = library.with_suffix(f".{os.getpid()}")
        include, lib = torch / "include", torch / "lib"
        headers = [f"-isystem{include}", f"-isystem{include / 'torch' / 'csrc' / 'api' / 'include'}"]
        command = [os.environ.get("CXX", "c++"), "-std=c++20", "-O1", "-fPIC", "-shared", *headers, str(source), "-o", str(part)]
        subprocess.run([*command, f"-L{lib}", "-lc10", "-ltorch_cpu", f"-Wl,-rpath,{lib}"], check=True)
        part.replace(library)
    return library


def pretend() -> None:
    """Give torch the device, in this process, which must not have imported torch, and in those that it starts."""
    if "torch" in sys.modules:
        raise RuntimeError("torch is imported already, and has looked for a GPU")
    loaded = ctypes.CDLL(str(build()), ctypes.RTLD_GLOBAL)
    _patch(loaded)
    everywhere = [str(_HERE / "everywhere"), str(_CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(os.pathsep.join(everywhere).split(os.pathsep)))


def _torch() -> Path:
    """Where torch is installed, without importing it."""
    found = importlib.util.find_spec("torch")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


def _patch(loaded: ctypes.CDLL) -> None:
    """What ``torch.cuda`` asks of parts that a build without CUDA lacks."""
    import torch

    if torch.version.cuda or torch.version.hip:
        raise RuntimeError("this torch is built for real GPUs; a pretended one is for builds without")
    loaded.pretended_gpu_refuse_waiting.argtypes = [ctypes.c_bool]
    properties = SimpleNamespace(name=_NAME, major=9, minor=0, total_memory=80 << 30)
    answers: dict[str, Any] = {
        "is_available": True,
        "is_initialized": True,
        "is_bf16_supported": True,
        "device_count": 1,
        "current_device": 0,
        "get_device_name": _NAME,
        "get_device_capability": (9, 0),
        "get_device_properties": properties,
        "max_memory_allocated": 1,
        "_exchange_device": 0,
        "_maybe_exchange_device": 0,
        **dict.fromkeys(("_lazy_init", "set_device", "synchronize", "empty_cache", "reset_peak_memory_stats")),
        **dict.fromkeys(("manual_seed", "manual_seed_all", "set_rng_state")),  # the CPU's generator is the only one
    }
    for name, answer in answers.items():
        setattr(torch.cuda, name, lambda *_, _answer=answer, **__: _answer)
    torch.cuda.get_rng_state = lambda *_: torch.random.get_rng_state()  # type: ignore[assignment]
    torch.cuda.set_sync_debug_mode = lambda mode: loaded.pretended_gpu_refuse_waiting(mode in ("error", 2))
    torch.Tensor.pin_memory = lambda self, *_: self  # type: ignore[assignment]
