"""MX hosts that misbehave around greeting, EHLO, STARTTLS and what comes after: a table of cases.

Each case is played on a host of its own, to which two domains send: h-CASE.test has no policy, e-CASE.test enforces one
for the same host.  `may` and `enforced` say what must become of a message to the one and to the other:

    tls     arrives inside TLS                  clear   arrives in clear
    waits   is deferred                         fails   comes back

A case says what is special, as the bytes for a verb ("greeting", "EHLO", "STARTTLS", "MAIL", ... in clear, the same in
`inside` TLS), or as a function that is given the talk; all else is as a good host does it.  Whatever the client says is
logged line by line, with whether it was said inside TLS.
"""
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass, field

import certificates

CRLF = b"\r\n"


def lines(*texts):
    return b"".join(t.encode() + CRLF for t in texts)


def offer(*keywords, code="250"):
    """A reply to EHLO with these keywords."""
    words = ["mx.test", *keywords]
    return lines(*(f"{code}{'-' if n < len(words) - 1 else ' '}{w}" for n, w in enumerate(words)))


# ------------------------------------------------------------------ what takes more than bytes

def closes(talk):
    raise ConnectionAbortedError


def resets(talk):
    talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise ConnectionAbortedError


def half_closes(talk):
    talk.peek()
    talk.socket.shutdown(socket.SHUT_WR)
    talk.drain()


def after(seconds, reply):
    def play(talk):
        time.sleep(seconds)
        talk.say(reply)
    return play


def in_pieces(reply, size=1):
    def play(talk):
        for at in range(0, len(reply), size):
            talk.say(reply[at:at + size])
            time.sleep(0.005)
    return play


def then(reply, more):
    """Bytes in a write, and, when the client has gone on, something else."""
    def play(talk):
        talk.say(reply)
        more(talk)
    return play


def stalls(reply):
    """Says this, then nothing for a second, then closes."""
    def play(talk):
        talk.say(reply)
        time.sleep(1)
        raise ConnectionAbortedError
    return play


def raw_answer(data):
    """To the client's hello, whatever it is."""
    def play(talk):
        talk.peek()
        talk.say(data)
        time.sleep(0.05)
        raise ConnectionAbortedError
    return play


def mirror(talk):
    talk.say(talk.peek())
    talk.drain()


def forever(first, again):
    def play(talk):
        talk.say(first)
        while True:
            talk.say(again * 50)
    return play


def handshake(kind="good", version="", **inside):
    def play(talk):
        talk.secure(kind, version)
        talk.inside = {**talk.inside, **inside}
    return play


def clear_after_handshake(data):
    """Goes on in clear below TLS."""
    def play(talk):
        talk.secure()
        descriptor = talk.socket.detach()
        with socket.socket(fileno=descriptor) as bare:
            bare.sendall(data)
            time.sleep(0.1)
        raise ConnectionAbortedError
    return play


def speaks_first(data):
    def play(talk):
        talk.secure()
        talk.say(data)
    return play


def closes_inside(talk):
    talk.secure()
    raise ConnectionAbortedError


GO = b"220 2.0.0 go ahead\r\n"


def starts(how):
    """220 to STARTTLS, and then this in place of a handshake."""
    return then(GO, how)


@dataclass(frozen=True)
class Case:
    name: str
    says: str
    may: str
    enforced: str
    clear: dict = field(default_factory=dict)       # verb -> bytes or a function
    inside: dict = field(default_factory=dict)


def greets(name, says, may, enforced, how):
    return Case(f"greeting-{name}", says, may, enforced, {"greeting": how})


def ehlo(name, says, may, enforced, how, **inside):
    return Case(f"ehlo-{name}", says, may, enforced, {"EHLO": how}, inside)


def starttls(name, says, may, enforced, how):
    return Case(f"starttls-{name}", says, may, enforced, {"STARTTLS": how})


