"""What all checks share: counting, the declared schemas, the program, and the cells of a table as plain values.

Cells are compared as plain Python values, whichever reader and format they come from:

| declared type | value |
|---|---|
| text, integers, float64, boolean, binary | str, int, float, bool, bytes |
| timestamp_us_utc | microseconds since 1970 |
| list of text | list of str |
| list of structs | list of dicts |
| map | dict |
| absent | None |
"""

import json
import os
import pathlib
import subprocess
import tomllib

import polars
import pyarrow
import pyarrow.parquet

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "schemas"
OLD = ROOT / "tests" / "fixtures" / "v1"
# The tables of every run, and those that multipath tracing adds.
TABLES = ("hops", "traces")
GRAPH_TABLES = ("graphs", "nodes", "links", "diamonds")

passed = failed = 0


def check(name, actual, expected):
    """Counts a comparison, and shows it when it fails. Returns whether it holds."""
    global passed, failed
    if actual == expected:
        passed += 1
        return True
    failed += 1
    print(f"FAILED {name}\n  expected: {expected}\n  found:    {actual}")
    return False


def attempt(name, action):
    """Runs an action that may fail in a reader. Returns its result, or None after a failure."""
    global passed, failed
    try:
        result = action()
        passed += 1
        return result
    except Exception as error:  # the error of a reader is the finding
        failed += 1
        print(f"FAILED {name}: {type(error).__name__}: {error}")
        return None


def finish():
    """Prints the counts. Returns the exit code."""
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


# --- the program


def program():
    """The program to test: $PATHSURVEY, or the release build of this checkout."""
    return str(pathlib.Path(os.environ.get("PATHSURVEY", ROOT / "target" / "release" / "pathsurvey")).resolve())


def survey(arguments, output):
    """Runs a survey in virtual time, from the root of the repository."""
    subprocess.run(survey_command(arguments, output), cwd=ROOT, check=True)


def survey_command(arguments, output):
    return [program(), "survey", "--quiet", "--virtual-time", *arguments, "-o", str(pathlib.Path(output).resolve())]


def listed_tables(manifests):
    """The tables that one of the manifests or more list, in the order of the first that lists them."""
    return list(dict.fromkeys(table for manifest in manifests for table in manifest["tables"]))


def old_runs():
    """The runs that wrote the datasets of version 1."""
    return tomllib.loads((OLD / "runs.toml").read_text(encoding="utf-8"))["run"]


# --- schemas


def schema(table, version):
    """A published schema."""
    return json.loads((SCHEMAS / f"{table}.v{version}.json").read_text(encoding="utf-8"))


def current_schema(table):
    """The schema that the program prints."""
    return json.loads(subprocess.check_output([program(), "schema", table]))


def arrow_type(column):
    """The Arrow type that a column of a schema declares."""
    simple = {
        "text": pyarrow.string(),
        "int16": pyarrow.int16(),
        "int32": pyarrow.int32(),
        "int64": pyarrow.int64(),
        "float64": pyarrow.float64(),
        "boolean": pyarrow.bool_(),
        "binary": pyarrow.binary(),
        "timestamp_us_utc": pyarrow.timestamp("us", tz="UTC"),
    }
    if column["type"] == "list":
        element = column["element"]
        if element["type"] == "struct":
            kind = pyarrow.struct([arrow_field(field) for field in element["fields"]])
        else:
            kind = simple[element["type"]]
        return pyarrow.list_(pyarrow.field("element", kind, nullable=element.get("nullable", False)))
    if column["type"] == "map":
        return pyarrow.map_(pyarrow.string(), pyarrow.field("value", pyarrow.string(), nullable=False))
    return simple[column["type"]]


def arrow_field(column):
    return pyarrow.field(column["name"], arrow_type(column), nullable=column["nullable"])


def duckdb_type(column):
    """DuckDB's name of the declared type."""
    simple = {
        "text": "VARCHAR",
        "int16": "SMALLINT",
        "int32": "INTEGER",
        "int64": "BIGINT",
        "float64": "DOUBLE",
        "boolean": "BOOLEAN",
        "binary": "BLOB",
        "timestamp_us_utc": "TIMESTAMP WITH TIME ZONE",
    }
    if column["type"] == "list":
        element = column["element"]
        if element["type"] != "struct":
            return f"{simple[element['type']]}[]"
        fields = ", ".join(f"{quoted(field['name'])} {duckdb_type(field)}" for field in element["fields"])
        return f"STRUCT({fields})[]"
    if column["type"] == "map":
        return "MAP(VARCHAR, VARCHAR)"
    return simple[column["type"]]


