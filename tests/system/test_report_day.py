"""A day of mixed deliveries, midnight, and the reports: a real Postfix and a web server get them.

What must be in the reports comes from the other side: the MX hosts' own log of the sessions they had.
"""
import collections
import email
import gzip
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import report_hosts
import table
from client import send
from services import wait_until
from test_collector import Teller
from test_days import at, day_of
from test_dkim import Key, mail_dkim_says, signed_by
from test_decisions import TLSA
from test_listeners import with_tls
from test_next_hops import digest_of

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from check_report import check_document, check_mail  # noqa: E402

CONTACT = f"tlsrpt@{table.RELAY_NAME}"
POSTED = f"https://{report_hosts.NAME}/201"
DANE = "p1-p6.rows.test"
DANE_HOST = f"mx.{DANE}"
FETCHLESS = "policy-404.test"


class Row(collections.namedtuple("Row", "domain mails policy results posted")):
    """A domain, the mail it gets that day, and what must be reported of it."""

    def hosts(self):
        return [h.name for h in table.DOMAINS[self.domain].mx]

    def fails(self, host):
        return bool(self.results) and host != "mx2.secondmx.test"


def row(domain, mails, policy, *results, posted=False):
    return Row(domain, mails, policy, frozenset(results), posted)


ROWS = [
    row("good.test", 3, "sts", posted=True),
    row("wildcard.test", 1, "sts"),
    row("expired.test", 1, "sts", "certificate-expired", posted=True),
    row("wrongname.test", 1, "sts", "certificate-host-mismatch"),
    row("selfsigned.test", 1, "sts", "certificate-not-trusted"),
    row("notls.test", 1, "sts", "starttls-not-supported"),
    row("unlisted.test", 1, "sts", "validation-failure"),
    row("testing.test", 2, "sts", "certificate-expired"),
    row("secondmx.test", 2, "sts", "certificate-expired"),
    row(FETCHLESS, 1, "no-policy-found", "starttls-not-supported"),
    row("nopolicy.test", 2, "no-policy-found"),
    row(DANE, 1, "tlsa", posted=True),
]


def wish(lab, domain, *uris):
    lab.dns.set(f"_smtp._tls.{domain}", "TXT", *([f'"v=TLSRPTv1; rua={",".join(uris)}"'] if uris else []))


def mailbox(domain):
    return f"{domain}@postfix.test"


@pytest.fixture(name="wishes")
def fixture_wishes(lab):
    """All rows' domains want reports at the Postfix, some also by POST; the DANE host wants its own."""
    for r in ROWS:
        wish(lab, r.domain, f"mailto:{mailbox(r.domain)}", *([POSTED] if r.posted else []))
    wish(lab, DANE_HOST, f"mailto:{mailbox(DANE_HOST)}")
    wish(lab, "postfix.test", "mailto:reports@postfix.test")
    key = digest_of("mx.good.test", "key-sha256").split(":")[1]
    lab.dns.set(f"_25._tcp.{DANE_HOST}", "TLSA", TLSA["fits"].format(key=key))
    yield
    lab.dns.set(f"_25._tcp.{DANE_HOST}", "TLSA")
    for r in ROWS:
        d = table.DOMAINS[r.domain]
        wish(lab, r.domain, *([f"mailto:reports@{r.domain}"] if d.mode and d.tlsrpt else []))
    wish(lab, DANE_HOST)
    wish(lab, "postfix.test", "mailto:reports@postfix.test")


def sent_on_the_first_day(lab, relay):
    """Mail to all rows' domains; gives per domain (successes, failures) as the MX hosts saw them."""
    begin = time.time()
    for r in ROWS:
        for n in range(r.mails):
            send(f"mail{n}@{r.domain}")
    for r in ROWS:
        for n in range(r.mails):
            relay.wait_delivery(f"mail{n}@{r.domain}", seconds=20)
    assert relay.stop() == 0        # then all sessions are over, and in the hosts' log
    return {r.domain: seen(lab, r, begin) for r in ROWS}


