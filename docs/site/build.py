"""Builds the pages: `python docs/site/build.py` writes build/docs/index.html. Warnings are errors; nothing asks the network."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pages
import reference
from sphinx.cmd.build import build_main

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE = ROOT / "build" / "docs-source"
SITE = ROOT / "build" / "docs"
PROJECT = ("readme", "changelog", "log", "builtin-model")


def toctree(caption: str, names: list[str]) -> str:
    """A part of the navigation, in Markdown for MyST."""
    return "\n".join(["", f"```{{toctree}}\n:hidden:\n:caption: {caption}", *names, "```", ""])


def write_sources() -> list[str]:
    """Lay out all pages in SOURCE; returns what is wrong."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    SOURCE.mkdir(parents=True)
    problems = pages.lay_out(ROOT, SOURCE)
    linked = [name.removesuffix(".md") for name in pages.linked_from_index(ROOT)]
    documents = [name for name in linked if name not in PROJECT]
    missing = {name.removesuffix(".md") for name in pages.pages(ROOT).values()} - {"index", *documents, *PROJECT}
    problems += [f"docs/index.md: no link to docs/{name}.md" for name in sorted(missing)]
    generated = ["reference-commands"]
    (SOURCE / "reference-commands.md").write_text(reference.command_page(), "utf-8")
    for module in reference.MODULES:
        generated.append(f"reference-{module.replace('.', '-')}")
        (SOURCE / f"{generated[-1]}.rst").write_text(reference.module_page(module), "utf-8")
    with (SOURCE / "index.md").open("a", encoding="utf-8") as index:
        index.write("\nReference: [commands](reference-commands.md), [Python](reference-petkit.rst).\n")
        index.write(
            toctree("Documents", documents) + toctree("Reference", generated) + toctree("Project", ["Overview <readme>", *PROJECT[1:]])
        )
    return problems


def main() -> int:
    """Exit code: 0, or 1 if a link, an anchor or anything else on the pages is wrong."""
    problems = write_sources()
    print(*problems, sep="\n", end="\n" if problems else "", file=sys.stderr)
    shutil.rmtree(SITE, ignore_errors=True)
    flags = ["--quiet", "--fail-on-warning", "--fresh-env", "--builder", "html", "--conf-dir", str(Path(__file__).parent)]
    failed = build_main([*flags, "--doctree-dir", str(ROOT / "build" / "docs-trees"), str(SOURCE), str(SITE)])
    if problems or failed:
        return 1
    print(f"Pages: {(SITE / 'index.html').relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
