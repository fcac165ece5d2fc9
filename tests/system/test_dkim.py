"""DKIM (RFC 6376, RFC 8463): what leaves is signed, and verifies where it arrives, by other people's code."""
import base64
import os
import signal
import subprocess
import time

import dkim
import pytest
from client import Client, Message, send, stuffed
from services import wait_until
from test_policy import arrived, wait_arrived
from test_sendmail import letter, run_sendmail

HOST = "mx.nopolicy.test"
PLAIN = "PIPELINING\nSIZE\n8BITMIME\nENHANCEDSTATUSCODES"
CHUNKS = PLAIN + "\nCHUNKING"
MAIL_DKIM = r"""
use Mail::DKIM::Verifier; use Net::DNS;
my %records = split /[\t\n]/, $ENV{RECORDS};
{ no warnings 'redefine';
  *Mail::DKIM::DNS::query = sub {
      my $text = $records{"$_[0]."} or return;
      return Net::DNS::RR->new(owner => $_[0], type => 'TXT', txtdata => [unpack '(a255)*', $text]);
  }; }
local $/ = undef;
for (@ARGV) {
    open(my $file, '<:raw', $_) or die; my $v = Mail::DKIM::Verifier->new();
    $v->PRINT(<$file>); $v->CLOSE;
    print join(',', map { $_->algorithm . '=' . $_->result } $v->signatures), "\n";
}
"""
RECORDS = {}        # name to text: what DNS would have of the keys


class Key:
    """A private key in a file of the relay's folder, and its record in DNS."""

    def __init__(self, folder, selector, kind="ed25519"):
        self.selector, self.file = selector, f"{folder}/{selector}.pem"
        how = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"] if kind == "rsa" else \
            ["-algorithm", "ED25519"]
        subprocess.run(["openssl", "genpkey", *how, "-out", self.file], check=True,
                       stderr=subprocess.DEVNULL)
        os.chmod(self.file, 0o600)
        public = subprocess.run(["openssl", "pkey", "-in", self.file, "-pubout", "-outform", "DER"],
                                check=True, capture_output=True).stdout
        public = base64.b64encode(public if kind == "rsa" else public[-32:]).decode()
        self.record = f"v=DKIM1; k={kind}; p={public}"

    def entry(self, senders="sender.test", **more):
        return {"senders": senders, "selector": self.selector, "key": self.file, **more}


    def publish(self, domain="sender.test"):
        RECORDS[f"{self.selector}._domainkey.{domain}."] = self.record


def signed_by(content):
    """The selectors of a message's signatures, each of which dkimpy has verified."""
    count = sum(name.lower() == b"dkim-signature" for name, _ in dkim.DKIM(content).headers)
    found = []
    for i in range(count):
        one = dkim.DKIM(content)
        assert one.verify(idx=i, dnsfunc=lambda name, timeout=5: RECORDS[name.decode()].encode()), f"signature {i} does not hold"
        found.append(one.signature_fields[b"s"].decode())
    return found


def mail_dkim_says(files):
    """What Perl's Mail::DKIM, which knows RSA, makes of the signatures in each file."""
    return subprocess.run(["perl", "-e", MAIL_DKIM, *files], capture_output=True, check=True,
                          text=True, env={**os.environ, "RECORDS": "\n".join("\t".join(r) for r in RECORDS.items())}
                          ).stdout.splitlines()


def header_of(file):
    with open(file, encoding="latin-1", newline="") as f:
        return f.read().partition("\r\n\r\n")[0]


def stored(lab, message, seconds=10):
    """What the MX host has of it."""
    with open(wait_arrived(lab, message, seconds)["file"], "rb") as f:
        return f.read()


@pytest.fixture(name="signer")
def fixture_signer(make_relay):
    """Makes a running relay that signs sender.test's mail with new keys of these kinds."""
    def make(kinds=("ed25519",), entry=None, **settings):
        relay = make_relay(retry_first="2s", retry_max="4s")
        keys = [Key(relay.folder, f"2026{kind[0]}", kind) for kind in kinds]
        for key in keys:
            key.publish()
        relay.write(dkim=tuple(key.entry(**(entry or {})) for key in keys), **settings)
        relay.keys = keys
        return relay.start()
    return make


# ------------------------------------------------------------ what leaves verifies

