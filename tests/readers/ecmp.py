#!/usr/bin/env python3
"""Compares every figure of `pathsurvey ecmp` with DuckDB's answer over the same dataset, and opens its GraphML and DOT.

    python ecmp.py DIRECTORY...

DIRECTORY is a dataset of `--strategy multipath`, or of `--flows N`. The questions are written from docs/multipath.md, not from the program.
Every check is one line if it fails; the last line is `N passed, N failed`, and the exit code is 1 if any failed.

| source | nodes, links, diamonds come from |
|---|---|
| multipath | the tables `nodes`, `links`, `diamonds` |
| flows | `traces.path`, by the rules of docs/multipath.md |

GraphML is read with networkx, and DOT with the program `dot` if it is installed.
"""

import csv
import io
import json
import math
import pathlib
import shutil
import subprocess
import sys
import xml.etree.ElementTree

import duckdb
import networkx

from common import attempt, check, finish, program

# How many targets are drawn.
DRAWN = 20
ENDS = "stop_reason in ('interrupted', 'excluded')"

# What paths say of nodes and links, as views of the same names as the tables of multipath tracing.
FROM_PATHS = [
    f"create view flows as from traces where not {ENDS}",
    """create view steps as
        select run_id, destination, flow, first_ttl + i - 1 as ttl, path[i] as address, path[i + 1] as next, i = len(path) as is_last,
            i = len(path) and (path[i] = destination or coalesce(path_length = first_ttl + i - 1, false) or stop_reason = 'unreachable')
                as is_end
        from flows, unnest(range(1, len(path) + 1)) as t(i)""",
    """create view nodes as
        select run_id, destination, ttl, address, count(*) as flows, bool_or(is_end) as is_end, count(distinct next) as next_hops
        from steps where address is not null group by all""",
    """create view links as
        select run_id, destination, ttl, address as near, next as far, count(*) as flows
        from steps where address is not null and next is not null group by all""",
    """create view graphs as
        select run_id, destination, any_value(target_input) as target_input, min(trace_id) as trace_id, count(*) as flows,
            sum(probes_sent) as probes,
            (select count(*) from nodes n where (n.run_id, n.destination) = (f.run_id, f.destination)) as nodes,
            (select count(*) from links l where (l.run_id, l.destination) = (f.run_id, f.destination)) as links,
            (select coalesce(max(w), 0) from (select count(*) as w from nodes n
                where (n.run_id, n.destination) = (f.run_id, f.destination) group by ttl)) as max_width
        from flows f group by run_id, destination""",
    "create view widths as select run_id, destination, ttl, count(*) as width, any_value(address) as address from nodes group by all",
    # Consecutive TTLs with several nodes have the same difference between the TTL and their number.
    """create view places as
        select run_id, destination, min(ttl) as first_ttl, max(ttl) as last_ttl, max(width) as max_width from (
            select *, ttl - row_number() over (partition by run_id, destination order by ttl) as island from widths where width > 1)
        group by run_id, destination, island""",
    """create view inner_nodes as
        select n.*,
            (select count(*) from links l where (l.run_id, l.destination, l.ttl, l.near) = (n.run_id, n.destination, n.ttl, n.address)) as after,
            (select count(*) from links l where (l.run_id, l.destination, l.ttl + 1, l.far) = (n.run_id, n.destination, n.ttl, n.address)) as before
        from nodes n""",
    """create view sides as
        select run_id, destination, ttl, count(*) as width, max(after) as most_after, max(before) as most_before,
            coalesce(max(after) filter (not is_end) - min(after) filter (not is_end), 0) as after_spread,
            max(before) - min(before) as before_spread
        from inner_nodes group by all""",
    """create view pairs as
        select a.run_id, a.destination, a.ttl,
            (b.width >= a.width and b.most_before > 1) or (a.width >= b.width and a.most_after > 1) as meshed,
            greatest(if(b.width >= a.width, a.after_spread, 0), if(a.width >= b.width, b.before_spread, 0)) as asymmetry
        from sides a join sides b on (a.run_id, a.destination, a.ttl + 1) = (b.run_id, b.destination, b.ttl)""",
    """create view diamonds as
        select p.*, near.address as divergence, far.address as convergence, null as balancer,
            last_ttl - first_ttl + 1 + exists(
                from widths w where (w.run_id, w.destination) = (p.run_id, p.destination) and w.ttl > p.last_ttl)::int as max_length,
            (select coalesce(bool_or(meshed), false) from pairs q
                where (q.run_id, q.destination) = (p.run_id, p.destination) and q.ttl >= p.first_ttl and q.ttl < p.last_ttl) as meshed,
            (select coalesce(max(asymmetry), 0) from pairs q
                where (q.run_id, q.destination) = (p.run_id, p.destination) and q.ttl >= p.first_ttl and q.ttl < p.last_ttl) as width_asymmetry
        from places p
            left join widths near on (near.run_id, near.destination, near.ttl) = (p.run_id, p.destination, p.first_ttl - 1)
            left join widths far on (far.run_id, far.destination, far.ttl) = (p.run_id, p.destination, p.last_ttl + 1)""",
]


