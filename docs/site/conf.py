"""Settings of Sphinx for the pages of petkit. Run `make docs`: docs/site/build.py lays the sources out first.

Sphinx, because one kept tool takes Markdown, makes the reference from docstrings, checks links and anchors and ends with an error on
a warning; furo, because its pages work without a network, in light and dark, on a narrow screen and without JavaScript.
"""

from __future__ import annotations

import re
from importlib.metadata import version as version_of
from typing import Any

project = "petkit"
author = "petkit"
release = version = version_of("petkit")
html_static_path = ["style.css"]
html_css_files = ["style.css"]
html_title = f"petkit {release}"
html_theme = "furo"
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
myst_heading_anchors = 4
suppress_warnings = [
    "misc.highlighting_failure",  # shortened outputs are no valid JSON, and need not be
    "ref.python",  # attributes called alike in two classes: an argument of that name could link to either
]
default_role = "literal"  # docstrings write `--flag`
language = "en"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
add_module_names = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100

_SECTIONS = ("Args:", "Attributes:", "Raises:", "Returns:", "Yields:", "Example:", "Examples:", "Note:")
_NEXT_ARGUMENT = re.compile(r"(?<=[.)]) (?=[a-z_]\w*(?:, [a-z_]\w*)*: )")


def pictures_as_they_stand(lines: list[str]) -> list[str]:
    """Docstring lines with each indented block that follows a blank line marked as literal: trees and tables drawn in text."""
    found: list[str] = []
    above = ""  # the last line that was not blank
    for line in lines:
        begins = line.startswith("    ") and bool(found) and not found[-1].strip()
        if begins and not above.startswith("    ") and above.strip() not in _SECTIONS:
            found += ["::", ""]
        found.append(line)
        above = line if line.strip() else above
    return found


def one_argument_a_line(lines: list[str]) -> list[str]:
    """Docstring lines with `a: what it is. b: what that is.` under Args: or Attributes: broken into one line each."""
    found: list[str] = []
    section = ""
    for line in lines:
        section = line.strip() if line and not line.startswith(" ") else section
        if section in ("Args:", "Attributes:") and re.match(r"    \w", line):
            found += ["    " + part for part in _NEXT_ARGUMENT.split(line.strip())]
        else:
            found.append(line)
    return found


def _before_napoleon(*given: Any) -> None:
    lines = given[-1]
    lines[:] = one_argument_a_line(pictures_as_they_stand(lines))


def _generated_by_sklearn(*given: Any) -> bool | None:
    """Leave out methods such as set_fit_request: scikit-learn makes them, and their words link into its own pages."""
    return True if re.fullmatch(r"set_\w+_request", given[2]) else None


def setup(app: Any) -> None:
    """Sphinx calls this."""
    app.connect("autodoc-skip-member", _generated_by_sklearn)
    app.connect("autodoc-process-docstring", _before_napoleon, priority=100)
