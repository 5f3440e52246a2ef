#!/usr/bin/env python3
"""Reads datasets of vantage points whose names look like numbers, dates, nothing, or paths.

    python partitions.py SCRATCH

The name of a vantage point is in the column `vantage`, and behind `vp=id-` in the folder of its parts. Readers guess the type of what
stands in a folder's name, so a name could come back as a number, a date or null, or keep a reader from opening the dataset at all.

Surveys with such names go into one directory each, and all together into one more. Each of these directories is read with DuckDB,
polars, pandas, pyarrow, Spark, chdb and deltalake, each called the plainest way. The column `vantage` must be as written in every row.
The directory of all of them is also put beside parts of an earlier version, whose folders are named `vp=` and the bare name.
"""

import json
import pathlib
import shutil
import subprocess
import sys

import deltalake
import duckdb
import pandas
import polars
import pyarrow
import pyarrow.dataset
import pyarrow.parquet as pq

from common import OLD, TABLES, attempt, check, finish, survey
from versions import start_spark

# Each of these was taken for something else by one reader or more, or cannot stand in a path as it is.
NAMES = [
    "007",
    "null",
    "2026-01-01",
    "a b/c",
    "ü",
    "1e5",
    "true",
    "NaN",
    "None",
    " ",
    ".",
    "-",
    "%41",
    "100%",
    "a=b",
    "[x]*?{a,b}",
    "'q\"",
    "__HIVE_DEFAULT_PARTITION__",
    "fra-1",
]

# The program that runs chdb. It is a process of its own because chdb keeps threads until its process ends.
CHDB = """
import json, sys
import chdb
glob = sys.argv[1]
rows = chdb.query(f"select vantage, count(*) as n from file('{glob}', Parquet) group by 1", "JSONCompact")
print(json.dumps(json.loads(bytes(rows.bytes()))["data"]))
"""


def counts(names):
    """How many rows each name has."""
    found = {}
    for name in names:
        found[name] = found.get(name, 0) + 1
    return found


def with_chdb(folder):
    run = [sys.executable, "-c", CHDB, f"{folder}/**/*.parquet"]
    rows = json.loads(subprocess.run(run, check=True, stdout=subprocess.PIPE, timeout=120).stdout)
    return {name: int(count) for name, count in rows}


def with_deltalake(folder, scratch):
    """A Delta table of what pyarrow read. `convert_to_deltalake` does not find folders with encoded characters in their names."""
    shutil.rmtree(scratch, ignore_errors=True)
    deltalake.write_deltalake(scratch, pq.read_table(folder))
    return deltalake.DeltaTable(scratch).to_pyarrow_table()


def readers(folder, spark, scratch):
    """Every reader, by name, and the rows of each vantage point as it reads them."""
    glob = f"{folder}/**/*.parquet"
    column = lambda table: counts(table.column("vantage").to_pylist())
    series = lambda frame: counts(frame["vantage"].to_list())
    all_of = lambda sql: duckdb.connect().execute(sql).fetchall()
    return {
        "DuckDB": lambda: dict(all_of(f"select vantage, count(*) from '{glob}' group by 1")),
        "polars": lambda: series(polars.scan_parquet(folder).collect()),
        "polars, with a glob": lambda: series(polars.scan_parquet(glob, hive_partitioning=True).collect()),
        "pandas": lambda: series(pandas.read_parquet(folder)),
        "pyarrow": lambda: column(pq.read_table(folder)),
        "pyarrow.dataset": lambda: column(pyarrow.dataset.dataset(folder, partitioning="hive").to_table()),
        "Spark": lambda: column(spark.read.parquet(str(folder)).toArrow()),
        "chdb": lambda: with_chdb(folder),
        "deltalake": lambda: column(with_deltalake(folder, scratch / "delta")),
    }


def written(root, table):
    """The rows of each vantage point, from the parts alone: no reader looks at the folders' names."""
    parts = sorted((root / table).rglob("*.parquet"))
    return counts(name for part in parts for name in pq.ParquetFile(part).read(["vantage"])["vantage"].to_pylist())


def check_root(root, names, spark, scratch, tables=TABLES):
    for table in tables:
        expected = written(root, table)
        check(f"{root.name}, {table}: the parts hold the names", sorted(expected), sorted(names))
        for reader, read in readers(root / table, spark, scratch).items():
            about = f"{root.name}, {table}, {reader}"
            if (found := attempt(about, read)) is not None:
                check(about, found, expected)
        others = [path for path in (root / table).rglob("*") if path.is_file() and path.suffix != ".parquet"]
        check(f"{root.name}, {table}: nothing but Parquet", others, [])


def check_folders(root, names):
    """The folders as DuckDB and polars read them: always a text, the name behind `id-`."""
    expected = sorted(f"id-{name}" for name in names)
    found = duckdb.connect().execute(f"select distinct vp, typeof(vp) from '{root}/hops/**/*.parquet'").fetchall()
    check(f"{root.name}: vp in DuckDB", sorted(found), [(name, "VARCHAR") for name in expected])
    found = polars.scan_parquet(root / "hops").collect()["vp"]
    check(f"{root.name}: vp in polars", sorted(found.unique().to_list()), expected)


def check_beside(root, spark):
    """Parts of version 1 beside new ones, of the same vantage point: one name in `vantage`, two in `vp`."""
    survey(["--lab", "tests/fixtures/v1/labs/mixed.toml", "198.18.0.0/30", "--vantage", "local", "-e", "31"], root)
    expected = written(root, "hops")
    check("beside: one vantage point", sorted(expected), ["local"])
    hops = f"read_parquet('{root}/hops/**/*.parquet', union_by_name = true)"
    rows = lambda column: duckdb.connect().execute(f"select {column}, count(*) from {hops} group by 1").fetchall()
    check("beside: vantage in DuckDB", dict(rows("vantage")), expected)
    check("beside: vp in DuckDB", sorted(name for name, _ in rows("vp")), ["id-local", "local"])
    for reader in ("pandas", "pyarrow", "Spark", "chdb", "deltalake"):
        found = attempt(f"beside, {reader}", readers(root / "hops", spark, root)[reader])
        check(f"beside: vantage in {reader}", found, expected)


def main(scratch):
    scratch.mkdir(parents=True, exist_ok=True)
    spark = start_spark()
    together = scratch / "together"
    for number, name in enumerate(NAMES):
        arguments = ["--lab", f"198.18.0.{number + 1}", "--vantage", name, "-e", str(number)]
        alone = scratch / f"alone-{number}"
        attempt(f"survey of {name!r}", lambda: survey(arguments, alone) or True)
        attempt(f"survey of {name!r} with the others", lambda: survey(arguments, together) or True)
        check_root(alone, [name], spark, scratch, tables=("hops",))
        check_folders(alone, [name])
    check_root(together, NAMES, spark, scratch)
    check_folders(together, NAMES)
    beside = scratch / "beside"
    shutil.copytree(OLD / "nights", beside)
    attempt("beside parts of version 1", lambda: check_beside(beside, spark) or True)
    spark.stop()
    return finish()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve()))
