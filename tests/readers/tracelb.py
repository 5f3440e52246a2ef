#!/usr/bin/env python3
"""Compares multipath surveys with scamper's `tracelb`, for use by hand: over real Linux routers, and over the lab.

    python tracelb.py PATHSURVEY SHAPE FAMILY TARGETS [RATE [CONFIDENCE]]

For example `python tracelb.py target/release/pathsurvey mesh 4 1000`. Needs root, scamper and duckdb.

`tests/routers/ecmp/fabric.sh` draws the shapes and builds them from network namespaces. The same routers and links are then written as
a lab network. Both programs get the same targets, the same rate (5,000 probes per second by default) and the same confidence (95% by
default). pathsurvey varies the source port of UDP probes. scamper varies the destination port, because its other methods do not run over
TUN devices, which the lab has. It waits 150 ms between the probes of a target, the least that it allows. Both run with a high priority, so
that other work on the machine slows them less.

| column | meaning |
|---|---|
| whole | targets with all nodes and links |
| nodes, links | how many were found of all that are there, over all targets. A node is an address at a TTL |
| false | nodes and links that are not there |
| probes | on average for each target |

The links of tracelb are those that it lists between two nodes, and those that the same flow shows at consecutive TTLs.
"""

import collections
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import duckdb

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROUTERS = ROOT / "tests" / "routers"
FABRIC = ROUTERS / "ecmp" / "fabric.sh"
INSIDE = "PATHSURVEY_TEST_INSIDE"
SECONDS = 3600
PRIORITY = ["nice", "-n", "-15"]


