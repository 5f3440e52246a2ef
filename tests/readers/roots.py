#!/usr/bin/env python3
"""A root of five nights and three vantage points, and its readers while a sixth night is written.

    python roots.py SCRATCH

| step | checked |
|---|---|
| the vantage points of a night write at once | all of them succeed |
| one run is killed, and resumed while the other two write | its night is complete |
| one run is repeated with `--if-exists replace` | its night has the new run only |
| each rule of `--if-exists`, twice | its exit code; the files of all other nights and vantage points stay as they are |
| DuckDB, polars, pandas, pyarrow and Spark read while a sixth night is written | declared types, all rows of five nights, whole traces of the sixth |
| pyiceberg `add_files`, deltalake `convert_to_deltalake` | they take the root's folders as they are |

Needs root: for strace, and for TUN.
"""

import datetime
import hashlib
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
import pyarrow.parquet
from pyiceberg.catalog.sql import SqlCatalog

from check import check_directory, check_types, unquoted
from common import ROOT, TABLES, arrow_type, attempt, check, current_schema, duckdb_type, finish, polars_type, program
from versions import start_spark

NIGHTS = [f"2026-03-0{day}" for day in range(1, 6)]
SIXTH = "2026-03-06"
VANTAGES = ["ams", "fra", "nyc"]
TARGETS = 60
# The killed run, and the replaced one.
KILLED = (NIGHTS[2], "fra")
REPLACED = (NIGHTS[3], "ams")
LONGEST = 300


def command(root, night, vantage, *more):
    options = ["--quiet", "--lab", "labs/diamond.toml", "--date", night, "--vantage", vantage, "--seal-rows", "100"]
    targets = [f"198.18.0.{number}" for number in range(1, TARGETS + 1)]
    return [program(), "survey", *options, *more, *targets, "-o", str(root)]


def virtual(root, night, vantage, *more):
    return command(root, night, vantage, "--virtual-time", *more)


def run(words):
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST)


def manifests(root):
    """The manifests of all runs, by (night, vantage point)."""
    found = {}
    for path in sorted(root.glob("runs/*/*/*/manifest.json")):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        found.setdefault((manifest["date"], manifest["vantage"]["id"]), []).append(manifest)
    return found


def newest(root):
    return json.loads((root / "manifest.json").read_text(encoding="utf-8"))


def sums(root, night=None, vantage=None):
    """The checksum of every file, without those of one night and vantage point, and without the directory's own manifest and locks."""
    own = f"date={night}/vp=id-{vantage}/"
    files = [path for path in root.rglob("*") if path.is_file() and path.parent != root]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files if own not in str(path)}


# --- the nights


def write_nights(root):
    for night in NIGHTS:
        # The killed run is there first, so that its resume runs beside the other two.
        commands = {vantage: virtual(root, night, vantage) for vantage in VANTAGES}
        if night == KILLED[0]:
            kill_one(root)
            commands[KILLED[1]] = [program(), "survey", "--quiet", "--resume", "--date", night, "--vantage", KILLED[1], "-o", str(root)]
        running = {
            vantage: subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True) for vantage, words in commands.items()
        }
        for vantage, process in running.items():
            _, errors = process.communicate(timeout=LONGEST)
            check(f"{night}, {vantage}: exit code, {errors}", process.returncode, 0)
    before = manifests(root)[REPLACED][0]["run_id"]
    done = run(virtual(root, *REPLACED, "--if-exists", "replace"))
    check(f"replace: exit code, {done.stderr}", done.returncode, 0)
    after = manifests(root)
    check("replace: one run", len(after[REPLACED]), 1)
    check("replace: another run", after[REPLACED][0]["run_id"] != before, True)
    check("five nights of three vantage points", sorted(after), [(night, vantage) for night in NIGHTS for vantage in VANTAGES])
    for (night, vantage), runs in after.items():
        check(f"{night}, {vantage}: states", [manifest["state"] for manifest in runs], ["complete"])
        check(f"{night}, {vantage}: traces", runs[0]["tables"]["traces"]["rows"], TARGETS)
    killed = after[KILLED][0]
    check("the killed run has two sessions", [session["state"] for session in killed["sessions"]], ["killed", "complete"])


def kill_one(root):
    """Kills a run in the middle of its sealings: at the 30th fsync of its writer thread."""
    inject = ["strace", "-f", "-qq", "-e", "trace=fsync", "-e", "inject=fsync:signal=SIGKILL:when=30"]
    done = run([*inject, "-e", "signal=none", "-o", "/dev/null", *virtual(root, *KILLED)])
    check(f"a run is killed: {done.stderr}", done.returncode, -9)
    [left] = manifests(root)[KILLED]
    check("the killed run says `running`", left["state"], "running")
    check("the killed run has sealed parts", len(left["tables"]["hops"]["parts"]) > 0, True)
    check("the killed run is not complete", left["tables"]["traces"]["rows"] < TARGETS, True)


# --- --if-exists


