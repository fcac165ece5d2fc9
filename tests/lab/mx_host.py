"""An MX host of any kind: an SMTP server that plays a script, and logs what it got.

A script maps a stage (greeting, ehlo, helo, starttls, handshake, mail, rcpt, data, chunk (a BDAT before the
last), bdat (any, none of its octets is read then), dot, rset, noop, quit) to what is said there: lines of text,
each a reply line or one of

    =close      closes the connection          =reset      ... with a TCP reset
    =silence    says nothing more              =wait N     waits N seconds, then goes on
    =garbage    random bytes, then closes      =longline   a line that never ends
    =endless    reply lines without end        =trickle    the usual reply, a byte a second
    =greylist   450 until the same sender and recipient come again
    =stumbles   at handshake: breaks off where the client wants to resume a session
    =limit N    at rcpt: 452 from the recipient behind the N-th on
    =inject TEXT    TEXT in the same write as the reply before (bytes behind STARTTLS's 220)

and a stage that maps to None is not offered.  `extensions` are the keywords of the EHLO reply, one
a line (STARTTLS comes by itself).  At rcpt, local parts that begin with "refuse" get a
550 and those with "defer" a 450, so that one transaction can have all fates.
The script of a host can be changed while it runs: LAB/mx/HOST.json holds the stages that differ, and with
"certificate" and "tls" what it shows and speaks then.
Its idle sessions end then, as they do when a server is started anew.
"""
import contextlib
import hashlib
import itertools
import json
import os
import random
import socket
import ssl
import struct
import threading
import time

import certificates
import hostile_mx
from tickets import Tickets

USUAL = {
    "greeting": "220 {host} ESMTP lab", "helo": "250 {host}", "starttls": "220 2.0.0 go ahead",
    "handshake": "", "mail": "250 2.1.0 ok", "rcpt": "250 2.1.5 ok", "data": "354 go ahead",
    "chunk": "250 2.0.0 go on", "dot": "250 2.0.0 taken", "rset": "250 2.0.0 ok", "noop": "250 2.0.0 ok",
    "quit": "221 2.0.0 bye", "unknown": "500 5.5.2 what",
}
EXTENSIONS = "PIPELINING\nSIZE 52428800\n8BITMIME\nENHANCEDSTATUSCODES"


class Gone(Exception):
    """The conversation is over."""


class Log:
    """JSON lines for the tests, and the messages as files."""

    def __init__(self, folder):
        self.folder = folder
        self.lock = threading.Lock()
        self.file = open(f"{folder}/mx.jsonl", "a", encoding="utf-8")
        self.count = 0

    def write(self, **event):
        with self.lock:
            self.file.write(json.dumps({"time": time.time(), **event}) + "\n")
            self.file.flush()

    def keep(self, content):
        with self.lock:
            self.count += 1
            path = f"{self.folder}/mail/{self.count}.eml"
        with open(path, "wb") as f:
            f.write(content)
        return path


class MxHost:
    """One host of the table, listening on all its addresses."""

    def __init__(self, host, addresses, authority, log):
        self.host, self.addresses, self.log = host, addresses, log
        self.authority = authority
        self.seen = set()               # whom greylisting knows
        self.contexts = {}
        self.numbers = itertools.count(1)
        self.tickets = Tickets(lambda: Conversation.current.talk)
        self.overrides = f"{log.folder}/mx/{host.name}.json"
        self.open = set()

    def listen(self):
        for address in self.addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            s = socket.create_server((address, 25), family=family, backlog=128)
            threading.Thread(target=self._accept, args=(s, address), daemon=True).start()

    def _accept(self, listener, address):
        while True:
            connection, peer = listener.accept()
            talk = Conversation(self, connection, address, peer[0])
            threading.Thread(target=talk.run, daemon=True).start()

    def behaviour(self):
        """(script, kind of certificate, only version of TLS) as they are just now."""
        try:
            with open(self.overrides, encoding="utf-8") as f:
                changed = json.load(f)
        except FileNotFoundError:
            changed = {}
        kind = changed.pop("certificate", self.host.certificate)
        version = changed.pop("tls", self.host.tls)
        return {**USUAL, **self.host.script, **changed}, kind, version

    def context(self, kind, version):
        if (kind, version) not in self.contexts:
            files = self.authority.issue(self.host.name, kind)
            context = self.contexts[kind, version] = certificates.server_context(*files, version)
            if self.host.tickets:
                self.tickets.watch(context)
        return self.contexts[kind, version]

    def change_minds(self):
        """Ends idle sessions now, others after their message: the next ones hear the new script."""
        for talk in list(self.open):
            talk.is_last = True
            if talk.sender is None:
                talk.hang_up()