def seen(lab, r, begin):
    sessions = [s for host in r.hosts() for s in lab.sessions(host=host, since=begin)
                if any(c.upper().startswith("EHLO") for c in s["commands"])]
    failed = sum(r.fails(s["host"]) for s in sessions)
    if r.domain == "unlisted.test":
        assert not sessions
        return 0, 1                 # the policy rules it out before anybody connects
    return len(sessions) - failed, failed


def reported(report):
    """Per policy type: (successes, failures, result types)."""
    found = {}
    for p in report["policies"]:
        s = p["summary"]
        found[p["policy"]["policy-type"]] = (
            s["total-successful-session-count"], s["total-failure-session-count"],
            {d["result-type"] for d in p.get("failure-details", [])})
    return found


def mailed(postfix, domain):
    """The mail that the Postfix has for a domain's mailbox, with the line ends it had on the way."""
    return [m.replace(b"\n", b"\r\n") for m in postfix.inbox()
            if f"To: {mailbox(domain)}\n".encode() in m.replace(b"<", b"").replace(b">", b"")]


def check_row(r, expected, report):
    types = reported(report)
    if r.domain == FETCHLESS:       # what was no session, and has no policy's text
        assert types.pop("sts") == (0, 1, {"sts-policy-fetch-error"})
        del report["policies"][[p["policy"]["policy-type"] for p in report["policies"]].index("sts")]
    assert set(types) == {r.policy}, report
    succeeded, failed, results = types[r.policy]
    assert (succeeded, failed) == expected, (r.domain, report)
    assert results == r.results, (r.domain, report)
    assert report["date-range"]["start-datetime"].startswith(day_of())
    assert report["contact-info"] == CONTACT
    for p in report["policies"]:
        assert p["policy"]["policy-domain"] == (DANE_HOST if r.policy == "tlsa" else r.domain)
        if r.policy == "sts":
            assert "\n".join(p["policy"]["policy-string"]) + "\n" == table.DOMAINS[r.domain].policy()


def tomorrow(monkeypatch, ask, *words):
    """What somebody says who lives a day later, as the relay that signed does."""
    now = time.time()
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: now + table.DAY)
        return ask(*words)


def test_what_the_hosts_saw_on_a_day_is_what_their_postmasters_read_the_next(lab, make_relay, wishes,
                                                                                    monkeypatch):
    postfix = lab.peer("postfix", "mx")
    lab.reports.start()
    before = len(lab.reports.posts())
    relay = make_relay(tlsrpt_spread="0s", tlsrpt_contact=CONTACT, tlsrpt_exclude=["wildcard.test"])
    keys = [Key(relay.folder, "day-e"), Key(relay.folder, "day-r", "rsa")]
    for key in keys:
        key.publish(table.RELAY_NAME)
    relay.write(dkim=tuple(k.entry(table.RELAY_NAME) for k in keys))
    relay.start()
    expected = sent_on_the_first_day(lab, relay)
    assert sum(failed for _, failed in expected.values()) >= 8
    at(relay, "+1d")

    rows = [r for r in ROWS if r.domain != "wildcard.test"]
    wait_until(lambda: all(mailed(postfix, r.domain) for r in rows) and mailed(postfix, DANE_HOST), 30,
               "all reports by mail", lambda: relay.cli("tlsrpt", "status").stdout)
    wait_until(lambda: len(lab.reports.posts()) - before == sum(r.posted for r in rows), 10, "all reports by POST")
    by_post = {}
    for post in lab.reports.posts()[before:]:
        assert post.content_type == "application/tlsrpt+gzip"
        report = check_document(post.body)
        by_post[report["policies"][0]["policy"]["policy-domain"]] = report
    for r in rows:
        mails = mailed(postfix, r.domain)
        assert len(mails) == 1, r.domain
        report = check_mail(mails[0])
        check_row(r, expected[r.domain], report)
        assert sorted(tomorrow(monkeypatch, signed_by, mails[0])) == ["day-e", "day-r"]
        if r.posted:
            assert by_post[DANE_HOST if r.domain == DANE else r.domain] == report
    host = check_mail(mailed(postfix, DANE_HOST)[0])
    assert reported(host) == {"tlsa": (*expected[DANE], set())}
    assert not mailed(postfix, "wildcard.test"), "it is opted out"
    path = f"{relay.folder}/one.eml"
    with open(path, "wb") as f:
        f.write(mailed(postfix, "expired.test")[0])
    assert "rsa-sha256=pass" in mail_dkim_says([path])[0]
    read = relay.cli("tlsrpt", "read", path, check=False)
    assert read.returncode == 1 and "expired" in read.stdout

    # the reports' own sessions are nobody's: nothing is counted for where they went
    today = {row["domain"] for row in relay.cli_json("tlsrpt", "status")["today"]}
    assert "postfix.test" not in today


