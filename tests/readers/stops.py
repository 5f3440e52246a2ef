#!/usr/bin/env python3
"""Stops surveys at random moments, and checks what is left.

    python stops.py SCRATCH [TARGETS MOMENTS [SEED]]

Without numbers: 200,000 targets, and 20 moments for each of these stops. CI takes fewer.

| stop | done by | the manifest then says |
|---|---|---|
| signal | SIGINT | interrupted |
| twice | SIGINT twice, 3 ms apart, as GNU timeout delivers one Ctrl-C | interrupted |
| terminal | the other side of the survey's terminal is closed | interrupted |
| full | a file system with too little space | failed |
| error | one `write` returns EIO (injected by strace) | failed |

After every stop, each part that the manifest lists must open with the stated size, checksum and number of rows. No other part may lie there.
The figures of the manifest must be those of the rows. A run that ends before its moment must be complete, and another moment is drawn for
it.

Then the run is resumed; a full file system gets more space before. In the end every target must have one trace, and no probe may be there
twice. The rows of interrupted traces must have been readable until then, and must be gone. Needs root, for mounting.
"""

import hashlib
import json
import os
import pathlib
import pty
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import duckdb
import pyarrow.compute
import pyarrow.parquet

from common import ROOT, check, finish, program, survey_command

# A whole run ends by itself; this bounds a run that hangs.
LONGEST = 900
COMPLETE = ("complete", 0)
INTERRUPTED = ("interrupted", 128 + signal.SIGINT)
HUNG_UP = ("interrupted", 128 + signal.SIGHUP)
FAILED = ("failed", 1)


class Survey:
    """What is surveyed, and what an undisturbed run of it takes and leaves."""

    def __init__(self, scratch, targets):
        self.targets = scratch / "targets"
        self.count = targets
        first = 20 << 16
        blocks = range(first, first + targets)
        lines = (f"{n >> 16}.{n >> 8 & 255}.{n & 255}.{1 + n % 254}\n" for n in blocks)
        self.targets.write_text("".join(lines), encoding="utf-8")
        output = scratch / "whole"
        started = time.monotonic()
        subprocess.run(self.command(output), cwd=ROOT, check=True, timeout=LONGEST)
        self.seconds = time.monotonic() - started
        self.bytes = sum(part.stat().st_size for part in output.rglob("*.parquet"))
        shutil.rmtree(output)
        self.writes = self.count_writes(scratch)

    def command(self, output):
        # The rate is far above the default: in virtual time it only makes the run shorter. Parts are small, so that many are sealed.
        arguments = ["--lab", "-i", str(self.targets), "-e", "1", "--rate", "1M", "--seal-interval", "1"]
        return survey_command(arguments, output)

    def count_writes(self, scratch):
        """The writes of the thread that writes most."""
        log, output = scratch / "strace.log", scratch / "counted"
        command = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=write", "-e", "signal=none", "-o", str(log)]
        subprocess.run([*command, *self.command(output)], cwd=ROOT, check=True, timeout=LONGEST)
        shutil.rmtree(output)
        threads = Counter(line.split(maxsplit=1)[0] for line in log.read_text(errors="replace").splitlines())
        return max(threads.values())


def wait_or_end(process, seconds):
    """Whether the process still runs after this time."""
    try:
        process.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        return True


def signalled(survey, output, share, times):
    process = subprocess.Popen(survey.command(output), cwd=ROOT)
    if not wait_or_end(process, survey.seconds * share):
        survey.seconds *= share
        return process.returncode, COMPLETE
    process.send_signal(signal.SIGINT)
    for _ in range(times - 1):
        time.sleep(0.003)
        process.send_signal(signal.SIGINT)
    return process.wait(LONGEST), INTERRUPTED


def terminal(survey, output, share):
    """The survey has a terminal of its own, and draws its progress there."""
    command = [word for word in survey.command(output) if word != "--quiet"]
    child, ours = pty.fork()
    if child == 0:
        # Under nohup it would be ignored.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        os.chdir(ROOT)
        os.execv(command[0], command)
    until = time.monotonic() + survey.seconds * share
    os.set_blocking(ours, False)
    ended = None
    while time.monotonic() < until and ended is None:
        try:
            os.read(ours, 65536)
        except BlockingIOError:
            time.sleep(0.01)
        except OSError:
            # The survey has closed its side.
            ended = os.waitpid(child, 0)[1]
    os.close(ours)
    if ended is not None:
        survey.seconds *= share
    status = os.waitpid(child, 0)[1] if ended is None else ended
    return os.waitstatus_to_exitcode(status), COMPLETE if ended is not None else HUNG_UP


def full(survey, output, share):
    """The file system has a share of the space that the dataset needs. The smallest one that can be mounted has one page."""
    output.mkdir()
    size = max(4096, int(survey.bytes * share))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(output)], check=True)
    done = subprocess.run(survey.command(output / "out"), cwd=ROOT, timeout=LONGEST, capture_output=True, text=True)
    check("a full file system is named", "No space left" in done.stderr or "full" in done.stderr, True)
    return done.returncode, FAILED


def error(survey, output, share):
    number = max(1, int(survey.writes * share))
    inject = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=write", "-e", f"inject=write:error=EIO:when={number}"]
    command = [*inject, "-e", "signal=none", "-o", "/dev/null", *survey.command(output)]
    done = subprocess.run(command, cwd=ROOT, timeout=LONGEST, capture_output=True, text=True)
    if done.returncode == 0:
        return 0, COMPLETE
    return done.returncode, FAILED


STOPS = {
    "signal": lambda survey, output, share: signalled(survey, output, share, 1),
    "twice": lambda survey, output, share: signalled(survey, output, share, 2),
    "terminal": terminal,
    "full": full,
    "error": error,
}