ODD = b".\r\n..\r\n.x" + bytes(range(128, 256)) + b"\r\n" + b"y" * 998 + b"\r\n a \t b \t\r\n\t\r\n" + b"\r\n" * 5
BODIES = [b"Hello.\r\n", b"", b"\r\n\r\n\r\n", b"  \t \r\n \r\n", ODD, ODD * 130,
          (b"z" * 3000 + b"\r\n") * 9]


def send_in_chunks(message):
    """By BDAT, cut in the middle of a field."""
    with Client() as c:
        for line in ("EHLO client.sender.test", "MAIL FROM:<ada@sender.test>", "RCPT TO:<you@nopolicy.test>"):
            assert c.say(line)[0] == 250
        for part, last in ((message.content[:40], b""), (message.content[40:], b" LAST")):
            c.send(b"BDAT %d%s\r\n" % (len(part), last) + part)
            assert c.reply()[0] == 250


@pytest.mark.parametrize("canonicalization", ["relaxed/relaxed", "simple/simple"])
def test_what_leaves_is_signed_and_verifies_however_it_came_and_goes(lab, signer, canonicalization):
    relay = signer(("ed25519", "rsa"), {"canonicalization": canonicalization})
    files = []
    for keywords in (PLAIN, CHUNKS):
        lab.mx(HOST, extensions=keywords)
        sent = [send("you@nopolicy.test", body=body) for body in BODIES]
        for body in [*BODIES, b"no last line end \t"]:
            sent.append(Message(body=body))
            send_in_chunks(sent[-1])
        for message in sent:
            found = wait_until(lambda m=message: arrived(lab, m), 20, f"{message.body[:20]} there")[0]
            assert found["chunked"] == (keywords == CHUNKS)
            files.append(found["file"])
    for file in files:
        with open(file, "rb") as f:
            content = f.read()
        assert content.startswith(b"DKIM-Signature: ")
        assert signed_by(content) == ["2026e", "2026r"]
        assert b" l=" not in content.partition(b"Received:")[0]
    assert all("rsa-sha256=pass" in line for line in mail_dkim_says(files))
    event = relay.wait_delivery("you@nopolicy.test", "delivered")
    assert event["signed"] == "sender.test:2026e,sender.test:2026r"


def test_pieces_of_any_size_give_the_same_hash(lab, signer):
    signer()
    message = Message(body=b"tiny \t pieces\r\n.\r\n\r\n \t end \r\n\r\n\r\n")
    with Client() as c:
        c.begin("ada@sender.test", "tiny@nopolicy.test")
        content = stuffed(message.content) + b".\r\n"
        for i in range(len(content)):
            c.send(content[i:i + 1])
        assert c.reply()[0] == 250
    assert signed_by(stored(lab, message)) == ["2026e"]


def test_what_duties_and_mended_line_ends_leave_is_what_is_signed(lab, signer):
    """The body is hashed behind them (DKIM-1), and the header is read from the queue."""
    signer(listeners=({"address": "127.0.0.1:25", "submission-fixes": "on", "normalise-from": ["127.0.0.0/8"]},))
    message = Message(body=b"one\r\n two \t\r\n\r\n")
    with Client() as c:
        c.begin("ada@sender.test", "you@nopolicy.test")
        c.send(b"Bcc: eve@sender.test\n" + message.content.replace(b"\r\n", b"\n") + b"\r\n.\r\n")
        assert c.reply()[0] == 250
    found = wait_until(lambda: arrived(lab, message), 10, "the mended message")[0]
    with open(found["file"], "rb") as f:
        content = f.read()
    assert b"Bcc" not in content and b"\r\nDate: " in content and content.endswith(b"\r\n two \t\r\n\r\n\r\n")
    assert signed_by(content) == ["2026e"]


def test_local_mail_and_what_waited_in_the_drop_folder_is_signed(lab, signer):
    relay = signer()
    text = "From: root@sender.test\n" + letter("signed when up")
    run_sendmail(relay, "you@nopolicy.test", text=text)
    relay.kill()
    run_sendmail(relay, "you@nopolicy.test", text=text.replace("when up", "when down"))
    relay.start()
    for subject in ("signed when up", "signed when down"):
        found = wait_until(lambda s=subject: [m for m in lab.messages() if s in header_of(m["file"])], 15, subject)
        with open(found[0]["file"], "rb") as f:
            assert signed_by(f.read()) == ["2026e"]


def test_a_notification_is_signed(lab, signer):
    relay = signer(entry={"senders": "*"})
    relay.keys[0].publish("relay.test")
    send("refuse@nopolicy.test", sender="bounced@sender.test")
    found = wait_until(lambda: [m for m in lab.messages() if m["recipients"] == ["<bounced@sender.test>"]],
                       15, "the notification")
    with open(found[0]["file"], "rb") as f:
        content = f.read()
    assert signed_by(content) == ["2026e"]
    assert b"d=relay.test" in content