def check_rules(root):
    """Each rule twice, for one night and vantage point. Nothing else is touched."""
    night, vantage = NIGHTS[4], "nyc"
    others = sums(root, night, vantage)
    expected = 1
    for rule, code in (("fail", 1), ("skip", 0), ("append", 0), ("replace", 0)):
        for time in ("first", "second"):
            name = f"--if-exists {rule}, {time} time"
            everything = sums(root)
            last = newest(root)
            known = {manifest["run_id"] for manifest in manifests(root)[(night, vantage)]}
            done = run(virtual(root, night, vantage, "--if-exists", rule))
            check(f"{name}: exit code, {done.stderr}", done.returncode, code)
            expected = {"append": expected + 1, "replace": 1}.get(rule, expected)
            runs = manifests(root)[(night, vantage)]
            check(f"{name}: runs of the night", len(runs), expected)
            check(f"{name}: other nights and vantage points", sums(root, night, vantage), others)
            if rule in ("fail", "skip"):
                check(f"{name}: nothing is touched", (sums(root), newest(root)), (everything, last))
            else:
                [added] = [manifest for manifest in runs if manifest["run_id"] not in known]
                check(f"{name}: the directory has the newest manifest", newest(root), added)
            check(f"{name}: standard output", done.stdout, "")
    refused = run(virtual(root, night, vantage, "--if-exists", "fail"))
    check("--if-exists fail names the remedy", "--if-exists append" in refused.stderr, True)


# --- the readers


def read_duckdb(folder, declared, _):
    relation = f"read_parquet('{folder}/**/*.parquet')"
    with duckdb.connect() as connection:
        found = {name: unquoted(kind) for name, kind, *_ in connection.execute(f"describe select * from {relation}").fetchall()}
        check_types("DuckDB", declared, found, lambda column: unquoted(duckdb_type(column)))
        check("DuckDB: vp is text", found["vp"], "VARCHAR")
        check("DuckDB: date is a date", found["date"], "DATE")
        return connection.execute(f"select run_id, trace_id from {relation}").fetchall()


def read_polars(folder, declared, _):
    frame = polars.scan_parquet(folder).collect()
    check_types("polars", declared, dict(frame.schema), polars_type)
    return frame.select("run_id", "trace_id").rows()


def read_pandas(folder, declared, _):
    frame = pandas.read_parquet(folder, dtype_backend="pyarrow")
    # Text and lists have other Arrow types with the same values.
    found = {name: kind.pyarrow_dtype for name, kind in frame.dtypes.items() if isinstance(kind, pandas.ArrowDtype)}
    check_types("pandas", declared, found, lambda column: arrow_type(column) if column["type"] not in ("text", "list") else None)
    texts = [column["name"] for column in declared["columns"] if column["type"] == "text"]
    check("pandas: columns of text", [name for name in texts if "string" not in str(frame.dtypes[name])], [])
    return list(zip(frame["run_id"].to_list(), frame["trace_id"].to_list()))


def read_pyarrow(folder, declared, _):
    table = pyarrow.parquet.read_table(folder)
    check_types("pyarrow", declared, {field.name: field.type for field in table.schema}, arrow_type)
    return list(zip(table["run_id"].to_pylist(), table["trace_id"].to_pylist()))


SPARK = {"text": "string", "int16": "smallint", "int32": "int", "int64": "bigint", "boolean": "boolean", "binary": "binary"}
SPARK |= {"timestamp_us_utc": "timestamp", "map": "map<string,string>"}


def read_spark(folder, declared, spark):
    frame = spark.read.parquet(str(folder))
    check_types("Spark", declared, dict(frame.dtypes), lambda column: SPARK.get(column["type"]))
    return [tuple(row) for row in frame.select("run_id", "trace_id").collect()]


READERS = {"DuckDB": read_duckdb, "polars": read_polars, "pandas": read_pandas, "pyarrow": read_pyarrow, "Spark": read_spark}


def check_readers(root, spark, run_ids):
    """Every reader sees all rows of the five nights. Returns how many rows of later runs each table has, by reader."""
    later = {}
    for table in ("traces", "hops"):
        declared = current_schema(table)
        expected = sum(run["tables"][table]["rows"] for runs in manifests(root).values() for run in runs if run["run_id"] in run_ids)
        for reader, read in READERS.items():
            rows = attempt(f"{reader}, {table}", lambda: read(root / table, declared, spark))
            if rows is not None:
                of_nights = sum(run_id in run_ids for run_id, _ in rows)
                check(f"{reader}, {table}: rows of the five nights", of_nights, expected)
                later[reader, table] = len(rows) - of_nights
    return later