def test_a_relay_that_runs_through_midnight_reports_each_session_under_its_day(lab, make_relay):
    """RFC 8460 section 4.1: full days in UTC."""
    lab.reports.start()
    before = len(lab.reports.posts())
    wish(lab, "nopolicy.test", POSTED)
    relay = make_relay(tlsrpt_spread="0s")
    wait = 5        # from the start to midnight
    at(relay, f"+{int(table.DAY - time.time() % table.DAY) - wait}s")
    midnight = time.monotonic() + wait
    send("late@nopolicy.test")
    relay.wait_delivery("late@nopolicy.test", "delivered")
    lab.mx("mx.nopolicy.test", starttls=None)       # and what stands idle ends
    assert time.monotonic() < midnight, "it was sent in time"
    wait_until(lambda: len(lab.reports.posts()) > before, 20, "the report of the day before")
    send("early@nopolicy.test")
    relay.wait_delivery("early@nopolicy.test", "delivered")
    old = check_document(lab.reports.posts()[before].body)
    new = relay.cli_json("tlsrpt", "report", "nopolicy.test")
    assert reported(old) == {"no-policy-found": (1, 0, set())}
    assert reported(new) == {"no-policy-found": (0, 1, {"starttls-not-supported"})}
    assert old["date-range"]["end-datetime"][:10] < new["date-range"]["start-datetime"][:10]
    wish(lab, "nopolicy.test")


# ------------------------------------------------------------ two who report to each other

class Town:
    """A waxseal as the MX of a domain, whose mail goes on to the host behind it, and which sends mail itself."""

    def __init__(self, lab, make_relay, name, address, inside):
        self.domain, self.inside = f"{name}.test", (inside, 25)
        behind = table.MX_ADDRESSES["mx.sender.test"][0]
        self.relay = make_relay(
            hostname=f"mx.{self.domain}", tlsrpt_spread="0s", retry_first="1s", socketmap="", listeners=(
                with_tls(lab, address=f"{inside}:25", **{"relay-from": ["127.0.0.0/8"]}),
                with_tls(lab, address=f"{address}:25", preset="edge", **{"relay-to": [self.domain], "verify-recipients": "next-hop"})),
            routes=({"name": "home", "recipients": [self.domain], "next-hop": f"[{behind}]:25"},))
        self.relay.address = self.inside
        key = Key(self.relay.folder, name)
        key.publish(f"mx.{self.domain}")
        self.relay.write(dkim=(key.entry(f"mx.{self.domain}"),))
        lab.dns.set(self.domain, "MX", f"10 mx.{self.domain}.")
        lab.dns.set(f"mx.{self.domain}", "A", address)
        wish(lab, self.domain, f"mailto:reports@{self.domain}")

    def gone(self, lab):
        for name, kind in ((self.domain, "MX"), (f"mx.{self.domain}", "A"), (f"_smtp._tls.{self.domain}", "TXT")):
            lab.dns.set(name, kind)

    def send(self, recipient):
        send(recipient, sender=f"ada@{self.domain}", address=self.inside)

    def is_settled(self):
        """Nothing is counted that is not on disk, nothing due, and no mail on its way."""
        status = self.relay.cli_json("tlsrpt", "status")
        return not status["next"] and not self.relay.queue()


