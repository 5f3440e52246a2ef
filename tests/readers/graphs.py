"""What the tables of multipath tracing say about each other. `check.py` runs it over every directory that has them.

| table | compared with |
|---|---|
| `graphs` | `traces` (a row for each trace of many flows), and the numbers of rows of the others |
| `nodes` | itself: what stands or is null together, probabilities |
| `links` | `nodes`: both ends are there |
| `diamonds` | `nodes`: each TTL with several nodes is in one diamond, and the nodes around it are the only ones of their TTLs |
"""

from common import check

KEYS = {
    "graphs": "run_id, trace_id",
    "nodes": "run_id, trace_id, ttl, address",
    "links": "run_id, trace_id, ttl, near, far",
    "diamonds": "run_id, trace_id, first_ttl",
}

# How many nodes each TTL has.
WIDTHS = "select run_id, trace_id, ttl, count(*) as width, any_value(address) as address from nodes group by all"

# Each finds rows that must not be there.
NEVER = {
    "a graph without its trace": """
        from graphs anti join traces using (run_id, trace_id)""",
    "a trace of many flows without its graph": """
        from (from traces where flow is null and stop_reason not in ('excluded', 'interrupted')) anti join graphs using (run_id, trace_id)""",
    "a graph with another trace's destination or end": """
        from graphs g join traces t using (run_id, trace_id)
        where g.destination <> t.destination or g.stop_reason <> t.stop_reason or g.target_input <> t.target_input
            or g.labels is distinct from t.labels""",
    "a graph that ends before it starts": "from graphs where finished_at < started_at",
    "a bound that is no probability": "from graphs where failure_bound is null or not failure_bound between 0 and 1",
    "a graph with another number of nodes, or another width": f"""
        from graphs g left join (
            select run_id, trace_id, sum(width) as nodes, max(width) as width from ({WIDTHS}) group by all) n
        using (run_id, trace_id)
        where g.nodes <> coalesce(n.nodes, 0) or g.max_width <> coalesce(n.width, 0)""",
    "a graph with another number of links": """
        from graphs g left join (select run_id, trace_id, count(*) as n from links group by all) l using (run_id, trace_id)
        where g.links <> coalesce(l.n, 0)""",
    "a graph with another number of diamonds": """
        from graphs g left join (select run_id, trace_id, count(*) as n from diamonds group by all) d using (run_id, trace_id)
        where g.diamonds <> coalesce(d.n, 0)""",
    "a node whose graph is missing": "from nodes anti join graphs using (run_id, trace_id, destination)",
    "a link whose graph is missing": "from links anti join graphs using (run_id, trace_id, destination)",
    "a diamond whose graph is missing": "from diamonds anti join graphs using (run_id, trace_id, destination)",
    "a node that is partly known": """
        from nodes where (next_hops is null) <> (next_hop_flows is null) or (coalesce(next_hops, 0) = 0) <> (miss_probability is null)
            or (next_hops is null) <> (stopped_by is null)""",
    "a node that varies and has next hops": "from nodes where varies and next_hops is not null",
    "an end with next hops": "from nodes where is_end and next_hops is not null",
    "a node without flows": "from nodes where flows < 1 and not varies or next_hops > next_hop_flows",
    "a miss that is no probability": "from nodes where not miss_probability between 0 and 1",
    "a link without its nearer node": """
        from links l anti join nodes n
        on (l.run_id, l.trace_id, l.ttl, l.near) = (n.run_id, n.trace_id, n.ttl, n.address)""",
    "a link without its farther node": """
        from links l anti join nodes n
        on (l.run_id, l.trace_id, l.ttl + 1, l.far) = (n.run_id, n.trace_id, n.ttl, n.address)""",
    "a link without flows": "from links where flows < 1",
    "a link inside of a per-packet balancer": """
        from links l join nodes n on l.run_id = n.run_id and l.trace_id = n.trace_id
            and (l.ttl, l.near) = (n.ttl, n.address) join nodes m on l.run_id = m.run_id and l.trace_id = m.trace_id
            and (l.ttl + 1, l.far) = (m.ttl, m.address)
        where n.varies and m.varies""",
    "a TTL with several nodes that is not in one diamond": f"""
        from ({WIDTHS}) w where width > 1 and 1 <> (
            select count(*) from diamonds d where (d.run_id, d.trace_id) = (w.run_id, w.trace_id)
                and w.ttl between d.first_ttl and d.last_ttl)""",
    "a diamond with another width": f"""
        from diamonds d where max_width is distinct from (
            select max(width) from ({WIDTHS}) w where (d.run_id, d.trace_id) = (w.run_id, w.trace_id)
                and w.ttl between d.first_ttl and d.last_ttl)""",
    "a diamond with a TTL of one node or none": f"""
        from diamonds d where last_ttl - first_ttl + 1 <> (
            select count(*) from ({WIDTHS}) w where (d.run_id, d.trace_id) = (w.run_id, w.trace_id)
                and w.ttl between d.first_ttl and d.last_ttl and width > 1)""",
    "a divergence point that is not the only node of its TTL": f"""
        from diamonds d left join ({WIDTHS}) w
        on (d.run_id, d.trace_id, d.divergence_ttl) = (w.run_id, w.trace_id, w.ttl)
        where divergence is distinct from w.address or w.width > 1""",
    "a convergence point that is not the only node of its TTL": f"""
        from diamonds d left join ({WIDTHS}) w
        on (d.run_id, d.trace_id, d.convergence_ttl) = (w.run_id, w.trace_id, w.ttl)
        where convergence is distinct from w.address or w.width > 1""",
    "a diamond whose points are not beside it": """
        from diamonds where divergence_ttl is distinct from nullif(first_ttl - 1, 0) or convergence_ttl <> last_ttl + 1""",
    "a diamond whose length is not that of its TTLs": """
        from diamonds where max_length <> last_ttl - first_ttl + 1 + (convergence_ttl is not null)::int""",
    "a diamond whose shape is partly known": "from diamonds where (width_asymmetry is null) <> (meshed is null)",
}


def check_graphs(query):
    """`query` runs SQL over relations with the names of the tables."""
    for table, key in KEYS.items():
        twice = query(f"select {key} from {table} group by all having count(*) > 1")
        check(f"keys of {table} are unique", twice, [])
    for name, rows in NEVER.items():
        check(f"there is never {name}", query(f"select count(*) from (select 1 {rows})")[0][0], 0)
