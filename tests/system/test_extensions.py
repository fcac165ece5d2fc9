"""Extensions that both halves obey: what a client asks for holds at the next host, or the sender hears."""
import email.message
import email.policy
import quopri
import smtplib
import subprocess

import pytest
from client import Client, Message, send, stuffed
from services import wait_until
from test_auth import SECRET, plain, user
from test_bounces import wait_bounce
from test_listeners import with_tls
from test_policy import arrived, wait_arrived

HOST = "mx.nopolicy.test"
UTF8 = "PIPELINING\nSIZE 52428800\n8BITMIME\nENHANCEDSTATUSCODES\nDSN\nSMTPUTF8"


def said(lab, host=HOST):
    """All commands that the host heard, in UTF-8, once its idle sessions have ended."""
    lab.mx(host)
    return [c.encode("latin-1").decode() for s in lab.sessions(host=host) for c in s["commands"]]


def secure_client(lab):
    c = Client()
    c.ehlo()
    c.starttls(lab.ca_file)
    return c


def hand_in(message, mail, *rcpts, client=None):
    """One message, its commands said as they are given."""
    c = client or Client()
    try:
        c.ehlo()
        for line in (f"MAIL FROM:{mail}", *(f"RCPT TO:{r}" for r in rcpts)):
            code, text = c.say(line.encode())
            assert code == 250, f"{line}: {text}"
        assert c.say("DATA")[0] == 354
        c.send(stuffed(message.content) + b".\r\n")
        code, text = c.reply()
        assert code == 250, text
        assert c.say("QUIT")[0] == 221
    finally:
        if not client:
            c.close()
    return message


# ------------------------------------------------------------ SMTPUTF8 (RFC 6531, RFC 6533)

def with_utf8_header(**more):
    message = Message(**more)
    message.content = "X-Place: Straße\r\n".encode() + message.content
    return message


def test_smtputf8_goes_on_to_a_host_that_offers_it(lab, shared_relay):
    lab.mx(HOST, extensions=UTF8)
    message = hand_in(with_utf8_header(body="grüße\r\n".encode()),
                      "<jörg@bücher.test> SMTPUTF8 BODY=8BITMIME",
                      "<用户@nopolicy.test> NOTIFY=FAILURE ORCPT=utf-8;jörg@nopolicy.test")
    got = wait_arrived(lab, message)
    with open(got["file"], "rb") as f:
        trace = f.read().split(b"\r\n")[1]
    assert b" with UTF8SMTP id " in trace
    commands = said(lab)
    assert any(c.startswith("MAIL FROM:<jörg@bücher.test> SIZE=") and " BODY=8BITMIME" in c and
               " SMTPUTF8" in c for c in commands)
    assert "RCPT TO:<用户@nopolicy.test> NOTIFY=FAILURE ORCPT=utf-8;jörg@nopolicy.test" in commands


def test_an_address_outside_ascii_is_told_to_be_undeliverable_at_a_host_without(lab, shared_relay):
    message = hand_in(Message(), "<ada-utf8@sender.test> SMTPUTF8", "<jörg@nopolicy.test>",
                      "<ascii-beside@nopolicy.test>")
    got = wait_arrived(lab, message)
    assert got["recipients"] == ["<ascii-beside@nopolicy.test>"]
    event = shared_relay.wait_event("delivery", outcome="failed", status="5.6.7")
    assert "RFC 6531" in event["reply"], event.text
    told, report = wait_bounce(lab, "ada-utf8@sender.test")
    text, status = list(report.iter_parts())[:2]
    assert report["Content-Type"].params["report-type"] == "global-delivery-status"
    assert status.get_content_type() == "message/global-delivery-status"
    with open(told["file"], "rb") as f:
        raw = f.read()
    assert raw.isascii()                # any host takes it
    assert "Final-Recipient: utf-8; jörg@nopolicy.test".encode() in quopri.decodestring(raw)
    assert "jörg@nopolicy.test" in text.get_content()


def test_a_domain_outside_ascii_goes_in_a_labels_where_smtputf8_is_not_offered(lab, shared_relay):
    message = hand_in(Message(), "<ada@bücher.test> SMTPUTF8", "<you@bücher.test>")
    got = wait_arrived(lab, message)
    assert got["host"] == "mx.xn--bcher-kva.test"
    assert got["sender"] == "<ada@xn--bcher-kva.test>"
    assert got["recipients"] == ["<you@xn--bcher-kva.test>"]