def connect(directory):
    """Relations with the names of the tables. Returns a function that runs SQL, and whether there are graphs."""
    connection = duckdb.connect()
    has_graphs = any(directory.glob("graphs/**/*.parquet"))
    tables = ["traces"] + (["graphs", "nodes", "links", "diamonds"] if has_graphs else [])
    for table in tables:
        parts = f"read_parquet('{directory}/{table}/**/*.parquet', union_by_name = true)"
        name = "graph_rows" if table == "graphs" else table
        connection.execute(f"create view {name} as from {parts}")
    if has_graphs:
        connection.execute(
            """create view graphs as select g.*, t.probes_sent as probes
            from graph_rows g left join (select run_id, trace_id, probes_sent from traces) t using (run_id, trace_id)"""
        )
    else:
        for view in FROM_PATHS:
            # The later views are read many times.
            connection.execute(view.replace("create view", "create table", 1))
    return lambda sql: connection.execute(sql).fetchall(), has_graphs


def ecmp(directory, *options):
    command = [program(), "ecmp", str(directory), *options]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def bins(query, table, column, doubling):
    """The bins of a column: one a value, or 0, 1, 2, 3–4, 5–8 and so on."""
    least, most = f"{column}", f"{column}"
    if doubling:
        most = f"if({column} < 2, {column}, (2 ** ceil(log2({column})))::bigint)"
        least = f"if({column} < 2, {column}, (2 ** (ceil(log2({column})) - 1))::bigint + 1)"
    rows = query(f"select {least} as least, {most} as most, count(*) from {table} where {column} is not null group by 1, 2 order by 1")
    return [{"least": a, "most": b, "count": n} for a, b, n in rows]


def spread(query, column):
    sql = f"""select quantile_disc({column}, 0.5), quantile_disc({column}, 0.9), max({column}), coalesce(sum({column}), 0)::bigint
        from graphs where {column} is not null"""
    return dict(zip(("median", "p90", "max", "total"), query(sql)[0]))


def check_figures(directory, query, has_graphs):
    found = json.loads(ecmp(directory, "--json", "--top", "1000000"))
    name = directory.name
    one = lambda sql: query(sql)[0][0]
    targets = one("select count(distinct destination) from graphs")
    behind = one("select count(distinct destination) from diamonds")
    reasons = "graphs" if has_graphs else "flows"
    expected = {
        "source": "multipath" if has_graphs else "flows",
        "targets": targets,
        "targets_behind_diamond": behind,
        "share_behind_diamond": behind / targets,
        "graphs": one("select count(*) from graphs"),
        "stop_reasons": dict(query(f"select stop_reason, count(*) from {reasons} group by 1")),
        "algorithms": dict(query("select algorithm, count(*) from graphs where algorithm is not null group by 1")) if has_graphs else {},
        "nodes": one("select count(*) from nodes"),
        "links": one("select count(*) from links"),
        "max_width": bins(query, "graphs", "max_width", True),
        "flows": spread(query, "flows"),
        "probes": spread(query, "probes"),
    }
    for member, value in expected.items():
        check(f"{name}: {member}", found[member], value)
    runs = query("select run_id, count(*) from graphs group by 1")
    check(f"{name}: graphs of runs", {run["run_id"]: run["graphs"] for run in found["runs"]}, dict(runs))
    check_bound(directory, query, has_graphs, found)
    check_diamonds(query, name, found["diamonds"])
    check_shared(directory, query, found["shared_diamonds"])


def check_bound(directory, query, has_graphs, found):
    name = directory.name
    guards = "select count(*) from graphs where stop_reason in ('max_flows', 'max_width')"
    check(f"{name}: guards_fired", found["guards_fired"], query(guards)[0][0] if has_graphs else 0)
    if not has_graphs:
        check(f"{name}: failure_bound", found["failure_bound"], None)
        return
    config = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))["config"]
    asked = None if config["confidence"] is not None else round(1 - config["graph_confidence"], 12)
    larger = f"select count(*) from graphs where failure_bound > {asked} + 1e-9" if asked is not None else "select 0"
    expected = {
        "asked": asked,
        "worst": query("select max(failure_bound) from graphs")[0][0],
        "larger_than_asked": query(larger)[0][0],
    }
    check(f"{name}: failure_bound", found["failure_bound"], expected)


