#!/usr/bin/python3
"""How calmly a relay holds a large backlog: 1,000,000 messages over 50,000 domains, by default.

    tests/fault/enter.sh tests/bench/backlog.py fill build/waxseal --folder /var/tmp/backlog
    tests/fault/enter.sh tests/bench/backlog.py run build/waxseal --folder /var/tmp/backlog [--cold]

`fill` makes the queue, by blast with delivery held. `run` starts the relay on a copy of it and says
how long the first delivery took from the start, how long a message to a live domain takes beside the
backlog, what `queue summary` takes, the anonymous memory of all roles, and their CPU once all has been
tried. `--cold` drops the queue from the page cache before.

    tests/fault/enter.sh tests/bench/backlog.py fair build/waxseal --folder /var/tmp/fair

`fair` queues 100,000 messages of one sender to one domain, starts the relay, and says how long messages of
other senders to that domain, and of that sender to another, take until they are delivered.

Of ten domains one is live, five have an MX host that refuses, four one that is silent (--silent: of ten).
Needs root, knotd, and what `make` builds here. Everything runs in the namespaces of enter.sh.
"""

import argparse
import contextlib
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
RELAY = ("127.0.0.1", 2525)
SINK = "127.20.0.1"     # the live domains' host
REFUSES = "127.20.0.2"  # nothing listens there
PROBE = "127.20.0.3"    # probe.test's host, in this process
SILENT_HOSTS = 4000     # addresses of an interface that swallows what is sent
CONFIGURATION = """
hostname = "relay.example"; user = "nobody"; state-dir = "{folder}/state"; run-dir = "{folder}/run";
listeners = ( {{ address = "127.0.0.1:2525"; }} ); queue-size-max = "64G"; {extra}
mx-allow = [ "127.0.0.0/8", "198.18.0.0/15" ];
"""
GOALS = {"start to first delivery s": 1.0, "live domain s": 1.0, "queue summary s": 2.0, "idle CPU %": 3.0}
MEMORY_MIB = 200  # does not depend on what else the machine does: more of it is a failure


class Relay:
    def __init__(self, binary, folder, extra):
        self.binary, self.folder = os.path.abspath(binary), folder
        os.makedirs(f"{folder}/run", exist_ok=True)
        os.makedirs(f"{folder}/state", exist_ok=True)
        for path in (folder, f"{folder}/run", f"{folder}/state"):
            os.chmod(path, 0o755)
            shutil.chown(path, "nobody")
        with open(f"{folder}/conf", "w", encoding="ascii") as f:
            f.write(CONFIGURATION.format(folder=folder, extra=extra))
        self.log = open(f"{folder}/log", "wb")
        self.started = time.time()
        self.process = subprocess.Popen([self.binary, "run", "--config", f"{folder}/conf"],
                                        stdout=self.log, stderr=self.log)
        wait_for(RELAY, self.process)
        self.answered = time.time()

    def command(self, *words):
        return subprocess.run([self.binary, *words, "--config", f"{self.folder}/conf"],
                              stdout=subprocess.PIPE, check=True).stdout

    def processes(self):
        parents = {}
        for path in glob.glob("/proc/[0-9]*/stat"):
            try:
                with open(path, encoding="utf-8", errors="replace") as f:
                    parents[int(path.split("/")[2])] = int(f.read().rpartition(")")[2].split()[1])
            except OSError:
                pass  # it ended meanwhile
        return [pid for pid, parent in parents.items() if self.process.pid in (pid, parent)]

    def anonymous_mib(self):
        kib = 0
        for pid in self.processes():
            with open(f"/proc/{pid}/status", encoding="ascii") as f:
                kib += int(re.search(r"RssAnon:\s+(\d+)", f.read())[1])
        return kib / 1024

    def cpu_seconds(self):
        ticks = 0
        for pid in self.processes():
            with open(f"/proc/{pid}/stat", encoding="ascii") as f:
                fields = f.read().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)
        self.log.close()


