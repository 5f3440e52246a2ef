#!/usr/bin/env python3
"""Opens what pathsurvey wrote with the programs its users read it with.

    python check.py PATH...

PATH is a dataset directory, or a single file of hops (.parquet, .arrow, .csv, .jsonl) with its manifest beside it.
Every check is one line; the last line is `N passed, N failed`, and the exit code is 1 if any failed.

Checked with DuckDB, pyarrow and polars, each called the plainest way: the declared types (schemas/*.json, in the version that the
manifest states), the rows and statuses against the manifest, every part's size and SHA-256, nulls where something is absent, and that
the rows of a file are in the order its schema states. The tables of multipath tracing are compared with each other (`graphs.py`). Of a directory `nightly`, that of the README's first command, the README's
queries find something.

Other files compare cells: `cells.py` the formats and readers with each other, `old.py` the current program with version 1, `versions.py`
both versions in one directory, `nights.py` two nights.
"""

import hashlib
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
import pyarrow.parquet

from common import (
    GRAPH_TABLES,
    TABLES,
    arrow_field,
    arrow_type,
    attempt,
    check,
    duckdb_type,
    finish,
    listed_tables,
    polars_type,
    quoted,
    schema,
)
from graphs import check_graphs
from readme import first_queries, graph_queries

ENDED = ("complete", "incomplete", "interrupted")


def unquoted(text):
    return str(text).replace('"', "")


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_manifest(path):
    return json.loads(path.read_text(encoding="utf-8"))


def read_manifests(root):
    """The manifests of all runs in a directory. That of the newest run is there twice. Versions before the folder `runs` had no copies."""
    paths = [*sorted(root.glob("manifest*.json")), *sorted(root.glob("runs/*/*/*/manifest.json"))]
    of_run = {manifest["run_id"]: manifest for manifest in map(read_manifest, paths)}
    return list(of_run.values())


def check_parts(root, manifests):
    """Every listed part is there, whole and of the stated size."""
    for manifest in manifests:
        for table, section in manifest["tables"].items():
            check(f"{table} rows add up", sum(p["rows"] for p in section["parts"]), section["rows"])
            for part in section["parts"]:
                path = root / part["path"]
                check(f"{part['path']} size", path.stat().st_size, part["bytes"])
                check(f"{part['path']} sha256", sha256(path), part["sha256"])


def check_part_file(path, declared):
    """One Parquet part as pyarrow sees it alone: types, order, footer, page index."""
    file = pyarrow.parquet.ParquetFile(path)
    table = declared["table"]
    name = f"{path.name} ({table})"
    found = [(f.name, f.type, f.nullable) for f in file.schema_arrow]
    expected = [(f.name, f.type, f.nullable) for f in map(arrow_field, declared["columns"])]
    check(f"{name} types", found, expected)
    metadata = file.metadata.metadata or {}
    version = metadata.get(b"pathsurvey.schema_version")
    check(f"{name} schema version", version, str(declared["version"]).encode())
    order = declared["sort_order"]
    for group in range(file.num_row_groups):
        about = file.metadata.row_group(group)
        names = [about.column(by.column_index).path_in_schema for by in about.sorting_columns]
        check(f"{name} group {group} order", names, order)
        check(f"{name} group {group} nulls last", [by.nulls_first for by in about.sorting_columns], [False] * len(order))
        rows = file.read_row_group(group, columns=order)
        last = [(key, "ascending", "at_end") for key in order]
        try:
            ordered = rows.sort_by(last)
        except Exception:
            ordered = rows.sort_by([key[:2] for key in last])  # older pyarrow: nulls at the end anyway
        check(f"{name} group {group} is sorted", rows.equals(ordered), True)
        for index in range(about.num_columns):
            column = about.column(index)
            check(f"{name} {column.path_in_schema} page index", (column.has_offset_index, column.has_column_index), (True, True))


def check_types(reader, declared, found, declared_type):
    """Names and types of the declared columns; partition keys may stand behind them."""
    for column in declared["columns"]:
        expected = declared_type(column)
        if expected is not None:
            check(f"{reader} {declared['table']}.{column['name']}", found.get(column["name"]), expected)