def inside(name, says, result, clear=None, **verbs):
    return Case(f"inside-{name}", says, result, result, clear or {}, verbs)


ALERT = b"\x15\x03\x03\x00\x02"
HELLO = b"\x16\x03\x03"
CASES = [
    greets("221", "goodbye for a greeting", "waits", "waits", lines("221 bye")),
    greets("421", "too busy", "waits", "waits", lines("421 4.3.2 busy")),
    greets("521", "never takes mail", "fails", "fails", lines("521 no mail here")),
    greets("554", "no service", "waits", "waits", lines("554 no service")),
    greets("354", "go on, before anything", "waits", "waits", lines("354 go on")),
    greets("334", "a challenge that nobody asked for", "waits", "waits", lines("334 dXNlcg==")),
    greets("235", "PREAUTH: as if we had logged in", "tls", "tls",
           lines("235 2.7.0 already authenticated")),
    greets("250", "another yes than 220", "tls", "tls", lines("250 mx.test")),
    greets("multiline", "three lines", "tls", "tls", lines("220-mx.test", "220-of many", "220 words")),
    greets("split", "a byte at a time", "tls", "tls", in_pieces(lines("220 mx.test"))),
    greets("delayed", "after a second", "tls", "tls", after(1, lines("220 mx.test"))),
    greets("mixed", "two codes in one reply", "waits", "waits", lines("220-mx.test", "250 ready")),
    greets("no-code", "prose", "waits", "waits", lines("hello there")),
    greets("two-digits", "a code of two digits", "waits", "waits", lines("22 mx.test")),
    greets("999", "a code that there is not", "waits", "waits", lines("999 mx.test")),
    greets("nul", "a NUL within", "waits", "waits", b"220 mx\0.test\r\n"),
    greets("long", "a line of 3000 octets", "waits", "waits", lines("220 " + "x" * 3000)),
    greets("endless", "lines without end", "waits", "waits", forever(b"220-mx\r\n", b"220-more\r\n")),
    greets("bare-lf", "LF alone for a line's end", "tls", "tls", b"220 mx.test\n"),
    greets("bare-cr", "a CR within the line", "tls", "tls", b"220 mx\r250 fine\r\n"),
    greets("and-ehlo", "the answer to EHLO with it, without STARTTLS", "waits", "waits",
           lines("220 mx.test", "250 mx.test")),
    greets("and-all", "the answers to a whole transaction with it", "waits", "waits",
           lines("220 mx.test", "250 mx.test", "250 ok", "250 ok", "354 go", "250 taken")),
    greets("empty-line", "an empty line first", "waits", "waits", lines("", "220 mx.test")),
    greets("http", "a web server", "waits", "waits", lines("HTTP/1.1 400 Bad Request", "")),
    greets("alert", "a TLS alert: it speaks TLS from the start", "waits", "waits",
           stalls(ALERT + b"\x02\x28")),
    greets("closes", "closes", "waits", "waits", closes),
    greets("resets", "a TCP reset", "waits", "waits", resets),
    greets("8bit", "words outside ASCII", "tls", "tls", "220 mx.test grüßt\r\n".encode()),

    ehlo("stripped", "STARTTLS taken out on the way", "clear", "waits", offer("PIPELINING", "SIZE")),
    ehlo("masked", "STARTTLS overwritten, as some firewalls do", "clear", "waits",
         offer("PIPELINING", "XXXXXXXA")),
    ehlo("only-name", "STARTTLS stands where the name should", "clear", "waits", lines("250 STARTTLS")),
    ehlo("other-keyword", "a keyword that only begins like STARTTLS", "clear", "waits",
         offer("STARTTLSX", "XSTARTTLS")),
    ehlo("lower-case", "starttls in lower case", "tls", "tls", offer("starttls")),
    ehlo("parameter", "STARTTLS with a parameter", "tls", "tls", offer("STARTTLS REQUIRED")),
    ehlo("twice", "STARTTLS twice", "tls", "tls", offer("STARTTLS", "STARTTLS")),
    ehlo("auth-first", "AUTH in clear beside STARTTLS", "tls", "tls",
         offer("AUTH PLAIN LOGIN", "STARTTLS")),
    ehlo("502", "knows HELO only", "clear", "waits", lines("502 5.5.1 what")),
    ehlo("421", "too busy", "waits", "waits", lines("421 4.3.2 busy")),
    ehlo("354", "go on", "waits", "waits", lines("354 go on")),
    ehlo("mixed", "two codes in one reply", "waits", "waits", lines("250-mx.test", "220 STARTTLS")),
    ehlo("two-replies", "STARTTLS in a second reply", "waits", "waits",
         lines("250 mx.test", "250 STARTTLS")),
    ehlo("and-starttls", "the answer to STARTTLS with it", "waits", "waits",
         offer("STARTTLS") + GO),
    ehlo("nul", "a NUL in the keyword", "waits", "waits", b"250-mx.test\r\n250 START\0TLS\r\n"),
    ehlo("long", "a line of 3000 octets", "waits", "waits", offer("STARTTLS", "X" * 3000)),
    ehlo("endless", "keywords without end", "waits", "waits", forever(b"250-mx\r\n", b"250-X\r\n")),
    ehlo("split", "a byte at a time", "tls", "tls", in_pieces(offer("STARTTLS"), 2)),
    ehlo("closes", "closes", "waits", "waits", closes),

    starttls("454", "not now", "clear", "waits", lines("454 4.7.0 not now")),
    starttls("500", "not known, though offered", "clear", "waits", lines("500 5.5.1 what")),
    starttls("501", "a syntax error", "clear", "waits", lines("501 5.5.4 no")),
    starttls("530", "STARTTLS first, it says", "clear", "waits", lines("530 5.7.0 STARTTLS first")),
    starttls("250", "another yes than 220", "clear", "waits", lines("250 fine")),
    starttls("334", "a challenge", "clear", "waits", lines("334 ")),
    starttls("421", "goes", "waits", "waits", lines("421 4.3.2 busy")),
    starttls("mixed", "yes and no in one reply", "clear", "waits", lines("220-go", "454 not now")),
    starttls("multiline", "220 in two lines", "tls", "tls",
             then(lines("220-go", "220 ahead"), lambda talk: talk.secure())),
    starttls("inject-reply", "an answer to EHLO in the same write", "clear", "waits",
             GO + offer("AUTH PLAIN")),
    starttls("inject-half", "half an answer in the same write", "clear", "waits",
             GO + b"25"),
    starttls("inject-lf", "a lone LF in the same write", "clear", "waits", GO + b"\n"),
    starttls("inject-then-tls", "an answer to EHLO, then a handshake", "clear", "waits",
             then(GO + offer("AUTH PLAIN"), lambda talk: talk.secure())),
    starttls("two-220", "220 twice", "clear", "waits", GO + GO),
    starttls("plain-greeting", "220, then a new greeting in clear", "clear", "waits",
             starts(after(0.05, lines("220 mx.test")))),
    starttls("plain-ehlo", "220, then an EHLO reply in clear", "clear", "waits",
             starts(after(0.05, offer("PIPELINING")))),
    starttls("refused-then-tls", "554, then a handshake all the same", "clear", "waits",
             then(lines("554 5.7.0 no"), after(0.05, HELLO + b"\x00\x05hello"))),
    starttls("no-line-end", "220 without its line end, then nothing", "clear", "waits",
             stalls(b"220 go ahead")),
    starttls("long", "a line of 3000 octets", "clear", "waits", lines("220 " + "x" * 3000)),
    starttls("nul", "a NUL within", "clear", "waits", b"220 go\0ahead\r\n"),
    starttls("closes", "closes", "clear", "waits", closes),
    starttls("closes-after", "220, then closes", "clear", "waits", starts(closes)),
    starttls("resets", "220, then a TCP reset", "clear", "waits", starts(resets)),
    starttls("half-closes", "220, and closes its side on the hello", "clear", "waits",
             starts(half_closes)),
    starttls("garbage", "garbage for a handshake", "clear", "waits",
             starts(raw_answer(b"\x00\xff" * 700))),
    starttls("http", "HTTP for a handshake", "clear", "waits",
             starts(raw_answer(lines("HTTP/1.1 400 Bad Request", "")))),
    starttls("alert", "a fatal alert", "clear", "waits", starts(raw_answer(ALERT + b"\x02\x28"))),
    starttls("close-notify", "close_notify for a hello", "clear", "waits",
             starts(raw_answer(ALERT + b"\x01\x00"))),
    starttls("mirror", "the client's own hello", "clear", "waits", starts(mirror)),
    starttls("huge-record", "a record longer than there may be", "clear", "waits",
             starts(raw_answer(HELLO + b"\xff\xff" + b"x" * 5000))),
    starttls("torn-hello", "a hello that breaks off", "clear", "waits",
             starts(raw_answer(HELLO + b"\x00\x40\x02\x00\x00\x3c\x03\x03abc"))),
    starttls("tls10", "TLS 1.0 only", "tls", "waits", starts(handshake(version="1.0"))),
    starttls("selfsigned", "a certificate of its own", "tls", "waits", starts(handshake("selfsigned"))),
    starttls("wrongname", "another host's certificate", "tls", "waits", starts(handshake("wrongname"))),
    starttls("expired", "a certificate of yesterday", "tls", "waits", starts(handshake("expired"))),

    inside("starttls-again", "STARTTLS offered inside TLS", "tls", EHLO=offer("STARTTLS", "SIZE")),
    inside("502", "knows HELO only, inside TLS", "tls", EHLO=lines("502 5.5.1 what")),
    inside("greeting", "a new greeting inside TLS", "waits",
           {"STARTTLS": starts(speaks_first(lines("220 mx.test")))}),
    inside("ehlo-unasked", "the answer to EHLO before it was asked", "waits",
           {"STARTTLS": starts(speaks_first(offer("SIZE")))}),
    inside("421", "goes after the handshake", "waits", EHLO=lines("421 4.3.2 busy")),
    inside("closes", "closes after the handshake", "waits", {"STARTTLS": starts(closes_inside)}),
    inside("plain", "goes on in clear below TLS", "waits",
           {"STARTTLS": starts(clear_after_handshake(offer("SIZE")))}),
    inside("fewer", "offers less inside: PIPELINING and CHUNKING are void", "tls",
           {"EHLO": offer("PIPELINING", "CHUNKING", "SMTPUTF8", "STARTTLS")}, EHLO=offer("8BITMIME"),
           BDAT=closes),
    inside("more", "SIZE 10 in clear, none inside", "tls", {"EHLO": offer("SIZE 10", "STARTTLS")},
           EHLO=offer("8BITMIME")),
    inside("size", "no limit in clear, SIZE 10 inside", "fails", {"EHLO": offer("SIZE", "STARTTLS")},
           EHLO=offer("SIZE 10")),
    inside("530", "STARTTLS first, inside TLS", "fails", MAIL=lines("530 5.7.0 STARTTLS first")),
    inside("334", "a challenge for an answer to MAIL", "waits", MAIL=lines("334 dXNlcg==")),
    inside("221", "goodbye for an answer to MAIL", "waits", MAIL=lines("221 bye")),
    inside("454", "TLS not available, inside TLS", "waits", MAIL=lines("454 4.7.0 not now")),
    inside("many", "more answers than questions", "waits", EHLO=offer("PIPELINING") + lines("250 ok", "250 ok")),
    inside("early-250", "the message taken before it was sent", "waits",
           DATA=lines("354 go on", "250 2.0.0 taken")),
    inside("closes-at-data", "closes at DATA", "waits", DATA=closes),
]


