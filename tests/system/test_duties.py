"""What the relay does for a message beside carrying it, and what it leaves alone."""
import os
import random
import re
import smtplib
import subprocess

import pytest
import table
from client import Client, Message, send, stuffed
from services import wait_until
from test_auth import SECRET, user
from test_listeners import with_tls
from test_policy import arrived, wait_arrived
from test_sendmail import wait_one

RELAY = (table.RELAY_ADDRESS, 587)
LOOPBACK = {"address": "127.0.0.1:25", "relay-from": ["127.0.0.0/8"]}


def content_of(entry):
    """What arrived, from the first field behind our Received on."""
    with open(entry["file"], "rb") as f:
        text = f.read()
    return re.sub(rb"\A(Return-Path:.*\r?\n)?Received: .*\r?\n([ \t].*\r?\n)*", b"", text)


def trace_of(entry):
    with open(entry["file"], "rb") as f:
        return f.read().split(b"\nFrom:")[0].split(b"\nSubject:")[0].decode("latin-1")


def names(content):
    return re.findall(rb"^([A-Za-z-]+):", content.split(b"\r\n\r\n")[0], re.M)


@pytest.fixture(name="submission")
def fixture_submission(lab, make_relay):
    """A listener for mail programs; more of its members can be given."""
    def start(**members):
        relay = make_relay(listeners=(LOOPBACK, with_tls(
            lab, address=f"{RELAY[0]}:{RELAY[1]}", preset="submission", **members)))
        relay.write(users_file=f"{relay.folder}/users")
        assert user(relay, "add", "ada", password=SECRET + "\n").returncode == 0
        return relay.start()
    return start


def with_msmtp(tmp_path, text, recipient="you@nopolicy.test"):
    configuration = tmp_path / "msmtprc"
    configuration.write_text(f"""defaults
host {RELAY[0]}
port {RELAY[1]}
from ada@sender.test
auth plain
user ada
passwordeval printf %s '{SECRET}'
tls on
tls_certcheck off
set_date_header off
set_msgid_header off
remove_bcc_headers off
account default
""")
    configuration.chmod(0o600)
    subprocess.run(["msmtp", "-C", str(configuration), recipient], input=text, text=True, timeout=30,
                   check=True, capture_output=True)


# ------------------------------------------------------------ submission

def test_a_mail_programs_message_gets_what_it_lacks(lab, submission, tmp_path):
    submission()
    with_msmtp(tmp_path, "From: ada@sender.test\nSubject: bare bones\nBcc: secret@nopolicy.test\n\nhello\n")
    _, header, body = wait_one(lab, "bare bones")
    assert re.search(r"^Date: \w{3}, \d\d? \w{3} \d{4} \d\d:\d\d:\d\d \+0000\r?$", header, re.M)
    assert len(re.findall(r"^Message-ID: <[0-9a-f]+\.[0-9a-f]{24}@relay\.test>\r?$", header, re.M | re.I)) == 1
    assert "secret" not in header and body == "hello\r\n"


def test_what_a_message_has_is_left_as_it_is(lab, submission):
    submission()
    message = Message()
    message.content = b"Date: whenever\r\nX-Odd : \tx\r\n" + message.content
    with smtplib.SMTP(*RELAY) as s:
        s.starttls()
        s.login("ada", SECRET)
        s.sendmail("ada@sender.test", ["you@nopolicy.test"], message.content)
    assert content_of(wait_arrived(lab, message)) == message.content


def test_mail_of_other_servers_is_not_mended(lab, shared_relay):
    message = Message()
    message.content = b"Bcc: kept@nopolicy.test\r\nReturn-Path: <kept@x.test>\r\n" + message.content
    send("you@nopolicy.test", message=message)
    assert content_of(wait_arrived(lab, message)) == message.content


@pytest.mark.parametrize("what, wanted, unwanted", [
    ("client", "from client.sender.test ([198.51.100.", "user"),
    ("user", "(user ada)", "hidden"),
    ("hidden", "from localhost (client hidden)", "198.51.100.")])
def test_received_tells_as_much_of_a_user_as_is_wanted(lab, submission, what, wanted, unwanted):
    submission(**{"received-from": what})
    message = Message()
    with smtplib.SMTP(*RELAY, local_hostname="client.sender.test") as s:
        s.starttls()
        s.login("ada", SECRET)
        s.sendmail("ada@sender.test", ["you@nopolicy.test"], message.content)
    trace = trace_of(wait_arrived(lab, message))
    assert wanted in trace and unwanted not in trace and "with ESMTPSA id" in trace, trace
    assert "(using TLSv1.3 with cipher TLS_" in trace


