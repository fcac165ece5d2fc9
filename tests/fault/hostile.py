#!/usr/bin/python3
"""hostile.py [--connections N] [--recipients N]: clients that mean harm, and a good one beside them.

All at the same time: N connections in turn, N RCPT commands, lines without an end, clients that
drip a byte a second, and clients that never read a reply.  Promise: the good client's message is
acknowledged within a second each time, no process dies, and none grows.
"""
import argparse
import socket
import sys
import threading
import time

from scene import RELAY, Scene

GOOD_WITHIN = 1.0
GROWTH_KIB = 24 * 1024
HELLO = b"EHLO bad.test\r\nMAIL FROM:<bad@sender.test>\r\n"
DRIPPING = 40
DEAF = 20


class Harm:
    """What the hostile threads did, and what went against expectation."""

    def __init__(self):
        self.done, self.wrong, self.over = {}, [], threading.Event()
        self.lock = threading.Lock()

    def count(self, what, more=1):
        with self.lock:
            self.done[what] = self.done.get(what, 0) + more

    def fail(self, sentence):
        with self.lock:
            if len(self.wrong) < 20:
                self.wrong.append(sentence)


def connect(number=0):
    """From one of many addresses, or the ports of one would run out."""
    s = socket.socket()
    s.settimeout(30)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((f"127.1.{number // 200 % 200}.{number % 200 + 1}", 0))
    s.connect(RELAY)
    return s


def greeted(number=0):
    s = connect(number)
    s.recv(512)
    return s


def read_to_end(s):
    """All that is still said; a reset counts as the end."""
    text = b""
    try:
        while piece := s.recv(65536):
            text = (text + piece)[-4096:]
    except (ConnectionResetError, BrokenPipeError):
        pass
    return text


def connections(harm, count):
    """One after the other: some say goodbye, some leave without a word, some leave half a command."""
    words = (b"QUIT\r\n", b"", b"EHLO x\r\nMAIL FROM:<a@", HELLO + b"RCPT TO:<you@x.test>\r\nDATA\r\nx: y\r\n")
    for number in range(count):
        with connect(number) as s:
            if not s.recv(512).startswith(b"220 "):
                harm.fail(f"connection {number} was not greeted")
            s.sendall(words[number % len(words)])
        harm.count("connections")


def recipients(harm, count):
    """RCPT without an end; a session ends with 421, and another one goes on."""
    batch = b"RCPT TO:<someone@example.test>\r\n" * 500
    said = 0
    while said < count:
        with greeted(said // 4000) as s:
            try:
                s.sendall(HELLO)
                for _ in range(8):
                    s.sendall(batch)
            except (ConnectionResetError, BrokenPipeError):
                pass
            end = read_to_end(s)
        if b"421 4.7.0" not in end and end:
            harm.fail(f"so many recipients ended with {end[-80:]!r}")
        said += 4000
        harm.count("recipients", 4000)


def endless_lines(harm):
    while not harm.over.is_set():
        with greeted() as s:
            try:
                for _ in range(64):
                    s.sendall(b"x" * 16384)
            except (ConnectionResetError, BrokenPipeError):
                pass
            read_to_end(s)
        harm.count("endless lines")
        time.sleep(0.05)


def drip(harm):
    """A byte a second, of a command or of content."""
    clients = [greeted(n) for n in range(DRIPPING)]
    for n, s in enumerate(clients):
        if n % 2:
            s.sendall(HELLO + b"RCPT TO:<you@x.test>\r\nDATA\r\n")
    while not harm.over.wait(1):
        for s in clients:
            try:
                s.sendall(b"N")
                harm.count("bytes dripped")
            except OSError as e:
                harm.fail(f"a client that drips was cut off early: {e}")
    for s in clients:
        s.close()


def deaf(harm):
    """Clients that ask and ask and never read."""
    clients = [greeted(n) for n in range(DEAF)]
    for s in clients:
        s.setblocking(False)
    while not harm.over.wait(0.1):
        for s in clients:
            try:
                harm.count("bytes unread", s.send(b"NOOP\r\n" * 100))
            except OSError:
                pass
    for s in clients:
        s.close()


def good_client(harm, times):
    """A message every tenth of a second, each on a connection of its own."""
    message = b"Subject: good\r\n\r\n" + b"Hello.\r\n" * 100 + b".\r\n"
    while not harm.over.wait(0.1):
        begun = time.monotonic()
        with socket.create_connection(RELAY, 30) as s:
            lines = s.makefile("rb")
            lines.readline()
            s.sendall(b"HELO good.test\r\nMAIL FROM:<a@sender.test>\r\nRCPT TO:<you@x.test>\r\nDATA\r\n")
            replies = [lines.readline() for _ in range(4)]
            s.sendall(message)
            replies.append(lines.readline())
        times.append(time.monotonic() - begun)
        if not replies[-1].startswith(b"250 "):
            harm.fail(f"the good client heard {replies}")


def anonymous_kib(relay):
    """The anonymous memory of all processes, by pid."""
    found = {}
    for pid in relay.processes():
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            found[pid] = next(int(line.split()[1]) for line in f if line.startswith("RssAnon:"))
    return found


def run_threads(harm, options, times):
    background = [threading.Thread(target=f, args=a) for f, a in (
        (endless_lines, (harm,)), (drip, (harm,)), (deaf, (harm,)), (good_client, (harm, times)))]
    counted = [threading.Thread(target=connections, args=(harm, options.connections)),
               threading.Thread(target=recipients, args=(harm, options.recipients))]
    for t in background + counted:
        t.start()
    for t in counted:
        t.join()
    time.sleep(3)
    harm.over.set()
    for t in background:
        t.join()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--recipients", type=int, default=40000)
    options = parser.parse_args()
    scene, harm, times = Scene("hostile"), Harm(), []
    try:
        scene.relay.start()
        before = anonymous_kib(scene.relay)
        run_threads(harm, options, times)
        after = anonymous_kib(scene.relay)
        if set(before) - set(after):
            harm.fail(f"processes ended: {set(before) - set(after)}")
        grown = {p: after[p] - before[p] for p in after if p in before}
        if max(grown.values()) > GROWTH_KIB:
            harm.fail(f"a process grew by {max(grown.values())} KiB")
        times.sort()
        worst = times[int(len(times) * 0.99)] if times else 99
        if worst > GOOD_WITHIN:
            harm.fail(f"the good client waited {worst:.2f} s")
        scene.wait_empty()
    finally:
        scene.close()
    done = ", ".join(f"{n} {what}" for what, n in sorted(harm.done.items()))
    print(f"hostile: {done}; {len(times)} good messages, p99 {worst * 1000:.0f} ms, "
          f"grown by {max(grown.values())} KiB")
    for sentence in harm.wrong:
        print(f"hostile: {sentence}")
    print(f"{int(not harm.wrong)} passed, {int(bool(harm.wrong))} failed")
    return 1 if harm.wrong else 0


sys.exit(main())
