"""What the relay says to MX hosts: its use of extensions, and how recipients share transactions."""
import pytest
from client import Client, Message, send, stuffed
from test_policy import arrived, wait_arrived

HOST = "mx.nopolicy.test"


def said(lab, host=HOST):
    """All commands that the host heard, session after session."""
    return [c for s in lab.sessions(host=host) for c in s["commands"]]


def mail_of(lab, relay, name, **more):
    """Sends a message to the host; gives the MAIL command that it heard."""
    message = send("you@nopolicy.test", sender=f"{name}@sender.test", **more)
    wait_arrived(lab, message)
    lab.mx(HOST, greeting="220 anew")       # ends idle sessions, so that they are logged
    lines = [c for c in said(lab) if c.startswith(f"MAIL FROM:<{name}@sender.test>")]
    assert len(lines) == 1, lines
    return lines[0]


def test_size_and_body_are_said_where_they_are_offered(lab, shared_relay):
    assert " SIZE=" in mail_of(lab, shared_relay, "plain")
    eight = mail_of(lab, shared_relay, "eight", body=b"gr\xc3\xbc\xc3\x9fe\r\n")
    assert " BODY=8BITMIME" in eight and " SIZE=" in eight


def test_what_is_not_offered_is_not_said(lab, shared_relay):
    """RFC 5321 section 4.1.1.3; eight-bit content goes as it is (design: section 11)."""
    lab.mx(HOST, extensions="X-NOTHING")
    message = send("you@nopolicy.test", sender="bare@sender.test", body=b"gr\xc3\xbc\xc3\x9fe\r\n")
    wait_arrived(lab, message)
    lab.mx(HOST)
    assert "MAIL FROM:<bare@sender.test>" in said(lab)


def test_what_was_asked_about_notifications_is_passed_on_where_dsn_is_offered(lab, shared_relay):
    """RFC 3461 section 5.2.1: as it came, byte for byte."""
    lab.mx(HOST, extensions="PIPELINING\nDSN")
    message = Message()
    with Client() as c:
        c.ehlo()
        for line in ("MAIL FROM:<asks@sender.test> RET=FULL ENVID=QQ+20314",
                     "RCPT TO:<asked@nopolicy.test> NOTIFY=SUCCESS ORCPT=rfc822;Bob+2B@Example.com"):
            assert c.say(line)[0] == 250
        assert c.say("DATA")[0] == 354 and c.data(message.content)[0] == 250
    wait_arrived(lab, message)
    lab.mx(HOST)
    assert "MAIL FROM:<asks@sender.test> RET=FULL ENVID=QQ+20314" in said(lab)
    assert ("RCPT TO:<asked@nopolicy.test> NOTIFY=SUCCESS ORCPT=rfc822;Bob+2B@Example.com"
            in said(lab))


def test_a_chunked_message_arrives_as_it_was_sent(lab, shared_relay):
    """RFC 3030: cut anywhere, dots and all."""
    message = Message(body="..\r\n.\r\nQUIT\r\n" + "x" * 998 + "\r\n")
    with Client() as c:
        c.ehlo()
        for line in ("MAIL FROM:<chunks@sender.test>", "RCPT TO:<chunks@nopolicy.test>"):
            assert c.say(line)[0] == 250
        chunks = [message.content[i:i + 7] for i in range(0, len(message.content), 7)]
        c.send(b"".join(b"BDAT %d\r\n" % len(chunk) + chunk for chunk in chunks))
        assert [c.reply()[0] for _ in chunks] == [250] * len(chunks)
        assert c.say("BDAT 0 LAST")[0] == 250
    wait_arrived(lab, message)


