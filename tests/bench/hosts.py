#!/usr/bin/python3
"""hosts.py: hosts that bear little or say nothing, and what that costs the others.

    tests/fault/enter.sh tests/bench/hosts.py build/waxseal limit
    tests/fault/enter.sh tests/bench/hosts.py build/waxseal silent

limit: a host takes 5 connections at a time and says 421 to more.  From 60 s on the relay has to hold
4 to 6; then the limit is lifted, and it has to be back at its cap of 20 within 5 minutes.

silent: 1,000 MX hosts accept and never speak, 1,000 drip their greeting, an octet a second.  Mail
for each of them comes in as fast as one client can; from the first of it on, and for --seconds,
another client's mail goes to a domain that had mail before, and to one new healthy domain after the
other.  All of it has to leave within 2 seconds at p95, from 250 to the client to the final dot at
the host: while the silent hosts' mail comes, and later.

Needs loopback alone; ends with 1 when a goal is missed.
"""
import argparse
import asyncio
import collections
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

CONFIGURATION = """
hostname = "relay.example"; user = "nobody"; log-level = "warning";
state-dir = "{folder}/state"; run-dir = "{folder}/run"; ca-file = "{folder}/relay.pem";
resolvers = [ "127.0.0.1:53" ]; mx-allow = [ "127.0.0.0/8" ];
listeners = ( {{ address = "127.0.0.1:2525"; }} ); max-messages-per-client = 0;
{more}
"""


class Relay:
    def __init__(self, binary, more):
        self.folder = tempfile.mkdtemp(prefix="hosts-")
        os.chmod(self.folder, 0o755)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
                        "/CN=relay.example", "-keyout", f"{self.folder}/relay.key", "-out",
                        f"{self.folder}/relay.pem"], check=True, stderr=subprocess.DEVNULL)
        with open(f"{self.folder}/conf", "w", encoding="ascii") as f:
            f.write(CONFIGURATION.format(folder=self.folder, more=more))
        self.binary = binary
        self.log = open(f"{self.folder}/log", "wb")
        self.process = subprocess.Popen([binary, "run", "--config", f"{self.folder}/conf"],
                                        stdout=self.log, stderr=self.log)

    def ask(self, *words):
        return subprocess.run([self.binary, *words, "--config", f"{self.folder}/conf"],
                              capture_output=True, text=True, check=False).stdout

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.log.close()
        if self.process.returncode != 0:
            print(open(f"{self.folder}/log", encoding="utf-8").read()[-4000:])
        shutil.rmtree(self.folder)


# ---- names: mx.KIND-N.test is 127.KIND.N/256.N%256 + 1 -------------------------------------------

KINDS = {"silent": 1, "drip": 2, "good": 3}