def check_part(name, root, part):
    """A listed part has its size, checksum and rows. Returns its table."""
    path = root / part["path"]
    content = path.read_bytes()
    check(f"{name}: {path.name} has its size", len(content), part["bytes"])
    check(f"{name}: {path.name} has its checksum", hashlib.sha256(content).hexdigest(), part["sha256"])
    table = pyarrow.parquet.ParquetFile(path).read()
    check(f"{name}: {path.name} has its rows", table.num_rows, part["rows"])
    return table


def check_dataset(name, root, state):
    """The manifest says `state`, and what it says is true."""
    if state == "failed" and not (root / "manifest.json").exists():
        # Not even the targets or the first manifest found space.
        check(f"{name}: files where readers look", sorted(root.glob("*/**/*.parquet")), [])
        return 0, 0
    manifest = json.loads((root / "manifest.json").read_text(encoding="utf-8"))
    check(f"{name}: state", manifest["state"], state)
    listed, probes, traces = set(), Counter(), 0
    in_hops, in_traces = set(), set()
    for table in ("hops", "traces"):
        for part in manifest["tables"][table]["parts"]:
            listed.add(root / part["path"])
            rows = check_part(name, root, part)
            if table == "hops":
                own = rows.filter(pyarrow.compute.equal(rows["reply_index"], 0))
                probes.update(own["status"].to_pylist())
                in_hops.update(rows["trace_id"].unique().to_pylist())
            else:
                traces += rows.num_rows
                in_traces.update(rows["trace_id"].to_pylist())
    there = {path for table in ("hops", "traces") for path in (root / table).rglob("*") if path.is_file()}
    check(f"{name}: files where readers look", there, listed)
    stated = {status: count for status, count in manifest["probes"]["by_status"].items() if count}
    check(f"{name}: probes by status", stated, dict(probes))
    check(f"{name}: traces", manifest["run"]["traces_ended"], traces)
    if state != "failed":
        check(f"{name}: every trace with hops has its row", in_hops - in_traces, set())
    return len(listed), sum(probes.values())


def interrupted_rows(manifest):
    """The rows in parts of interrupted traces, by table."""
    rows = Counter()
    for table, section in manifest["tables"].items():
        for part in section["parts"]:
            rows[table] += part["rows"] if part.get("interrupted") else 0
    return {table: count for table, count in rows.items() if count}


def check_resume(name, root, survey):
    """The run goes on, and in the end everything is there once. Returns how many rows of interrupted traces were readable before."""
    before = json.loads((root / "manifest.json").read_text(encoding="utf-8"))
    command = [program(), "survey", "--quiet", "--resume", "-o", str(root)]
    done = subprocess.run(command, cwd=ROOT, timeout=LONGEST, capture_output=True, text=True)
    if not check(f"{name}: exit code, {done.stderr}", done.returncode, 0):
        return 0
    check_dataset(name, root, "complete")
    after = json.loads((root / "manifest.json").read_text(encoding="utf-8"))
    check(f"{name}: the same run", after["run_id"], before["run_id"])
    check(f"{name}: sessions", [session["state"] for session in after["sessions"]], [before["state"], "complete"])
    check(f"{name}: dropped rows", after["sessions"][-1]["dropped_rows"], interrupted_rows(before))
    check(f"{name}: rows of interrupted traces", interrupted_rows(after), {})
    with duckdb.connect() as connection:
        query = lambda sql: connection.execute(sql).fetchall()
        found = query(f"select count(*), count(distinct (destination, flow)) from '{root}/traces/**/*.parquet'")
        check(f"{name}: traces, and targets with a trace", found, [(survey.count, survey.count)])
        twice = query(f"select probe_id from '{root}/hops/**/*.parquet' group by probe_id, reply_index having count(*) > 1 limit 9")
        check(f"{name}: probes twice", twice, [])
    return sum(interrupted_rows(before).values())


def main():
    scratch = pathlib.Path(sys.argv[1]).resolve()
    given = [int(word) for word in sys.argv[2:]]
    targets, moments = given[:2] if len(given) > 1 else (200_000, 20)
    seed = given[2] if len(given) > 2 else random.SystemRandom().randrange(1 << 32)
    scratch.mkdir(parents=True, exist_ok=True)
    survey = Survey(scratch, targets)
    print(f"seed {seed}: {targets} targets in {survey.seconds:.1f} s, {survey.bytes} bytes, {survey.writes} writes", flush=True)
    chance = random.Random(seed)
    for stop, run in STOPS.items():
        stopped = dropped = 0
        for moment in range(3 * moments):
            if stopped == moments:
                break
            share = chance.uniform(0.01, 0.99)
            name = f"{stop} {moment} at {share:.3f}"
            output = scratch / f"{stop}-{moment}"
            try:
                code, (state, expected) = run(survey, output, share)
                root = output / "out" if stop == "full" else output
                parts, probes = check_dataset(name, root, state)
                check(f"{name}: exit code", code, expected)
                print(f"{name}: {state}, exit code {code}, {parts} parts, {probes} probes", flush=True)
                if stop == "full":
                    subprocess.run(["mount", "-o", f"remount,size={8 * survey.bytes}", str(output)], check=True)
                if state != "complete" and (root / "manifest.json").exists():
                    dropped += check_resume(f"{name}, resumed", root, survey)
                stopped += state != "complete"
            finally:
                if stop == "full":
                    subprocess.run(["umount", str(output)], check=False)
                shutil.rmtree(output, ignore_errors=True)
        check(f"{stop}: surveys that were stopped", stopped, moments)
        if stop in ("signal", "twice", "terminal"):
            check(f"{stop}: interrupted traces were readable until the resume", dropped > 0, True)
    return finish()


if __name__ == "__main__":
    sys.exit(main())
