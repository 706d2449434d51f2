"""The guards of conftest.py hold."""

from __future__ import annotations

import os
import socket

import pytest


def test_another_machine_cannot_be_reached() -> None:
    with pytest.raises(pytest.fail.Exception, match="reached for the network"):
        socket.create_connection(("192.0.2.1", 80), timeout=0.1)
    with socket.socket() as plain, pytest.raises(pytest.fail.Exception, match="reached for the network"):
        plain.connect_ex(("192.0.2.1", 80))
    with pytest.raises(pytest.fail.Exception, match="reached for the network"):
        socket.getaddrinfo("example.invalid", 80)


def test_this_machine_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), timeout=5) as client:
        accepted, _ = server.accept()
        with accepted:
            client.sendall(b"cloze")
            assert accepted.recv(5) == b"cloze"


def test_tests_run_on_one_thread() -> None:
    import torch

    assert torch.get_num_threads() == 1


def test_the_hub_is_offline() -> None:
    from huggingface_hub import constants

    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert constants.HF_HUB_OFFLINE