class Talk:
    """A client's session with one of these hosts."""

    def __init__(self, host, connection, peer):
        self.host, self.socket, self.peer = host, connection, peer
        self.case = host.case
        self.inside = self.case.inside
        self.tls = None
        self.buffer = b""

    def run(self):
        self.socket.settimeout(60)
        try:
            self.answer("greeting", lines("220 mx.test ESMTP"))
            while self.command(self.hear()):
                pass
        except (OSError, ssl.SSLError, EOFError):
            pass
        finally:
            try:
                self.socket.close()
            except OSError:
                pass

    # ------------------------------------------------------------ bytes

    def say(self, data):
        self.socket.sendall(data)

    def peek(self):
        return self.socket.recv(65536, socket.MSG_PEEK)

    def drain(self):
        """Whatever still comes in clear is logged, until the client goes."""
        while True:
            self.note(self.socket.recv(65536) or closes(self))

    def hear(self):
        while b"\n" not in self.buffer:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError
            self.buffer += more
        line, _, self.buffer = self.buffer.partition(b"\n")
        self.note(line)
        return line

    def note(self, line):
        self.host.log.write(event="said", host=self.host.name, tls=self.tls,
                            line=line[:300].decode("latin-1").rstrip("\r"))

    def secure(self, kind="good", version=""):
        self.socket = self.host.context(kind, version).wrap_socket(self.socket, server_side=True)
        self.tls, self.buffer = self.socket.version(), b""

    # ------------------------------------------------------------ commands

    def answer(self, verb, usual):
        how = (self.inside if self.tls else self.case.clear).get(verb, usual)
        if callable(how):
            how(self)
        else:
            self.say(how)
        return how

    def command(self, line):
        verb = line.split(b" ")[0].strip().decode("latin-1").upper()
        if verb == "EHLO":
            self.answer(verb, offer("SIZE") if self.tls else offer("SIZE", "STARTTLS"))
        elif verb == "STARTTLS":
            self.answer(verb, starts(handshake()))
        elif verb == "DATA":
            if self.answer(verb, lines("354 go on")).endswith(lines("354 go on")):
                self.message()
        elif verb == "QUIT":
            self.say(lines("221 bye"))
        else:
            self.answer(verb, lines("250 2.0.0 ok") if verb in ("HELO", "MAIL", "RCPT", "RSET", "NOOP")
                        else lines("500 5.5.1 what"))
        return verb != "QUIT"

    def message(self):
        content = []
        while not content or content[-1] != b".\r":
            content.append(self.hear())
        ids = [c.split(b":", 1)[1].strip().decode("latin-1") for c in content
               if c.lower().startswith(b"message-id:")]
        self.host.log.write(event="message", host=self.host.name, tls=self.tls, peer=self.peer,
                            id=ids[0] if ids else None,
                            file=self.host.log.keep(b"".join(c + b"\n" for c in content[:-1])))
        self.answer(".", lines("250 2.0.0 taken"))


class HostileHost:
    """One case, on all addresses of its host."""

    def __init__(self, host, addresses, authority, log):
        self.name, self.addresses, self.authority, self.log = host.name, addresses, authority, log
        self.case = next(c for c in CASES if c.name == host.hostile)
        self.contexts = {}

    def listen(self):
        for address in self.addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            s = socket.create_server((address, 25), family=family, backlog=32)
            threading.Thread(target=self._accept, args=(s,), daemon=True).start()

    def _accept(self, listener):
        while True:
            connection, peer = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=Talk(self, connection, peer[0]).run, daemon=True).start()

    def context(self, kind, version):
        if (kind, version) not in self.contexts:
            files = self.authority.issue(self.name, kind)
            self.contexts[kind, version] = certificates.server_context(*files, version)
        return self.contexts[kind, version]
