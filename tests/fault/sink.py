#!/usr/bin/python3
"""sink.py ADDRESS PORT LOG: takes all mail and logs each message as a JSON line before it says 250.

A line: id (the X-Ledger-Id), digest (of all from that field on), rcpts, at (monotonic seconds at
the final dot).  What a relay put in front of the X-Ledger-Id field does not count.
"""
import asyncio
import hashlib
import json
import sys
import time

MARK = b"X-Ledger-Id: "


class Session(asyncio.Protocol):
    log = None

    def __init__(self):
        self.buffer = bytearray()
        self.rcpts = []
        self.content = None     # bytes of the message under way, or None

    def connection_made(self, transport):
        self.transport = transport
        self.say("220 sink.test")

    def say(self, line):
        self.transport.write(line.encode() + b"\r\n")

    def data_received(self, data):
        self.buffer += data
        while self.step():
            pass

    def step(self):
        """Takes one command, or the content as far as it is there; False: nothing to do."""
        if self.content is not None:
            return self.take_content()
        end = self.buffer.find(b"\r\n")
        if end < 0:
            return False
        line = bytes(self.buffer[:end])
        del self.buffer[:end + 2]
        self.command(line)
        return True

    def command(self, line):
        verb = line[:4].upper()
        if verb == b"EHLO":
            self.say("250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 0")
        elif verb == b"RCPT":
            self.rcpts.append(line.partition(b"<")[2].partition(b">")[0].decode("latin-1"))
            self.say("250 2.1.5 ok")
        elif verb == b"DATA":
            self.content = bytearray(b"\r\n")
            self.say("354 go on")
        elif verb == b"QUIT":
            self.say("221 bye")
            self.transport.close()
        else:
            if verb in (b"MAIL", b"RSET"):
                self.rcpts = []
            self.say("250 2.0.0 ok")

    def take_content(self):
        """Content is kept with a CRLF in front, so that a lone dot is always CRLF.CRLF."""
        old = len(self.content)
        self.content += self.buffer
        self.buffer.clear()
        end = self.content.find(b"\r\n.\r\n", max(0, old - 5))
        if end < 0:
            return False
        self.buffer += self.content[end + 5:]
        message = bytes(self.content[2:end + 2]).replace(b"\r\n..", b"\r\n.")
        self.content = None
        self.received(message)
        return True

    def received(self, message):
        at = message.find(MARK)
        entry = {"id": message[at + len(MARK):message.find(b"\r\n", at)].decode("latin-1") if at >= 0 else "",
                 "digest": hashlib.sha256(message[at:]).hexdigest(), "rcpts": self.rcpts,
                 "at": time.monotonic()}
        if at < 0:
            entry["unmarked"] = message[:400].decode("latin-1")
        Session.log.write(json.dumps(entry) + "\n")
        Session.log.flush()
        self.rcpts = []
        self.say("250 2.0.0 taken")


async def main(address, port, log):
    Session.log = open(log, "a", encoding="utf-8")
    server = await asyncio.get_running_loop().create_server(Session, address, int(port), backlog=512)
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
