#!/usr/bin/env python3
"""Surveys millions of targets in virtual time, kills each survey once and resumes it, and states time and memory.

    python millions.py SCRATCH [TARGETS]

Without a number: 10 million targets from a list in random order. CI takes fewer.

`trace` and `sweep` probe four TTLs, so that a run takes minutes. Each run gets SIGKILL when half of its rows are sealed, and is resumed. In the
end every target must have one trace, and every (target, TTL) of the sweep one probe. What a waiting target takes is the difference between
the peaks of memory of this run and of one with a tenth of the targets, by their difference in targets. It must be at most 64 bytes. Both
have the same window, so targets under way do not count. The simulated network is in the same process.
"""

import json
import pathlib
import random
import re
import shutil
import subprocess
import sys
import threading
import time

import duckdb

from common import ROOT, check, finish, program

TTLS = 4
SECONDS = 7200


def write_list(path, targets):
    """Distinct addresses in random order, within 20.0.0.0 to 27.255.255.255."""
    numbers = random.Random(7).sample(range(20 << 24, 28 << 24), targets)
    with path.open("w", encoding="utf-8") as out:
        for n in numbers:
            out.write(f"{n >> 24}.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}\n")


class Run:
    """A process, with its memory sampled."""

    def __init__(self, command):
        self.started = time.monotonic()
        self.samples = []
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def watch(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status")
        while self.process.returncode is None:
            try:
                found = re.search(r"VmRSS:\s+(\d+) kB", status.read_text())
            except (FileNotFoundError, ProcessLookupError):
                return
            if found:
                self.samples.append(int(found[1]) * 1024)
            time.sleep(0.2)

    def end(self):
        code = self.process.wait(SECONDS)
        self.thread.join()
        self.seconds = time.monotonic() - self.started
        return code

    def peak(self):
        return max(self.samples)

    def quarters(self):
        """The peaks of the quarters of the time."""
        size = max(1, len(self.samples) // 4)
        return [max(self.samples[at * size : (at + 1) * size] or [0]) for at in range(4)]


def survey(strategy, targets, output, count):
    options = f"--strategy {strategy} --max-ttl {TTLS} --attempts 1 --rate 50k --window 20000 --seed 1"
    # Several parts even of a short form.
    options += f" --seal-rows {min(1_000_000, max(100, count // 10))}"
    lab = ["--lab", "labs/generated-clean.toml", "--virtual-time", "-i", str(targets)]
    return [program(), "survey", "--quiet", *lab, *options.split(), "-o", str(output)]


def sealed(root):
    """The rows of the parts that the manifest lists."""
    try:
        manifest = json.loads((root / "manifest.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return 0
    return manifest["tables"]["hops"]["rows"]


def kill_and_resume(strategy, listed, count, root):
    run = Run(survey(strategy, listed, root, count))
    while not (root / "manifest.json").exists() and run.process.poll() is None:
        time.sleep(0.05)
    loaded = time.monotonic() - run.started
    while sealed(root) < count * TTLS // 2 and run.process.poll() is None:
        time.sleep(0.02)
    run.process.kill()
    check(f"{strategy}: killed under way", run.end(), -9)
    before = sealed(root)
    again = Run([program(), "survey", "--quiet", "--resume", "-o", str(root)])
    check(f"{strategy}: resumed", again.end(), 0)
    megabytes = lambda run: [round(peak / 1e6) for peak in run.quarters()]
    print(
        f"{strategy}: loaded in {loaded:.1f} s; killed after {run.seconds:.0f} s with {before:,} rows, memory by quarters {megabytes(run)} MB; "
        f"resumed in {again.seconds:.0f} s, memory by quarters {megabytes(again)} MB",
        flush=True,
    )
    return max(run.peak(), again.peak())


def check_rows(strategy, root, count):
    with duckdb.connect() as connection:
        query = lambda sql: connection.execute(sql).fetchone()
        if strategy == "trace":
            found = query(f"select count(*), count(distinct destination) from '{root}/traces/**/*.parquet'")
            check("trace: traces, and targets with a trace", found, (count, count))
        hops = f"'{root}/hops/**/*.parquet'"
        found = query(f"select count(*), count(distinct probe_id) from {hops} where reply_index = 0")
        check(f"{strategy}: no probe is there twice", found[0], found[1])
        if strategy == "sweep":
            check("sweep: probes", found[0], count * TTLS)
            found = query(f"select count(*) from (select distinct destination, ttl from {hops})")
            check("sweep: every target and TTL", found, (count * TTLS,))


def main():
    scratch = pathlib.Path(sys.argv[1]).resolve()
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000_000
    scratch.mkdir(parents=True, exist_ok=True)
    many, few = scratch / "many.txt", scratch / "few.txt"
    write_list(many, count)
    write_list(few, count // 10)
    for strategy in ("trace", "sweep"):
        small = Run(survey(strategy, few, scratch / "few", count))
        check(f"{strategy}: a tenth", small.end(), 0)
        shutil.rmtree(scratch / "few")
        root = scratch / strategy
        peak = kill_and_resume(strategy, many, count, root)
        each = (peak - small.peak()) / (count - count // 10)
        print(f"{strategy}: peaks {small.peak() / 1e6:.0f} and {peak / 1e6:.0f} MB, {each:.1f} bytes a target", flush=True)
        # Few targets do not fill the buffers of the writer, so their difference is not that of waiting targets.
        if count >= 10_000_000:
            check(f"{strategy}: bytes a waiting target", each <= 64, True)
        check_rows(strategy, root, count)
        shutil.rmtree(root)
    return finish()


if __name__ == "__main__":
    sys.exit(main())