def polars_type(column):
    """The polars type that a column of a schema declares. None for a map: polars has no maps, and its releases show them differently."""
    simple = {
        "text": polars.String,
        "int16": polars.Int16,
        "int32": polars.Int32,
        "int64": polars.Int64,
        "float64": polars.Float64,
        "boolean": polars.Boolean,
        "binary": polars.Binary,
        "timestamp_us_utc": polars.Datetime("us", "UTC"),
    }
    if column["type"] == "list":
        element = column["element"]
        if element["type"] != "struct":
            return polars.List(simple[element["type"]])
        return polars.List(polars.Struct([polars.Field(f["name"], polars_type(f)) for f in element["fields"]]))
    if column["type"] == "map":
        return None
    return simple[column["type"]]


def quoted(name):
    return f'"{name}"'


# --- cells


def of_map(cell):
    """A map as a dict: readers show it as a dict, as pairs, or as a list of structs."""
    if cell is None or isinstance(cell, dict):
        return cell
    return {entry["key"]: entry["value"] for entry in cell} if cell and isinstance(cell[0], dict) else dict(cell)


def of_arrow(table, columns):
    """The cells of an Arrow table, by column."""
    cells = {}
    for column in columns:
        name, kind = column["name"], column["type"]
        values = table.column(name)
        if kind == "timestamp_us_utc":
            values = values.cast(pyarrow.timestamp("us", tz="UTC")).cast(pyarrow.int64())
        cells[name] = values.to_pylist()
        if kind == "map":
            cells[name] = list(map(of_map, cells[name]))
    return cells


def of_polars(frame, columns):
    """The cells of a polars frame, by column."""
    cells = {}
    for column in columns:
        name, kind = column["name"], column["type"]
        values = frame[name]
        cells[name] = (values.dt.timestamp("us") if kind == "timestamp_us_utc" else values).to_list()
        if kind == "map":
            cells[name] = list(map(of_map, cells[name]))
    return cells


def of_duckdb(connection, relation, columns):
    """The cells of a DuckDB relation, by column."""
    expressions = [
        f"epoch_us({quoted(c['name'])})" if c["type"] == "timestamp_us_utc" else quoted(c["name"]) for c in columns
    ]
    rows = connection.execute(f"select {', '.join(expressions)} from {relation}").fetchall()
    by_column = list(zip(*rows)) if rows else [()] * len(columns)
    return {column["name"]: list(cells) for column, cells in zip(columns, by_column)}


def of_parts(root, table, columns, pattern="**/*.parquet"):
    """The cells of a Parquet directory: pyarrow reads each part by itself. Columns that a part lacks are null."""
    cells = {column["name"]: [] for column in columns}
    for path in sorted((root / table).glob(pattern)):
        part = pyarrow.parquet.ParquetFile(path).read()
        present = [column for column in columns if column["name"] in part.column_names]
        found = of_arrow(part, present)
        for name, values in cells.items():
            values.extend(found.get(name, [None] * part.num_rows))
    return cells


def in_order(cells, key):
    """The same rows, ordered by their key. Null comes last."""
    of_row = lambda row: [(cells[name][row] is None, "" if cells[name][row] is None else cells[name][row]) for name in key]
    order = sorted(range(len(cells[key[0]])), key=of_row)
    return {name: [values[row] for row in order] for name, values in cells.items()}


def check_cells(name, found, expected, key):
    """Compares two tables cell by cell, with one check per column. A failed check names the first row that differs."""
    rows = len(expected[key[0]])
    if not check(f"{name}: rows", len(found[key[0]]), rows):
        return
    found, expected = in_order(found, key), in_order(expected, key)
    for column, cells in expected.items():
        # repr tells True from 1, and 1 from 1.0.
        wrong = next((row for row in range(rows) if repr(found[column][row]) != repr(cells[row])), None)
        if wrong is None:
            check(f"{name}: {column}", None, None)
        else:
            row = {part: expected[part][wrong] for part in key}
            check(f"{name}: {column} of {row}", repr(found[column][wrong]), repr(cells[wrong]))