def fabric(*arguments):
    return subprocess.run([FABRIC, *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True).stdout


class Truth:
    """The nodes and links to each target."""

    def __init__(self, shape, family):
        lines = [line.split() for line in fabric("links", shape, family).splitlines()]
        self.lines = [(int(ttl), near, far) for ttl, near, far in lines]

    def links(self, target):
        return {(ttl, near, target if far == "target" else far) for ttl, near, far in self.lines}

    def nodes(self, target):
        return {(ttl, near) for ttl, near, _ in self.links(target)} | {(ttl + 1, far) for ttl, _, far in self.links(target)}


class Found:
    """The nodes and links that a program found to each target, with its probes and its time."""

    def __init__(self):
        self.nodes = collections.defaultdict(set)
        self.links = collections.defaultdict(set)
        self.probes = 0
        self.seconds = 0.0


def timed(found, command):
    started = time.monotonic()
    subprocess.run([*PRIORITY, *command], check=True, stdin=subprocess.DEVNULL, timeout=SECONDS)
    found.seconds = time.monotonic() - started
    return found


def by_pathsurvey(command, targets, scratch, rate, confidence, lab=()):
    out = scratch / "dataset"
    shutil.rmtree(out, ignore_errors=True)
    command = [*command, "survey", *lab, "--quiet", "--allow-special", "--strategy", "multipath", "--graph-confidence", confidence]
    found = timed(Found(), [*command, "-r", rate, "-i", targets, "-o", out])
    ask = lambda columns, table: duckdb.sql(f"select {columns} from '{out}/{table}/**/*.parquet'").fetchall()
    for target, ttl, address in ask("destination, ttl, address", "nodes"):
        found.nodes[target].add((ttl, address))
    for target, ttl, near, far in ask("destination, ttl, near, far", "links"):
        found.links[target].add((ttl, near, far))
    found.probes = ask("count(*) filter (reply_index = 0)", "hops")[0][0]
    return found


def by_scamper(command, targets, scratch, rate, confidence, more=""):
    out = scratch / "tracelb.json"
    method = f"tracelb -P udp-dport -W 15 -c {confidence}{more}"
    found = timed(Found(), [*command, "scamper", "-p", rate, "-O", "json", "-o", out, "-c", method, "-f", targets])
    with out.open(encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            if record["type"] == "tracelb":
                read_tracelb(record, found)
    return found


def read_tracelb(record, found):
    target = record["dst"]
    found.probes += record["probec"]
    nodes, links = found.nodes[target], found.links[target]
    flows = {}
    for node in record.get("nodes", []):
        first = None
        for hop in [hop for hops in node.get("links", []) for hop in hops]:
            for probe in hop.get("probes", []):
                if hop["addr"] == "*":
                    continue
                ttl = probe["ttl"]
                first = ttl if first is None else min(first, ttl)
                flows[probe["flowid"], ttl] = hop["addr"]
                nodes.add((ttl, hop["addr"]))
                if ttl == first and node["addr"] != "*":
                    nodes.add((ttl - 1, node["addr"]))
                    links.add((ttl - 1, node["addr"], hop["addr"]))
    for (flow, ttl), near in flows.items():
        far = flows.get((flow, ttl + 1))
        if far is not None and near != target:
            links.add((ttl, near, far))


def lab_network(shape, family, path):
    """Writes the routers and links of a shape as a network of the lab."""
    key, prefix = {"4": ("address", "198.18.0.0/15"), "6": ("address6", "2001:db8:2::/64")}[family]
    links = [line.split() for line in fabric("links", shape, family).splitlines()]
    after = collections.defaultdict(list)
    for _, near, far in links:
        after[near].extend([far] if far != "target" else [])
    text = "seed = 1\n"
    for router, nexts in after.items():
        text += f'[[router]]\nname = "{router}"\n{key} = "{router}"\n'
        text += f"next = {json.dumps(nexts)}\n" if nexts else ""
    path.write_text(text + f'[[target]]\nprefix = "{prefix}"\nat = "{links[-1][1]}"\nunlimited = true\n', encoding="utf-8")


def row(place, program, found, truth, targets):
    nodes = links = false = whole = 0
    for target in targets:
        there = truth.nodes(target), truth.links(target)
        seen = found.nodes[target], found.links[target]
        nodes += len(there[0] & seen[0])
        links += len(there[1] & seen[1])
        false += len(seen[0] - there[0]) + len(seen[1] - there[1])
        whole += there == seen
    count = len(targets)
    all_nodes, all_links = (count * len(kind(targets[0])) for kind in (truth.nodes, truth.links))
    return [place, program, f"{whole} of {count}", f"{nodes} of {all_nodes}", f"{links} of {all_links}", str(false),
            f"{found.probes / count:.0f}", f"{found.seconds:.0f} s"]


def table(rows):
    rows = [["over", "program", "whole", "nodes", "links", "false", "probes", "time"], *rows]
    rows.insert(1, ["---"] * len(rows[0]))
    for cells in rows:
        print("| " + " | ".join(cells) + " |")


def main(program, shape, family, count, rate="5000", confidence="95"):
    if INSIDE not in os.environ:
        os.environ[INSIDE] = "1"
        os.execv(ROUTERS / "build.sh", [str(ROUTERS / "build.sh"), "enter", sys.executable, *sys.argv])
    program = pathlib.Path(program).resolve()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        targets = scratch / "targets.txt"
        targets.write_text(fabric("targets", family, count), encoding="utf-8")
        addresses = targets.read_text(encoding="utf-8").split()
        truth = Truth(shape, family)
        run = lambda survey, command, *more: survey(command, targets, scratch, rate, confidence, *more)
        rows = []
        fabric("up", "compare", shape, count)
        at = ["ip", "netns", "exec", "compare-vantage"]
        rows.append(row("Linux routers", "pathsurvey", run(by_pathsurvey, [*at, program]), truth, addresses))
        rows.append(row("Linux routers", "tracelb", run(by_scamper, at), truth, addresses))
        fabric("down", "compare")
        network = scratch / "network.toml"
        lab_network(shape, family, network)
        rows.append(row("the lab", "pathsurvey", run(by_pathsurvey, [program], [f"--lab={network}"]), truth, addresses))
        in_lab = [program, "lab", "exec", "--network", network, "--"]
        rows.append(row("the lab", "tracelb", run(by_scamper, in_lab), truth, addresses))
        table(rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