# ------------------------------------------------------------ addresses

def test_internal_domains_become_public_ones(lab, make_relay):
    relay = make_relay(rewrite=["root@db.internal -> ops@sender.test", ".internal -> sender.test"]).start()
    mail = b"\r\n".join([
        b"From: =?utf-8?Q?R=C3=B6t?= (of db)", b" <root@db.internal>", b"Sender: App <App@Web.internal>",
        b"Reply-To: Team: a@b.internal, \"x, y\" <z@c.internal>;", b"To: root@db.internal",
        b"Subject: rewritten", b"", b"From: root@db.internal", b""])
    with Client() as c:
        c.begin("app@web.internal", "you@nopolicy.test")
        assert c.data(mail)[0] == 250
    entry = wait_one(lab, "rewritten")[0]
    assert content_of(entry) == mail.replace(b"<root@db.internal>", b"<ops@sender.test>").replace(
        b"App@Web.internal", b"App@sender.test").replace(b"a@b.internal", b"a@sender.test").replace(
        b"z@c.internal", b"z@sender.test")
    assert relay.wait_event("accept")["from"] == "<app@sender.test>"


def test_bare_names_get_the_origin_where_that_is_told(lab, make_relay):
    relay = make_relay(origin="nopolicy.test", listeners=({**LOOPBACK, "complete-addresses": "on"},
                                                          {"address": f"{RELAY[0]}:25"})).start()
    mail = b"From: root (Cron)\r\nTo: ada, Bob <bob@sender.test>\r\nSubject: completed\r\n\r\nhello\r\n"
    with Client() as c:
        c.begin("root", "ada")
        assert c.data(mail)[0] == 250
    entry = wait_one(lab, "completed")[0]
    assert entry["recipients"] == ["<ada@nopolicy.test>"]
    assert content_of(entry).startswith(b"From: root@nopolicy.test (Cron)\r\nTo: ada@nopolicy.test, Bob <bob@")
    assert relay.wait_event("accept")["from"] == "<root@nopolicy.test>"
    with Client((RELAY[0], 25)) as c:
        c.ehlo()
        assert c.say("MAIL FROM:<root>")[0] == 501


def test_aliases_of_this_host_are_followed_and_read_again(lab, make_relay):
    relay = make_relay(origin="relay.test")
    aliases = f"{relay.folder}/aliases"
    with open(aliases, "w", encoding="utf-8") as f:
        f.write("root: ada@nopolicy.test, ops\nops: bob@nopolicy.test, root\npostmaster: root\n"
                "null: /dev/null, \"|/bin/false\"\n")
    relay.write(aliases_file=aliases)
    warnings = relay.cli("check").stderr
    assert "line 4: a file" in warnings and "line 4: a pipe" in warnings and "postmaster" not in warnings
    relay.start()
    message = send("root@relay.test")
    assert wait_arrived(lab, message)["recipients"] == ["<ada@nopolicy.test>", "<bob@nopolicy.test>"]
    message = send("Postmaster")
    assert wait_arrived(lab, message)["recipients"] == ["<ada@nopolicy.test>", "<bob@nopolicy.test>"]
    with open(aliases, "w", encoding="utf-8") as f:
        f.write("root: eve@nopolicy.test\nx: :include:/etc/passwd\n")
    relay.wait_event("file-changed", path=aliases)
    assert "line 2" in relay.wait_event("alias-skipped")["error"]

    def is_new():
        return wait_arrived(lab, send("root@relay.test"))["recipients"] == ["<eve@nopolicy.test>"]
    wait_until(is_new, 5, "the new alias")


def test_check_warns_of_a_postmaster_whom_nobody_reads(make_relay):
    relay = make_relay()
    relay.write(aliases_file=f"{relay.folder}/none")
    done = relay.cli("check")
    assert "postmaster is not set" in done.stderr and done.returncode == 0
    relay.write(postmaster="human@good.test")
    assert "postmaster" not in relay.cli("check").stderr


# ------------------------------------------------------------ fields and copies

def test_listed_fields_are_taken_out(lab, make_relay):
    make_relay(listeners=({**LOOPBACK, "remove-headers": ["X-Mailer", "user-agent"]},)).start()
    subprocess.run(["swaks", "--server", "127.0.0.1", "--from", "ada@sender.test", "--to", "you@nopolicy.test",
                    "--header", "Subject: without", "--add-header", "User-Agent: secret\\n of mine"],
                   check=True, capture_output=True, timeout=30)
    _, header, _ = wait_one(lab, "without")
    assert "secret" not in header and "mine" not in header and "X-Mailer" not in header and "\nTo: you" in header


