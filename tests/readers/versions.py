#!/usr/bin/env python3
"""Reads parts of schema version 1 and of the current version in one directory, with the lines of code in the README.

    python versions.py SCRATCH

The README's section "Old and new schema versions side by side" has a line for DuckDB, polars, pyarrow and Spark. Each runs as it
stands there, over both tables, and must give every cell of every part, with null in the columns that a part lacks. The section also
says what each reader does without options; that is checked as well. Spark runs in this process's machine alone, over loopback.
"""

import os
import shutil
import sys
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from common import OLD, TABLES, attempt, check, check_cells, current_schema, finish, of_arrow, of_duckdb, of_parts, of_polars, schema
from common import survey
from readme import side_by_side

# Readers take the parts in the order of their paths. The parts of a new run are in `vp=id-local`. The folder of version 1 is `vp=local`, which
# comes after it. A vantage point whose name starts with a letter before `i` comes first.
FOLDERS = {"new-first": "vp=local", "old-first": "vp=ams"}
ARGUMENTS = ["--lab", "tests/fixtures/v1/labs/mixed.toml", "198.18.0.0/30", "198.18.1.1", "198.18.2.1"]


def mixed(scratch, name):
    """The two nights of version 1, and a run of the current program into the same directory."""
    root = scratch / name
    shutil.copytree(OLD / "nights", root)
    for folder in root.glob("*/*/vp=local"):
        folder.rename(folder.with_name(FOLDERS[name]))
    survey([*ARGUMENTS, "-e", "31"], root)
    parts = sorted(root.glob("traces/**/*.parquet"))
    versions = [pq.read_metadata(part).metadata[b"pathsurvey.schema_version"] for part in parts]
    new = current_schema("traces")["version"]
    expected = {"new-first": [new, 1, 1], "old-first": [1, 1, new]}[name]
    check(f"{name}: versions of the parts", [int(version) for version in versions], expected)
    return root


def start_spark():
    """Spark without a network: one process, bound to loopback, without its web pages."""
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    from pyspark.sql import SparkSession

    options = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "1",
        "spark.log.level": "ERROR",
        # A few hundred rows are not worth compiling for.
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
        "spark.sql.codegen.wholeStage": "false",
    }
    builder = SparkSession.builder.master("local[2]")
    for option, value in options.items():
        builder = builder.config(option, value)
    return builder.getOrCreate()


def of_any(result, columns):
    """The cells of what a line of the README returns."""
    if isinstance(result, duckdb.DuckDBPyRelation):
        result.create_view("result")
        return of_duckdb(duckdb, "result", columns)
    if isinstance(result, pl.LazyFrame):
        return of_polars(result.collect(), columns)
    return of_arrow(result if isinstance(result, pa.Table) else result.toArrow(), columns)


def check_lines(root, spark):
    """The README's lines over both tables."""
    lines = side_by_side(root)
    check("the README has a line for each reader", list(lines), ["DuckDB", "polars", "pyarrow", "Spark"])
    names = {"duckdb": duckdb, "pl": pl, "pa": pa, "pq": pq, "Path": Path, "spark": spark}
    for table in TABLES:
        declared = current_schema(table)
        expected = of_parts(root, table, declared["columns"])
        for reader, line in lines.items():
            about = f"{root.name}, {table}, {reader}"
            result = attempt(about, lambda: eval(line.replace("/traces", f"/{table}"), names))
            cells = attempt(about, lambda: of_any(result, declared["columns"]))
            if cells is not None:
                check_cells(about, cells, expected, declared["key"])


def fails(action):
    """Whether an action raises an error."""
    try:
        action()
        return False
    except Exception:
        return True


def check_plain(root, spark, old_first):
    """What the readers do without options, as the README states it."""
    for table in TABLES:
        key = schema(table, 1)["key"]
        old = schema(table, 1)["columns"]
        first = old if old_first else current_schema(table)["columns"]
        parts = f"{root}/{table}/**/*.parquet"
        about = f"{root.name}, {table}, DuckDB without options"
        check_cells(about, of_duckdb(duckdb.connect(), f"'{parts}'", old), of_parts(root, table, old), key)
        everything = lambda: duckdb.connect().execute(f"create table t as from '{parts}'")
        check(f"{about}: all columns are refused if a new part comes first", fails(everything), not old_first)
        with_polars = lambda: pl.scan_parquet(root / table).collect()
        check(f"{root.name}, {table}: polars needs more than its defaults", fails(with_polars), True)
        found = pl.scan_parquet(root / table, missing_columns="insert", extra_columns="ignore").collect()
        about = f"{root.name}, {table}, polars with the columns of the first part"
        check_cells(about, of_polars(found, first), of_parts(root, table, first), key)
        found = pq.read_table(root / table)
        names = [column["name"] for column in first]
        check(f"{root.name}, {table}: pyarrow takes the columns of the first part", found.column_names[: len(names)], names)
        check_cells(f"{root.name}, {table}, pyarrow without options", of_arrow(found, first), of_parts(root, table, first), key)
        found = spark.read.parquet(f"{root}/{table}").toArrow()
        about = f"{root.name}, {table}, Spark without options"
        check_cells(about, of_arrow(found, old), of_parts(root, table, old), key)


def main(scratch):
    scratch.mkdir(parents=True, exist_ok=True)
    spark = start_spark()
    for name in FOLDERS:
        root = mixed(scratch, name)
        check_lines(root, spark)
        check_plain(root, spark, name == "old-first")
    spark.stop()
    return finish()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]).resolve()))
