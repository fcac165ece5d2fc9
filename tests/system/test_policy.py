"""MTA-STS: what a policy demands is what happens (RFC 8461)."""
import time

import pytest
from client import send
from services import wait_until


def arrived(lab, message):
    return lab.messages(id=message.id)


def wait_arrived(lab, message, seconds=10):
    found = wait_until(lambda: arrived(lab, message), seconds, f"{message.id} at an MX")
    assert len(found) == 1, "a message arrives once"
    assert found[0]["digest"] == message.digest and not found[0]["bare"]
    return found[0]


# ------------------------------------------------------------ enforce, and it can be met

@pytest.mark.parametrize("domain", ["good.test", "wildcard.test", "wildcard-cert.test", "tls12.test",
                                    "implicit.test", "insecure.test", "txt-cname.test"])
def test_mail_under_an_enforced_policy_arrives_over_verified_tls(lab, shared_relay, domain):
    message = send(f"you@{domain}")
    got = wait_arrived(lab, message)
    event = shared_relay.wait_delivery(f"you@{domain}", "delivered")
    assert event["tls"] == "verified" and event["sts"] == "enforce"
    assert event["mx"] == got["host"] == got["sni"]
    assert got["tls"] in ("TLSv1.2", "TLSv1.3")


# ------------------------------------------------------------ enforce, and it cannot

@pytest.mark.parametrize("domain, reason", [
    ("expired.test", "expired"), ("notyet.test", "not_yet_valid"), ("wrongname.test", "name"),
    ("cnonly.test", "name"), ("selfsigned.test", "self_signed"), ("unknownca.test", "issuer"),
    ("notls.test", "STARTTLS"), ("tlsrefused.test", "STARTTLS"), ("tls10.test", ""),
    ("handshake-garbage.test", ""), ("unlisted.test", "policy")])
def test_what_the_policy_forbids_is_not_sent_and_waits(lab, shared_relay, domain, reason):
    begin = time.time()
    message = send(f"you@{domain}")
    event = shared_relay.wait_delivery(f"you@{domain}", "deferred")
    assert event["sts"] == "enforce" and event["status"] == "4.7.5"
    assert reason.lower() in event.text.lower()
    assert not arrived(lab, message)
    rows = [r for r in shared_relay.queue() if r["recipient"] == f"you@{domain}"]
    assert len(rows) == 1 and rows[0]["attempts"] == 1
    if domain == "unlisted.test":
        assert not lab.sessions(host="mx.unlisted.test", since=begin), "it is not even connected to"
    for session in lab.sessions(host=f"mx.{domain}", since=begin):
        assert not any(c.upper().startswith(("MAIL", "RCPT", "DATA")) for c in session["commands"])


def test_bytes_put_behind_the_220_of_starttls_are_never_believed(lab, shared_relay):
    message = send("you@inject.test")
    shared_relay.wait_delivery("you@inject.test", "deferred")
    assert not arrived(lab, message)


@pytest.mark.parametrize("domain", ["secondmx.test", "listedsecond.test"])
def test_where_one_mx_fails_the_policy_the_next_one_gets_the_mail(lab, shared_relay, domain):
    message = send(f"you@{domain}")
    assert wait_arrived(lab, message)["host"] == f"mx2.{domain}"
    event = shared_relay.wait_delivery(f"you@{domain}", "delivered")
    assert event["tls"] == "verified" and event["mx"] == f"mx2.{domain}"


# ------------------------------------------------------------ testing, none, nothing

@pytest.mark.parametrize("domain, tls", [("testing.test", "encrypted"),
                                         ("testing-unlisted.test", None),
                                         ("testing-notls.test", "none")])
def test_a_policy_under_test_lets_mail_through_with_a_note(lab, shared_relay, domain, tls):
    message = send(f"you@{domain}")
    wait_arrived(lab, message)
    event = shared_relay.wait_delivery(f"you@{domain}", "delivered")
    assert event["sts"] == "testing"
    if tls:
        assert event["tls"] == tls


def test_a_policy_of_mode_none_asks_for_nothing(lab, shared_relay):
    message = send("you@none.test")
    wait_arrived(lab, message)
    assert shared_relay.wait_delivery("you@none.test", "delivered")["sts"] == "none"


@pytest.mark.parametrize("kind", ["404", "301", "500", "204", "html", "wrongname", "expired",
                                  "selfsigned", "cnonly", "toolarge", "truncated", "closed",
                                  "refused", "nohost", "servfail", "garbage", "invalid",
                                  "internal"])
def test_a_policy_that_cannot_be_fetched_counts_as_none_when_nothing_is_cached(lab, shared_relay,
                                                                               kind):
    """RFC 8461 section 3.3; the MX of these domains offers no STARTTLS."""
    message = send(f"you@policy-{kind}.test")
    assert wait_arrived(lab, message, 20)["tls"] is None
    delivery = shared_relay.wait_delivery(f"you@policy-{kind}.test", "delivered")
    shown = shared_relay.cli_json("queue", "show", delivery["qid"])
    decision = shown["recipients"][0]["decision"]
    assert decision["policy"] == "none" and len(decision["policy_trouble"]) > 5, decision


@pytest.mark.parametrize("domain", ["txt-twice.test", "txt-invalid.test"])
def test_records_that_are_no_sts_record_mean_no_policy(lab, shared_relay, domain):
    wait_arrived(lab, send(f"you@{domain}"))
    shared_relay.wait_delivery(f"you@{domain}", "delivered")