def test_a_journal_gets_a_copy_of_which_nobody_hears(lab, make_relay):
    relay = make_relay(listeners=({**LOOPBACK, "copy-to": "journal@nopolicy.test"},)).start()
    message = send("you@nopolicy.test")
    got = wait_arrived(lab, message)
    assert got["recipients"] == ["<you@nopolicy.test>", "<journal@nopolicy.test>"]
    assert "for <you@nopolicy.test>" in trace_of(got) and "journal" not in trace_of(got)
    lab.mx("mx.nopolicy.test", rcpt="550 5.1.1 no such mailbox")
    send("gone@good.test", message=Message(), sender="hears@sender.test")
    relay.wait_delivery("journal@nopolicy.test", "failed")
    assert not relay.events("bounce")


# ------------------------------------------------------------ lines and bytes

def test_old_devices_of_a_named_network_may_end_lines_with_lf(lab, make_relay):
    relay = make_relay(listeners=({**LOOPBACK, "normalise-from": ["127.0.0.2/32"]},)).start()
    smuggled = b"Subject: mended\n\nfirst\n.\nMAIL FROM:<evil@x.test>\n.\r\nRCPT TO:<x@y.test>\r\n"
    with Client() as c:
        c.begin("ada@sender.test", "you@nopolicy.test")
        c.send(smuggled + b".\r\n")
        assert c.reply()[1].startswith("550 5.6.0")
    for _ in range(2):
        with Client(source="127.0.0.2") as c:
            c.begin("device@sender.test", "you@nopolicy.test")
            c.send(smuggled + b".\r\n")
            assert c.reply()[0] == 250
            assert c.say("QUIT")[0] == 221
    wait_until(lambda: len([e for e in lab.messages() if content_of(e).startswith(b"Subject: mended")]) == 2,
               10, "both messages")
    for entry in lab.messages():
        if content_of(entry).startswith(b"Subject: mended"):
            assert not entry["bare"]
            assert content_of(entry) == smuggled.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    event = relay.wait_event("bare-lf-mended")
    assert event["client"].startswith("127.0.0.2:") and event["lines"] == "5"
    assert len(relay.events("bare-lf-mended")) == 1


def test_eight_bit_headers_and_long_lines_pass_as_they_are(lab, shared_relay):
    message = Message(body=b"x" * 20000 + b"\r\n" + b"\xe4" * 1200 + b"\r\n.\r\n..\r\n")
    message.content = b"X-Device: Drucker f\xfcr B\xfcro\r\n" + message.content
    send("you@nopolicy.test", message=message)
    assert content_of(wait_arrived(lab, message)) == message.content


def test_a_line_may_have_a_bound(make_relay):
    make_relay(max_line_length=998).start()
    with Client() as c:
        for size, code in ((998, 250), (999, 554)):
            c.begin("ada@sender.test", "you@nopolicy.test")
            got, text = c.data(b"Subject: x\r\n\r\n" + b"x" * size + b"\r\n")
            assert got == code and (code == 250 or "5.6.0" in text)


def test_what_is_sent_is_byte_for_byte_what_arrives(lab, make_relay):
    """Any bytes but NUL, CR and LF in lines of any length, in DATA and BDAT, held headers or not."""
    make_relay(listeners=({**LOOPBACK, "remove-headers": ["X-Nobody-Has-It"]},
                          {"address": "[::1]:25"})).start()
    chance = random.Random(5321)
    allowed = bytes(b for b in range(1, 256) if b not in b"\r\n")
    sent = []
    for number in range(60):
        lines = [bytes(chance.choices(allowed + b"......", k=int(chance.expovariate(1 / 60))))
                 for _ in range(chance.randrange(20))]
        message = Message(body=b"".join(line + b"\r\n" for line in lines))
        with Client(("127.0.0.1" if number % 2 else "::1", 25)) as c:
            c.ehlo()
            c.say("MAIL FROM:<ada@sender.test>")
            c.say("RCPT TO:<bytes@nopolicy.test>")
            if number % 3:
                c.say("DATA")
                c.send(stuffed_lines(message.content) + b".\r\n")
            else:
                c.send(f"BDAT {len(message.content)} LAST\r\n".encode() + message.content)
            assert c.reply()[0] == 250
        sent.append(message)
    wait_until(lambda: all(arrived(lab, m) for m in sent), 30, "all to arrive")
    for message in sent:
        assert content_of(wait_arrived(lab, message)) == message.content


def stuffed_lines(content):
    """As stuffed, for content in which only CRLF ends a line."""
    return b"\r\n".join(b"." + line if line.startswith(b".") else line for line in content.split(b"\r\n"))
