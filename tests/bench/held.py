#!/usr/bin/python3
"""held.py: many idle and many dripping connections, held while a well-behaved client sends mail.

Starts a relay that holds its mail (it needs nothing but loopback), connects --idle clients that say
EHLO and then nothing, and --drip clients that send one byte of a command a second; measures the
anonymous memory that smtpd takes for each connection, and how long a client that sends message
after message on one connection after another waits for the 250 to its final dot meanwhile.

    tests/fault/enter.sh tests/bench/held.py build/waxseal
    tests/fault/enter.sh tests/bench/held.py build/waxseal --tls

Ends with 1 when a goal is missed: 8 KiB a connection, 32 KiB with TLS, 250 within a second at p99.
"""
import argparse
import os
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

ADDRESS = ("127.0.0.1", 2525)
GOAL_KIB = {False: 8, True: 32}
GOAL_MS = 1000
CONFIGURATION = """
hostname = "relay.example"; user = "{user}"; delivery = "hold"; smtpd-timeout = "1h";
state-dir = "{folder}/state"; run-dir = "{folder}/run"; ca-file = "{folder}/relay.pem";
max-connections = 20000; smtpd-processes = 1;
listeners = ( {{ address = "127.0.0.1:2525"; tls-certificate = "{folder}/relay.pem";
                 tls-key = "{folder}/relay.key"; tls = "{tls}"; }} );
"""


class Relay:
    """One that holds what it takes, in a folder of its own."""

    def __init__(self, binary, tls):
        self.folder = tempfile.mkdtemp(prefix="held-")
        os.chmod(self.folder, 0o755)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
                        "/CN=relay.example", "-addext", "subjectAltName=DNS:relay.example",
                        "-keyout", f"{self.folder}/relay.key", "-out", f"{self.folder}/relay.pem"],
                       check=True, stderr=subprocess.DEVNULL)
        with open(f"{self.folder}/conf", "w", encoding="ascii") as f:
            f.write(CONFIGURATION.format(folder=self.folder, tls="implicit" if tls else "optional",
                                         user="nobody"))
        self.log = open(f"{self.folder}/log", "wb")
        self.process = subprocess.Popen([binary, "run", "--config", f"{self.folder}/conf"],
                                        stdout=self.log, stderr=self.log)
        self.wait_ready()

    def said(self):
        with open(f"{self.folder}/log", encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait_ready(self):
        until = time.monotonic() + 20
        while not re.search(r" ready$", self.said(), re.M):
            if time.monotonic() > until or self.process.poll() is not None:
                sys.exit(f"the relay does not start:\n{self.said()}")
            time.sleep(0.05)

    def smtpd(self):
        return int(re.findall(r"role-started name=smtpd instance=0 pid=(\d+)", self.said())[-1])

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.log.close()
        shutil.rmtree(self.folder)


def anonymous_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"RssAnon:\s+(\d+)", f.read())[1])


class Client:
    """A connection that has said EHLO."""

    def __init__(self, number, context):
        # a source address for every 10,000: ports do not run out
        self.socket = socket.create_connection(ADDRESS, 60, (f"127.0.1.{1 + number // 10000}", 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context:
            self.socket = context.wrap_socket(self.socket, server_hostname="relay.example")
        self.read()
        self.say(b"EHLO held.example")

    def talk(self):
        """A burst both ways, so that what a session has needed once shows when it is idle."""
        count = 90
        self.socket.sendall((b"NOOP " + b"x" * 100 + b"\r\n") * count)
        while count > 0:
            count -= self.read().count(b"\r\n")

    def read(self):
        text = b""
        while not re.search(rb"^\d{3} .*\r\n\Z", text, re.M):
            got = self.socket.recv(4096)
            if not got:
                raise ConnectionError(f"closed after {text!r}")
            text += got
        return text

    def say(self, line):
        self.socket.sendall(line + b"\r\n")
        return self.read()


def connect(count, context, first=0):
    clients = [Client(first + n, context) for n in range(count)]
    for client in clients:
        client.talk()
    return clients


def tls_context(tls):
    if not tls:
        return None
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def message_ms(number, context):
    """One message on a connection of its own; how long its 250 took from the final dot on."""
    client = Client(number, context)
    for line in (b"MAIL FROM:<a@held.example>", b"RCPT TO:<b@held.example>", b"DATA"):
        assert client.say(line)[:1] in b"23", line
    client.socket.sendall(b"Subject: held\r\n\r\n" + b"x" * 70 + b"\r\n")
    begun = time.monotonic()
    reply = client.say(b".")
    assert reply.startswith(b"250"), reply
    took = (time.monotonic() - begun) * 1000
    client.say(b"QUIT")
    client.socket.close()
    return took


def drip_and_send(drippers, context, seconds):
    """Every dripper sends one byte a second, evenly spread; a good client sends meanwhile."""
    begun, number, dripped, times = time.monotonic(), 10 ** 5, 0, []
    while (now := time.monotonic() - begun) < seconds:
        while drippers and dripped < now * len(drippers):
            drippers[dripped % len(drippers)].socket.sendall(b"M")
            dripped += 1
        times.append(message_ms(number, context))
    return sorted(times), dripped


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("binary")
    parser.add_argument("--idle", type=int, default=10000)
    parser.add_argument("--drip", type=int, default=2000)
    parser.add_argument("--tls", action="store_true", help="TLS from the first byte on")
    parser.add_argument("--seconds", type=int, default=20, help="of sending")
    a = parser.parse_args()

    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files[1], files[1]))
    relay, context = Relay(a.binary, a.tls), tls_context(a.tls)
    try:
        pid = relay.smtpd()
        for n in range(100):  # what is allocated once is there before it counts
            message_ms(n, context)
        before = anonymous_kib(pid)
        held = connect(a.idle, context)
        time.sleep(1)
        idle = (anonymous_kib(pid) - before) / a.idle
        drippers = connect(a.drip, context, a.idle)
        times, dripped = drip_and_send(drippers, context, a.seconds)
        every = (anonymous_kib(pid) - before) / (a.idle + a.drip)
        assert all(c.say(b"NOOP").startswith(b"250") for c in held), "an idle one was lost"
    finally:
        relay.end()
    p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
    print(f"{'TLS' if a.tls else 'clear'}: {a.idle} idle, {idle:.1f} KiB each; with {a.drip} "
          f"dripping ({dripped} bytes in {a.seconds} s) {every:.1f} KiB each; "
          f"{len(times)} messages, 250 after {p50:.1f} ms (p50), {p99:.1f} ms (p99), "
          f"{times[-1]:.1f} ms at most; smtpd anonymous {before} KiB before")
    return 0 if max(idle, every) <= GOAL_KIB[a.tls] and p99 < GOAL_MS else 1


if __name__ == "__main__":
    sys.exit(main())
