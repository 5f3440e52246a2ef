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
| memory | its peaks: that of the last quarter of the time is at most a tenth above that of the second |
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
# A shorter form checks the account only. Memory has not reached its peaks by then, and a busy machine has no time to catch up.
LONG = 600
# More targets than the longest soak can trace.
TARGETS = ["--per-prefix", "100", "20.0.0.0/8"]


def process_of(parent):
    """The child of the lab: the survey."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        for children in pathlib.Path(f"/proc/{parent}/task").glob("*/children"):
            for child in children.read_text().split():
                command = pathlib.Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
                # Before it starts the program, the child has the command line of its parent.
                if command[1:2] == [b"survey"]:
                    return int(child)
        time.sleep(0.01)
    sys.exit("the survey did not start within 30 s")


def device(process):
    """The counters of the only device besides loopback."""
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
    process = process_of(lab.pid)
    samples = watch(process, lab)
    check("exit code: ended by --max-duration", lab.wait(LONGEST_END), 5)

    manifest = json.loads((output / "manifest.json").read_text(encoding="utf-8"))
    if seconds >= LONG:
        check_rate(samples, rate)
        check_memory(samples)
    check_account(samples[-1][1], manifest, output)
    return finish()


def check_rate(samples, rate):
    """The rate by the kernel's counter, from the first probe on."""
    sending = [(at, counters["sent"]) for at, counters, _ in samples if counters["sent"] > 0]
    # After the last probe the counter stands still.
    last = sending[-1][1]
    sending = [sample for sample in sending if sample[1] < last]
    (start, first), (end, final) = sending[0], sending[-1]
    achieved = (final - first) / (end - start)
    print(f"rate: {achieved:.1f}/s by the kernel over {end - start:.0f} s, {rate}/s asked for")
    check("the rate is within 0.5%", abs(achieved / rate - 1) <= 0.005, True)


def check_memory(samples):
    """Rows wait until their part is sealed, so memory rises and falls. Its peaks must not rise."""
    quarter = len(samples) // 4
    peaks = [max(memory for _, _, memory in samples[at * quarter : (at + 1) * quarter]) for at in range(4)]
    print("memory: peaks of the quarters in MB:", [round(peak / 1e6) for peak in peaks])
    check("memory is flat", peaks[3] <= 1.1 * peaks[1], True)


def check_account(counters, manifest, output):
    """Every packet is in the manifest, and every probe in the rows."""
    probes, packets = manifest["probes"], manifest["packets"]
    drops = manifest["kernel_drops"]["receive_buffer"]
    print("device:", counters, "probes:", probes, "packets:", packets, "drops:", drops)
    check("every probe left through the device", counters["sent"], probes["sent"])
    check("the device dropped none", counters["sent_dropped"], 0)
    check("every packet of the device is counted", packets["received"] + drops, counters["received"])
    check("every probe has an outcome", sum(probes["by_status"].values()), probes["total"])
    check("none is pending", manifest["run"]["pending_at_end"], 0)
    check("packets are lost and limited", probes["by_status"]["timeout"] > 0 and manifest["anomalies"]["rate_limited"] > 0, True)
    extra = manifest["extra_replies"]
    replies = sum(probes["by_status"][status] + extra[status] for status in ("replied", "late", "duplicate"))
    check("every packet is a reply or discarded", replies + sum(packets["discarded"].values()), packets["received"])
    with duckdb.connect() as connection:
        hops = f"'{output}/hops/**/*.parquet'"
        query = f"select status, count(*) from {hops} where reply_index = 0 group by all"
        found = dict(connection.execute(query).fetchall())
        check("the rows have these outcomes", found, {status: count for status, count in probes["by_status"].items() if count})
        twice = connection.execute(f"select count(*) - count(distinct probe_id) from {hops} where reply_index = 0").fetchone()
        check("no probe is there twice", twice, (0,))


if __name__ == "__main__":
    sys.exit(main())
