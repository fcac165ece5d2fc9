"""Extensions that both halves obey: what a client asks for holds at the next host, or the sender hears."""
import email
import email.policy
import quopri

from client import Client, Message, stuffed
from test_bounces import wait_bounce
from test_policy import arrived, wait_arrived

HOST = "mx.nopolicy.test"
UTF8 = "PIPELINING\nSIZE 52428800\n8BITMIME\nENHANCEDSTATUSCODES\nDSN\nSMTPUTF8"


def said(lab, host=HOST):
    """All commands that the host heard, in UTF-8, once its idle sessions have ended."""
    lab.mx(host)
    return [c.encode("latin-1").decode() for s in lab.sessions(host=host) for c in s["commands"]]


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
