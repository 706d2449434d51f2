"""Which Markdown files become pages, and their links on the site. The standard library only.

In the repository the documents link each other by relative path, so that a code host shows them as they are. On the site all pages lie side
by side, and other files that they link are copied to files/.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

__all__ = ["lay_out", "linked_from_index", "pages", "well_formed"]

_ELSEWHERE = {
    "README.md": "readme.md",
    "CHANGELOG.md": "changelog.md",
    "LOG.md": "log.md",
    "petkit/builtin/model/README.md": "builtin-model.md",
}
_FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?P<code>`+[^`]*`+)|(?P<before>\]\()(?P<target>[^)\s]+)(?=\))")
_FRONT = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


def pages(root: Path) -> dict[str, str]:
    """Path in the repository -> name on the site."""
    return {**{f"docs/{file.name}": file.name for file in sorted((root / "docs").glob("*.md"))}, **_ELSEWHERE}


def linked_from_index(root: Path) -> list[str]:
    """The pages that docs/index.md links, in its order, by their names on the site."""
    names = pages(root)
    targets = [match["target"] for match in _LINK.finditer((root / "docs" / "index.md").read_text("utf-8")) if match["target"]]
    found = [names.get(_resolved(root, "docs/index.md", target.partition("#")[0])) for target in targets if "://" not in target]
    return [name for name in dict.fromkeys(found) if name and name != "index.md"]


def well_formed(address: str) -> bool:
    """Whether a link that leaves the site has the form of one. Nobody asks whether it leads anywhere.

    >>> well_formed("https://arxiv.org/abs/2001.07676"), well_formed("https:/arxiv.org"), well_formed("https://arxiv")
    (True, False, False)
    """
    parts = urlsplit(address)
    return parts.scheme in ("http", "https") and "." in parts.netloc


def lay_out(root: Path, to: Path) -> list[str]:
    """Write all pages, links changed, to a folder; returns what is wrong with links, one line each."""
    problems: list[str] = []
    for source, name in pages(root).items():
        text = _FRONT.sub("", (root / source).read_text("utf-8"))
        (to / name).write_text(_outside_fences(text, lambda part, source=source: _linked(root, to, source, part, problems)), "utf-8")
    return problems


def _outside_fences(text: str, change: Callable[[str], str]) -> str:
    parts, end = [], 0
    for fence in _FENCE.finditer(text):
        parts += [change(text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, change(text[end:])])


def _linked(root: Path, to: Path, source: str, text: str, problems: list[str]) -> str:
    def place(match: re.Match[str]) -> str:
        if match["code"]:
            return match[0]
        return match["before"] + _target(root, to, source, match["target"], problems)

    return _LINK.sub(place, text)


def _target(root: Path, to: Path, source: str, target: str, problems: list[str]) -> str:
    """A link's target on the site."""
    if "://" in target:
        if not well_formed(target):
            problems.append(f"{source}: {target} is no address")
        return target
    path, sign, anchor = target.partition("#")
    if not path:
        return target
    name = _resolved(root, source, path)
    page = pages(root).get(name)
    if page is not None:
        return page + sign + anchor
    if not (root / name).is_file():
        problems.append(f"{source}: {target} is no page and no file")
        return target
    copy = to / "files" / name
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes((root / name).read_bytes())
    return f"files/{name}"


def _resolved(root: Path, source: str, path: str) -> str:
    """A relative path, seen from the repository's root. One that leaves the repository stays as it is."""
    place = (root / source).parent.joinpath(path).resolve()
    return place.relative_to(root.resolve()).as_posix() if place.is_relative_to(root.resolve()) else path