def test_while_it_is_unknown_whether_there_is_a_policy_mail_waits(lab, shared_relay):
    message = send("you@txt-servfail.test")
    wait_until(lambda: [r for r in shared_relay.queue() if r["recipient"] == "you@txt-servfail.test"],
               5, "the message in the queue")
    wait_until(lambda: shared_relay.events(rcpt="<you@txt-servfail.test>"), 20, "a word about it")
    assert not arrived(lab, message)
    row = [r for r in shared_relay.queue() if r["recipient"] == "you@txt-servfail.test"][0]
    assert row["attempts"] == 0, "waiting for a policy is no attempt"


# ------------------------------------------------------------ the cache

def test_a_cached_policy_protects_while_the_policy_host_is_down(lab, relay):
    wait_arrived(lab, send("you@good.test"))
    lab.web.down()
    try:
        lab.dns.set_policy_id("good.test", "20260202T000000")
        lab.mx("mx.good.test", certificate="expired")
        message = send("two@good.test")
        assert relay.wait_delivery("two@good.test", "deferred")["sts"] == "enforce"
        assert not arrived(lab, message)
    finally:
        lab.dns.set_policy_id("good.test", "20260101T000000")
        lab.web.up()


def test_a_cached_policy_outlives_its_txt_record(lab, relay):
    wait_arrived(lab, send("you@good.test"))
    lab.dns.set_policy_id("good.test", None)
    try:
        lab.mx("mx.good.test", starttls=None)
        message = send("two@good.test")
        assert relay.wait_delivery("two@good.test", "deferred")["sts"] == "enforce"
        assert not arrived(lab, message)
    finally:
        lab.dns.set_policy_id("good.test", "20260101T000000")


def test_a_cached_policy_survives_a_restart_with_policy_host_and_dns_down(lab, relay):
    wait_arrived(lab, send("you@good.test"))
    assert relay.stop() == 0
    lab.web.down()
    lab.dns.down()
    try:
        relay.start()
        shown = relay.cli_json("policy", "show", "good.test")
        assert shown["mode"] == "enforce" and "mx.good.test" in str(shown["mx"])
        message = send("two@good.test")
        lab.mx("mx.good.test", starttls=None)
        relay.wait_delivery("two@good.test", "deferred", 30)
    finally:
        lab.dns.up()
    try:
        assert relay.wait_event("delivery", 30, rcpt="<two@good.test>", sts="enforce", mx="mx.good.test")
        assert not arrived(lab, message)
        lab.mx_as_before("mx.good.test")
        relay.cli("queue", "retry", "--all")
        assert wait_arrived(lab, message, 20)["tls"]
    finally:
        lab.web.up()


def test_a_changed_id_brings_the_new_policy(lab, relay):
    wait_arrived(lab, send("you@good.test"))
    lab.web.publish("good.test", "version: STSv1\nmode: enforce\nmx: elsewhere.good.test\n"
                                 "max_age: 86400\n")
    lab.dns.set_policy_id("good.test", "20260303T000000")
    time.sleep(5.5)     # what was looked up may serve for that long, whatever its TTL
    try:
        message = send("two@good.test")
        relay.wait_delivery("two@good.test", "deferred")
        assert not arrived(lab, message)
        assert relay.cli_json("policy", "show", "good.test")["id"] == "20260303T000000"
    finally:
        lab.web.restore("good.test")
        lab.dns.set_policy_id("good.test", "20260101T000000")
    relay.cli("queue", "retry", "--all")
    wait_arrived(lab, message, 20)


def test_one_fetch_serves_many_messages_at_once(lab, relay):
    before = lab.web.fetches("wildcard.test")
    messages = [send(f"user{n}@wildcard.test") for n in range(10)]
    for message in messages:
        wait_arrived(lab, message, 20)
    assert lab.web.fetches("wildcard.test") == before + 1


def test_a_domain_never_takes_its_parents_policy(lab, shared_relay):
    """RFC 8461 section 3.4."""
    lab.dns.set("sub.notls.test", "MX", "10 mx.notls.test.")
    message = send("you@sub.notls.test")
    assert wait_arrived(lab, message)["tls"] is None
    lab.dns.set("sub.notls.test", "MX")


# ------------------------------------------------------------ no policy at all

@pytest.mark.parametrize("domain, tls", [
    ("nopolicy.test", True), ("nopolicy-selfsigned.test", True), ("nopolicy-notls.test", False),
    ("nopolicy-tlsrefused.test", False), ("nopolicy-tls10.test", True),
    ("nopolicy-handshake.test", False)])
def test_without_a_policy_tls_is_used_where_it_works(lab, shared_relay, domain, tls):
    message = send(f"you@{domain}")
    got = wait_arrived(lab, message, 20)
    assert bool(got["tls"]) == tls
    event = shared_relay.wait_delivery(f"you@{domain}", "delivered")
    assert (event["tls"] == "none") != tls


def test_a_failed_handshake_is_followed_by_a_new_connection_never_by_clear_text_on_the_old(lab,
                                                                                           shared_relay):
    send("again@nopolicy-handshake.test")
    shared_relay.wait_delivery("again@nopolicy-handshake.test", "delivered")
    for session in lab.sessions(host="mx.nopolicy-handshake.test"):
        words = [c.split()[0].upper() for c in session["commands"]]
        assert not ("STARTTLS" in words and "MAIL" in words)


