#!/usr/bin/env python3
"""Kills surveys with SIGKILL, resumes them, and checks what is there after each kill and at the end.

    python kills.py SCRATCH [KILLS [SEED]]

Without numbers: 200 kills. CI takes fewer. The seed gives the kinds, the moments and the numbers of kills; it is printed first. The
moments of the first row depend on the machine as well.

The surveys send real packets into a simulated network without loss, over TUN. `trace` and `sweep` run with one and with three flows. Parts
are small, so that many are sealed. A run is killed up to eight times. These are the moments:

| moment | how |
|---|---|
| any | at a random time of the run |
| start | a random fsync of the main thread, which opens or resumes the run (by strace) |
| part | an fsync of the writer thread between the first write of a part and its checkpoint (by strace) |
| place | an fsync of the writer thread after a part got its final name, before the next one does (by strace) |
| sealing | any fsync of the writer thread (by strace) |

Where a kill hit is not taken from its aim, but from the files that it left:

| what is left | the kill hit |
|---|---|
| a temporary part that no checkpoint lists | between the first write of a part and its checkpoint |
| a part in the checkpoint that the manifest does not list | between the checkpoint and the manifest |
| neither | elsewhere |

A quarter of the kills at least must hit between the first write of a part and its checkpoint.

After every kill, DuckDB reads `hops` and `traces` with a glob, as a user would. No probe, no trace and no item of a sweep may be there
twice. Every trace must be whole, and all paths must be those of an undisturbed run. At the end everything must be there exactly once.
Needs root: for TUN, and for strace.
"""

import hashlib
import json
import pathlib
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pyarrow.parquet

from common import ROOT, TABLES, attempt, check, finish, program

# Bounds a run that hangs.
LONGEST = 300
KILLED = -9
# The numbers of probes that a session may use.
BLOCK = 1 << 40
# A name for each kind: strategy, flows, targets, highest TTL. The network has seven or eight hops, and balancers at the second and at the
# fifth or sixth. A target is probed no faster than it may answer, so the sweep of three flows ends one hop before the targets.
KINDS = {
    "trace, 1 flow": ("trace", 1, 200, 12),
    "trace, 3 flows": ("trace", 3, 70, 12),
    "sweep, 1 flow": ("sweep", 1, 200, 7),
    "sweep, 3 flows": ("sweep", 3, 80, 6),
}
PART_FILE = re.compile(r"\.parquet\.tmp>|/\.partial>|/\.partial/checkpoint\.json>")
PART_FOLDER = re.compile(r"/(hops|traces)/date=[^/]*/vp=[^/]*>")