def wants_to_resume(hello):
    """Is its last extension pre_shared_key (RFC 8446 section 4.2.11)?"""
    return any(at == len(hello) - 4 - int.from_bytes(hello[at + 2:at + 4], "big")
               for at in range(len(hello) - 3) if hello[at:at + 2] == b"\x00\x29")


class Conversation:
    """One client's session with one MX host."""

    def __init__(self, mx, connection, address, peer):
        self.mx, self.socket, self.address, self.peer = mx, connection, address, peer
        self.script, self.kind, self.version = mx.behaviour()
        self.number, self.ticket_of = next(mx.numbers), None    # and the number of the one that this one resumes
        self.reader = connection.makefile("rb")
        self.tls = self.sni = None
        self.commands = []
        self.sender, self.recipients = None, []
        self.chunks = []
        self.is_last = False            # of its transactions

    def run(self):
        self.socket.settimeout(900)
        self.mx.open.add(self)
        try:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.say("greeting")
            while self.sender or not self.is_last:
                self.command(self.line())
        except (Gone, OSError, ValueError):
            pass
        finally:
            self.note("session", commands=self.commands)
            self.mx.open.discard(self)
            for thing in (self.reader, self.socket):
                try:
                    thing.close()
                except OSError:
                    pass

    def hang_up(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def note(self, event, **more):
        self.mx.log.write(event=event, host=self.mx.host.name, address=self.address, peer=self.peer,
                          tls=self.tls, sni=self.sni, resumed=getattr(self.socket, "session_reused", None),
                          certificate=self.kind if self.tls else None, number=self.number,
                          ticket_of=self.ticket_of, **more)

    def line(self):
        line = self.reader.readline(65536)
        if not line.endswith(b"\n"):
            raise Gone
        return line

    # ------------------------------------------------------------------ what we say

    def say(self, stage):
        """Plays a stage; returns the code of the last reply line, or 0."""
        code = 0
        lines = self.script[stage].format(host=self.mx.host.name).split("\n")
        for n, line in enumerate(lines):
            if line.startswith("=inject"):
                continue                # went out with the line before
            if line.startswith("="):
                self.odd(stage, *line[1:].split(" ", 1))
                code = 250
                continue
            extra = lines[n + 1][8:] + "\r\n" if lines[n + 1:n + 2] and \
                lines[n + 1].startswith("=inject") else ""
            if line:
                self.socket.sendall((line + "\r\n" + extra).encode())
                code = int(line[:3])
        return code

    def odd(self, stage, what, argument=""):
        if what == "close":
            raise Gone
        if what == "reset":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise Gone
        if what == "wait":
            time.sleep(float(argument))
        elif what == "silence":
            while self.socket.recv(65536):
                pass
            raise Gone
        elif what == "garbage":
            self.socket.sendall(random.Random(7).randbytes(3000) + b"\r\n")
            time.sleep(0.2)
            raise Gone
        elif what == "longline":
            self.forever(b"250 " + b"x" * 4000, b"x" * 4000)
        elif what == "endless":
            self.forever(b"250-mx\r\n", b"250-X-MORE-AND-MORE\r\n" * 100)
        elif what == "trickle":
            for byte in (USUAL[stage].format(host=self.mx.host.name) + "\r\n").encode():
                self.socket.sendall(bytes([byte]))
                time.sleep(1)

    def forever(self, first, then):
        self.socket.sendall(first)
        while True:
            self.socket.sendall(then)
            time.sleep(0.01)

    # ------------------------------------------------------------------ what we are told

    def command(self, line):
        self.commands.append(line[:500].decode("latin-1").rstrip("\r\n"))
        words = line.split(None, 1)
        verb = words[0].decode("latin-1").lower() if words else ""
        handler = getattr(self, "on_" + verb, None) if verb.isalpha() else None
        if handler:
            handler(line.decode("latin-1"))
        else:
            self.say("unknown")

    def on_ehlo(self, _line):
        self.sender, self.recipients = None, []
        if "ehlo" in self.script:
            self.say("ehlo")
            return
        keywords = [self.mx.host.name, *self.script.get("extensions", EXTENSIONS).split("\n")]
        if self.script["starttls"] is not None and not self.tls:
            keywords.append("STARTTLS")
        last = len(keywords) - 1
        self.socket.sendall("".join(f"250{' ' if n == last else '-'}{k}\r\n"
                                    for n, k in enumerate(keywords)).encode())

    def on_helo(self, _line):
        self.say("helo")

    def on_starttls(self, _line):
        if self.script["starttls"] is None:
            self.say("unknown")
        elif self.say("starttls") == 220:
            self.handshake()

    def handshake(self):
        hello = self.socket.recv(4096, socket.MSG_PEEK) if self.script["handshake"] else b""
        if self.script["handshake"] == "=stumbles":
            if wants_to_resume(hello):
                self.note("stumbled")
                self.socket.sendall(b"\x15\x03\x03\x00\x02\x02\x28")      # handshake_failure
                raise Gone
        elif self.script["handshake"]:
            self.say("handshake")
        context = self.mx.context(self.kind, self.version)
        context.sni_callback = self.on_sni
        self.reader.close()
        self.sni_seen = None
        Conversation.current.talk = self
        try:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        except (ssl.SSLError, OSError) as e:
            self.note("handshake-failed", error=str(e))
            raise Gone from e
        self.tls, self.sni = self.socket.version(), self.sni_seen
        self.reader = self.socket.makefile("rb")

    current = threading.local()         # whose handshake this thread makes

    @staticmethod
    def on_sni(_socket, name, _context):
        Conversation.current.talk.sni_seen = name

    def on_mail(self, line):
        if self.say("mail") == 250:
            self.sender, self.recipients = line.split(":", 1)[1].strip().split(" ")[0], []

    def on_rcpt(self, line):
        path = line.split(":", 1)[1].strip().split(" ")[0]
        if path.startswith("<refuse"):
            self.socket.sendall(b"550 5.1.1 no such user\r\n")
        elif path.startswith("<defer"):
            self.socket.sendall(b"450 4.2.0 come again\r\n")
        elif self.script["rcpt"] == "=greylist" and (self.sender, path) not in self.mx.seen:
            self.mx.seen.add((self.sender, path))
            self.socket.sendall(b"451 4.7.1 greylisted, come again\r\n")
        elif self.script["rcpt"] == "=greylist":
            self.socket.sendall(b"250 2.1.5 known\r\n")
            self.recipients.append(path)
        elif self.script["rcpt"].startswith("=limit"):
            if len(self.recipients) < int(self.script["rcpt"].split(" ")[1]):
                self.socket.sendall(b"250 2.1.5 ok\r\n")
                self.recipients.append(path)
            else:
                self.socket.sendall(b"452 4.5.3 too many recipients\r\n")
        elif self.say("rcpt") == 250:
            self.recipients.append(path)

    def on_data(self, _line):
        if not self.recipients:
            self.socket.sendall(b"503 5.5.1 no valid recipients\r\n")
            return
        if self.say("data") != 354:
            return
        content, bare = self.content()
        self.message(content, bare)
        self.say("dot")
        self.sender, self.recipients = None, []

    def on_bdat(self, line):
        words = line.split()
        if "CHUNKING" not in self.script.get("extensions", EXTENSIONS) or "bdat" in self.script:
            self.say("bdat" if "bdat" in self.script else "unknown")
            return
        chunk = self.reader.read(int(words[1]))
        if len(chunk) < int(words[1]):
            raise Gone
        self.chunks.append(chunk)
        is_last = words[-1].upper() == "LAST"
        code = 0 if is_last else self.say("chunk")
        if is_last:
            content, self.chunks = b"".join(self.chunks), []
            self.message(content, b"\n" in content.replace(b"\r\n", b""), chunked=True)
            self.say("dot")
        if is_last or code != 250:
            self.sender, self.recipients, self.chunks = None, [], []

    def content(self):
        """The message, and whether a line end in it was not CRLF."""
        lines, bare = [], False
        while True:
            line = self.line()
            if line == b".\r\n":
                return b"".join(lines), bare
            bare = bare or not line.endswith(b"\r\n") or b"\r" in line[:-2]
            lines.append(line[1:] if line.startswith(b".") else line)

    def message(self, content, bare, chunked=False):
        header, _, body = content.partition(b"\r\n\r\n")
        ids = [v.split(b":", 1)[1].strip().decode("latin-1") for v in header.split(b"\r\n")
               if v.lower().startswith(b"message-id:")]
        self.note("message", sender=self.sender, recipients=self.recipients, size=len(content),
                  id=ids[0] if ids else None, digest=hashlib.sha256(body).hexdigest(), bare=bare,
                  chunked=chunked, said=self.script["dot"], file=self.mx.log.keep(content))

    def on_rset(self, _line):
        self.sender, self.recipients, self.chunks = None, [], []
        self.say("rset")

    def on_noop(self, _line):
        self.say("noop")

    def on_quit(self, _line):
        self.say("quit")
        raise Gone


def start_all(hosts, addresses, authority, folder):
    """Starts every host of the table that is ours to play, and minds their changes for ever."""
    os.makedirs(f"{folder}/mail", exist_ok=True)
    os.makedirs(f"{folder}/mx", exist_ok=True)
    log = Log(folder)
    ours = [MxHost(host, addresses[host.name], authority, log) for host in hosts.values()
            if not host.peer and not host.refuses and not host.hostile]
    hostile = [hostile_mx.HostileHost(host, addresses[host.name], authority, log)
               for host in hosts.values() if host.hostile]
    for host in ours + hostile:
        host.listen()
    mind_changes({h.host.name: h for h in ours}, f"{folder}/mx")


CHANGES_SEEN_S = 0.03
SESSIONS_END_S = 2      # for those that are not silent on purpose


def changes(folder):
    """When the script of each host that has another was changed last."""
    found = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".json"):
                with contextlib.suppress(FileNotFoundError):    # it is as before since a moment ago
                    found[entry.name[:-5]] = entry.stat().st_mtime_ns
    return found


def mind_changes(hosts, folder):
    before = {}
    while True:
        now = changes(folder)
        changed = {n for n, _ in set(before.items()) ^ set(now.items())}
        change([hosts[name] for name in changed if name in hosts])
        for name in changed:
            with open(f"{folder}/{name}.seen", "w", encoding="ascii") as f:
                f.write(str(now.get(name, 0)))
        before = now
        time.sleep(CHANGES_SEEN_S)


def change(hosts):
    """Returns when the sessions that heard the old script have ended and stand in the log."""
    old = [(host, talk) for host in hosts for talk in list(host.open)]     # threads add to it meanwhile
    for host in hosts:
        host.change_minds()
    end = time.monotonic() + SESSIONS_END_S
    while any(talk in host.open for host, talk in old) and time.monotonic() < end:
        time.sleep(CHANGES_SEEN_S / 10)
