"""The command line: `main` is what the command `petkit` runs."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line on sys.argv and end the process; ``petkit.cli.exits`` says with which codes."""
    try:
        from petkit.cli.app import app

        app(prog_name="petkit")
    except KeyboardInterrupt:  # while modules are imported; later ones end in petkit.cli.exits
        sys.exit(130)
