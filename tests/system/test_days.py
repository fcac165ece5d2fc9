"""What days bring: refresh and expiry of policies, the end of a message's life, a report a day.

A faked day is the relay restarted under libfaketime; its waits stay real (monotonic) ones.
"""
import datetime
import glob
import json
import os

import pytest
from client import send
from services import wait_until
from test_bounces import bounces, fields, wait_bounce
from test_policy import arrived, wait_arrived

FAKETIME = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")[0]
TICK = 20       # the policy role looks every ten seconds at what is due


def at(relay, when):
    """The relay anew at that time: "+1d" from now on, or "@DATE TIME" (UTC)."""
    if relay.process:
        assert relay.stop() == 0
    relay.environment.update({"LD_PRELOAD": FAKETIME, "FAKETIME": when, "TZ": "UTC",
                              "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
    return relay.start()


def day_of(days=0):
    now = datetime.datetime.now(datetime.timezone.utc)
    return (now + datetime.timedelta(days=days)).strftime("%Y-%m-%d")


class Gone:
    """What of a domain's policy is not there for a while."""

    def __init__(self, lab):
        self.lab, self.files, self.records, self.dead = lab, [], [], []

    def file(self, domain):
        os.unlink(f"{self.lab.web.folder}/policies/{domain}")
        self.files.append(domain)

    def record(self, domain):
        self.lab.dns.set_policy_id(domain, None)
        self.records.append(domain)

    def silent(self, domain):
        self.record(domain)
        self.lab.dns.set(f"_mta-sts.{domain}", "NS", "ns.dead.test.")
        self.dead.append(domain)

    def back(self):
        for domain in self.files:
            self.lab.web.restore(domain)
        for domain in self.dead:
            self.lab.dns.set(f"_mta-sts.{domain}", "NS")
        for domain in self.records:
            self.lab.dns.set_policy_id(domain, "20260101T000000")
        self.files, self.records, self.dead = [], [], []


@pytest.fixture(name="gone")
def fixture_gone(lab):
    gone = Gone(lab)
    yield gone
    gone.back()


def known(relay, *domains):
    """Mail has made these policies known."""
    for domain in domains:
        send(f"first@{domain}")
    for domain in domains:
        assert relay.wait_delivery(f"first@{domain}", "delivered")["sts"] == "enforce"


def without_starttls(lab, relay, domain, name):
    """Sends mail to a domain whose MX offers no STARTTLS just now; gives its log line."""
    lab.mx(f"mx.{domain}", starttls=None)
    send(f"{name}@{domain}")
    return relay.wait_event("delivery", 20, rcpt=f"<{name}@{domain}>")


# ------------------------------------------------------------ policies

def test_policies_are_fetched_again_daily_whatever_became_of_their_record(lab, make_relay, gone):
    """RFC 8461 sections 3.3 and 10.2; without any mail."""
    relay = make_relay().start()
    known(relay, "good.test", "wildcard.test", "tls12.test")
    before = {d: lab.web.fetches(d) for d in ("good.test", "wildcard.test")}
    gone.record("wildcard.test")
    gone.file("tls12.test")
    at(relay, "+1d")
    for domain, count in before.items():
        wait_until(lambda d=domain, n=count: lab.web.fetches(d) == n + 1, TICK,
                   f"a fetch of {domain}")
        wait_until(lambda d=domain: relay.cli_json("policy", "show", d)["fetched"].startswith(day_of(1)), 5,
                   f"the new policy of {domain} to be kept")
        assert relay.cli_json("policy", "show", domain)["expires"].startswith(day_of(8))
    assert relay.wait_event("policy-record-gone", domain="wildcard.test").level == "warning"
    failed = relay.wait_event("policy-fetch-failed", TICK, domain="tls12.test")
    assert failed.level == "warning" and failed["days-left"] == "5"
    assert relay.cli_json("policy", "show", "tls12.test")["expires"].startswith(day_of(7))
    assert without_starttls(lab, relay, "tls12.test", "next-day")["outcome"] == "deferred"
    report = relay.cli_json("tlsrpt", "report", "tls12.test", "--day", day_of(1))
    kinds = {f["result-type"] for p in report["policies"] for f in p["failure-details"]}
    assert {"sts-policy-fetch-error", "starttls-not-supported"} <= kinds


def test_status_counts_the_days_down_and_what_nobody_uses_is_forgotten(lab, make_relay, gone):
    relay = make_relay().start()
    known(relay, "tls12.test")
    gone.file("tls12.test")
    at(relay, "+3d")
    wait_until(lambda: relay.cli_json("status")["policy"]["alarms"], TICK, "an alarm")
    alarm = relay.cli_json("status")["policy"]["alarms"][0]
    assert (alarm["domain"], alarm["alarm"], alarm["days_left"]) == ("tls12.test", "refresh fails", 3)
    assert alarm["since"].startswith(day_of(3))
    at(relay, "+32d")       # of 31 without any mail; it is asked for once more, in vain
    wait_until(lambda: relay.cli_json("policy", "list") == [], TICK, "the policy to be forgotten")
    assert relay.cli_json("status")["policy"]["alarms"] == []


def test_a_policy_of_a_short_life_is_renewed_before_it_ends(lab, make_relay):
    relay = make_relay().start()
    lab.web.publish("good.test", "version: STSv1\nmode: enforce\nmx: mx.good.test\n"
                                 "max_age: 10000\n")
    try:
        known(relay, "good.test")
        before = lab.web.fetches("good.test")
        at(relay, "+100m")      # of 166
        wait_until(lambda: lab.web.fetches("good.test") == before + 1, TICK, "a fetch")
    finally:
        lab.web.restore("good.test")


def test_a_policy_binds_to_its_last_day_and_no_longer(lab, make_relay, gone):
    """max_age is seven days; RFC 8461 section 3.3 at both sides of the border."""
    relay = make_relay(retry_first="1h").start()
    known(relay, "good.test", "wildcard.test", "tls12.test", "also-good.test")
    gone.record("wildcard.test")
    gone.file("wildcard.test")
    gone.file("tls12.test")
    gone.silent("also-good.test")
    gone.file("also-good.test")
    at(relay, "+6d")
    for domain in ("wildcard.test", "tls12.test", "also-good.test"):
        event = without_starttls(lab, relay, domain, "sixth")
        assert event["outcome"] == "deferred" and event["sts"] == "enforce", event.text
    at(relay, "+8d")
    # What lapsed is asked for once more; here with success ...
    event = without_starttls(lab, relay, "good.test", "eighth")
    assert event["outcome"] == "deferred" and event["sts"] == "enforce", event.text
    # ... and here without: no policy (section 3.3).
    for domain in ("wildcard.test", "tls12.test"):
        event = without_starttls(lab, relay, domain, "eighth")
        assert event["outcome"] == "delivered" and event["tls"] == "none", event.text
    # Where the record cannot be looked up it is not known whether there is one: mail waits.
    lab.mx("mx.also-good.test", starttls=None)
    message = send("eighth@also-good.test")
    event = relay.wait_event("delivery", 30, rcpt="<eighth@also-good.test>")
    assert event["outcome"] == "deferred" and event["sts"] == "unknown", event.text
    assert not arrived(lab, message)


def test_while_a_policy_is_not_known_mail_waits_an_hour_and_then_goes(lab, make_relay):
    relay = make_relay().start()
    message = send("you@txt-servfail.test")
    relay.wait_event("delivery", 30, rcpt="<you@txt-servfail.test>", outcome="deferred")
    assert relay.wait_queue(1)[0]["attempts"] == 0, "that is no attempt"
    at(relay, "+50m")
    relay.wait_event("delivery", 30, 2, rcpt="<you@txt-servfail.test>", outcome="deferred")
    assert relay.wait_queue(1)[0]["attempts"] == 0 and not arrived(lab, message)
    at(relay, "+70m")
    event = relay.wait_delivery("you@txt-servfail.test", "delivered", 30)
    assert event["sts"] == "unknown" and event["tls"] != "none"
    shown = relay.cli_json("queue", "show", event["qid"])["recipients"][0]
    assert shown["decision"]["policy"] == "unknown"


# ------------------------------------------------------------ the end of a message's life

def test_after_four_hours_the_sender_is_warned_once(lab, make_relay):
    relay = make_relay().start()
    send("waits@mail-451.test", sender="warned@sender.test")
    relay.wait_delivery("waits@mail-451.test", "deferred")
    at(relay, "+3h")
    relay.wait_delivery("waits@mail-451.test", "deferred", count=2)
    assert not relay.events("bounce")
    at(relay, "+8h")
    relay.wait_delivery("waits@mail-451.test", "deferred", count=3)
    _, report = wait_bounce(lab, "warned@sender.test")
    assert fields(list(report.iter_parts())[1])[1]["Action"] == "delayed"
    at(relay, "+30h")
    relay.wait_delivery("waits@mail-451.test", "deferred", count=4)
    assert len(relay.events("bounce")) == 1


def test_after_five_days_a_message_is_tried_once_more_and_returned(lab, make_relay):
    relay = make_relay().start()
    message = send("late@expired.test", sender="late@sender.test")
    relay.wait_delivery("late@expired.test", "deferred")
    at(relay, "+119h")
    relay.wait_delivery("late@expired.test", "deferred", count=2)
    _, warning = wait_bounce(lab, "late@sender.test")
    assert fields(list(warning.iter_parts())[1])[1]["Action"] == "delayed"
    fetches = lab.web.fetches("expired.test")
    at(relay, "+121h")
    relay.wait_delivery("late@expired.test", "failed")
    assert lab.web.fetches("expired.test") == fetches + 1, "asked afresh, though the id is the same"
    wait_until(lambda: len(bounces(lab, "late@sender.test")) == 2, 10, "the bounce")
    _, report = bounces(lab, "late@sender.test")[1]
    assert fields(list(report.iter_parts())[1])[1]["Action"] == "failed"
    text = " ".join(next(report.iter_parts()).get_content().split())
    for word in ("MTA-STS", "mode enforce", "id 20260101T000000", "mx.expired.test",
                 "its certificate: ", "expired", "administrator has to mend"):
        assert word in text, word
    assert not lab.messages(id=message.id)
    relay.wait_queue(0)


def test_a_policy_that_was_mended_under_the_same_id_saves_the_message(lab, make_relay):
    """It is fetched afresh before the final bounce (design: promise 3)."""
    relay = make_relay().start()
    message = send("saved@unlisted.test")
    relay.wait_delivery("saved@unlisted.test", "deferred")
    relay.stop()
    lab.web.publish("unlisted.test", "version: STSv1\nmode: enforce\nmx: mx.unlisted.test\n"
                                     "max_age: 604800\n")
    try:
        at(relay, "+121h")
        assert relay.wait_delivery("saved@unlisted.test", "delivered")["sts"] == "enforce"
        wait_arrived(lab, message)
    finally:
        lab.web.restore("unlisted.test")


# ------------------------------------------------------------ a report a day

def report(relay, domain, day):
    done = relay.cli("tlsrpt", "report", domain, "--day", day, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


def policies_of(relay, domain, day):
    return (report(relay, domain, day) or {"policies": []})["policies"]


def sessions(report_of_day):
    return sum(p["summary"]["total-successful-session-count"] for p in report_of_day["policies"])


def test_at_midnight_utc_a_new_report_begins(lab, make_relay):
    relay = make_relay()
    at(relay, f"@{day_of(1)} 23:59:54")
    wait_arrived(lab, send("before@good.test"))
    relay.wait_delivery("before@good.test", "delivered")
    wait_until(lambda: report(relay, "good.test", day_of(1)), 5, "the first day's report")
    wait_until(lambda: relay.cli("tlsrpt", "report", "good.test", check=False).returncode, 15,
               "midnight")
    lab.mx("mx.good.test", greeting="220 mx.good.test anew")     # ends sessions kept for reuse
    wait_arrived(lab, send("after@good.test"))
    relay.wait_delivery("after@good.test", "delivered")
    second = wait_until(lambda: report(relay, "good.test", day_of(2)), 5, "the second day's report")
    first = report(relay, "good.test", day_of(1))
    assert sessions(first) == 1 and sessions(second) == 1
    assert first["date-range"] == {"start-datetime": f"{day_of(1)}T00:00:00Z",
                                   "end-datetime": f"{day_of(1)}T23:59:59Z"}
    assert first["report-id"] != second["report-id"]
    assert json.loads(relay.cli("tlsrpt", "report", "good.test").stdout) == second


def test_a_policy_that_changed_within_a_day_is_reported_twice_each_as_published(lab, make_relay):
    relay = make_relay().start()
    texts = ["version:STSv1\r\nmode: enforce \r\nx-note: 4 \u00fc\r\nmx:  MX.good.test\r\n"
             "max_age: 0000604800\r\nmax_age: 5\r\n",
             "mx: mx.good.test\nmx: *.elsewhere.test\nmax_age: 604800\nmode: enforce\n"
             "version: STSv1"]
    try:
        for number, text in enumerate(texts):
            lab.web.publish("good.test", text)
            lab.mx("mx.good.test", greeting=f"220 mx.good.test {number}")
            if number:
                relay.cli("policy", "refresh", "good.test")
            wait_arrived(lab, send(f"u{number}@good.test"))
            relay.wait_delivery(f"u{number}@good.test", "delivered")
        policies = wait_until(lambda: policies_of(relay, "good.test", day_of())[1:] and
                              policies_of(relay, "good.test", day_of()), 5, "the report")
    finally:
        lab.web.restore("good.test")
    policies = sorted(policies, key=lambda p: len(p["policy"]["mx-host"]))      # in a report their order is free
    assert [p["policy"]["policy-string"] for p in policies] == [
        ["version:STSv1", "mode: enforce ", "x-note: 4 \u00fc", "mx:  MX.good.test",
         "max_age: 0000604800", "max_age: 5"],
        ["mx: mx.good.test", "mx: *.elsewhere.test", "max_age: 604800", "mode: enforce",
         "version: STSv1"]]
    assert [p["policy"]["mx-host"] for p in policies] == [["mx.good.test"],
                                                          ["mx.good.test", "*.elsewhere.test"]]
    assert [p["summary"]["total-successful-session-count"] for p in policies] == [1, 1]
