#!/usr/bin/env python3
"""Repeats the runs that wrote the datasets of schema version 1, and compares every cell of every version 1 column.

    python old.py SCRATCH

A later version of the schema only adds columns. So the same survey gives the same cells in all columns of version 1.
"""

import pathlib
import sys

from common import OLD, TABLES, attempt, check_cells, finish, of_parts, old_runs, schema, survey


def main(scratch):
    scratch.mkdir(parents=True, exist_ok=True)
    runs = old_runs()
    for run in runs:
        attempt(f"repeating {run}", lambda: survey(run["arguments"], scratch / run["dataset"]) or True)
    for dataset in dict.fromkeys(run["dataset"] for run in runs):
        for table in TABLES:
            declared = schema(table, 1)
            old, new = (of_parts(root / dataset, table, declared["columns"]) for root in (OLD, scratch))
            check_cells(f"{dataset}, {table}", new, old, declared["key"])
    return finish()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve()))