def rows_present(root, table):
    """Rows of a table by the footers of its files: a killed run may leave a whole part that it had no time to list."""
    files = root.glob(f"{table}/**/*.parquet")
    return sum(pyarrow.parquet.read_metadata(path).num_rows for path in files)


def check_hops(reader, query, manifests, rows):
    """Counts, and nulls where something is absent. `query` runs SQL over the relation `hops`."""
    check(f"{reader} rows", query("select count(*) from hops")[0][0], rows)
    ended = [m for m in manifests if m["state"] in ENDED]
    runs = ", ".join("'" + m["run_id"].replace("'", "''") + "'" for m in ended) or "''"
    of_ended = f"from hops where run_id in ({runs})"
    for where, section in (
        ("reply_index = 0", lambda m: m["probes"]["by_status"]),
        ("reply_index > 0", lambda m: m["extra_replies"]),
    ):
        expected = {}
        for manifest in ended:
            for status, count in section(manifest).items():
                expected[status] = expected.get(status, 0) + count
        expected = {status: count for status, count in expected.items() if count}
        found = dict(query(f"select status, count(*) {of_ended} and {where} group by status"))
        check(f"{reader} statuses where {where}", found, expected)
    for name, where in {
        "silence has no responder": "status = 'timeout' and reply_index = 0 and (responder is not null or rtt_us is not null"
        " or received_at is not null or reply_kind is not null or icmp_type is not null or evidence is not null)",
        "an answer has one": "status in ('replied', 'late') and (responder is null or received_at is null or reply_kind is null)",
        "what was not sent has no time": "status in ('send_error', 'skipped', 'inferred') and sent_at is not null",
        "what was sent has one": "status in ('replied', 'timeout', 'late') and sent_at is null",
        "no address is 0": "responder in ('0.0.0.0', '::', '') or destination in ('0.0.0.0', '::', '') or source in ('0.0.0.0', '::', '')",
        "no text is empty": "reason = '' or run_id = '' or vantage = '' or quoted_source = '' or quoted_destination = ''",
        "ports are the protocol's": "protocol = 'udp' and (src_port is null or dst_port is null or icmp_id is not null)",
        "round trips are not negative": "rtt_us < 0",
    }.items():
        check(f"{reader} {name}", query(f"select count(*) from hops where {where}")[0][0], 0)
    duplicates = query(
        "select count(*) from (select 1 from hops group by run_id, trace_id, probe_id, reply_index having count(*) > 1)"
    )
    check(f"{reader} keys are unique", duplicates[0][0], 0)


def check_traces(query, rows):
    check("traces rows", query("select count(*) from traces")[0][0], rows)
    unique = query("select count(*) from (select distinct run_id, trace_id from traces)")[0][0]
    check("traces keys are unique", unique, rows)
    if rows:
        orphans = query(
            "select count(*) from traces t where probes_sent > 0 and not exists"
            " (select 1 from hops h where h.run_id = t.run_id and h.trace_id = t.trace_id)"
        )
        check("every trace has its hops", orphans[0][0], 0)
        # Probes that are too large have no hop. A path that ends with an unreachable ends there; higher TTLs may repeat it.
        wrong = query(
            "select count(*) from traces t join (select run_id, trace_id, count(distinct ttl) as n from hops"
            " join traces using (run_id, trace_id)"
            " where reply_index = 0 and status in ('replied', 'late') and purpose <> 'distance'"
            " and reply_kind not in ('fragmentation_needed', 'packet_too_big')"
            " and ttl <= coalesce(path_length, ttl) group by all) h"
            " using (run_id, trace_id) where t.hops_responding <> h.n and t.stop_reason <> 'unreachable'"
        )
        check("responding hops are counted", wrong[0][0], 0)
        listed = query("select count(*) from traces where len(anomalies) = 0")
        check("no list of anomalies is empty", listed[0][0], 0)


