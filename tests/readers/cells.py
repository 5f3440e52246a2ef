#!/usr/bin/env python3
"""Compares what DuckDB, polars and pyarrow read from every format, cell by cell.

    python cells.py SCRATCH

Runs the same surveys into a Parquet directory, and into a Parquet, CSV, JSON Lines and Arrow file. In virtual time, a seed gives
the same rows every time. Reads all columns of each output with each of the three readers. The reference is the directory as pyarrow
reads it, part by part. The columns and their types come from `pathsurvey schema`. Single files hold only `hops`.
"""

import json
import pathlib
import sys

import duckdb
import polars
import pyarrow
import pyarrow.csv
import pyarrow.dataset
import pyarrow.feather
import pyarrow.json

from common import (
    GRAPH_TABLES,
    TABLES,
    arrow_type,
    attempt,
    check,
    check_cells,
    current_schema,
    duckdb_type,
    finish,
    listed_tables,
    of_arrow,
    of_duckdb,
    of_parts,
    of_polars,
    old_runs,
    polars_type,
    schema,
    survey,
)

# More rows than one batch of the writer.
LARGE = {"dataset": "large", "arguments": ["--lab", "198.18.0.0/18", "-e", "1", "--flows", "2"]}

# Columns that no survey in virtual time fills: all probes are sent, nothing is inferred, and there are no shards or cycles.
NEVER_FILLED = {"hops": {"reason", "inferred_from"}, "traces": {"shard", "cycle"}, "graphs": {"shard", "cycle"}}


# What stands for a value in a text format: times and bytes are text, and in CSV lists are JSON.
def text_type(column, nested_is_text):
    kind = column["type"]
    return kind in ("binary", "timestamp_us_utc") or (nested_is_text and kind in ("list", "map"))


def as_text(column, nested_is_text):
    """The column as a text format declares it."""
    return {**column, "type": "text"} if text_type(column, nested_is_text) else column


def of_text(cells, columns, nested_is_text):
    """The values that the texts stand for."""
    for column in columns:
        if not text_type(column, nested_is_text):
            continue
        values = cells[column["name"]]
        read = {"binary": bytes.fromhex, "timestamp_us_utc": microseconds}.get(column["type"], json.loads)
        cells[column["name"]] = [None if cell is None else read(cell) for cell in values]
    return cells


def microseconds(text):
    """RFC 3339 in UTC as microseconds since 1970."""
    moment = polars.Series([text]).str.to_datetime("%Y-%m-%dT%H:%M:%S%.6fZ", time_unit="us")
    return moment.dt.timestamp("us")[0]


def read_directory(root, table, columns):
    """Every reader over a whole directory, as users call it."""
    glob = f"{root}/{table}/**/*.parquet"
    yield "DuckDB", lambda: of_duckdb(duckdb.connect(), f"'{glob}'", columns)
    yield "polars", lambda: of_polars(polars.scan_parquet(root / table).collect(), columns)
    yield "pyarrow", lambda: of_arrow(pyarrow.dataset.dataset(root / table, partitioning="hive").to_table(), columns)


def read_parquet(path, columns):
    yield "DuckDB", lambda: of_duckdb(duckdb.connect(), f"'{path}'", columns)
    yield "polars", lambda: of_polars(polars.read_parquet(path), columns)
    yield "pyarrow", lambda: of_arrow(pyarrow.parquet.read_table(path), columns)


def read_arrow(path, columns):
    def with_duckdb():
        connection = duckdb.connect()
        connection.register("hops", pyarrow.feather.read_table(path))
        return of_duckdb(connection, "hops", columns)

    yield "DuckDB", with_duckdb
    yield "polars", lambda: of_polars(polars.read_ipc(path), columns)
    yield "pyarrow", lambda: of_arrow(pyarrow.feather.read_table(path), columns)


