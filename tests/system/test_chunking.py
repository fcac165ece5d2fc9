"""BDAT (RFC 3030) to hosts that offer CHUNKING: what arrives, and what a refusal means."""
import pytest
from client import send
from test_policy import arrived, wait_arrived
from test_transactions import said

HOST = "mx.nopolicy.test"
OFFER = "PIPELINING\nCHUNKING\nSIZE\n8BITMIME\nENHANCEDSTATUSCODES"
ODD = b".\r\n..\r\n." + bytes(range(128, 256)) + b"\r\n" + b"y" * 998 + b"\r\n.\r\n"


@pytest.mark.parametrize("keywords", [OFFER, OFFER.replace("PIPELINING\n", "")])
def test_a_message_arrives_byte_for_byte_in_chunks_of_any_number(lab, shared_relay, keywords):
    lab.mx(HOST, extensions=keywords)
    messages = [send("odd@nopolicy.test", body=ODD),
                send("large@nopolicy.test", body=ODD * 700),
                send("unended@nopolicy.test", body=b"..\r\n.x\r\n")]
    for message in messages:
        assert wait_arrived(lab, message, 20)["chunked"]


def test_no_data_is_said_and_dots_are_as_they_were(lab, shared_relay):
    lab.mx(HOST, extensions=OFFER)
    wait_arrived(lab, send("chunk@nopolicy.test", sender="chunk@sender.test", body=ODD))
    lab.mx(HOST)
    session = next(s for s in lab.sessions(host=HOST)
                   if any("chunk@sender.test" in c for c in s["commands"]))
    assert not any(c.startswith("DATA") for c in session["commands"])
    assert any(c.startswith("BDAT ") and c.endswith(" LAST") for c in session["commands"])


def test_where_every_recipient_is_refused_no_chunk_goes_out(lab, shared_relay):
    lab.mx(HOST, extensions=OFFER)
    send(["refuse1@nopolicy.test", "refuse2@nopolicy.test"], sender="nobody@sender.test")
    shared_relay.wait_delivery("refuse1@nopolicy.test", "failed")
    wait_arrived(lab, send("next@nopolicy.test"))       # ends the transaction there
    lab.mx(HOST)
    lines = said(lab)
    assert lines[lines.index("RCPT TO:<refuse2@nopolicy.test>") + 1] == "RSET"


def test_a_refused_chunk_ends_the_message_and_spares_the_next_one(lab, shared_relay):
    lab.mx(HOST, extensions=OFFER, chunk="552 5.3.4 too much of it")
    large = send("much@nopolicy.test", size=1 << 20)
    event = shared_relay.wait_delivery("much@nopolicy.test", "failed")
    assert event["status"] == "5.3.4" and "552" in event["reply"]
    assert not arrived(lab, large)
    assert wait_arrived(lab, send("small@nopolicy.test"))["chunked"]


@pytest.mark.parametrize("reply, outcome", [("451 4.3.0 not now", "deferred"), ("554 5.6.0 no", "failed")])
def test_the_answer_to_the_last_chunk_is_the_message_s(lab, shared_relay, reply, outcome):
    lab.mx(HOST, extensions=OFFER, dot=reply)
    rcpt = f"last-{outcome}@nopolicy.test"
    send(rcpt)
    assert reply[:3] in shared_relay.wait_delivery(rcpt, outcome)["reply"]
    lab.mx(HOST, extensions=OFFER)
    wait_arrived(lab, send("after@nopolicy.test"))


def test_a_host_that_closes_at_the_last_chunk_may_have_the_message(lab, relay):
    """Promise 1: it is tried again, and may come twice."""
    lab.mx(HOST, extensions=OFFER, dot="=close")
    message = send("twice@nopolicy.test")
    relay.wait_event("delivery", 10, rcpt="<twice@nopolicy.test>", outcome="unknown")
    lab.mx(HOST, extensions=OFFER)
    relay.wait_delivery("twice@nopolicy.test", "delivered", 15)
    assert len(arrived(lab, message)) >= 2


def test_a_host_that_offers_chunking_and_does_not_know_bdat_gets_data(lab, shared_relay):
    lab.mx(HOST, extensions=OFFER, bdat="502 5.5.1 what")
    message = send("unknown@nopolicy.test", size=400_000)
    assert not wait_arrived(lab, message)["chunked"]
    shared_relay.wait_delivery("unknown@nopolicy.test", "delivered")
    assert len(shared_relay.events("delivery", rcpt="<unknown@nopolicy.test>")) == 1, "at once"


@pytest.mark.parametrize("program", ["postfix", "exim"])
def test_real_servers_take_chunks(lab, shared_relay, program):
    assert lab.peer(program, "mx")
    send(f"chunks@{program}.test", size=300_000)
    shared_relay.wait_delivery(f"chunks@{program}.test", "delivered", 20)


def test_how_long_a_host_has_is_a_setting(lab, make_relay):
    """RFC 5321 section 4.5.3.2; here the answer to the end of a message."""
    relay = make_relay(deliver_end_timeout="1s").start()
    lab.mx(HOST, dot="=wait 4\n250 2.0.0 taken at last")
    send("slow@nopolicy.test")
    event = relay.wait_event("delivery", 10, rcpt="<slow@nopolicy.test>", outcome="unknown")
    assert "timed out" in event["reply"]
