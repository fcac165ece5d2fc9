"""DNS and HTTPS are gone for a simulated month; clocks that step.  Nothing gets weaker, and nothing bounces for a policy.

Days are faked as in test_days.py: the relay anew, with the clock so much ahead.
"""
import datetime
import pathlib
import re
import time

import pytest
from client import send
from services import wait_until
from test_bounces import bounces, fields
from test_days import FAKETIME, Gone, at, known
from test_policy import arrived, wait_arrived

YEAR = 31557600
SHORT, LONG = "also-good.test", "good.test"     # a policy for 7 days, one for a year
UNKNOWN = "wildcard.test"                       # whose policy nobody asked for before
PATIENT = "patient@sender.test"


def moment(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)


def now():
    return datetime.datetime.now(datetime.timezone.utc)


@pytest.fixture(name="long_policy")
def fixture_long_policy(lab):
    lab.web.publish(LONG, f"version: STSv1\nmode: enforce\nmx: mx.{LONG}\nmax_age: {YEAR}\n")
    yield
    lab.web.restore(LONG)


@pytest.fixture(name="gone")
def fixture_gone(lab):
    gone = Gone(lab)
    yield gone
    gone.back()


class Outage:
    """Neither resolver nor policy hosts."""

    def __init__(self, lab):
        self.lab, self.lasts = lab, False

    def begin(self):
        self.lab.dns.down()
        self.lab.web.down()
        self.lasts = True

    def end(self):
        if self.lasts:
            self.lab.dns.up()
            self.lab.web.up()
        self.lasts = False


@pytest.fixture(name="outage")
def fixture_outage(lab):
    outage = Outage(lab)
    yield outage
    outage.end()


def tried(relay, rcpt):
    """What came of it; other mail of its next hop that is just being tried may put that to rest once more."""
    def attempt():
        relay.cli("queue", "retry", "--all")
        return relay.events("delivery", rcpt=f"<{rcpt}>")
    return wait_until(attempt, 20, f"an attempt for {rcpt}", every=0.5)[0]


# ------------------------------------------------------------ thirty days

def deferred_for(relay, domain):
    return relay.events("delivery", rcpt=re.compile(f"@{domain}>"), outcome="deferred")


def waits_for_dns(relay, name, *domains):
    """Mail to these domains is tried in vain, and DNS is the reason."""
    before = {d: len(deferred_for(relay, d)) for d in domains}
    for domain in domains:
        send(f"{name}@{domain}", sender=PATIENT)
    relay.cli("queue", "retry", "--all")        # the old mail, too
    for domain in domains:
        event = wait_until(lambda d=domain: deferred_for(relay, d)[before[d]:], 30, f"an attempt for {domain}")[0]
        assert event["status"] == "4.4.3" and "no resolver answers" in event["reply"], event.text


def test_thirty_days_without_dns_and_https_cost_no_policy_and_bounce_nothing_for_one(lab, make_relay, outage,
                                                                                     long_policy):
    relay = make_relay().start()
    known(relay, SHORT, LONG)
    expires = {d: relay.cli_json("policy", "show", d)["expires"] for d in (SHORT, LONG)}
    outage.begin()
    old = [send(f"old@{domain}", sender=PATIENT) for domain in (LONG, UNKNOWN)]
    for day in (1, 4, 6, 13, 30):
        at(relay, f"+{day}d")
        waits_for_dns(relay, f"day{day}", SHORT, LONG, UNKNOWN)
        for domain in (SHORT, LONG):
            shown = relay.cli_json("policy", "show", domain)
            assert shown["mode"] == "enforce" and shown["expires"] == expires[domain], shown
    bounced = relay.events("delivery", outcome="failed")
    assert {"<old@good.test>", "<old@wildcard.test>"} <= {e["rcpt"] for e in bounced}
    assert all(e["status"] == "4.4.3" and "MX lookup" in e["reply"] for e in bounced), [e.text for e in bounced]
    assert not any(arrived(lab, message) for message in old)
    recovers(lab, relay, outage)