def check_paths(query):
    """The columns of version 2 that sum up a path, against each other and against the hops."""
    for name, where in {
        "a path has a first TTL": "path is not null and first_ttl is null",
        "a path of one flow is present": "path is null and first_ttl is not null and flow is not null",
        "no path ends in silence": "len(path) > 0 and path[-1] is null",
        "the last responder ends the path": "last_responder is distinct from path[-1]",
        "its TTL is the path's last": "last_ttl is distinct from case when len(path) > 0 then first_ttl + len(path) - 1 end",
    }.items():
        check(name, query(f"select count(*) from traces where {where}")[0][0], 0)
    missing = query(
        "select count(*) from (select run_id, trace_id, unnest(path) as responder,"
        " first_ttl - 1 + generate_subscripts(path, 1) as ttl from traces) p"
        " where responder is not null and not exists (select 1 from hops h where h.run_id = p.run_id"
        " and h.trace_id = p.trace_id and h.ttl = p.ttl and h.responder = p.responder and on_path)"
    )
    check("every responder of a path has its row", missing[0][0], 0)
    doubled = query(
        "select count(*) from (select 1 from hops where on_path group by run_id, trace_id, ttl having count(*) > 1)"
    )
    check("one row of a TTL is on the path", doubled[0][0], 0)
    beyond = query(
        "select count(*) from hops h join traces t using (run_id, trace_id)"
        " where h.on_path and not coalesce(h.ttl between t.first_ttl and t.last_ttl, false)"
    )
    check("rows on the path are within it", beyond[0][0], 0)
    undecided = query(
        "select count(*) from hops h join traces t using (run_id, trace_id)"
        " where (h.on_path is null) <> (t.flow is null)"
    )
    check("every row of a trace of one flow is on its path or not", undecided[0][0], 0)


def check_readers(root, table, declared, rows):
    """A whole table, as pyarrow and polars read it."""
    for reader, read in (
        ("pyarrow.parquet.read_table", lambda: pyarrow.parquet.read_table(root / table)),
        ("pyarrow.dataset", lambda: pyarrow.dataset.dataset(root / table, partitioning="hive").to_table()),
    ):
        if (read_rows := attempt(f"{reader} {table}", read)) is not None:
            check(f"{reader} {table} rows", read_rows.num_rows, rows)
            types = {field.name: field.type for field in read_rows.schema}
            check_types(reader, declared, types, arrow_type)
    for reader, scan in (
        ("polars directory", lambda: polars.scan_parquet(root / table)),
        ("polars glob", lambda: polars.scan_parquet(f"{root}/{table}/**/*.parquet")),
    ):
        if (frame := attempt(f"{reader} {table}", lambda: scan().collect())) is not None:
            check(f"{reader} {table} rows", frame.height, rows)
            check_types(reader, declared, dict(frame.schema), polars_type)


def check_directory(root):
    manifests = read_manifests(root)
    check("manifests", bool(manifests), True)
    check_parts(root, manifests)
    version_of = {
        part["path"]: section["schema_version"]
        for m in manifests
        for section in m["tables"].values()
        for part in section["parts"]
    }
    present = {str(path.relative_to(root)) for path in root.glob("*/**/*.parquet")}
    check("listed parts are present", sorted(set(version_of) - present), [])
    if all(m["state"] in ENDED for m in manifests):
        check("present parts are listed", sorted(present - set(version_of)), [])
    for path, version in sorted(version_of.items()):
        check_part_file(root / path, schema(path.split("/")[0], version))

    tables = listed_tables(manifests)
    check("tables of every run are listed", [table for table in TABLES if table not in tables], [])
    connection = duckdb.connect()
    query = lambda sql: connection.execute(sql).fetchall()
    for table in tables:
        # The README has the options for several versions in one directory; versions.py checks them.
        versions = sorted({version for path, version in version_of.items() if path.split("/")[0] == table})
        options = ", union_by_name = true" if len(versions) > 1 else ""
        declared = schema(table, versions[-1])
        made = attempt(
            f"duckdb {table}",
            lambda: connection.execute(
                f"create view {table} as select * from read_parquet('{root}/{table}/**/*.parquet'{options})"
            ),
        )
        if made is None:
            return
        found = {name: unquoted(kind) for name, kind, *_ in query(f"describe {table}")}
        check_types("duckdb", declared, found, lambda column: unquoted(duckdb_type(column)))
        if len(versions) == 1:
            check_readers(root, table, declared, rows_present(root, table))
    if all(m["state"] in ENDED for m in manifests):
        for table in tables:
            listed_rows = sum(m["tables"][table]["rows"] for m in manifests if table in m["tables"])
            check(f"{table} rows as listed", rows_present(root, table), listed_rows)
    check_hops("duckdb", query, manifests, rows_present(root, "hops"))
    check_traces(query, rows_present(root, "traces"))
    if min(m["tables"]["traces"]["schema_version"] for m in manifests) >= 2:
        check_paths(query)
    if set(GRAPH_TABLES) <= set(tables) and all(m["state"] in ENDED for m in manifests):
        check_graphs(query)
        for sql in graph_queries(root):
            attempt(f"README: {sql.strip().splitlines()[0]}", lambda: query(sql))
    days = {m.get("date") or m["started_at"][:10] for m in manifests if m["tables"]["hops"]["parts"]}
    found = {str(day) for (day,) in query("select distinct date from hops")}
    check("partitions are the nights", found <= days, True)


