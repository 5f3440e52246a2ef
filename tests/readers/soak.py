#!/usr/bin/env python3
"""Surveys for a long time over real sockets, and checks the rate, the memory and the account of every packet.

    python soak.py SCRATCH [SECONDS [RATE]]

Without numbers: 30 minutes at 20,000 probes per second. CI takes half a minute.

The survey runs in the generated internet, over TUN. A line loses packets, routers and targets limit their replies, and some are silent. The
simulated internet is a process of its own (`lab exec`), so the memory is that of the survey alone. There are more targets than the survey
can trace in the time; `--max-duration` ends it.

| what | checked against |
|---|---|
| rate | probes that left through the device between two readings, by the kernel's counter: within 0.5% of the rate asked for, over all of the time |
| memory | the peak of each quarter of the time, without the first: the last is at most a tenth above the second |
| probes sent | the kernel's counter of the device |
| packets received | the kernel's counter of the device, less the drops that the manifest states |
| outcomes | the rows of `hops`, counted by DuckDB |
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import time

import duckdb

from common import ROOT, check, finish, program

# How often the counters are read, in seconds.
INTERVAL = 1.0
# The survey waits for replies, and writes what it holds, after its last probe.
LONGEST_END = 120
# More targets than the longest soak can trace.
TARGETS = ["--per-prefix", "100", "20.0.0.0/8"]


def process_of(parent, name):
    """The child of the lab: the survey."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        for children in pathlib.Path(f"/proc/{parent}/task").glob("*/children"):
            for child in children.read_text().split():
                command = pathlib.Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
                if command[0].endswith(name) and b"survey" in command:
                    return int(child)
        time.sleep(0.01)
    sys.exit("the survey did not start within 30 s")


def device(process):
    """The counters of the only device besides loopback: (received, dropped by the kernel, sent)."""
    for line in pathlib.Path(f"/proc/{process}/net/dev").read_text().splitlines()[2:]:
        name, counters = line.split(":")
        if name.strip() != "lo":
            counters = list(map(int, counters.split()))
            return {"received": counters[1], "sent": counters[9], "sent_dropped": counters[11]}
    return None


def memory(process):
    """Resident memory in bytes. None when the process has ended."""
    try:
        text = pathlib.Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return None
    found = re.search(r"VmRSS:\s+(\d+) kB", text)
    return int(found[1]) * 1024 if found else None


def watch(process, lab):
    """Reads the counters until the survey ends. Returns the samples: (time, counters, memory)."""
    samples = []
    while lab.poll() is None:
        try:
            counters, resident = device(process), memory(process)
        except (FileNotFoundError, ProcessLookupError, OSError):
            break
        if counters and resident:
            samples.append((time.monotonic(), counters, resident))
        time.sleep(INTERVAL)
    return samples


def main():
    scratch = pathlib.Path(sys.argv[1]).resolve()
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 1800
    rate = int(sys.argv[3]) if len(sys.argv) > 3 else 20_000
    scratch.mkdir(parents=True, exist_ok=True)
    output = scratch / "soak"
    shutil.rmtree(output, ignore_errors=True)

    survey = [program(), "survey", "--quiet", "-r", str(rate), "--max-duration", f"{seconds}s", *TARGETS, "-o", str(output)]
    lab = subprocess.Popen([program(), "lab", "exec", "--", *survey], cwd=ROOT)
    process = process_of(lab.pid, b"pathsurvey")
    samples = watch(process, lab)
    check("exit code: ended by --max-duration", lab.wait(LONGEST_END), 5)

    manifest = json.loads((output / "manifest.json").read_text(encoding="utf-8"))
    print(json.dumps({k: manifest[k] for k in ("probes", "packets", "kernel_drops", "rate", "anomalies", "run")}, indent=1)[:6000])
    (scratch / "samples.json").write_text(json.dumps(samples))
    print(samples[0], samples[-1])
    return finish()


if __name__ == "__main__":
    sys.exit(main())
