"""A report of ours on its way: past every policy, uncounted, alone on its connections (RFC 8460 section 3)."""
import time

from client import send
from services import wait_until
from test_dane import ZEROS, fixture_publish, fixture_tlsa  # noqa: F401  pylint: disable=unused-import
from test_days import day_of
from test_policy import wait_arrived
from test_reports import counted, fixture_reporter, fixture_wish  # noqa: F401  pylint: disable=unused-import

# A certificate that is none, no STARTTLS, a host that the policy does not list, a TLSA record of another key.
STOPPED = ("expired.test", "notls.test", "unlisted.test", "nopolicy.test")


def copy(relay, address):
    """Hands in a report for that mailbox; how it left."""
    before = len(relay.events("delivery", rcpt=f"<{address}>"))
    relay.cli("tlsrpt", "send", "good.test", "--day", day_of(), "--to", address)
    relay.wait_event("delivery", rcpt=f"<{address}>", count=before + 1)
    return relay.events("delivery", rcpt=f"<{address}>")[-1]


def told_of(relay):
    return {row["domain"] for row in relay.cli_json("tlsrpt", "status")["today"]}


def test_no_policy_stops_a_report_and_nothing_of_it_is_counted(reporter, tlsa):
    tlsa("mx.nopolicy.test", "3 1 1 " + ZEROS)
    counted(reporter, "good.test")
    for domain in STOPPED:
        left = copy(reporter, f"copy@{domain}")
        assert left["outcome"] == "delivered" and left["relief"] == "TLS report" and left["sts"] == "none", left.text
    assert reporter.events("delivery", rcpt="<copy@notls.test>")[-1]["tls"] == "none", "in clear where it must be"
    assert not {e["domain"] for e in reporter.events("policy-fetched")} & set(STOPPED), "no policy is even asked for"
    time.sleep(1.2)
    assert told_of(reporter) == {"good.test"}
    # other mail is stopped there, and counted; its next hop rests, and a report goes all the same
    send("other@expired.test")
    assert reporter.wait_delivery("other@expired.test", "deferred")["status"] == "4.7.5"
    assert copy(reporter, "copy@expired.test")["outcome"] == "delivered"
    assert len(reporter.events("delivery", rcpt="<other@expired.test>")) == 1, "which wakes nobody"
    wait_until(lambda: told_of(reporter) == {"good.test", "expired.test"}, 5, "that session to be counted")
    qid = reporter.events("delivery", rcpt="<copy@expired.test>")[-1]["qid"]
    told = reporter.cli("trace", qid).stdout
    assert "a report of TLS sessions" in told and "what it asks need not be met: TLS report" in told


def test_reports_and_other_mail_share_no_connection(lab, reporter):
    counted(reporter, "good.test")
    wait_arrived(lab, send("two@good.test"))
    assert len(reporter.events("session", mx="mx.good.test")) == 1, "other mail shares one"
    copy(reporter, "copy@good.test")
    copy(reporter, "copy@good.test")
    sessions = reporter.events("session", mx="mx.good.test")
    assert len(sessions) == 2 and sessions[1]["resumed"] == "no", "reports have another, and share that"
    wait_arrived(lab, send("three@good.test"))
    assert len(reporter.events("session", mx="mx.good.test")) == 2
    rows = {row["domain"]: row for row in reporter.cli_json("tlsrpt", "status")["today"]}
    assert rows["good.test"]["succeeded"] == 1
