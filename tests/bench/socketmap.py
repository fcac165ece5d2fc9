#!/usr/bin/python3
"""socketmap.py [--seconds N] [--goal N]: how many answers a second other mail systems get (ask.c), in the lab.

    make -C tests/bench && tests/lab/enter.py tests/bench/socketmap.py

1,000 domains have a policy in the cache, as after an import.  They are asked for once each, which costs
DNS lookups of every one; then again and again for some seconds: by one asker, by 16 and by 100, each of
which waits for its answer as Postfix does, and by 16 that have 16 questions under way.  The role's CPU is
measured besides.  Ends with 1 when 16 askers get fewer answers a second than the goal.
"""
import argparse
import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lab"))

from lab import Lab  # noqa: E402
from relay import BINARY, Relay  # noqa: E402

DOMAINS = 1_000
POLICY = "version: STSv1\nmode: enforce\nmx: mx1.{0}\nmx: mx2.{0}\nmx: *.backup.{0}\nmax_age: 604800\n"
RUNS = (("1 asker", "QUERY", 1, 1), ("16 askers", "QUERY", 16, 1), ("100 askers", "QUERY", 100, 1),
        ("16 askers, 16 questions each", "QUERY", 16, 16), ("16 askers, for TLS reports", "QUERYwithTLSRPT", 16, 1))


def fill(relay):
    now = int(time.time() * 1000)
    names = (f"p{n}.bench.test" for n in range(DOMAINS))
    lines = [json.dumps({"domain": n, "id": "1", "policy": POLICY.format(n), "fetched_utc_ms": now, "used_utc_ms": now})
             for n in names]
    done = subprocess.run([BINARY, "policy", "import", "--config", relay.configuration], input="\n".join(lines),
                          capture_output=True, text=True, check=False)
    assert f"{DOMAINS} policies imported" in done.stdout, done.stdout + done.stderr


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="latin-1") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ask(relay, what, *words):
    pid = relay.role_pids("policy")[0]
    before = cpu_s(pid)
    done = subprocess.run([f"{HERE}/build/ask", *words, "p%d.bench.test"], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["ok"] == found["answers"], found
    print(f"{what:34} {found['per_s']:7}/s  p50 {found['ms']['p50']:.2f} ms  p99 {found['ms']['p99']:.2f} ms  "
          f"{(cpu_s(pid) - before) / found['answers'] * 1e6:5.1f} us of CPU an answer", flush=True)
    return found["per_s"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", default="5")
    parser.add_argument("--goal", type=int, default=20_000)
    words = parser.parse_args()
    relay = Relay(Lab.current(), "bench").start()
    try:
        fill(relay)
        ask(relay, f"{DOMAINS} domains, once each", "-o", "-c", "100", "-d", str(DOMAINS))
        reached = {what: ask(relay, what, "-m", name, "-c", str(askers), "-p", str(depth), "-d", str(DOMAINS), "-s", words.seconds)
                   for what, name, askers, depth in RUNS}
    finally:
        relay.kill()
    return 0 if reached["16 askers"] >= words.goal else 1


sys.exit(main())