def read_csv(path, columns):
    texts = [as_text(column, True) for column in columns]

    def with_duckdb():
        types = {column["name"]: duckdb_type(column) for column in texts}
        return of_duckdb(duckdb.connect(), f"read_csv('{path}', header = true, columns = {types})", texts)

    def with_polars():
        return of_polars(polars.read_csv(path, schema={c["name"]: polars_type(c) for c in texts}), texts)

    def with_pyarrow():
        types = {column["name"]: arrow_type(column) for column in texts}
        options = pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=True)
        parsing = pyarrow.csv.ParseOptions(newlines_in_values=True)
        return of_arrow(pyarrow.csv.read_csv(path, convert_options=options, parse_options=parsing), texts)

    for reader, read in (("DuckDB", with_duckdb), ("polars", with_polars), ("pyarrow", with_pyarrow)):
        yield reader, lambda: of_text(read(), columns, True)


def read_json_lines(path, columns):
    texts = [as_text(column, False) for column in columns]

    def with_duckdb():
        types = {column["name"]: duckdb_type(column) for column in texts}
        return of_duckdb(duckdb.connect(), f"read_json('{path}', columns = {types})", texts)

    def with_polars():
        # polars 2.1 panics when a schema asks for 16-bit integers in JSON. It finds the types by itself.
        return of_polars(polars.read_ndjson(path, infer_schema_length=None), texts)

    def with_pyarrow():
        fields = [pyarrow.field(column["name"], arrow_type(column)) for column in texts]
        options = pyarrow.json.ParseOptions(explicit_schema=pyarrow.schema(fields), unexpected_field_behavior="error")
        return of_arrow(pyarrow.json.read_json(path, parse_options=options), texts)

    for reader, read in (("DuckDB", with_duckdb), ("polars", with_polars), ("pyarrow", with_pyarrow)):
        yield reader, lambda: of_text(read(), columns, False)


FILES = {"parquet": read_parquet, "arrow": read_arrow, "csv": read_csv, "jsonl": read_json_lines}


def check_survey(scratch, name, arguments, schemas):
    """Runs one survey into every format and compares. Returns the reference tables."""
    root = scratch / name
    survey(arguments, root)
    manifest = json.loads((root / "manifest.json").read_text(encoding="utf-8"))
    reference = {}
    for table in listed_tables([manifest]):
        declared = schemas[table]
        columns, key = declared["columns"], declared["key"]
        reference[table] = of_parts(root, table, columns)
        for reader, read in read_directory(root, table, columns):
            about = f"{name}, {table} in a directory, {reader}"
            if (cells := attempt(about, read)) is not None:
                check_cells(about, cells, reference[table], key)
    columns, key = schemas["hops"]["columns"], schemas["hops"]["key"]
    for suffix, reads in FILES.items():
        path = scratch / f"{name}.{suffix}"
        survey(arguments, path)
        for reader, read in reads(path, columns):
            about = f"{name}, {suffix}, {reader}"
            if (cells := attempt(about, read)) is not None:
                check_cells(about, cells, reference["hops"], key)
    return reference


def main(scratch):
    scratch.mkdir(parents=True, exist_ok=True)
    schemas = {table: current_schema(table) for table in (*TABLES, *GRAPH_TABLES)}
    for table, printed in schemas.items():
        published = attempt(f"schema of {table}", lambda: schema(table, printed["version"]))
        check(f"`pathsurvey schema {table}` prints the published schema", printed == published, True)
    filled = {}
    for number, run in enumerate([*old_runs(), LARGE]):
        name = f"{number}-{run['dataset']}"
        reference = check_survey(scratch, name, run["arguments"], schemas)
        for table, cells in reference.items():
            some = {column for column, values in cells.items() if any(cell is not None for cell in values)}
            filled[table] = filled.get(table, set()) | some
    check("tables of every run are there", set(TABLES) - set(filled), set())
    for table, some in filled.items():
        empty = {column["name"] for column in schemas[table]["columns"]} - some
        check(f"columns of {table} that are null everywhere", empty, NEVER_FILLED.get(table, set()))
    return finish()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve()))
