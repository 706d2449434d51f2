"""How a command ends: exit codes and messages. Results go to standard output, everything else to standard error.

0    success
2    the user's mistake: one message, no traceback (wrong usage of the command line included)
1    a failure of petkit's own: the traceback is kept
3    petkit evaluate --against: some cells are worse than they were
130  interrupted
143  ended by SIGTERM, as by a batch system: like an interruption, so that no half-written file is left
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from petkit.errors import UserError

__all__ = ["PROGRAM_FAILED", "REGRESSION", "Commands"]

PROGRAM_FAILED = "This is a failure of petkit, not a mistake of yours. Please report it with the lines above."

REGRESSION = 3

_RESUMING = ("train", "pretrain", "finetune", "demo", "evaluate")


class Terminated(KeyboardInterrupt):
    """SIGTERM: whatever cleans up after Ctrl-C cleans up."""


class Commands(TyperGroup):
    """The group of all commands, which turns what they raise into exit codes."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was chosen."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a label in Chinese on an ASCII terminal is no reason to fail
                stream.reconfigure(errors="backslashreplace")
        _listen_for_sigterm()
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except UserError as error:
            _end(2, f"Error: {error}")
        except KeyboardInterrupt as error:
            resumes = " The same command goes on from what is finished." if ctx.invoked_subcommand in _RESUMING else ""
            code, how = (143, "Ended by SIGTERM.") if isinstance(error, Terminated) else (130, "Interrupted.")
            _end(code, f"{how}{resumes}")
        except BrokenPipeError:  # the reader has seen enough, as in `petkit predict ... | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in ("click", "typer"):
                error.add_note(PROGRAM_FAILED)
            raise
        return result


def _listen_for_sigterm() -> None:
    """Have SIGTERM end the command as Ctrl-C does, unless the program around it has other plans, or torchrun, which may find a process
    waiting for the others and nowhere else."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL and "LOCAL_RANK" not in os.environ:
        with contextlib.suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGTERM, _terminate)


def _terminate(*_: object) -> None:
    raise Terminated


def _end(code: int, message: str) -> NoReturn:
    with contextlib.suppress(BrokenPipeError):
        print(message, file=sys.stderr)
    raise typer.Exit(code) from None
