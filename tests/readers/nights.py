#!/usr/bin/env python3
"""Compares two nights with the README's expression "Which paths changed".

    python nights.py SCRATCH [TARGETS]

The expression runs as it stands in the README. TARGETS is the number of targets of the large nights, 200,000 by default.

| nights | what differs | expected answer |
|---|---|---|
| large: the generated network twice, with one seed | more silent routers and targets, twenty times the loss | nothing |
| large, with one router's address replaced in the second night | that router | the paths that show it in both nights |
| small: two networks in files | a replaced router, a longer path, silence, missing targets | the replaced and the longer paths |

No network has per-packet balancers: their paths differ by chance. 200,000 targets take 45 s of processor time per night, and both nights
run at once; the comparison takes one second. CI surveys 20,000 targets.
"""

import pathlib
import subprocess
import sys
import time
from collections import Counter

import duckdb

from common import ROOT, attempt, check, finish, survey, survey_command
from readme import changed_paths

GENERATED = {
    "monday": "seed = 11\n[generated]\n",
    "tuesday": "seed = 11\n[generated]\nsilent_routers = 0.1\nsilent_targets = 0.1\nloss = 0.02\n",
}
# The seeds of the runs: they give the runs' ids.
SEEDS = {"monday": "1", "tuesday": "2"}
# An address that no router of the labs has.
NEW = "10.99.99.99"


def changes(root):
    """The README's answer over a root: the TTLs that changed, by destination."""
    # The expression names its directory; the nights lie one level below.
    sql = changed_paths(root)
    rows = duckdb.connect().execute(f"select destination, changed_at from ({sql})").fetchall()
    check(f"{root.name}: a path is listed once", len(rows), len({destination for destination, _ in rows}))
    return dict(rows)


def paths(root, night):
    """The paths of a night, by destination."""
    files = f"{root}/traces/*/*/{night}-*.parquet"
    return dict(duckdb.connect().execute(f"select destination, path from '{files}'").fetchall())


def write_targets(path, count):
    """One host in each of `count` /24s."""
    first = 20 << 16
    blocks = range(first, first + count)
    path.write_text("".join(f"{n >> 16}.{n >> 8 & 255}.{n & 255}.{1 + n % 254}\n" for n in blocks), encoding="utf-8")


def run_large(scratch, targets):
    """Surveys both nights at the same time, each into a directory of its own."""
    running = []
    for night, network in GENERATED.items():
        lab = scratch / f"{night}.toml"
        lab.write_text(network, encoding="utf-8")
        # The rate is far above the default: in virtual time it only makes the night shorter.
        arguments = ["--lab", str(lab), "-i", str(targets), "-e", SEEDS[night], "--rate", "1M", "--seal-interval", "60"]
        running.append(subprocess.Popen(survey_command(arguments, scratch / night), cwd=ROOT))
    for night, process in zip(GENERATED, running):
        check(f"the survey of {night} succeeds", process.wait(), 0)


def link(source, root, night):
    """Puts the traces of a dataset into `root` as well, under the night's name."""
    for number, part in enumerate(sorted(source.glob("traces/**/*.parquet"))):
        place = root / part.parent.relative_to(source) / f"{night}-{number}.parquet"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.hardlink_to(part)


def replaced(scratch, nights, router):
    """A root in which `router` has another address in the second night."""
    root = scratch / "replaced"
    link(scratch / "monday", root, "monday")
    place = root / "traces" / "date=2026-01-01" / "vp=id-local" / "tuesday-0.parquet"
    duckdb.connect().execute(
        "copy (select * exclude (date, vp) replace"
        f" (list_transform(path, lambda a: case when a = '{router}' then '{NEW}' else a end) as path)"
        f" from '{nights}/traces/*/*/tuesday-*.parquet') to '{place}'"
    )
    return root


