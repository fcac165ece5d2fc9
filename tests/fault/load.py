"""Clients that hand in messages and keep the ledger: id and digest before sending, each reply after."""
import asyncio
import hashlib
import json
import random
import threading
import time

KIB = 1024


def random_size(rng):
    """1 KiB to 10 MiB; most are small, as mail is."""
    dice = rng.random()
    if dice < 0.90:
        return rng.randint(1 * KIB, 16 * KIB)
    if dice < 0.99:
        return rng.randint(16 * KIB, 256 * KIB)
    return rng.randint(256 * KIB, 10 * KIB * KIB)


class Load:
    """A number of clients that send without a pause until stop() is called."""

    def __init__(self, address, log, clients=20, seed=1, sizes=random_size):
        self.address, self.clients, self.sizes = address, clients, sizes
        self.rng = random.Random(seed)
        self.log = open(log, "a", encoding="utf-8")
        self.sent = {}              # id -> digest
        self.begun = {}             # id -> time of MAIL
        self.acknowledged = {}      # id -> time of the 250 to the final dot
        self.newest = 0             # when the newest acknowledged one was begun
        self.refused = 0            # other replies, and broken connections
        self.in_flight = set()      # ids between MAIL and the reply
        self.refusals = []          # what was said instead of 250
        self.wrong = []             # replies that a healthy relay never gives
        self.stopping = False
        self.filler = self.rng.randbytes(64 * KIB).hex().encode()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.run()), daemon=True)

    def start(self):
        self.thread.start()
        return self

    def stop_soon(self):
        """Begins nothing new."""
        self.stopping = True

    def stop(self):
        self.stopping = True
        self.thread.join(60)
        assert not self.thread.is_alive(), "the clients did not end"
        self.log.close()

    def note(self, **entry):
        self.log.write(json.dumps({**entry, "at": time.monotonic()}) + "\n")

    async def run(self):
        await asyncio.gather(*(self.client(n) for n in range(self.clients)))

    async def client(self, number):
        count = 0
        while not self.stopping:
            try:
                count = await self.session(number, count)
            except (OSError, EOFError, asyncio.IncompleteReadError, asyncio.TimeoutError):
                await asyncio.sleep(0.02)

    async def session(self, number, count):
        """One connection with up to 50 messages."""
        reader, writer = await asyncio.open_connection(*self.address, limit=1 << 20)
        try:
            await self.expect(reader, 220)
            await self.say(reader, writer, f"EHLO client{number}.test", 250)
            for _ in range(50):
                if self.stopping:
                    break
                count += 1
                await self.message(reader, writer, f"{number}-{count}-{self.rng.randrange(1 << 48):x}")
            writer.write(b"QUIT\r\n")
            return count
        finally:
            writer.close()

    async def message(self, reader, writer, name):
        content = self.make(name)
        digest = hashlib.sha256(content).hexdigest()
        self.sent[name] = digest
        self.begun[name] = time.monotonic()
        self.note(event="send", id=name, digest=digest, size=len(content))
        self.log.flush()
        self.in_flight.add(name)
        try:
            code, text = await self.transaction(reader, writer, content)
        except (OSError, EOFError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            self.refused += 1
            self.note(event="broken", id=name)
            raise
        finally:
            self.in_flight.discard(name)
        self.note(event="reply", id=name, code=code, text=text)
        if code == 250:
            self.acknowledged[name] = time.monotonic()
            self.newest = max(self.newest, self.begun[name])
        else:
            self.refused += 1
            self.refusals.append(text)
            if code not in (421, 451, 452):
                self.wrong.append(f"{name}: {text}")
            if code == 421:
                raise EOFError

    async def transaction(self, reader, writer, content):
        writer.write(b"MAIL FROM:<ledger@client.test>\r\nRCPT TO:<sink@sink.test>\r\nDATA\r\n")
        replies = [await self.reply(reader) for _ in range(3)]
        if replies[2][0] != 354:
            await self.say(reader, writer, "RSET", 250)
            return next(r for r in replies if r[0] not in (250, 354))
        writer.write(content + b".\r\n")
        await asyncio.wait_for(writer.drain(), 60)
        return await self.reply(reader)

    def make(self, name):
        size = self.sizes(self.rng)
        head = f"X-Ledger-Id: {name}\r\nFrom: ledger@client.test\r\nSubject: ledger\r\n\r\n".encode()
        lines = []
        left = size - len(head)
        while left > 0:
            at = self.rng.randrange(len(self.filler) - 1000)
            line = self.filler[at:at + min(left, self.rng.randint(1, 990))]
            lines.append(line + b"\r\n")
            left -= len(line) + 2
        return head + b"".join(lines)

    async def expect(self, reader, code):
        got = await self.reply(reader)
        if got[0] != code:
            raise EOFError(got[1])

    async def say(self, reader, writer, line, code):
        writer.write(line.encode() + b"\r\n")
        await self.expect(reader, code)

    async def reply(self, reader):
        while True:
            line = await asyncio.wait_for(reader.readuntil(b"\r\n"), 60)
            if line[3:4] != b"-":
                return int(line[:3]), line.decode("latin-1").strip()