def recovers(lab, relay, outage):
    """DNS and HTTPS are there again: new mail leaves soon, what waited follows, and the bounces name DNS."""
    waiting = [send(f"waiting{n}@{LONG}") for n in range(20)]
    outage.end()
    begin = time.monotonic()
    new = {domain: send(f"new@{domain}") for domain in (LONG, UNKNOWN)}
    for domain, seconds in ((LONG, 60), (UNKNOWN, 360)):
        wait_arrived(lab, new[domain], seconds - (time.monotonic() - begin))
        event = relay.wait_delivery(f"new@{domain}", "delivered")
        assert event["tls"] == "verified" and event["sts"] == "enforce", event.text
    for message in waiting:
        wait_arrived(lab, message, 20)      # the first success has released it
    relay.cli("queue", "retry", "--all")
    wait_until(lambda: bounces(lab, PATIENT), 20, "what is said of the mail that was given up")
    for _, report in bounces(lab, PATIENT):
        for recipient in fields(list(report.iter_parts())[1])[1:]:
            if recipient["Action"] == "failed":
                assert "MX lookup" in recipient["Diagnostic-Code"], recipient


# ------------------------------------------------------------ to the second

def test_a_policy_binds_to_the_second_of_its_life_and_no_longer(lab, make_relay, gone):
    """Its record and its file are gone; mail is sent without a pause over the end of its max_age."""
    relay = make_relay(connection_idle="1s").start()
    known(relay, SHORT)
    end = moment(relay.cli_json("policy", "show", SHORT)["expires"])
    gone.record(SHORT)
    gone.file(SHORT)
    ahead = round((end - now()).total_seconds() - 5)
    at(relay, f"+{ahead}s")
    ahead = datetime.timedelta(seconds=ahead)
    sent = {}
    while now() + ahead < end + datetime.timedelta(seconds=3):
        name = f"number{len(sent)}"
        sent[name] = now() + ahead
        send(f"{name}@{SHORT}")
        time.sleep(0.2)
    for name, begun in sent.items():
        event = relay.wait_delivery(f"{name}@{SHORT}", "delivered")
        if moment(event.time) < end:
            assert event["sts"] == "enforce" and event["tls"] == "verified", event.text
        if begun > end + datetime.timedelta(seconds=1):
            assert event["sts"] == "none", event.text
    modes = [relay.wait_delivery(f"{name}@{SHORT}")["sts"] for name in sent]
    assert modes.count("enforce") > 5 and modes.count("none") > 5, modes


# ------------------------------------------------------------ HTTPS alone

def fetches_failed(relay, domain):
    return [moment(e.time) for e in relay.events("policy-fetch-failed", domain=domain)]


def test_while_the_policy_host_fails_an_id_is_fetched_every_five_minutes_at_most(lab, make_relay, gone):
    """Over restarts, whatever mail comes, and though another id comes and goes; a cached policy binds meanwhile."""
    relay = make_relay().start()
    known(relay, LONG)
    for domain in (LONG, UNKNOWN):
        gone.file(domain)
    gone.record(LONG)
    counts = []
    for minutes, sts_id in ((1, "one"), (3, "another"), (5, "one"), (8, "another"), (12, "one")):
        lab.dns.set_policy_id(LONG, sts_id)
        at(relay, f"+{minutes}m")
        for n in range(5):
            for domain in (LONG, UNKNOWN):
                send(f"m{minutes}n{n}@{domain}")
        for n in range(5):
            assert relay.wait_delivery(f"m{minutes}n{n}@{LONG}", "delivered")["sts"] == "enforce"
            assert relay.wait_delivery(f"m{minutes}n{n}@{UNKNOWN}", "delivered")["sts"] == "none"
        counts.append(len(fetches_failed(relay, LONG)))
    assert counts == [1, 2, 2, 3, 4], counts
    times = fetches_failed(relay, UNKNOWN)      # always with the same id
    waits = [b - a for a, b in zip(times, times[1:])]
    assert waits and min(waits) >= datetime.timedelta(minutes=5), times