def read_while_written(root, spark):
    """Reads the root again and again while the sixth night is written, and once more at its end."""
    run_ids = {manifest["run_id"] for runs in manifests(root).values() for manifest in runs}
    # 60 targets with 3 flows are about 1,400 probes.
    writing = subprocess.Popen(command(root, SIXTH, "ams", "--flows", "3", "--rate", "60"), cwd=ROOT, stderr=subprocess.PIPE, text=True)
    rounds, seen = 0, {}
    while writing.poll() is None:
        found = check_readers(root, spark, run_ids)
        for key, rows in found.items():
            check(f"{key}: rows of the sixth night do not go away", rows >= seen.get(key, 0), True)
        seen, rounds = found, rounds + (0 < min(found.values(), default=0))
        check_sixth(root, run_ids)
    _, errors = writing.communicate()
    check(f"the sixth night: exit code, {errors}", writing.returncode, 0)
    check("rounds of reading that saw a part of the sixth night", rounds > 1, True)
    [sixth] = manifests(root)[(SIXTH, "ams")]
    expected = {(reader, table): sixth["tables"][table]["rows"] for reader in READERS for table in TABLES}
    check("rows of the sixth night at its end", check_readers(root, spark, run_ids), expected)
    check("the directory has the newest manifest", newest(root), sixth)
    print(f"{rounds} rounds of reading while the sixth night was written, by {len(READERS)} readers")


def check_sixth(root, run_ids):
    """The traces of the sixth night are whole at any time. The traces are read first: a trace's row is never there before its hops."""
    known = ", ".join(f"'{run_id}'" for run_id in run_ids)
    with duckdb.connect() as connection:
        for table in ("traces", "hops"):
            connection.execute(f"create table {table} as from read_parquet('{root}/{table}/**/*.parquet') where run_id not in ({known})")
        lacking = connection.execute(
            "select t.trace_id, t.probes_sent, count(h.probe_id) as found from traces t left join hops h"
            " on h.trace_id = t.trace_id and h.reply_index = 0 group by t.trace_id, t.probes_sent having found <> t.probes_sent"
        ).fetchall()
        check("traces of the sixth night without all of their hops", lacking, [])


# --- tables of other systems


def check_iceberg(root, scratch):
    """The root's files become an Iceberg table where they are."""
    catalog = SqlCatalog("local", uri=f"sqlite:///{scratch}/iceberg.db", warehouse=f"file://{scratch}/iceberg")
    catalog.create_namespace("nights")
    for table in TABLES:
        files = sorted((root / table).rglob("*.parquet"))
        made = catalog.create_table(f"nights.{table}", schema=pyarrow.parquet.read_schema(files[0]))
        made.add_files([f"file://{path}" for path in files])
        expected = pyarrow.parquet.read_table(root / table, partitioning=None)
        found = made.scan().to_arrow()
        check(f"Iceberg, {table}: columns", found.column_names, expected.column_names)
        check_same_rows(f"Iceberg, {table}", found, expected)


def check_delta(root, scratch):
    """A copy of the root's folders, with links to the files, becomes a Delta table in place."""
    folders = deltalake.Schema([deltalake.Field("date", "date"), deltalake.Field("vp", "string")])
    for table in TABLES:
        place = scratch / "delta" / table
        shutil.copytree(root / table, place)
        deltalake.convert_to_deltalake(place, partition_by=folders, partition_strategy="hive")
        found = deltalake.DeltaTable(place).to_pyarrow_table()
        expected = pyarrow.parquet.read_table(root / table, partitioning=None)
        check_same_rows(f"Delta, {table}", found.select(expected.column_names), expected)
        nights = [datetime.date.fromisoformat(night) for night in [*NIGHTS, SIXTH]]
        check(f"Delta, {table}: nights", sorted(set(found["date"].to_pylist())), nights)
        check(f"Delta, {table}: vantage points", sorted(set(found["vp"].to_pylist())), [f"id-{vantage}" for vantage in VANTAGES])


def check_same_rows(name, found, expected):
    """The same rows in any order, as far as text and numbers tell."""
    columns = [field.name for field in expected.schema if not pyarrow.types.is_nested(field.type)]
    keys = [(key, "ascending") for key in ("run_id", "trace_id", "probe_id", "reply_index") if key in columns]
    both = [table.select(columns).sort_by(keys) for table in (found, expected)]
    if check(f"{name}: rows", both[0].num_rows, both[1].num_rows):
        different = [column for column in columns if both[0][column].to_pylist() != both[1][column].to_pylist()]
        check(f"{name}: columns that differ", different, [])


def main(scratch):
    scratch.mkdir(parents=True, exist_ok=True)
    root = scratch / "root"
    spark = start_spark()
    attempt("five nights", lambda: write_nights(root) or True)
    attempt("--if-exists", lambda: check_rules(root) or True)
    attempt("a sixth night", lambda: read_while_written(root, spark) or True)
    spark.stop()
    attempt("the whole root", lambda: check_directory(root) or True)
    attempt("Iceberg", lambda: check_iceberg(root, scratch) or True)
    attempt("Delta", lambda: check_delta(root, scratch) or True)
    verified = run([program(), "datasets", "verify", str(root)])
    check(f"datasets verify: {verified.stdout}{verified.stderr}", verified.returncode, 0)
    return finish()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve()))