@pytest.fixture(name="towns")
def fixture_towns(lab, make_relay):
    towns = [Town(lab, make_relay, "north", table.RELAY_ADDRESS, "127.0.0.1"),
             Town(lab, make_relay, "south", table.CLIENT_ADDRESS, "127.0.0.2")]
    yield towns
    for town in towns:
        town.gone(lab)


def reports_at(lab, town):
    return lab.messages(host="mx.sender.test", recipients=[f"<reports@{town.domain}>"])


def test_two_relays_in_thirty_days_never_report_about_reports(lab, towns):
    """RFC 8460 section 3: what carries a report is no session to report about."""
    north, south = towns
    mail = {0: ((north, "you@south.test"), (south, "you@north.test")), 14: ((north, "you@south.test"),)}
    for day in range(30):
        with ThreadPoolExecutor() as both:
            list(both.map(lambda town, when=f"+{day}d": at(town.relay, when), towns))
        for town, recipient in mail.get(day, ()):
            town.send(recipient)
            town.relay.wait_delivery(recipient, "delivered")
        wait_until(lambda: all(t.is_settled() for t in towns), 10, f"day {day} to be over")
        counted = [row["domain"] for t in towns for row in t.relay.cli_json("tlsrpt", "status")["today"]]
        assert sorted(counted) == sorted(r.partition("@")[2] for _, r in mail.get(day, ())), day
    assert len(reports_at(lab, south)) == 2 and len(reports_at(lab, north)) == 1


# ------------------------------------------------------------ many failures

MANY = 100_000
EACH = 16       # failures in one datagram, so that a story need not send so many


def told_of_many(relay, domain, record):
    """Another mail system tells of MANY failures, no two alike."""
    with Teller(relay.settings["tlsrpt-socket"]) as teller:
        teller.socket.setblocking(True)
        for first in range(0, MANY, EACH):
            failures = [{"c": 204, "n": f"mx{n}.{domain}", "r": "198.51.100.25", "f": "certificate has expired"}
                        for n in range(first, first + EACH)]
            teller.socket.send(json.dumps({
                "dpv": "1", "d": domain, "pr": record, "policies": [
                    {"policy-type": 9, "policy-domain": domain, "failure-details": failures,
                     "t": EACH, "f": 1}]}).encode())


def test_a_hundred_thousand_failures_are_one_report(lab, make_relay, monkeypatch):
    postfix = lab.peer("postfix", "mx")
    lab.reports.start()
    before = len(lab.reports.posts())
    relay = make_relay(tlsrpt_spread="0s", tlsrpt_contact=CONTACT, tlsrpt_socket_group="root")
    key = Key(relay.folder, "many")
    key.publish(table.RELAY_NAME)
    relay.write(dkim=(key.entry(table.RELAY_NAME),), tlsrpt_socket=f"{relay.folder}/tlsrpt.sock")
    relay.start()
    told_of_many(relay, "many.test", f"v=TLSRPTv1; rua=mailto:{mailbox('many.test')},{POSTED}")
    wait_until(lambda: [row["failed"] for row in relay.cli_json("tlsrpt", "status")["today"]] == [MANY // EACH],
               60, "all to be counted", lambda: relay.cli("tlsrpt", "status").stdout)
    at(relay, "+1d")
    wait_until(lambda: mailed(postfix, "many.test") and lab.reports.posts()[before:], 60, "the report")
    mail = mailed(postfix, "many.test")[0]
    body = email.message_from_bytes(mail).get_payload(1).get_payload(decode=True)
    report = json.loads(gzip.decompress(body))      # a schema takes ten seconds for that many
    details = [d for p in report["policies"] for d in p["failure-details"]]
    assert len({d["receiving-mx-hostname"] for d in details}) == len(details) == MANY
    assert sum(d["failed-session-count"] for d in details) == MANY
    assert tomorrow(monkeypatch, signed_by, mail) == ["many"]
    assert lab.reports.posts()[before].body == body