class Kind:
    """What is surveyed, and what an undisturbed run of it takes and leaves."""

    def __init__(self, scratch, name):
        self.name = name
        self.strategy, self.flows, self.targets, self.highest = KINDS[name]
        place = scratch / name.replace(", ", "-").replace(" ", "-")
        self.list = place.with_suffix(".txt")
        self.list.write_text("".join(f"198.18.0.{n}\n" for n in range(1, self.targets + 1)), encoding="utf-8")
        began = time.monotonic()
        subprocess.run(self.command(place), cwd=ROOT, check=True, timeout=LONGEST)
        self.seconds = time.monotonic() - began
        self.paths = self.paths_in(place)
        check(f"{name}: paths of the undisturbed run", len(self.paths), self.targets * self.flows)
        self.check_truth()
        self.moments = self.moments_of_sealings(place.with_suffix(".strace"), place)

    def command(self, output):
        options = f"--strategy {self.strategy} --flows {self.flows} --max-ttl {self.highest} --rate 1000 --seed 7"
        options += " --seal-rows 100 --cooldown 0.5"
        lab = ["--lab", "labs/diamond.toml", "-i", str(self.list)]
        return [program(), "survey", "--quiet", *lab, *options.split(), "-o", str(output)]

    def paths_in(self, root):
        """The path of each (destination, flow): pairs of TTL and responder. A trace also has probes that are not on its path."""
        on_path = "on_path" if self.strategy == "trace" else "true"
        rows = query(
            f"select destination, flow, list((ttl, responder) order by ttl) from '{root}/hops/**/*.parquet'"
            f" where reply_index = 0 and {on_path} group by all"
        )
        return {(destination, flow): path for destination, flow, path in rows}

    def check_truth(self):
        """The paths of some flows are the true ones."""
        for (destination, flow), found in sorted(self.paths.items())[:: len(self.paths) // 8]:
            truth = [program(), "lab", "truth", "--network", "labs/diamond.toml", destination, "--source-port", str(24000 + flow)]
            lines = subprocess.check_output(truth, cwd=ROOT, text=True)
            hops = re.findall(r"^ *(\d+) +([\d.]+) ", lines, re.MULTILINE)
            expected = [(int(ttl), address) for ttl, address in hops if int(ttl) <= self.highest]
            check(f"{self.name}: the path to {destination}, flow {flow}", found, expected)

    def moments_of_sealings(self, log, output):
        """The fsyncs of the writer thread, as numbers: all, those between the first write of a part and its checkpoint, and those of the
        folders of the parts."""
        shutil.rmtree(output)
        command = ["strace", "-f", "-qq", "-y", "--seccomp-bpf", "-e", "trace=fsync", "-e", "signal=none", "-o", str(log)]
        subprocess.run([*command, *self.command(output)], cwd=ROOT, check=True, timeout=LONGEST)
        shutil.rmtree(output)
        calls = [line.split(maxsplit=1) for line in log.read_text(errors="replace").splitlines()]
        writer, _ = Counter(thread for thread, _ in calls).most_common(1)[0]
        own = [call for thread, call in calls if thread == writer]
        numbers = lambda pattern: [number for number, call in enumerate(own, start=1) if pattern.search(call)]
        parts, places = numbers(PART_FILE), numbers(PART_FOLDER)
        check(f"{self.name}: many sealings", len(parts) > 20 and len(places) > 10, True)
        return list(range(1, len(own) + 1)), parts, places


def query(sql):
    # Every check has a connection of its own, because several threads check at once.
    with duckdb.connect() as connection:
        return connection.execute(sql).fetchall()


# --- kills


def killed(command, kind, chance):
    """Runs a survey and kills it. Returns its exit code and the aim: -9 if it was killed."""
    aim = chance.choices(["any", "start", "part", "place", "sealing"], [3, 2, 4, 2, 1])[0]
    if aim == "any":
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
        try:
            _, errors = process.communicate(timeout=chance.uniform(0, 1.2 * kind.seconds))
        except subprocess.TimeoutExpired:
            process.kill()
            _, errors = process.communicate(timeout=LONGEST)
        return process.returncode, aim, errors
    everything, parts, places = kind.moments
    # A run that is resumed has the later part of the calls of a whole run. Early calls are hit more often.
    number = {
        "start": lambda: chance.randint(1, 15),
        "part": lambda: chance.choice(parts[: len(parts) * 2 // 3]),
        "place": lambda: chance.choice(places[: len(places) * 2 // 3]),
        "sealing": lambda: chance.choice(everything),
    }[aim]()
    # With --seccomp-bpf, strace would not send the signal.
    inject = ["strace", "-f", "-qq", "-e", "trace=fsync", "-e", f"inject=fsync:signal=SIGKILL:when={number}"]
    done = subprocess.run(
        [*inject, "-e", "signal=none", "-o", "/dev/null", *command], cwd=ROOT, stderr=subprocess.PIPE, timeout=LONGEST
    )
    return done.returncode, f"{aim} {number}", done.stderr


def manifests(root):
    return sorted(root.glob("runs/*/*/*/manifest.json"))


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))


def listed(manifest):
    return {part["path"] for table in manifest["tables"].values() for part in table["parts"]}


def marks(root):
    """The files that tell where a kill hit, with what tells an old file from a new one of the same name."""
    files = [*root.glob("runs/*/*/*/.partial/*.parquet.tmp"), *root.glob("runs/*/*/*/checkpoint.json")]
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def in_checkpoints(root):
    """The parts that the checkpoints list, relative to the root."""
    sealings = [sealing for path in root.glob("runs/*/*/*/checkpoint.json") for sealing in load(path)["sealings"]]
    return {part["path"] for sealing in sealings for part in sealing["parts"].values()}


def where_hit(root, before):
    """Where a kill hit, from what the killed process left. `before` are the marks from before it started: an earlier kill left those."""
    new = [path for path, mark in marks(root).items() if before.get(path) != mark]
    known = in_checkpoints(root)
    # A temporary part has the name of its table and that of the part.
    names = {f"{path.partition('/')[0]}-{pathlib.Path(path).name}.tmp" for path in known}
    if any(path.suffix == ".tmp" and path.name not in names for path in new):
        return "before the checkpoint"
    stated = set().union(*(listed(load(path)) for path in manifests(root)))
    if known - stated and any(path.name == "checkpoint.json" for path in new):
        return "before the manifest"
    return "elsewhere"


# --- checks


def check_rows(name, root, kind, whole):
    """What must hold of all rows that a reader finds: at every moment, and at the end of a run (`whole`)."""
    hops = f"'{root}/hops/**/*.parquet'"
    if list(root.glob("hops/**/*.parquet")):
        twice = query(f"select probe_id, reply_index from {hops} group by all having count(*) > 1")
        check(f"{name}: probes twice", twice, [])
        found = kind.paths_in(root)
        check(f"{name}: paths that no undisturbed run has", sorted(found.keys() - kind.paths.keys()), [])
        if kind.strategy == "trace" or whole:
            check(f"{name}: paths", [key for key in found if found[key] != kind.paths.get(key)], [])
        items = f"select destination, flow, ttl from {hops} where reply_index = 0 group by all having count(*) > 1"
        if kind.strategy == "sweep":
            check(f"{name}: items of the sweep twice", query(items), [])
            wrong = [key for key in found if not set(found[key]) <= set(kind.paths.get(key, []))]
            check(f"{name}: hops that the undisturbed run does not have", wrong, [])
        several = f"select destination, flow from {hops} group by all having count(distinct trace_id) > 1"
        check(f"{name}: targets with the hops of several traces", query(several), [])
    if list(root.glob("traces/**/*.parquet")):
        traces = f"'{root}/traces/**/*.parquet'"
        twice = query(f"select destination, flow from {traces} group by all having count(*) > 1")
        check(f"{name}: traces twice", twice, [])
        lacking = query(
            f"select t.destination, t.flow, t.probes_sent, count(h.probe_id) as rows from {traces} t"
            f" left join {hops} h on h.trace_id = t.trace_id and h.reply_index = 0"
            " and h.destination = t.destination and h.flow = t.flow"
            " group by t.trace_id, t.destination, t.flow, t.probes_sent having rows <> t.probes_sent"
        )
        check(f"{name}: traces without all of their hops", lacking, [])


def check_moment(name, root, kind, sessions):
    """The state after a kill. Returns the number of sessions of the run."""
    check_rows(name, root, kind, whole=False)
    if (root / "manifest.json").exists():
        attempt(f"{name}: the directory's manifest", lambda: load(root / "manifest.json"))
    found = [load(path) for path in manifests(root)]
    there = {str(path.relative_to(root)) for table in TABLES for path in (root / table).rglob("*") if path.is_file()}
    known = in_checkpoints(root).union(*map(listed, found))
    check(f"{name}: files where readers look that no checkpoint and no manifest has", there - known, set())
    if not check(f"{name}: one run at most", len(found) <= 1, True) or not found:
        return 0
    manifest = found[0]
    for part in sorted(listed(manifest)):
        check(f"{name}: {part} is there", (root / part).is_file(), True)
    there = len(manifest["sessions"])
    check(f"{name}: sessions", there in (sessions, sessions + 1), True)
    return there


def check_end(name, root, kind, sessions, is_closed):
    """The state at the end: everything is there once, and the manifest states it.

    A run that was killed after its last manifest is not closed: it may lack `_SUCCESS`, and the directory's manifest may be an older one."""
    check_rows(name, root, kind, whole=True)
    [path] = manifests(root)
    manifest = load(path)
    check(f"{name}: state", manifest["state"], "complete")
    if is_closed:
        names = sorted(file.name for file in path.parent.iterdir())
        check(f"{name}: the directory's manifest", load(root / "manifest.json"), manifest)
        check(f"{name}: what the folder of the run holds", names, ["_SUCCESS", "manifest.json", "targets.bin"])
    there = {str(file.relative_to(root)) for table in TABLES for file in (root / table).rglob("*") if file.is_file()}
    check(f"{name}: files where readers look", there, listed(manifest))
    rows = Counter()
    for table, section in manifest["tables"].items():
        for part in section["parts"]:
            content = (root / part["path"]).read_bytes()
            check(f"{name}: {part['path']}: checksum", hashlib.sha256(content).hexdigest(), part["sha256"])
            counted = pyarrow.parquet.ParquetFile(root / part["path"]).metadata.num_rows
            check(f"{name}: {part['path']}: rows", counted, part["rows"])
            rows[table] += counted
        check(f"{name}: rows of {table}", section["rows"], rows[table])
    check(f"{name}: paths", len(kind.paths_in(root)), kind.targets * kind.flows)
    traces = kind.targets * kind.flows if kind.strategy == "trace" else 0
    check(f"{name}: traces", (rows["traces"], manifest["run"]["traces_ended"]), (traces, traces))
    hops = f"'{root}/hops/**/*.parquet'"
    if kind.strategy == "sweep":
        check(f"{name}: items", query(f"select count(*) from {hops}"), [(kind.targets * kind.flows * kind.highest,)])
    by_status = dict(query(f"select status, count(*) from {hops} where reply_index = 0 group by 1"))
    stated = {status: count for status, count in manifest["probes"]["by_status"].items() if count}
    check(f"{name}: probes by status", stated, by_status)
    found = manifest["sessions"]
    check(f"{name}: sessions", [session["number"] for session in found], list(range(sessions)))
    ends = [session["state"] for session in found]
    check(f"{name}: how the sessions ended", ends, ["killed"] * (sessions - 1) + ["complete"])
    check(f"{name}: blocks of the sessions", [session["first_probe_id"] for session in found], [n * BLOCK for n in range(sessions)])
    blocks = {block for (block,) in query(f"select distinct probe_id // {BLOCK} from {hops}")}
    check(f"{name}: probes outside of the sessions' blocks", sorted(blocks - set(range(sessions))), [])
    verified = subprocess.run([program(), "datasets", "verify", str(root)], capture_output=True, text=True, timeout=LONGEST)
    check(f"{name}: datasets verify: {verified.stdout}{verified.stderr}", verified.returncode, 0)


# --- runs


class Kills:
    """Counts the kills of all runs."""

    def __init__(self, wanted):
        self.wanted = wanted
        self.lock = threading.Lock()
        self.hits, self.resuming, self.runs = Counter(), 0, Counter()

    def are_done(self):
        return sum(self.hits.values()) >= self.wanted

    def count(self, hit, resuming):
        with self.lock:
            self.hits[hit] += 1
            self.resuming += resuming


def run_one(scratch, number, kind, seed, kills):
    """Surveys, kills and resumes until a run is complete."""
    chance = random.Random(f"{seed}-{number}")
    root = scratch / f"run-{number}"
    planned, done, sessions, exit_code, is_closed = chance.randint(1, 8), 0, 0, None, True
    while done < planned and not kills.are_done():
        # A run that died before its first manifest is started again.
        resuming = sessions > 0
        command = [program(), "survey", "--quiet", "--resume", "-o", str(root)] if resuming else kind.command(root)
        before = marks(root)
        exit_code, aim, errors = killed(command, kind, chance)
        name = f"run {number} ({kind.name}), kill {done + 1} ({aim})"
        if exit_code != KILLED:
            check(f"{name}: {errors.decode(errors='replace')}", exit_code, 0)
            sessions += 1
            break
        done += 1
        hit = where_hit(root, before)
        kills.count(hit, resuming)
        sessions = check_moment(name, root, kind, sessions)
        print(f"{name}: {hit}; sessions so far: {sessions}", flush=True)
        if sessions and load(manifests(root)[0])["state"] == "complete":
            # The last manifest was there. What comes after it is the matter of the next run in the directory.
            is_closed = False
            break
    if exit_code in (KILLED, None) and is_closed:
        command = [program(), "survey", "--quiet", "--resume", "-o", str(root)] if sessions else kind.command(root)
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST)
        check(f"run {number} ({kind.name}): the last resume: {ended.stderr}", ended.returncode, 0)
        sessions += 1
    kills.runs[min(done, 2)] += 1
    check_end(f"run {number} ({kind.name}), at the end", root, kind, sessions, is_closed)
    shutil.rmtree(root)


def main():
    scratch = pathlib.Path(sys.argv[1]).resolve()
    given = [int(word) for word in sys.argv[2:]]
    wanted = given[0] if given else 200
    seed = given[1] if len(given) > 1 else random.SystemRandom().randrange(1 << 32)
    scratch.mkdir(parents=True, exist_ok=True)
    print(f"seed {seed}: {wanted} kills", flush=True)
    began = time.monotonic()
    kinds = [Kind(scratch, name) for name in KINDS]
    kills = Kills(wanted)
    numbers = iter(range(10_000))

    def work():
        while not kills.are_done():
            with kills.lock:
                number = next(numbers)
            kind = kinds[number % len(kinds)]
            attempt(f"run {number} ({kind.name})", lambda: run_one(scratch, number, kind, seed, kills) or True)

    with ThreadPoolExecutor(max_workers=2) as pool:
        for worker in [pool.submit(work) for _ in range(2)]:
            worker.result()
    total = sum(kills.hits.values())
    print(f"{total} kills in {time.monotonic() - began:.0f} s, {kills.resuming} of them while a run was resumed")
    print(", ".join(f"{count} {hit}" for hit, count in kills.hits.items()))
    print(f"runs: {kills.runs[0]} without a kill, {kills.runs[1]} killed once, {kills.runs[2]} killed more than once")
    check("kills between the first write of a part and its checkpoint", kills.hits["before the checkpoint"] * 4 >= wanted, True)
    check("runs that were killed more than once", kills.runs[2] > 0, True)
    return finish()


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3, 4):
        sys.exit(__doc__)
    sys.exit(main())
