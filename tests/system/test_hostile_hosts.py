"""MX hosts that misbehave around greeting, EHLO, STARTTLS and inside TLS: the cases of tests/lab/hostile_mx.py.

All of them at the same time, each by mail to a domain without a policy and to one that enforces it.
"""
import hostile_mx
import pytest
from client import send
from services import wait_until

SECONDS = 25
ENFORCED = "enforced@sender.test"       # the sender of all mail that must not be seen in clear


class Outcome:
    """What became of each message: in the relay's log, and in what its host heard."""

    def __init__(self, lab, relay):
        self.sent = {}
        for case in hostile_mx.CASES:
            for letter, sender in (("h", "ada@sender.test"), ("e", ENFORCED)):
                domain = f"{letter}-{case.name}.test"
                self.sent[domain] = send(f"you@{domain}", sender=sender, subject=f"mail of {sender}")
        wait_until(lambda: self.missing(relay) == [], SECONDS, "all messages to have an outcome",
                   lambda: str(self.missing(relay)))
        self.log = {e["rcpt"]: e for e in relay.events("delivery")}
        self.got = {e["id"]: e for e in lab.messages()}
        self.said = lab.events("said")

    def missing(self, relay):
        told = {e["rcpt"] for e in relay.events("delivery")}
        return [d for d in self.sent if f"<you@{d}>" not in told]

    def of(self, domain):
        event, got = self.log[f"<you@{domain}>"], self.got.get(self.sent[domain].id)
        if event["outcome"] == "delivered":
            assert got, "what is said to be delivered has arrived"
            return "tls" if got["tls"] else "clear"
        assert not got, "what has arrived is said to be delivered"
        return {"deferred": "waits", "failed": "fails"}[event["outcome"]]


@pytest.fixture(scope="module", name="outcome")
def fixture_outcome(the_lab, shared):
    return Outcome(the_lab, shared.running())


@pytest.mark.parametrize("case", hostile_mx.CASES, ids=lambda c: c.name)
def test_a_hostile_host_gets_what_the_policy_allows_and_no_more(outcome, case):
    for letter, expected in (("h", case.may), ("e", case.enforced)):
        domain = f"{letter}-{case.name}.test"
        assert outcome.of(domain) == expected, outcome.log[f"<you@{domain}>"].text


def test_nothing_of_a_message_under_an_enforced_policy_was_heard_in_clear_by_any_of_them(outcome):
    heard = [e for e in outcome.said if e["tls"] is None]
    assert any("MAIL FROM:<ada@" in e["line"] for e in heard), "what is said in clear is in that log"
    for event in heard:
        assert "enforced" not in event["line"] and "@e-" not in event["line"], event
        assert not event["line"].upper().startswith("AUTH"), event


def test_under_an_enforced_policy_tls_was_verified_wherever_mail_went(outcome):
    for case in hostile_mx.CASES:
        event = outcome.log[f"<you@e-{case.name}.test>"]
        if event["outcome"] == "delivered":
            assert event["tls"] == "verified" and event["sts"] == "enforce", event.text


def test_starttls_is_never_said_inside_tls(outcome):
    assert not [e for e in outcome.said if e["tls"] and e["line"].upper().startswith("STARTTLS")]


def test_a_good_relay_is_left(outcome, lab, shared):
    assert outcome
    message = send("you@good.test")
    wait_until(lambda: lab.messages(id=message.id), 10, "mail to a good host")
    assert not shared.relay.events("role-died"), "no role died of it"