class Names(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        query = dns.message.from_wire(data)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        name = query.question[0].name
        kind = query.question[0].rdtype
        labels = name.to_text().lower().rstrip(".").split(".")
        if kind == dns.rdatatype.MX and len(labels) == 2:
            answer.answer.append(dns.rrset.from_text(name, 600, "IN", "MX", f"10 mx.{name}"))
        elif kind == dns.rdatatype.A and labels[0] == "mx":
            word, number = labels[1].split("-")
            address = f"127.{KINDS[word]}.{int(number) // 250}.{int(number) % 250 + 1}"
            answer.answer.append(dns.rrset.from_text(name, 600, "IN", "A", address))
        self.transport.sendto(answer.to_wire(), addr)


# ---- hosts ---------------------------------------------------------------------------------------

class Hosts:
    def __init__(self):
        self.open = 0
        self.most = 0
        self.least = 10 ** 9
        self.refused = 0
        self.allowed = 10 ** 9
        self.work_s = 0
        self.arrived = {}
        self.held = set()

    async def on_connection(self, reader, writer):
        address = writer.get_extra_info("sockname")[0]
        kind = int(address.split(".")[1])
        try:
            if kind == KINDS["silent"]:
                self.held.add(writer)
                await reader.read()
            elif kind == KINDS["drip"]:
                self.held.add(writer)
                writer.write(b"220-")
                while not writer.transport.is_closing() and not reader.at_eof():
                    await asyncio.sleep(1)
                    writer.write(b"x")
            else:
                await self.serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.held.discard(writer)
            writer.close()

    def count(self, change):
        self.open += change
        self.most = max(self.most, self.open)
        self.least = min(self.least, self.open)

    async def serve(self, reader, writer):
        if self.open >= self.allowed:
            self.refused += 1
            writer.write(b"421 4.7.0 too many connections from you\r\n")
            await writer.drain()
            return
        self.count(1)
        try:
            await self.talk(reader, writer)
        finally:
            self.count(-1)

    async def talk(self, reader, writer):
        writer.write(b"220 mx.test ESMTP\r\n")
        while True:
            line = await reader.readline()
            verb = line[:4].upper()
            if verb == b"EHLO":
                writer.write(b"250-mx.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
            elif verb == b"DATA":
                writer.write(b"354 go on\r\n")
                content = await reader.readuntil(b"\r\n.\r\n")
                if self.work_s:
                    await asyncio.sleep(self.work_s * random.uniform(0.5, 1.5))
                for field in content.split(b"\r\n"):
                    if field.startswith(b"X-Number: "):
                        self.arrived[int(field[10:])] = time.monotonic()
                writer.write(b"250 2.0.0 taken\r\n")
            elif verb == b"QUIT" or not line:
                writer.write(b"221 bye\r\n")
                return
            else:
                writer.write(b"250 2.0.0 fine\r\n")


# ---- the client ----------------------------------------------------------------------------------

class Client:
    """One connection to the relay; notes when each numbered message was answered with 250."""

    def __init__(self):
        self.taken = {}
        self.last = 0

    async def connect(self):
        until = time.monotonic() + 20
        while True:
            try:
                self.reader, self.writer = await asyncio.open_connection("127.0.0.1", 2525)
                break
            except OSError:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(0.1)
        await self.reply()
        await self.say("EHLO client.example")

    async def reply(self):
        while True:
            line = await self.reader.readline()
            if line[3:4] != b"-":
                if line[:1] not in (b"2", b"3"):
                    sys.exit(f"the relay says {line!r}")
                return

    async def say(self, text):
        self.writer.write(text.encode() + b"\r\n")
        await self.reply()

    async def send(self, recipient, is_numbered=True):
        self.last += 1
        number = self.last
        await self.say("MAIL FROM:<ada@client.example>")
        await self.say(f"RCPT TO:<{recipient}>")
        await self.say("DATA")
        field = f"X-Number: {number}\r\n" if is_numbered else ""
        await self.say(f"Subject: {number}\r\n{field}\r\nhello\r\n.")
        self.taken[number] = time.monotonic()
        return number


async def serve_names_and_hosts(hosts):
    await asyncio.get_running_loop().create_datagram_endpoint(Names, ("127.0.0.1", 53))
    await asyncio.start_server(hosts.on_connection, "0.0.0.0", 25, backlog=4096)


# ---- limit ---------------------------------------------------------------------------------------

async def watch(hosts, seconds, title):
    """A line each ten seconds: connections the host had, as seen each tenth of a second."""
    seen = []
    for at in range(0, seconds, 10):
        hosts.refused = 0
        tens = []
        for _ in range(100):
            await asyncio.sleep(0.1)
            tens.append(hosts.open)
        seen += tens
        print(f"{title} {at + 10:4} s: {min(tens)} to {max(tens)} connections,"
              f" {hosts.refused} refused", flush=True)
    return seen


async def run_limit(binary, arguments):
    hosts = Hosts()
    hosts.allowed, hosts.work_s = 5, 1
    await serve_names_and_hosts(hosts)
    relay = Relay(binary, 'hop-connections = 20;')
    try:
        clients = [Client() for _ in range(8)]
        for client in clients:
            await client.connect()

        async def load(client):
            for _ in range(arguments.messages // 8):
                await client.send("bob@good-1.test")
        feeding = asyncio.gather(*(load(client) for client in clients))
        begun = time.monotonic()
        await watch(hosts, 60, "allowed 5:")
        held = await watch(hosts, 120, "allowed 5, from 60 s on:")
        print(relay.ask("hosts"))
        hosts.allowed = 10 ** 9
        lifted = time.monotonic()
        while hosts.open < 20 and time.monotonic() - lifted < 300:
            await asyncio.sleep(0.1)
        back_s = time.monotonic() - lifted
        print(f"lifted after {lifted - begun:.0f} s: {hosts.open} connections after {back_s:.1f} s")
        print(relay.ask("hosts"))
        feeding.cancel()
    finally:
        relay.end()
    share = sum(4 <= n <= 6 for n in held) / len(held)
    fine = share >= 0.99 and back_s < 300
    print(f"4 to 6 connections in {share:.1%} of the time" + ("" if fine else ": MISSED"))
    return fine


# ---- silent --------------------------------------------------------------------------------------

def p95(numbers):
    return sorted(numbers)[int(len(numbers) * 0.95)] if numbers else float("inf")


def tell(title, client, hosts, numbers):
    waits = [hosts.arrived.get(n, float("inf")) - client.taken[n] for n in numbers]
    late = sum(w == float("inf") for w in waits)
    print(f"{title}: {len(waits)} messages, p50 {sorted(waits)[len(waits) // 2] * 1000:.0f} ms,"
          f" p95 {p95(waits) * 1000:.0f} ms, longest {max(waits) * 1000:.0f} ms, {late} not gone",
          flush=True)
    return p95(waits)


async def send_silent(count):
    client = Client()
    await client.connect()
    begun = time.monotonic()
    for i in range(count):
        await client.send(f"bob@silent-{i}.test", False)
        await client.send(f"bob@drip-{i}.test", False)
    print(f"{2 * count} messages to silent hosts after {time.monotonic() - begun:.1f} s",
          flush=True)


def memory_of(relay):
    """Anonymous memory of each role, in KiB, the largest first."""
    seen = []
    for pid in subprocess.run(["pgrep", "-P", str(relay.process.pid)], capture_output=True,
                              text=True, check=False).stdout.split():
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
            fields = dict(line.split(":", 1) for line in f)
        seen.append((int(fields["RssAnon"].split()[0]), fields["Name"].strip()))
    return ", ".join(f"{name} {kib} KiB" for kib, name in sorted(seen, reverse=True))


async def run_silent(binary, arguments):
    hosts = Hosts()
    await serve_names_and_hosts(hosts)
    relay = Relay(binary, "")
    numbers = collections.defaultdict(list)
    try:
        client = Client()
        await client.connect()
        await client.send("bob@good-0.test")
        await asyncio.sleep(2)
        begun = time.monotonic()
        flood = asyncio.create_task(send_silent(arguments.hosts))
        for i in range(arguments.seconds * 5):
            kind = "later" if flood.done() else "while mail for the silent comes"
            numbers[f"a domain with mail before, {kind}"].append(await client.send("bob@good-0.test"))
            numbers[f"new domains, {kind}"].append(await client.send(f"bob@good-{i + 1}.test"))
            await asyncio.sleep(max(0, begun + (i + 1) / 5 - time.monotonic()))
            if i % 50 == 0:
                print(f"{i / 5:4.0f} s: {len(hosts.held)} connections to silent hosts", flush=True)
        print(f"anonymous memory: {memory_of(relay)}")
        await flood
        await asyncio.sleep(10)
        worst = {title: tell(title, client, hosts, which) for title, which in numbers.items()}
    finally:
        relay.end()
    fine = all(wait_s < 2 for wait_s in worst.values())
    print("healthy mail left within 2 s at p95" if fine else "MISSED")
    return fine


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("what", choices=("limit", "silent"))
    parser.add_argument("--messages", type=int, default=4000, help="limit: to the host")
    parser.add_argument("--hosts", type=int, default=1000, help="silent: of each kind")
    parser.add_argument("--seconds", type=int, default=240, help="silent: of healthy mail")
    arguments = parser.parse_args()
    run = run_limit if arguments.what == "limit" else run_silent
    sys.exit(0 if asyncio.run(run(os.path.abspath(arguments.binary), arguments)) else 1)


if __name__ == "__main__":
    main()