def test_thirty_days_with_a_new_id_and_no_file_for_it_leave_the_old_policy_in_force(lab, make_relay, gone, long_policy):
    relay = make_relay().start()
    known(relay, LONG)
    gone.record(LONG)
    gone.file(LONG)
    lab.dns.set_policy_id(LONG, "another")
    lab.mx(f"mx.{LONG}", starttls=None)
    messages = []
    for day in (10, 30):
        at(relay, f"+{day}d")
        messages.append(send(f"day{day}@{LONG}"))
        event = tried(relay, f"day{day}@{LONG}")
        assert (event["outcome"], event["sts"], event["status"]) == ("deferred", "enforce", "4.7.5"), event.text
        failed = relay.wait_event("policy-fetch-failed", domain=LONG)
        assert failed.level == "warning" and int(failed["days-left"]) in (364 - day, 365 - day)
    assert not any(arrived(lab, message) for message in messages)
    lab.mx_as_before(f"mx.{LONG}")
    relay.cli("queue", "retry", "--all")
    assert wait_arrived(lab, messages[1], 20)["tls"]


# ------------------------------------------------------------ clocks that step

HOURS = {"+1h": 1, "-1h": -1, "+1d": 24, "-1d": -24, "@1970-01-08 00:00:00": None, "+0": 0}


def shows(event, hours):
    """Is that the hour that the clock shows?"""
    if hours is None:
        return event.time.startswith("1970-01-08")
    return abs(moment(event.time) - now() - datetime.timedelta(hours=hours)) < datetime.timedelta(minutes=2)


def still_binds(lab, relay, name, hours):
    """Mail to a domain that once said that it enforces TLS, and has none now."""
    message = send(f"{name}@{SHORT}")
    event = tried(relay, f"{name}@{SHORT}")
    assert (event["outcome"], event["sts"], event["status"]) == ("deferred", "enforce", "4.7.5"), event.text
    assert shows(event, hours), event.text
    assert not arrived(lab, message)
    return message if hours is not None else None       # what came in 1970 is 56 years old today


def robbed(lab, relay, gone):
    """The domain's record and file are gone, and its MX offers no STARTTLS."""
    known(relay, SHORT)
    gone.record(SHORT)
    gone.file(SHORT)
    lab.mx(f"mx.{SHORT}", starttls=None)


def test_a_clock_that_stepped_between_two_starts_weakens_no_policy(lab, make_relay, gone):
    relay = make_relay().start()
    robbed(lab, relay, gone)
    messages = []
    for number, (when, hours) in enumerate(HOURS.items()):
        at(relay, when)
        messages.append(still_binds(lab, relay, f"start{number}", hours))
    lab.mx_as_before(f"mx.{SHORT}")
    relay.cli("queue", "retry", "--all")
    for message in filter(None, messages):
        wait_arrived(lab, message, 20)


def test_a_clock_that_steps_while_the_relay_runs_weakens_no_policy(lab, make_relay, gone):
    clock = pathlib.Path(lab.folder, "clock")
    clock.write_text("+0\n")
    relay = make_relay(environment={"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": str(clock),
                                    "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "TZ": "UTC"})
    relay.start()
    robbed(lab, relay, gone)
    messages = []
    for number, (when, hours) in enumerate(HOURS.items()):
        clock.write_text(f"{when}\n")
        messages.append(still_binds(lab, relay, f"step{number}", hours))
    lab.mx_as_before(f"mx.{SHORT}")
    relay.cli("queue", "retry", "--all")
    for message in filter(None, messages):
        wait_arrived(lab, message, 20)
