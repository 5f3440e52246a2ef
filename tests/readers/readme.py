"""The README's own queries and lines of code, so that the checks run what readers are told to run."""

import re

from common import ROOT

# The directory of the README's examples.
EXAMPLE = "nightly/"


def block(heading, language, root):
    """The first code block below a heading, with `root` in place of the example's directory."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"^#+ {re.escape(heading)}\n.*?^```{language}\n(.*?)^```", text, re.S | re.M)
    if found is None:
        raise LookupError(f"the README has no block of {language} below the heading {heading!r}")
    return found.group(1).replace(EXAMPLE, f"{root}/")


def first_queries(root):
    """The SQL of the first examples."""
    return [sql for sql in block("Reading the dataset", "sql", root).split(";\n") if sql.strip()]


def graph_queries(root):
    """The SQL of the examples for the tables of multipath tracing."""
    return [sql for sql in block("Graphs, nodes, links and diamonds", "sql", root).split(";\n") if sql.strip()]


def changed_paths(root):
    """The SQL expression that lists the paths that changed."""
    return block("Which paths changed", "sql", root).strip().removesuffix(";")


def side_by_side(root):
    """The line of code for each reader that reads several schema versions in one directory, by the reader's name."""
    lines = block("Old and new schema versions side by side", "python", root).splitlines()
    return {title.removeprefix("# "): code for title, code in zip(lines[::2], lines[1::2])}
