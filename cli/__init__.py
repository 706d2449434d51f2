"""The command line: `main` is what the command `petkit` runs."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line on sys.argv and end the process: 0 success, 2 the user's mistake, 1 a failure of ours, 130 interrupted."""
    try:
        from petkit.cli.app import app

        app(prog_name="petkit")
    except KeyboardInterrupt:  # while modules are imported; later ones end in petkit.cli.exits
        sys.exit(130)