def check_diamonds(query, name, found):
    one = lambda sql: query(sql)[0][0]
    both = "where divergence is not null and convergence is not null"
    types = ["per_flow", "per_packet", "per_destination", None]
    rows = {kind: rest for kind, *rest in query("select balancer, count(*), count(distinct destination) from diamonds group by 1")}
    expected = {
        "total": one("select count(*) from diamonds"),
        "with_both_ends": one(f"select count(*) from diamonds {both}"),
        "distinct": one(f"select count(*) from (select distinct divergence, convergence from diamonds {both})"),
        "max_width": bins(query, "diamonds", "max_width", True),
        "max_length": bins(query, "diamonds", "max_length", False),
        "width_asymmetry": bins(query, "diamonds", "width_asymmetry", False),
        "unknown_shape": one("select count(*) from diamonds where width_asymmetry is null"),
        "meshed": one("select count(*) from diamonds where meshed"),
        "balancers": [
            {"balancer": kind, "diamonds": rows.get(kind, [0, 0])[0], "targets": rows.get(kind, [0, 0])[1]} for kind in types
        ],
    }
    for member, value in expected.items():
        check(f"{name}: diamonds.{member}", found[member], value)


def check_shared(directory, query, found):
    rows = query(
        """select divergence, convergence, count(distinct destination), count(*), min(max_width), max(max_width), max(max_length),
            max(width_asymmetry), bool_or(meshed), coalesce(list_sort(list_distinct(list(balancer))), [])
        from diamonds where divergence is not null and convergence is not null group by 1, 2"""
    )
    columns = "divergence convergence targets rows least_width most_width most_length most_asymmetry meshed balancers".split()
    expected = {row[:2]: dict(zip(columns, row)) for row in rows}
    listed = {}
    for row in found:
        listed[(row["divergence"], row["convergence"])] = {**row, "balancers": sorted(row["balancers"])}
    check(f"{directory.name}: shared diamonds", listed, expected)
    order = [row["targets"] for row in found]
    check(f"{directory.name}: order of shared diamonds", order, sorted(order, reverse=True))
    table = list(csv.DictReader(io.StringIO(ecmp(directory, "--csv"))))
    keys = [(row["divergence"], row["convergence"]) for row in table]
    check(f"{directory.name}: --csv", keys, list(listed))


def check_targets(directory, query, has_graphs):
    """`--csv=targets`, and the graphs of some targets."""
    columns = "run_id trace_id target_input destination flows probes nodes links max_width".split()
    rows = query(f"select {', '.join(f'{column}::text' for column in columns)} from graphs")
    found = list(csv.DictReader(io.StringIO(ecmp(directory, "--csv=targets"))))
    listed = sorted(tuple(row[column] for column in columns) for row in found)
    check(f"{directory.name}: --csv=targets", listed, sorted(rows))
    if has_graphs:
        bounds = dict(query("select destination, failure_bound from graphs"))
        check(f"{directory.name}: bounds", {row["destination"]: float(row["failure_bound"]) for row in found}, bounds)
    # The widest ones, then others.
    found.sort(key=lambda row: (-int(row["max_width"]), row["destination"]))
    for row in found[:: max(1, math.ceil(len(found) / DRAWN))]:
        check_drawn(directory, query, row["destination"])


def check_drawn(directory, query, target):
    name = f"{directory.name}: {target}"
    of_target = f"where destination = '{target}'"
    nodes = {f"{ttl}-{address}": (ttl, flows) for ttl, address, flows in query(f"select ttl, address, flows from nodes {of_target}")}
    links = {
        (f"{ttl}-{near}", f"{ttl + 1}-{far}"): flows
        for ttl, near, far, flows in query(f"select ttl, near, far, flows from links {of_target}")
    }
    text = ecmp(directory, "--graphml", target)
    graph = attempt(f"{name}: networkx", lambda: networkx.parse_graphml(text))
    if graph is not None:
        check(f"{name}: nodes of GraphML", {node: (data["ttl"], data["flows"]) for node, data in graph.nodes(data=True)}, nodes)
        check(f"{name}: links of GraphML", {(near, far): flows for near, far, flows in graph.edges(data="flows")}, links)
    drawing = attempt(f"{name}: SVG", lambda: xml.etree.ElementTree.fromstring(ecmp(directory, "--svg", target)))
    if drawing is not None:
        space = "{http://www.w3.org/2000/svg}"
        check(f"{name}: links of SVG", len(drawing.findall(f".//{space}path[@class='link']")), len(links))
        labels = [text.text for text in drawing.findall(f".//{space}g/{space}text[@class='address']")]
        check(f"{name}: addresses of SVG", sorted(labels), sorted(node.split("-", 1)[1] for node in nodes))
    dot = ecmp(directory, "--dot", target)
    check(f"{name}: links of DOT", dot.count(" -> "), len(links))
    if shutil.which("dot"):
        drawn = subprocess.run(["dot", "-Tplain"], input=dot, capture_output=True, text=True)
        check(f"{name}: dot", (drawn.returncode, drawn.stderr), (0, ""))
        kinds = [line.split(" ", 1)[0] for line in drawn.stdout.splitlines()]
        check(f"{name}: nodes and edges of dot", (kinds.count("node"), kinds.count("edge")), (len(nodes), len(links)))


def main():
    for path in sys.argv[1:]:
        directory = pathlib.Path(path)
        query, has_graphs = connect(directory)
        check_figures(directory, query, has_graphs)
        check_targets(directory, query, has_graphs)
    return finish()


if __name__ == "__main__":
    sys.exit(main())
