"""Every row of the decision tables (docs/policy.md), with real DNS, policy hosts and MX hosts: tests/lab/decisions.py.

One relay, and mail to all domains at the same time.  Each row: what became of the mail, at which level, what the host
saw of it, and what is counted for the day's report.
"""
import datetime
import json
import os
import re

import pytest
from client import Client, Message
from decisions import CASES, NEVER
from services import wait_until
from test_listeners import with_tls
from test_next_hops import digest_of

HERE = os.path.dirname(os.path.abspath(__file__))
PAGE = os.path.join(HERE, "../../docs/policy.md")
TLSA = {"fits": "3 1 1 {key}", "other": "3 1 1 " + 64 * "0", "unusable": "1 1 1 {key}"}
SECONDS = 30


def routes(key):
    words = {"fingerprint": {"tls-fingerprints": [f"key-sha256:{key}"]}}
    return tuple({"name": c.rows.lower(), "recipients": [c.name], "next-hop": "mx", "tls": c.route,
                  **words.get(c.route, {})} for c in CASES if c.route)


def exceptions():
    until = (datetime.date.today() + datetime.timedelta(days=30)).isoformat()
    return tuple({"domain": c.name, "allow": c.exception, "reason": "a story", "until": until}
                 for c in CASES if c.exception)


def hand_in(client, case):
    message = Message()
    if case.mail == "lenient":
        message.content = b"TLS-Required: No\r\n" + message.content
    parameter = " REQUIRETLS" if case.mail == "required" else ""
    for line in (f"MAIL FROM:<ada@sender.test>{parameter}", f"RCPT TO:<you@{case.name}>", "DATA"):
        code, text = client.say(line)
        assert code in (250, 354), f"{line}: {text}"
    assert client.data(message.content)[0] == 250
    return message


class Played:
    """All cases, and what came of them."""

    def __init__(self, lab, relay):
        self.lab, self.relay = lab, relay
        with Client() as client:
            client.ehlo()
            client.starttls(lab.ca_file)
            client.ehlo()
            self.sent = {c.name: hand_in(client, c) for c in CASES}
        self.events = wait_until(self.outcomes, SECONDS, "all mail to have an outcome", self.missing, every=0.2)
        relay.stop()                        # what was counted is on disk then
        relay.start()

    def told(self):
        return {e["rcpt"].strip("<>").split("@")[1]: e for e in self.relay.events("delivery", rcpt=re.compile("you@"))}

    def outcomes(self):
        events = self.told()
        return all(c.name in events for c in CASES) and events

    def missing(self):
        return str([c.rows for c in CASES if c.name not in self.told()])

    def policies(self, case):
        done = self.relay.cli("tlsrpt", "report", case.name, check=False)
        return json.loads(done.stdout)["policies"] if done.returncode == 0 else []

    def counted(self, case):
        """The result types in the day's report, and "success"."""
        policies = self.policies(case)
        kinds = {f["result-type"] for p in policies for f in p.get("failure-details", [])}
        return kinds | {"success" for p in policies if p["summary"]["total-successful-session-count"]}


@pytest.fixture(scope="module", name="played")
def fixture_played(the_lab, shared):
    shared.rest()
    key = digest_of("mx.good.test", "key-sha256").split(":")[1]
    for case in CASES:
        if case.tlsa:
            the_lab.dns.set(f"_25._tcp.{case.mx}", "TLSA", TLSA[case.tlsa].format(key=key))
    shared.relay.write(routes=routes(key), exception=exceptions(), listeners=(
        with_tls(the_lab, address="127.0.0.1:25", **{"relay-from": ["127.0.0.0/8"]}),))
    yield Played(the_lab, shared.running())


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.rows)
def test_mail_fares_as_the_row_says(played, lab, case):
    event, got = played.events[case.name], lab.messages(id=played.sent[case.name].id)
    if case.outcome in ("waits", "back"):
        assert event["outcome"] == ("deferred" if case.outcome == "waits" else "failed"), event.text
        assert event["status"] == ("5.7.10" if case.outcome == "back" else "4.7.5"), event.text
        assert not got
    else:
        assert event["outcome"] == "delivered" and event["level"] == case.outcome, event.text
        assert len(got) == 1 and bool(got[0]["tls"]) == (case.outcome != "clear"), got
    assert played.counted(case) == ({case.counted} if case.counted else set()), event.text


REASONS = {
    "starttls-not-supported": "no STARTTLS offered|STARTTLS refused: ",
    "validation-failure": "MX host not in policy: |SSL_R_|X509_V_ERR_CERT_NOT_YET_VALID: certificate CN=",
    "certificate-expired": "X509_V_ERR_CERT_HAS_EXPIRED: .*, valid until 20",
    "certificate-host-mismatch": "X509_V_ERR_HOSTNAME_MISMATCH: certificate for .*, not for mx",
    "certificate-not-trusted": "X509_V_ERR_[A-Z_]+: certificate .*, issued by ",
    "tlsa-invalid": "X509_V_ERR_DANE_NO_MATCH: the key is 3 1 1 [0-9a-f]{64}, of the certificate CN="
                    "|no usable TLSA records",
    "dane-required": "no usable TLSA records"}


def test_each_failure_in_a_report_says_what_its_postmaster_can_mend(played):
    details = [f for c in CASES if c.counted not in ("", "success")
               for p in played.policies(c) for f in p.get("failure-details", [])]
    assert {f["result-type"] for f in details} >= {"tlsa-invalid", "dane-required", "validation-failure"}
    for f in details:
        assert f["failure-reason-code"] and re.match(REASONS[f["result-type"]], f["failure-reason-code"]), f


def test_each_row_of_the_tables_is_played():
    with open(PAGE, encoding="utf-8") as page:
        rows = set(re.findall(r"^\| ([CNOTEVFDQRPX]\d+) \|", page.read(), re.MULTILINE))
    played = {row for case in CASES for row in case.rows.split("-")}
    assert rows and played | set(NEVER) == rows