def check_large(scratch, count):
    targets = scratch / "targets.txt"
    write_targets(targets, count)
    began = time.monotonic()
    run_large(scratch, targets)
    surveyed = time.monotonic()
    nights = scratch / "nights"
    for night in GENERATED:
        link(scratch / night, nights, night)
    check("large: nothing changed", changes(nights), {})
    answered = time.monotonic()
    print(f"two nights of {count} targets: {surveyed - began:.1f} s of surveys, {answered - surveyed:.2f} s of comparison")

    monday, tuesday = paths(nights, "monday"), paths(nights, "tuesday")
    check("large: traces", (len(monday), len(tuesday)), (count, count))
    both = [(monday[d] or [], tuesday[d] or []) for d in monday]
    silent = sum(any(x is not None and y is None for x, y in zip(a, b)) for a, b in both)
    shorter = sum(len(b) < len(a) for a, b in both)
    check("large: the second night has more silence", silent > count / 5, True)
    check("large: the second night has shorter paths", shorter > count / 50, True)

    # A router that some of the paths show.
    shown = Counter(path[6] for path in tuesday.values() if path and len(path) > 6 and path[6])
    router, _ = shown.most_common(1)[0]
    expected = {}
    for destination, new in tuesday.items():
        pairs = enumerate(zip(monday[destination] or [], new or []), start=1)
        if ttls := [ttl for ttl, (old, found) in pairs if found == router and old is not None]:
            expected[destination] = ttls
    found = changes(replaced(scratch, nights, router))
    check("large: the router shows in some paths", 0 < len(expected) < count / 2, True)
    check("large: exactly its paths changed", found == expected, True)
    print(f"one router replaced: {len(found)} paths changed")


def network(second):
    """Sixteen /28s, each behind two routers of its own. In the second night, some of them differ."""
    routers = ['[[router]]\nname = "home"\naddress = "10.0.0.1"\nnext = ["core"]\n']
    ways = ", ".join(f'{{ to = "198.18.{n}.0/24", next = ["near-{n}"] }}' for n in range(16))
    routers.append(f'[[router]]\nname = "core"\naddress = "10.0.1.1"\nroutes = [{ways}]\n')
    for n in range(16):
        near = f"10.1.{n}.99" if second and n in (3, 7) else f"10.1.{n}.1"
        # The replaced router of 7 did not answer in the first night; that of 5 does not answer in the second.
        silent = "silent = true\n" if n == (5 if second else 7) else ""
        longer = second and n == 11
        routers.append(
            f'[[router]]\nname = "near-{n}"\naddress = "{near}"\n{silent}next = ["{"more" if longer else "last"}-{n}"]\n'
        )
        if longer:
            routers.append(f'[[router]]\nname = "more-{n}"\naddress = "10.3.{n}.1"\nnext = ["last-{n}"]\n')
        routers.append(f'[[router]]\nname = "last-{n}"\naddress = "10.2.{n}.1"\n')
        gone = "silent = true\n" if second and n == 9 else ""
        routers.append(f'[[target]]\nprefix = "198.18.{n}.0/24"\nat = "last-{n}"\nunlimited = true\n{gone}')
    return "\n".join(routers)


def check_small(scratch):
    root = scratch / "small"
    for night, seed in SEEDS.items():
        lab = scratch / f"small-{night}.toml"
        lab.write_text(network(night == "tuesday"), encoding="utf-8")
        survey(["--lab", str(lab), *(f"198.18.{n}.0/28" for n in range(16)), "-e", seed], root)
    hosts = range(16)
    expected = {f"198.18.3.{host}": [3] for host in hosts} | {f"198.18.11.{host}": [4, 5] for host in hosts}
    check("small: the replaced router and the longer path", changes(root), expected)


def main(scratch, count):
    scratch.mkdir(parents=True, exist_ok=True)
    attempt("small nights", lambda: check_small(scratch) or True)
    attempt("large nights", lambda: check_large(scratch, count) or True)
    return finish()


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) == 3 else 200_000))
