"""The command line: `main` is what the command `petkit` runs."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line on sys.argv; ends the process with its exit code."""
    from petkit.cli.app import app

    app()
