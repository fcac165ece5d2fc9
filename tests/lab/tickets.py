"""In which TLS session of a server did one begin that is resumed?  Read off the tickets it gave and gets back.

Python's ssl module shows a handshake's messages to a hook; the new ticket is a message of the server's, and the client
names it in its hello, in the extension session_ticket (RFC 5077) or pre_shared_key (RFC 8446 section 4.2.11).
"""
import ssl

CLIENT_HELLO, NEW_SESSION_TICKET = 1, 4
SESSION_TICKET, PRE_SHARED_KEY = 35, 41


class Reader:
    def __init__(self, data):
        self.data = data

    def take(self, size):
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def number(self, size):
        return int.from_bytes(self.take(size), "big")

    def vector(self, size):
        """What is preceded by its length, in so many octets."""
        return Reader(self.take(self.number(size)))


def given(message, version):
    """The ticket in a NewSessionTicket."""
    reader = Reader(message[4:])
    reader.take(4)                      # its lifetime
    if version == ssl.TLSVersion.TLSv1_3:
        reader.take(4)                  # ticket_age_add
        reader.vector(1)                # the nonce
    return reader.vector(2).data


def offered(message):
    """The tickets that a ClientHello names."""
    reader = Reader(message[4 + 2 + 32:])
    reader.vector(1)                    # legacy_session_id
    reader.vector(2)                    # the ciphers
    reader.vector(1)                    # compression methods
    extensions, found = reader.vector(2), []
    while extensions.data:
        kind, body = extensions.number(2), extensions.vector(2)
        if kind == SESSION_TICKET and body.data:
            found.append(body.data)
        if kind == PRE_SHARED_KEY:
            identities = body.vector(2)
            while identities.data:
                found.append(identities.vector(2).data)
                identities.take(4)      # obfuscated_ticket_age
    return found


class Tickets:
    """Those of one server; `current` gives the conversation whose handshake this thread makes."""

    def __init__(self, current):
        self.current = current
        self.begun = {}                 # ticket: the number of the conversation that was given it

    def watch(self, context):
        context._msg_callback = self.on_message     # pylint: disable=protected-access

    def on_message(self, _connection, direction, version, _content, kind, message):
        if direction == "write" and kind == NEW_SESSION_TICKET and message[:1] == b"\x04":
            self.begun[given(message, version)] = self.current().number
        if direction == "read" and kind == CLIENT_HELLO and message[:1] == b"\x01":
            known = [self.begun[t] for t in offered(message) if t in self.begun]
            self.current().ticket_of = known[0] if known else None