def test_a_header_outside_ascii_is_not_sent_to_a_host_without_smtputf8(lab, shared_relay):
    message = hand_in(with_utf8_header(), "<utf8-header@sender.test> SMTPUTF8",
                      "<header@nopolicy.test>")
    shared_relay.wait_delivery("header@nopolicy.test", "failed")
    _, report = wait_bounce(lab, "utf8-header@sender.test")
    assert not arrived(lab, message)
    original = list(report.iter_parts())[2]
    assert original.get_content_type() == "message/global"


def test_smtputf8_that_nothing_needs_is_not_said(lab, shared_relay):
    lab.mx(HOST, extensions=UTF8)
    wait_arrived(lab, hand_in(Message(), "<unneeded@sender.test> SMTPUTF8", "<you@nopolicy.test>"))
    assert any(c.startswith("MAIL FROM:<unneeded@") and "SMTPUTF8" not in c for c in said(lab))


def test_a_sender_outside_ascii_hears_of_a_failure_where_smtputf8_is_offered(lab, shared_relay):
    lab.mx("mx.sender.test", extensions=UTF8)
    hand_in(Message(), "<jörg@sender.test> SMTPUTF8", "<refuse@nopolicy.test>")
    path = "<jörg@sender.test>".encode().decode("latin-1")
    report = wait_bounce(lab, path[1:-1])[0]
    assert report["sender"] == "<>"
    with open(report["file"], "rb") as f:
        parsed = email.message_from_bytes(f.read(), policy=email.policy.SMTPUTF8)
    assert "jörg@sender.test" in str(parsed["To"])
    assert any(c.startswith("MAIL FROM:<>") and "SMTPUTF8" in c for c in said(lab, "mx.sender.test"))


def test_a_sender_outside_ascii_without_smtputf8_at_home_cannot_be_told(lab, shared_relay):
    hand_in(Message(), "<jürgen@sender.test> SMTPUTF8", "<refuse-too@nopolicy.test>")
    shared_relay.wait_delivery("refuse-too@nopolicy.test", "failed")
    shared_relay.wait_event("delivery", status="5.6.9", rcpt="<j\\xc3\\xbcrgen@sender.test>")
    shared_relay.wait_queue(0, 10)


def test_python_sends_to_addresses_outside_ascii(lab, shared_relay):
    lab.mx(HOST, extensions=UTF8)
    mail = email.message.EmailMessage(policy=email.policy.SMTPUTF8)
    mail["From"], mail["To"], mail["Subject"] = "jörg@sender.test", "jürgen@nopolicy.test", "Grüße"
    mail["Message-ID"] = Message().id
    mail.set_content("Schöne Grüße")
    with smtplib.SMTP("127.0.0.1") as smtp:
        smtp.send_message(mail)
    found = wait_until(lambda: lab.messages(id=mail["Message-ID"]), 10, "the message")
    with open(found[0]["file"], "rb") as f:
        assert "Subject: Grüße".encode() in f.read()


def test_smtputf8_goes_through_real_servers(lab, shared_relay):
    """From a Postfix whose smarthost the relay is, to a Postfix."""
    inbox = lab.peer("postfix", "mx")
    message = with_utf8_header()
    with Client((lab.peer("postfix", "client").addresses[0], 25)) as c:
        hand_in(message, "<jörg@sender.test> SMTPUTF8", "<jürgen@postfix.test>", client=c)
    assert "X-Place: Straße".encode() in inbox.wait_for(message.id.encode())


# ------------------------------------------------------------ MT-PRIORITY (RFC 6710)

@pytest.fixture(name="user_relay")
def fixture_user_relay(lab, make_relay):
    """A relay at which "ada" can log in."""
    relay = make_relay(hop_connections=1, listeners=(
        with_tls(lab, address="127.0.0.1:25", **{"relay-from": ["127.0.0.0/8"]}),))
    relay.write(users_file=f"{relay.folder}/users")
    assert user(relay, "add", "ada", password=SECRET + "\n").returncode == 0
    relay.start()
    wait_until(lambda: "AUTH" in offered_inside_tls(lab), 5, "AUTH to be offered")
    return relay


def offered_inside_tls(lab):
    with secure_client(lab) as c:
        return c.ehlo()[1]


def logged_in(lab):
    c = secure_client(lab)
    c.ehlo()
    assert c.say(plain("ada", SECRET))[0] == 235
    return c