def check_file(path):
    manifest = read_manifest(path.with_name(path.name + ".manifest.json"))
    check_parts(path.parent, [manifest])
    version = manifest["tables"]["hops"]["schema_version"]
    declared = schema("hops", version)["columns"]
    names = [column["name"] for column in declared]
    rows = manifest["tables"]["hops"]["rows"]
    types = {column["name"]: column["type"] for column in declared}
    if path.suffix == ".parquet":
        check_part_file(path, schema("hops", version))
        relation = f"'{path}'"
    elif path.suffix == ".arrow":
        table = pyarrow.feather.read_table(path)
        check("arrow types", [f.type for f in table.schema], [arrow_type(c) for c in declared])
        frame = polars.read_ipc(path)
        check("polars arrow rows", frame.height, rows)
        relation = "arrow_table"
    elif path.suffix == ".csv":
        frame = polars.read_csv(path, infer_schema_length=None)
        check("polars csv", (frame.columns, frame.height), (names, rows))
        check("pyarrow csv rows", pyarrow.csv.read_csv(path).num_rows, rows)
        relation = f"read_csv('{path}', sample_size = -1)"
    else:
        with open(path, encoding="utf-8") as lines:
            keys = {tuple(json.loads(line)) for line in lines}
        check("jsonl columns", keys, {tuple(names)} if rows else set())
        frame = polars.read_ndjson(path, infer_schema_length=None)
        check("polars jsonl", (sorted(frame.columns), frame.height), (sorted(names), rows))
        check("pyarrow jsonl rows", pyarrow.json.read_json(path).num_rows, rows)
        relation = f"read_json('{path}', sample_size = -1)"
    connection = duckdb.connect()
    if path.suffix == ".arrow":
        connection.register("arrow_table", table)
    # Text formats declare no types: columns that are null throughout come as text.
    casts = [
        f"{quoted(n)}::{duckdb_type(c)} as {quoted(n)}" if types[n] not in ("list", "map", "binary") else quoted(n)
        for n, c in zip(names, declared)
    ]
    made = attempt(
        f"duckdb {path.name}",
        lambda: connection.execute(f"create table hops as select {', '.join(casts)} from {relation}"),
    )
    if made is not None:
        check_hops(f"duckdb {path.suffix}", lambda sql: connection.execute(sql).fetchall(), [manifest], rows)


def check_readme(root):
    """What the README tells its readers to ask of the dataset that its first command made."""
    queries = first_queries(root)
    check("the README has queries", len(queries) > 3, True)
    connection = duckdb.connect()
    for sql in queries:
        title = sql.strip().splitlines()[0]
        rows = attempt(f"README: {title}", lambda: connection.execute(sql).fetchall())
        check(f"README finds something: {title}", bool(rows), True)


def main(paths):
    if not paths:
        print(__doc__)
        return 2
    for path in map(pathlib.Path, paths):
        print(f"{path}: {'directory' if path.is_dir() else path.suffix}")
        attempt(f"{path}", lambda: (check_directory if path.is_dir() else check_file)(path) or True)
        if path.name == "nightly":
            check_readme(path)
    return finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