def test_a_message_too_large_for_the_host_is_not_sent(lab, shared_relay):
    """RFC 1870 section 6: its SIZE is known before."""
    lab.mx(HOST, extensions="PIPELINING\nSIZE 5000\nENHANCEDSTATUSCODES")
    message = send("large@nopolicy.test", size=20_000)
    event = shared_relay.wait_delivery("large@nopolicy.test", "failed")
    assert event["status"] == "5.3.4", event.text
    assert not arrived(lab, message)
    wait_arrived(lab, send("small@nopolicy.test"))


@pytest.mark.parametrize("limit", [1, 3, 10])
def test_recipients_too_many_for_one_transaction_follow_in_the_next_at_once(lab, shared_relay,
                                                                            limit):
    """452 says "not in this transaction" (RFC 5321 section 4.5.3.1.10)."""
    lab.mx(HOST, rcpt=f"=limit {limit}")
    names = [f"limit{limit}-{n}@nopolicy.test" for n in range(10)]
    message = send(names)
    for name in names:
        shared_relay.wait_delivery(name, "delivered", 5)
    groups = [len(e["recipients"]) for e in arrived(lab, message)]
    assert sum(groups) == 10 and max(groups) == limit and len(groups) == -(-10 // limit)
    assert not shared_relay.events("delivery", outcome="deferred", rcpt=f"<{names[0]}>")


def test_a_thousand_recipients_go_in_transactions_of_at_most_a_hundred(lab, make_relay):
    relay = make_relay(max_recipients=1000).start()
    names = [f"r{n}@nopolicy.test" for n in range(1000)]
    message = send(names)
    for name in (names[0], names[-1]):
        relay.wait_delivery(name, "delivered", 30)
    relay.wait_queue(0, 30)
    groups = [len(e["recipients"]) for e in arrived(lab, message)]
    assert sum(groups) == 1000 and max(groups) <= 100, groups


def test_one_transaction_can_have_every_fate(lab, shared_relay):
    names = ["ok1", "refuse1", "defer1", "ok2", "refuse2", "defer2"]
    message = send([f"{n}@nopolicy.test" for n in names], sender="fates@sender.test")
    taken = wait_arrived(lab, message)["recipients"]
    assert taken == ["<ok1@nopolicy.test>", "<ok2@nopolicy.test>"]
    for name in names:
        outcome = {"o": "delivered", "r": "failed", "d": "deferred"}[name[0]]
        shared_relay.wait_delivery(f"{name}@nopolicy.test", outcome)


def test_where_every_recipient_is_refused_no_content_goes_out(lab, shared_relay):
    message = send(["refuse8@nopolicy.test", "refuse9@nopolicy.test"])
    shared_relay.wait_delivery("refuse9@nopolicy.test", "failed")
    wait_arrived(lab, send("after-refusals@nopolicy.test"))
    assert not arrived(lab, message)


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "dot"])
def test_421_at_any_stage_defers(lab, shared_relay, stage):
    lab.mx(HOST, **{stage: "421 4.3.2 going down\n=close"})
    send(f"gone-{stage}@nopolicy.test")
    event = shared_relay.wait_delivery(f"gone-{stage}@nopolicy.test", "deferred")
    assert "421" in event["reply"] and event["status"] == "4.3.2"


def test_a_quoted_local_part_arrives_as_it_was(lab, shared_relay):
    wait_arrived(lab, send('"odd name"@nopolicy.test'))
    lab.mx(HOST)
    assert any(c.startswith('RCPT TO:<"odd name"@nopolicy.test>') for c in said(lab))


def test_eight_bit_is_declared_by_what_the_content_is(lab, shared_relay):
    """A client that says nothing and sends eight bits, as many do."""
    message = Message(body=b"\xe4\xf6\xfc\r\n")
    with Client() as c:
        c.begin("undeclared@sender.test", "you@nopolicy.test")
        c.send(stuffed(message.content) + b".\r\n")
        assert c.reply()[0] == 250
    wait_arrived(lab, message)
    lab.mx(HOST)
    assert any(x.startswith("MAIL FROM:<undeclared@sender.test>") and "BODY=8BITMIME" in x
               for x in said(lab))