# ------------------------------------------------------------ what is left as it is

def test_what_came_with_a_signature_of_the_domain_is_left_alone_unless_told(lab, signer):
    relay = signer()
    other = Key(relay.folder, "other", "rsa")
    other.publish()
    with open(other.file, "rb") as f:
        private = f.read()

    def signed_message():
        message = Message()
        message.content = dkim.sign(message.content, b"other", b"sender.test", private,
                                    canonicalize=(b"relaxed", b"relaxed")) + message.content
        return message
    first = send("you@nopolicy.test", message=signed_message())
    assert signed_by(stored(lab, first)) == ["other"]
    qid = relay.wait_delivery("you@nopolicy.test", "delivered")["qid"]
    assert "not signed: " in relay.cli("trace", qid).stdout
    relay.write(dkim=(dict(relay.settings["dkim"][0], **{"sign-signed": "on"}),))
    relay.reload()
    relay.wait_event("reloaded")
    second = send("you@nopolicy.test", message=signed_message())
    assert signed_by(stored(lab, second)) == ["2026e", "other"]


def test_mail_of_other_domains_and_with_two_authors_goes_as_it_is(lab, signer):
    relay = signer()
    foreign, double = Message(), Message()
    foreign.content = foreign.content.replace(b"From: Ada <ada@sender.test>", b"From: ada@sub.sender.test")
    double.content = b"From: eve@sender.test\r\n" + double.content
    for message, rcpt in ((foreign, "foreign@nopolicy.test"), (double, "double@nopolicy.test")):
        send(rcpt, message=message)
        assert not signed_by(stored(lab, message))
    event = relay.wait_delivery("double@nopolicy.test", "delivered")
    assert event["unsigned"] and "signed" not in event
    event = relay.wait_delivery("foreign@nopolicy.test", "delivered")
    assert "unsigned" not in event and "signed" not in event


def test_what_came_before_the_key_goes_unsigned_and_says_so(lab, make_relay):
    relay = make_relay(delivery="hold").start()
    message = send("you@nopolicy.test")
    key = Key(relay.folder, "2026e")
    relay.write(delivery="on", dkim=(key.entry(),))
    relay.reload()
    event = relay.wait_delivery("you@nopolicy.test", "delivered")
    assert event["unsigned"] == "it came in while nothing was signed"
    assert not signed_by(stored(lab, message))
    assert "not signed: it came in while nothing was signed" in relay.cli("trace", event["qid"]).stdout


# ------------------------------------------------------------ keys and processes come and go

def test_a_new_key_is_used_from_the_reload_on(lab, signer):
    relay = signer()
    assert signed_by(stored(lab, send("you@nopolicy.test"))) == ["2026e"]
    fresh = Key(relay.folder, "2027e")
    fresh.publish()
    relay.write(dkim=(fresh.entry(),))
    relay.reload()
    relay.wait_event("reloaded")
    message = send("you@nopolicy.test")
    assert signed_by(stored(lab, message)) == ["2027e"]
    qid = relay.wait_event("delivery", signed="sender.test:2027e")["qid"]
    assert "signed by sender.test:2027e" in relay.cli("trace", qid).stdout
    decision = relay.cli_json("queue", "show", qid)["recipients"][0]["decision"]
    assert decision["signed_by"] == "sender.test:2027e"


def test_nothing_is_lost_and_nothing_leaves_unsigned_while_the_signer_is_killed(lab, signer):
    relay = signer(("ed25519", "rsa"))
    sent = []
    for i in range(40):
        sent.append(send("you@nopolicy.test"))
        if i % 15 == 7:
            relay.kill_role("sign")
    for message in sent:
        assert sorted(signed_by(stored(lab, message))) == ["2026e", "2026r"]


def test_mail_waits_while_the_signer_hangs(lab, signer):
    """It is asked again by itself; here an operator does not wait for that."""
    relay = signer()
    pid = relay.role_pids("sign")[0]
    os.kill(pid, signal.SIGSTOP)
    message = send("you@nopolicy.test")
    time.sleep(1)
    assert not arrived(lab, message)
    assert relay.queue()[0]["state"] == "delivering"
    os.kill(pid, signal.SIGCONT)
    assert signed_by(stored(lab, message)) == ["2026e"]