def wait_for(address, process):
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            with socket.create_connection(address, 5) as s:
                if s.recv(100).startswith(b"220"):
                    return
        except OSError:
            time.sleep(0.005)
    sys.exit(f"nothing answers at {address}")


def start_sink(*more):
    """Takes the live domains' mail; its statistics say when the first came."""
    return subprocess.Popen([f"{HERE}/build/sink", "--listen", f"{SINK}:25", *more], text=True,
                            stdout=subprocess.PIPE)


def sink_statistics(sink):
    sink.send_signal(signal.SIGUSR1)
    return json.loads(sink.stdout.readline())


def mx_of(number, silent):
    kind = number % 10
    if kind == 0:
        return "live.bench.test."
    return f"s{number % SILENT_HOSTS}.bench.test." if kind > 9 - silent else "refuses.bench.test."


def start_dns(folder, domains, silent):
    zone = ["$TTL 3600", "@ SOA ns.test. root.test. 1 3600 600 86400 60", "@ NS ns.test.",
            "ns.test. A 127.0.0.1", f"live.bench.test. A {SINK}", f"refuses.bench.test. A {REFUSES}",
            "probe.test. MX 10 host.probe.test.", f"host.probe.test. A {PROBE}"]
    zone += [f"d{k}.bench.test. MX 10 {mx_of(k, silent)}" for k in range(domains)]
    zone += [f"s{k}.bench.test. A 198.18.{k // 250}.{k % 250 + 1}" for k in range(SILENT_HOSTS)]
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    with open(f"{folder}/zone", "w", encoding="ascii") as f:
        f.write("\n".join(zone) + "\n")
    with open(f"{folder}/knot.conf", "w", encoding="ascii") as f:
        f.write(f"server:\n  listen: 127.0.0.1@53\n  rundir: {folder}\n  udp-workers: 1\n"
                f"  tcp-workers: 1\n  background-workers: 1\n  automatic-acl: off\n"
                f"database:\n  storage: {folder}\n"
                f"zone:\n  - domain: .\n    file: {folder}/zone\n    zonefile-sync: -1\n"
                f"    semantic-checks: off\n")
    with open(f"{folder}/resolv.conf", "w", encoding="ascii") as f:
        f.write("nameserver 127.0.0.1\n")
    subprocess.run(["mount", "--bind", f"{folder}/resolv.conf", "/etc/resolv.conf"], check=True)
    process = subprocess.Popen(["knotd", "-c", f"{folder}/knot.conf"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x05probe\x04test\x00\x00\x0f\x00\x01"
    for _ in range(200):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.2)
            try:
                s.sendto(query, ("127.0.0.1", 53))
                if len(s.recv(512)) > 40:
                    return process
            except OSError:
                time.sleep(0.05)
    return sys.exit("knotd did not answer")


class Receiver:
    """probe.test's host: says when each message came."""

    def __init__(self):
        self.came = {}
        self.listener = socket.create_server((PROBE, 25))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        with contextlib.suppress(ConnectionError), connection, connection.makefile("rb") as lines:
            connection.sendall(b"220 host.probe.test\r\n")
            in_data = False
            for line in lines:
                if in_data:
                    found = re.match(rb"Subject: probe (\d+)", line)
                    if found:
                        self.came[int(found[1])] = time.time()
                    if line != b".\r\n":
                        continue
                    in_data = False
                in_data = line.upper().startswith(b"DATA")
                connection.sendall(b"354 go on\r\n" if in_data else b"250 fine\r\n")


def send_probe(number, sender="a@probe.example", rcpt="b@probe.test"):
    """One message; gives when it was accepted."""
    with socket.create_connection(RELAY, 60) as s, s.makefile("rb") as lines:
        for say in (None, b"EHLO probe.example", b"MAIL FROM:<%s>" % sender.encode(),
                    b"RCPT TO:<%s>" % rcpt.encode(), b"DATA",
                    b"Subject: probe %d\r\n\r\nx\r\n." % number):
            if say:
                s.sendall(say + b"\r\n")
            line = lines.readline()
            while line[3:4] == b"-":
                line = lines.readline()
            if line[:1] not in b"23":
                sys.exit(f"the relay says {line!r}")
    return time.time()


def probe(receiver, count):
    """How long each took from its 250 to its arrival."""
    took = []
    for number in range(count):
        accepted = send_probe(number)
        until = time.time() + 60
        while number not in receiver.came and time.time() < until:
            time.sleep(0.005)
        took.append(max(0, receiver.came.get(number, until) - accepted))
        print(f"  probe {number}: {took[-1]:.3f} s", flush=True)
        time.sleep(0.5)
    return took


def fill(a):
    if os.path.exists(f"{a.folder}/full"):
        shutil.rmtree(f"{a.folder}/full")
    os.makedirs(f"{a.folder}/full")
    relay = Relay(a.binary, f"{a.folder}/full", 'delivery = "hold";')
    begun = time.monotonic()
    subprocess.run([f"{HERE}/build/blast", "--port", "2525", "--sessions", "50", "--messages",
                    str(a.messages), "--size", str(a.size), "--domains", str(a.domains),
                    "--timeout", "7200"], check=True)
    print(f"filled in {time.monotonic() - begun:.0f} s")
    relay.end()


def drop_from_cache(folder):
    for path in glob.glob(f"{folder}/state/queue/*"):
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


class Memory(threading.Thread):
    def __init__(self, relay):
        super().__init__(daemon=True)
        self.relay, self.most, self.stop = relay, 0.0, threading.Event()
        self.start()

    def run(self):
        while not self.stop.wait(1):
            try:
                self.most = max(self.most, self.relay.anonymous_mib())
            except OSError:
                pass  # a process ended meanwhile


def idle_cpu(relay, patience):
    """Per cent of one core over 10 s, once that is calm or patience is over."""
    until = time.monotonic() + patience
    while True:
        before = relay.cpu_seconds()
        time.sleep(10)
        percent = (relay.cpu_seconds() - before) * 10
        print(f"  CPU {percent:.1f} %", flush=True)
        if percent < GOALS["idle CPU %"] or time.monotonic() > until:
            return percent


def timed(call):
    begun = time.monotonic()
    call()
    return time.monotonic() - begun


def run(a):
    folder = f"{a.folder}/copy"
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run(["cp", "-a", "--sparse=always", f"{a.folder}/full", folder], check=True)
    os.sync()
    subprocess.run("ip link add swallow type veth peer name swallowed && ip link set swallowed up && "
                   "ip addr add 198.18.255.254/15 dev swallow && ip link set swallow arp off up",
                   shell=True, check=True)
    start_dns(f"{a.folder}/dns", a.domains, a.silent)
    sink, receiver = start_sink(), Receiver()
    if a.cold:
        drop_from_cache(folder)
    relay = Relay(a.binary, folder, a.settings)
    memory = Memory(relay)
    while (first := sink_statistics(sink)["first"]) < relay.started:
        time.sleep(0.01)
        if time.time() > relay.started + 60:
            sys.exit("nothing was delivered")
    figures = {"banner s": relay.answered - relay.started,
               "start to first delivery s": first - relay.started}
    if not a.only_start:
        took = sorted(probe(receiver, a.probes))
        figures["live domain s"] = took[-1]
        figures["live domain median s"] = took[len(took) // 2]
        figures["queue summary s"] = max(timed(lambda: relay.command("queue", "summary"))
                                         for _ in range(3))
        figures["delivered"] = sink_statistics(sink)["messages"]
        figures["idle CPU %"] = idle_cpu(relay, a.patience)
        figures["queue summary idle s"] = max(timed(lambda: relay.command("queue", "summary"))
                                              for _ in range(3))
        figures["live domain idle s"] = max(probe(Renumbered(receiver), 5))
        figures["anonymous MiB"] = memory.most
    memory.stop.set()
    relay.end()
    print(json.dumps({"cold": a.cold, **figures}, indent=1))
    if not a.keep:
        shutil.rmtree(folder)
    for name, goal in GOALS.items():
        if figures.get(name, 0) > goal:
            print(f"over its goal of {goal}, if nothing else ran: {name} {figures[name]:.2f}")
    return figures["anonymous MiB"] <= MEMORY_MIB


def deliveries(relay):
    """When each recipient's mail was delivered, as the log says it now."""
    with open(f"{relay.folder}/log", encoding="utf-8", errors="replace") as f:
        return set(re.findall(r"delivery qid=\S+ rcpt=<(fair[^>]+)> .*outcome=delivered", f.read()))


def fair(a):
    """A flood to x.bench.test, whose host takes its time; then others' mail, beside it."""
    if os.path.exists(a.folder):
        shutil.rmtree(a.folder)
    os.makedirs(a.folder)
    start_dns(f"{a.folder}/dns", 1, 0)
    relay = Relay(a.binary, f"{a.folder}/fair", 'delivery = "hold";')
    subprocess.run([f"{HERE}/build/blast", "--port", "2525", "--sessions", "50", "--messages", "100000",
                    "--size", "600", "--suffix", "d0.bench.test", "--from", "bulk@flood.test"],
                   check=True, stdout=subprocess.DEVNULL)
    relay.end()
    sink = start_sink("--delay", "dot=20")
    relay = Relay(a.binary, f"{a.folder}/fair", a.settings)
    accepted, took = {}, {}
    plan = [(0.5 * n, sender, rcpt) for n in range(6)
            for sender, rcpt in ((f"ada{n}@other.test", f"fair{n}@d0.bench.test"),
                                 ("bulk@flood.test", f"fair{n}@probe.test"))]
    Receiver()
    begun = time.time()
    while len(took) < len(plan) and time.time() < begun + 60:
        while plan[len(accepted):] and time.time() >= begun + plan[len(accepted)][0]:
            _, sender, rcpt = plan[len(accepted)]
            accepted[rcpt] = send_probe(0, sender, rcpt)
        for rcpt in deliveries(relay) - took.keys():
            took[rcpt] = time.time() - accepted[rcpt]
        time.sleep(0.02)
    left = 100000 - sink_statistics(sink)["messages"]
    relay.end()
    slowest = max(took.get(rcpt, 60) for rcpt in accepted)
    print(f"{len(accepted)} messages beside 100,000: at most {slowest:.2f} s, "
          f"median {sorted(took.values())[len(took) // 2]:.2f} s; {left} of the flood still waited")
    return len(took) == len(plan) and slowest < 2 and left > 10000


class Renumbered:
    """A receiver that has seen nothing yet."""

    def __init__(self, receiver):
        receiver.came.clear()
        self.came = receiver.came


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("what", choices=["fill", "run", "fair"])
    parser.add_argument("binary")
    parser.add_argument("--folder", required=True)
    parser.add_argument("--messages", type=int, default=1000000)
    parser.add_argument("--domains", type=int, default=50000)
    parser.add_argument("--size", type=int, default=600)
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--silent", type=int, default=4, help="domains of ten whose host is silent")
    parser.add_argument("--probes", type=int, default=20)
    parser.add_argument("--patience", type=int, default=600, help="seconds until all was tried")
    parser.add_argument("--settings", default="", help="more of the configuration")
    parser.add_argument("--only-start", action="store_true")
    parser.add_argument("--keep", action="store_true", help="the copy")
    a = parser.parse_args()
    a.folder = os.path.abspath(a.folder)
    if a.what == "fill":
        fill(a)
        return 0
    return 0 if (fair if a.what == "fair" else run)(a) else 1


if __name__ == "__main__":
    sys.exit(main())