def test_a_priority_is_obeyed_for_users_and_goes_on(lab, user_relay):
    lab.mx(HOST, extensions="PIPELINING\nMT-PRIORITY")
    assert "MT-PRIORITY MIXER" in offered_inside_tls(lab)
    with logged_in(lab) as c:
        message = hand_in(Message(), "<urgent@sender.test> MT-PRIORITY=4", "<you@nopolicy.test>",
                          client=c)
    got = wait_arrived(lab, message)
    with open(got["file"], "rb") as f:
        assert b"\tpriority 4;" in f.read()
    assert any(c.startswith("MAIL FROM:<urgent@sender.test>") and c.endswith(" MT-PRIORITY=4")
               for c in said(lab))


def test_a_priority_of_nobody_in_particular_is_taken_away(lab, user_relay):
    with Client() as c:
        c.ehlo()
        assert c.say("MAIL FROM:<a@sender.test> MT-PRIORITY=9")[0] == 555
    with secure_client(lab) as c:
        c.ehlo()
        assert c.say("MAIL FROM:<a@sender.test> MT-PRIORITY=9")[1].startswith("250 2.3.6 0 is ")


def test_urgent_mail_overtakes_what_waits_for_the_same_host(lab, user_relay):
    """Twenty messages wait behind a slow one; the last to come is urgent and goes among the first."""
    lab.mx(HOST, dot="=wait 0.3\n250 2.0.0 taken", extensions="8BITMIME")
    waiting = [send(f"plain{n}@nopolicy.test") for n in range(20)]
    with logged_in(lab) as c:
        urgent = hand_in(Message(), "<urgent@sender.test> MT-PRIORITY=9", "<u@nopolicy.test>", client=c)
    wait_until(lambda: arrived(lab, urgent), 20, "the urgent message")
    assert sum(bool(arrived(lab, m)) for m in waiting) < 15


# ------------------------------------------------------------ XCLIENT (Postfix's)

@pytest.fixture(name="inner_relay")
def fixture_inner_relay(make_relay):
    """A relay behind a front on 127.0.0.1, which relays for 203.0.113.0/24 and for users."""
    return make_relay(listeners=({"address": "127.0.0.1:25", "relay-from": ["203.0.113.0/24"],
                                  "xclient-from": ["127.0.0.1/32"]},)).start()


def test_whom_a_front_names_is_the_client(lab, inner_relay):
    message = Message()
    with Client() as c:
        assert "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT" in c.ehlo()[1]
        assert c.say("XCLIENT NAME=mail.far.test ADDR=203.0.113.5 PORT=4711 HELO=far.test")[0] == 220
        hand_in(message, "<a@sender.test>", "<you@nopolicy.test>", client=c)
    with open(wait_arrived(lab, message)["file"], "rb") as f:
        assert f.read().startswith(b"Received: from far.test (mail.far.test [203.0.113.5])\r\n")
    assert inner_relay.wait_event("accept")["client"] == "203.0.113.5"
    assert inner_relay.wait_event("xclient")["client"] == "203.0.113.5:4711"


def test_swaks_speaks_for_another_client(inner_relay):
    done = subprocess.run(
        ["swaks", "--server", "127.0.0.1", "--from", "a@sender.test", "--to", "you@nopolicy.test",
         "--xclient-addr", "203.0.113.9", "--xclient-name", "[UNAVAILABLE]", "--xclient-helo", "far.test"],
        capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout
    assert inner_relay.wait_event("accept")["client"] == "203.0.113.9"


def test_a_front_lends_its_own_rights_to_nobody(lab, inner_relay):
    with Client() as c:
        assert c.say("XCLIENT ADDR=198.51.100.77")[0] == 220
        c.ehlo()
        c.say("MAIL FROM:<a@sender.test>")
        assert c.say("RCPT TO:<you@nopolicy.test>")[1].startswith("550 5.7.1")
        c.say("RSET")
        assert c.say("XCLIENT LOGIN=ada")[0] == 220
        message = hand_in(Message(), "<a@sender.test>", "<you@nopolicy.test>", client=c)
    wait_arrived(lab, message)
    assert inner_relay.wait_event("accept")["user"] == "ada"


def test_others_are_not_offered_xclient(lab, inner_relay):
    with Client(source="127.0.0.2") as c:
        assert "XCLIENT" not in c.ehlo()[1]
        assert c.say("XCLIENT ADDR=203.0.113.5")[1].startswith("550 5.7.0")
