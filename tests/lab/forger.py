"""Somebody between the resolver and the name servers: passes DNS on, and forges what LAB/dns/forged.json says.

Its keys are "NAME TYPE", where NAME may begin with "*." for all below, and TYPE may be "*"; its values are

    "nxdomain", "servfail"      that answer, without a signature
    "unsigned"                  the true answer without any signature
    ["DATA", ...]               these records (MX, A, AAAA, TXT), without a signature
"""
import ipaddress
import json
import socket
import socketserver
import struct
import sys
import threading

import table

TYPES = {1: "A", 15: "MX", 16: "TXT", 28: "AAAA", 52: "TLSA"}
ANSWER_AA, SERVFAIL, NXDOMAIN = 0x8400, 2, 3
DO_BIT = 0x80           # in the third octet of the OPT record's TTL (RFC 3225)
QUESTION_AT, TTL, SECONDS = 12, 1, 5


def question_of(query):
    """(name, type's name, where the question ends)"""
    labels, at = [], QUESTION_AT
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1").lower())
        at += 1 + query[at]
    kind = int.from_bytes(query[at + 1:at + 3], "big")
    return ".".join(labels), TYPES.get(kind, str(kind)), at + 5


def wire_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split(".")) + b"\0"


def wire_data(kind, text):
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(text).packed
    if kind == "TXT":
        return bytes([len(text)]) + text.encode()
    preference, host = text.split(" ")
    return struct.pack(">H", int(preference)) + wire_name(host)


def forged(query, how):
    """An answer that nobody signed: a code, or records."""
    _, kind, end = question_of(query)
    code = {"nxdomain": NXDOMAIN, "servfail": SERVFAIL}.get(how, 0) if isinstance(how, str) else 0
    data = [] if isinstance(how, str) else [wire_data(kind, text) for text in how]
    question = query[QUESTION_AT:end]
    records = b"".join(struct.pack(">H", 0xC000 | QUESTION_AT) + question[-4:] + struct.pack(">IH", TTL, len(d)) + d
                       for d in data)
    return query[:2] + struct.pack(">HHHHH", ANSWER_AA | code, 1, len(data), 0, 0) + question + records


def without_do(query):
    """The query of somebody who wants no signatures."""
    at = question_of(query)[2]
    if len(query) < at + 11 or query[at:at + 3] != b"\0\0\x29":
        return query
    return query[:at + 7] + bytes([query[at + 7] & ~DO_BIT]) + query[at + 8:]


def ask(query, tcp):
    """What the name server says."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as s:
        s.settimeout(SECONDS)
        s.connect((table.NAME_SERVER, 53))
        if not tcp:
            s.send(query)
            return s.recv(65535)
        s.sendall(struct.pack(">H", len(query)) + query)
        with s.makefile("rb") as reader:
            return reader.read(int.from_bytes(reader.read(2), "big"))


class Forgeries:
    def __init__(self, path):
        self.path = path

    def of(self, name, kind):
        """What is to be said instead of the truth; None for nothing."""
        with open(self.path, encoding="utf-8") as f:
            rows = [(*key.split(" "), how) for key, how in json.load(f).items()]
        for owner, of_kind, how in rows:
            if of_kind in ("*", kind) and (name == owner or owner[:2] == "*." and name.endswith(owner[1:])):
                return how
        return None

    def answer(self, query, tcp=False):
        how = self.of(*question_of(query)[:2])
        if how in (None, "unsigned"):
            return ask(without_do(query) if how else query, tcp)
        return forged(query, how)


class Datagram(socketserver.BaseRequestHandler):
    def handle(self):
        query, back = self.request
        try:
            back.sendto(self.server.forgeries.answer(query), self.client_address)
        except OSError:
            pass            # silence is an answer, too


class Connection(socketserver.StreamRequestHandler):
    def handle(self):
        size = self.rfile.read(2)
        if len(size) == 2:
            reply = self.server.forgeries.answer(self.rfile.read(int.from_bytes(size, "big")), tcp=True)
            self.wfile.write(struct.pack(">H", len(reply)) + reply)


class Udp(socketserver.ThreadingUDPServer):
    daemon_threads, max_packet_size = True, 65535


class Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True


def main():
    servers = [Udp((table.FORGER, 53), Datagram), Tcp((table.FORGER, 53), Connection)]
    for server in servers:
        server.forgeries = Forgeries(sys.argv[1])
    threading.Thread(target=servers[1].serve_forever, daemon=True).start()
    servers[0].serve_forever()


if __name__ == "__main__":
    main()
