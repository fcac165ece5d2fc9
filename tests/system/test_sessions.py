"""Sessions with MX hosts: how long one is used, who shares it, and when TLS is resumed."""
import os
import shutil
import time

import pytest
from client import send
from services import wait_until
from test_policy import wait_arrived


def sent(lab, relay, *addresses):
    """One message after the other; what the MX hosts saw of them."""
    got = []
    for address in addresses:
        message = send(address)
        got.append(wait_arrived(lab, message))
        relay.wait_delivery(address, "delivered")
    return got


def sessions_end(lab, host, since, count):
    wait_until(lambda: len(lab.sessions(host=host, since=since)) >= count, 20, f"{count} sessions are over")
    return lab.sessions(host=host, since=since)


def mails_of(session):
    return sum(c.upper().startswith("MAIL") for c in session["commands"])


def test_a_session_carries_no_more_messages_than_the_setting_says(lab, make_relay):
    relay = make_relay(connection_messages=2, connection_idle="2s").start()
    since = time.time()
    sent(lab, relay, *(f"you{n}@nopolicy.test" for n in range(5)))
    found = sessions_end(lab, "mx.nopolicy.test", since, 3)
    assert [mails_of(s) for s in found] == [2, 2, 1]


def test_a_session_of_some_age_carries_nothing_more(lab, make_relay):
    relay = make_relay(connection_age="1s", connection_idle="1m").start()
    since = time.time()
    sent(lab, relay, "one@nopolicy.test")
    found = sessions_end(lab, "mx.nopolicy.test", since, 1)
    assert found[0]["commands"][-1].upper().startswith("QUIT") and time.time() - since < 10


@pytest.mark.parametrize("domain, host", [("good.test", "mx.good.test"), ("tls12.test", "mx.tls12.test"),
                                          ("nopolicy.test", "mx.nopolicy.test")])
def test_a_later_session_with_a_host_resumes_the_one_before(lab, make_relay, domain, host):
    relay = make_relay(connection_idle="1s").start()
    since = time.time()
    first = sent(lab, relay, f"one@{domain}")[0]
    sessions_end(lab, host, since, 1)
    second = sent(lab, relay, f"two@{domain}")[0]
    assert not first["resumed"] and second["resumed"]
    deliveries = relay.events("delivery", outcome="delivered")
    assert len(deliveries) == 2 and len({e["tls"] for e in deliveries}) == 1


def test_a_session_of_one_level_is_never_resumed_for_another(lab, make_relay):
    """The same host: first for a domain without policy, then for one that enforces its own."""
    lab.dns.set("plain-neighbour.test", "MX", "10 mx.good.test.")
    relay = make_relay(connection_idle="1s").start()
    since = time.time()
    first = sent(lab, relay, "you@plain-neighbour.test")[0]
    sessions_end(lab, "mx.good.test", since, 1)
    second = sent(lab, relay, "you@good.test")[0]
    sessions_end(lab, "mx.good.test", since, 2)
    third = sent(lab, relay, "you@plain-neighbour.test")[0]
    assert [m["resumed"] for m in (first, second, third)] == [False, False, True]
    assert relay.events("delivery", rcpt="<you@good.test>")[0]["tls"] == "verified"


def test_an_open_session_is_shared_only_with_mail_that_asks_for_no_more(lab, make_relay):
    lab.dns.set("plain-neighbour.test", "MX", "10 mx.good.test.")
    relay = make_relay(connection_idle="1m").start()
    since = time.time()
    weak, strong, weak_again = sent(lab, relay, "you@plain-neighbour.test", "you@good.test",
                                    "you@plain-neighbour.test")
    relay.stop()
    found = sessions_end(lab, "mx.good.test", since, 2)
    assert weak["host"] == strong["host"] == weak_again["host"] == "mx.good.test"
    assert sorted(mails_of(s) for s in found) == [1, 2], "the second one had a session of its own"


def test_a_certificate_that_changed_is_seen_though_a_session_could_be_resumed(lab, make_relay):
    """The host has a new certificate and forgot its sessions: a whole handshake, judged anew."""
    relay = make_relay(connection_idle="1s").start()
    since = time.time()
    sent(lab, relay, "one@good.test")
    sessions_end(lab, "mx.good.test", since, 1)
    lab.mx("mx.good.test", certificate="expired")
    send("two@good.test")
    event = relay.wait_delivery("two@good.test", "deferred")
    assert "certificate expired" in event["reply"] and event["status"] == "4.7.5"


def test_a_host_that_stumbles_over_a_session_to_resume_gets_a_whole_handshake(lab, make_relay):
    lab.mx("mx.good.test", handshake="=stumbles")
    relay = make_relay(connection_idle="1s").start()
    since = time.time()
    sent(lab, relay, "one@good.test")
    sessions_end(lab, "mx.good.test", since, 1)
    second = sent(lab, relay, "two@good.test")[0]
    assert not second["resumed"] and lab.events("stumbled", since=since)
    assert relay.events("delivery", rcpt="<two@good.test>")[0]["tls"] == "verified"


def test_new_roots_end_no_session_that_begins_and_resume_none_that_is_over(lab, make_relay, tmp_path):
    """A session that was begun with the old ones goes on with them, and counts as theirs."""
    roots = tmp_path / "roots.pem"
    shutil.copy(lab.ca_file, roots)
    os.chmod(tmp_path, 0o755)
    relay = make_relay(connection_idle="1s", ca_file=str(roots)).start()
    since = time.time()
    sent(lab, relay, "one@good.test")
    sessions_end(lab, "mx.good.test", since, 1)
    lab.mx("mx.good.test", greeting="=wait 2\n220 {host} here after all")
    message = send("two@good.test")
    time.sleep(0.3)
    roots.write_text(roots.read_text() + "\n# as before\n")
    got = [wait_arrived(lab, message, 15)]
    assert relay.wait_delivery("two@good.test", "delivered")["tls"] == "verified"
    sessions_end(lab, "mx.good.test", since, 2)
    got += sent(lab, relay, "three@good.test")
    assert not got[0]["resumed"] and not got[1]["resumed"], "none from before the roots changed"
