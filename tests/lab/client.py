"""An SMTP client that says exactly what it is told, and one that just sends a message."""
import hashlib
import socket
import ssl
import time


class Client:
    """One connection to the relay; replies are (code, text)."""

    def __init__(self, address=("127.0.0.1", 25), source=None, timeout=30, wrap=None):
        """`wrap` puts TLS around the socket before the greeting."""
        self.socket = socket.create_connection(address, timeout,
                                               source_address=(source, 0) if source else None)
        if wrap:
            self.socket = wrap(self.socket)
        self.reader = self.socket.makefile("rb")
        self.greeting = self.reply()

    def reply(self):
        """The next reply; (0, "") when the connection was closed."""
        lines = []
        while True:
            try:
                line = self.reader.readline()
            except ConnectionResetError:
                line = b""
            if not line:
                return 0, "\n".join(lines)
            lines.append(line.decode("latin-1").rstrip("\r\n"))
            if line[3:4] != b"-":
                return int(line[:3]), "\n".join(lines)

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def say(self, line):
        """Says a line (CRLF is added) and returns the reply."""
        self.send(line.encode("latin-1") + b"\r\n" if isinstance(line, str) else line + b"\r\n")
        return self.reply()

    def ehlo(self, name="client.sender.test"):
        return self.say(f"EHLO {name}")

    def starttls(self, ca_file):
        code, text = self.say("STARTTLS")
        assert code == 220, text
        context = ssl.create_default_context(cafile=ca_file)
        context.check_hostname = False
        self.reader.close()
        self.socket = context.wrap_socket(self.socket)
        self.reader = self.socket.makefile("rb")

    def begin(self, sender, *recipients):
        """EHLO to 354."""
        for line in ("EHLO client.sender.test", f"MAIL FROM:<{sender}>",
                     *(f"RCPT TO:<{r}>" for r in recipients), "DATA"):
            code, text = self.say(line)
            assert code in (250, 354), f"{line}: {text}"

    def data(self, content):
        """The content as it is (dot-stuffed here) and the final dot; returns the reply."""
        self.send(stuffed(content) + b".\r\n")
        return self.reply()

    def close(self):
        try:
            self.reader.close()
        finally:
            self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def stuffed(content):
    return b"".join(b"." + line if line.startswith(b".") else line
                    for line in content.splitlines(keepends=True))


class Message:
    """A message with an id of its own and the digest that an MX host's log must show."""

    count = 0

    def __init__(self, subject="a story", body="Hello.\r\n", size=0):
        Message.count += 1
        self.id = f"<{time.time_ns()}.{Message.count}@sender.test>"
        body = body.encode("latin-1") if isinstance(body, str) else body
        if size > len(body):
            body += (b"x" * 70 + b"\r\n") * ((size - len(body)) // 72 + 1)
        self.body = body
        self.digest = hashlib.sha256(body).hexdigest()
        self.content = (f"From: Ada <ada@sender.test>\r\nTo: you\r\nSubject: {subject}\r\n"
                        f"Message-ID: {self.id}\r\n\r\n").encode() + body


def send(recipients, sender="ada@sender.test", message=None, address=("127.0.0.1", 25), **more):
    """Hands one message to the relay and returns it; anything but 250 is an error."""
    message = message or Message(**more)
    recipients = [recipients] if isinstance(recipients, str) else recipients
    with Client(address) as c:
        c.begin(sender, *recipients)
        code, text = c.data(message.content)
        assert code == 250, text
        message.reply = text
        c.say("QUIT")
    return message
