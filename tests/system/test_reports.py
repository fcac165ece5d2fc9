"""Reports of TLS sessions are sent: once a day, to all who wish for them, whatever dies meanwhile."""
import gzip
import json
import os
import random
import subprocess
import time

import pytest
import report_hosts
import table
from client import send
from services import tail, wait_until
from test_days import at, day_of

HOST = f"https://{report_hosts.NAME}"
INSIDE = "inside.post.test"
OURS = "ours.post.test"
VICTIM = "victim@good.test"


@pytest.fixture(name="wish")
def fixture_wish(lab):
    """Has domains ask for reports at these URIs, until the story ends."""
    lab.reports.start().forget()
    changed = []

    def wish(domain, *uris):
        changed.append(domain)
        lab.dns.set(f"_smtp._tls.{domain}", "TXT", f'"v=TLSRPTv1; rua={",".join(uris)}"')
    yield wish
    for domain in changed:
        d = table.DOMAINS[domain]
        text = [f'"{d.tlsrpt.format(name=d.name)}"'] if d.mode and d.tlsrpt else []
        lab.dns.set(f"_smtp._tls.{domain}", "TXT", *text)


@pytest.fixture(name="reporter")
def fixture_reporter(make_relay):
    """A relay that signs, and sends as soon as a day has ended."""
    relay = make_relay(tlsrpt_spread="0s")
    key = f"{relay.folder}/dkim.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True, capture_output=True)
    os.chmod(key, 0o600)
    relay.write(dkim=({"senders": table.RELAY_NAME, "selector": "s", "key": key},))
    return relay.start()


def counted(relay, *domains):
    """Mail to these domains has been counted today, and what they wish for is known."""
    for domain in domains:
        send(f"first@{domain}")
    for domain in domains:
        relay.wait_delivery(f"first@{domain}")

    def known():
        rows = {row["domain"]: row for row in relay.cli_json("tlsrpt", "status")["today"]}
        return all(d in rows and rows[d]["wanted"] == "yes" for d in domains)
    wait_until(known, 10, f"{domains} to be counted")


def mailed(lab, domain):
    """Reports that have come to a domain's mailbox."""
    return lab.messages(recipients=[f"<reports@{domain}>"])


def posted(lab, path):
    """The domains that reports posted there are about."""
    return sorted(json.loads(gzip.decompress(p.body))["report-id"].split("@")[0].partition(".")[2]
                  for p in lab.reports.posts(path))


def results(relay, domain):
    return {row["to"]: row for row in relay.cli_json("tlsrpt", "status")["last"] if row["domain"] == domain}


def test_reports_go_to_all_who_wish_for_them_and_one_place_spoils_no_other(lab, reporter, wish):
    """RFC 8460 section 3: the ways of a URI; an address inside, a redirect, 10 MB of answer, ?bcc=."""
    lab.dns.set(INSIDE, "A", "10.9.8.7")
    lab.dns.set(OURS, "A", "198.51.100.250")
    wish("good.test", "reports@good.test", "mailto:reports@good.test", f"{HOST}/201")
    wish("wildcard.test", f"{HOST}/500", f"mailto:reports@wildcard.test?bcc={VICTIM}&body=pay")
    wish("tls12.test", f"{HOST}/redirect", f"{HOST}/large")
    wish("nopolicy.test", f"https://{INSIDE}/", f"https://{OURS}:25/", "https://mta-sts.policy-silent.test/",
         "mailto:reports@good.test")
    counted(reporter, "good.test", "wildcard.test", "tls12.test", "nopolicy.test")
    at(reporter, "+1d")
    reporter.wait_event("tlsrpt-report-sent", count=5)
    reporter.wait_event("tlsrpt-report-deferred", count=4)
    assert "neither mailto:" in reporter.wait_event("tlsrpt-rua-unusable", domain="good.test", rua="reports@good.test")["reason"]
    assert posted(lab, "/201") == ["good.test"]
    assert lab.reports.posts("/201")[0].content_type == "application/tlsrpt+gzip"
    said = {to: row["answer"] for to, row in results(reporter, "tls12.test").items()}
    assert "302" in said[f"{HOST}/redirect"] and said[f"{HOST}/large"]
    assert results(reporter, "tls12.test")[f"{HOST}/large"]["state"] == "delivered"
    said = {to: row["answer"] for to, row in results(reporter, "nopolicy.test").items()}
    assert "internal" in said[f"https://{INSIDE}/"] and "this machine" in said[f"https://{OURS}:25/"]
    wait_until(lambda: len(mailed(lab, "good.test")) == 2 and len(mailed(lab, "wildcard.test")) == 1, 10, "mail")
    with open(mailed(lab, "wildcard.test")[0]["file"], encoding="ascii") as f:
        assert VICTIM not in f.read()
    # what has been taken is not sent again; what was refused is, on demand
    done = reporter.cli("tlsrpt", "send", "wildcard.test", "--json", check=False)
    rows = {row["to"]: row for row in json.loads(done.stdout)["results"]}
    assert done.returncode == 1 and rows[f"{HOST}/500"]["state"] == "waiting" and rows[f"{HOST}/500"]["tries"] == 2
    assert len(lab.reports.posts("/500")) == 2 and len(mailed(lab, "wildcard.test")) == 1
    refused = reporter.cli("tlsrpt", "send", "good.test", check=False)
    assert refused.returncode == 1 and "taken it already" in refused.stderr


def test_whatever_is_killed_meanwhile_each_mailbox_gets_one_report(lab, reporter, wish):
    """design.md section 6: an idempotency key in the queue; kill -9 at moments that dice choose."""
    domains = ["good.test", "wildcard.test", "tls12.test", "nopolicy.test"]
    before = {d: len(mailed(lab, d)) for d in domains}
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    dice = random.Random(seed)
    for domain in domains:
        wish(domain, f"mailto:reports@{domain}", f"{HOST}/201")
    posts = posted(lab, "/201")
    counted(reporter, *domains)
    at(reporter, "+1d")
    for role in ["tlsrpt", "tlsrpt", "queue", "tlsrpt"]:
        time.sleep(dice.random() * 0.15)
        for domain in domains:
            subprocess.Popen([os.environ["WAXSEAL"], "tlsrpt", "send", domain, "--config", reporter.configuration],
                             env=reporter.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(dice.random() * 0.1)
        reporter.kill_role(role)

    def taken(domain):
        said = reporter.cli("tlsrpt", "send", domain, check=False)
        return said.returncode == 0 or "taken it already" in said.stderr
    for domain in domains:
        wait_until(lambda d=domain: taken(d), 20, f"the report about {domain} to be taken",
                   lambda: tail(reporter.log_file, 4000), every=0.3)
    reporter.wait_queue(0)
    assert {d: len(mailed(lab, d)) - before[d] for d in domains} == {d: 1 for d in domains}
    for domain in domains:      # a 2xx that nobody could write down is asked for again
        assert 1 <= posted(lab, "/201").count(domain) - posts.count(domain) <= 4


def test_status_says_what_is_missing_and_a_copy_needs_a_signature_too(lab, make_relay, wish):
    relay = make_relay().start()
    wish("good.test", "mailto:reports@good.test")
    counted(relay, "good.test")
    said = relay.cli("tlsrpt", "status").stdout
    assert f"missing: no dkim entry signs for postmaster@{table.RELAY_NAME}" in said
    assert "waxseal dkim new" in said and "no dkim entry signs" in said
    refused = relay.cli("tlsrpt", "send", "good.test", "--day", day_of(), "--to", "me@good.test", check=False)
    assert refused.returncode == 1 and "no dkim entry" in refused.stderr
    relay.write(tlsrpt_reports="off")
    relay.reload()
    wait_until(lambda: "TLS reports are off" in relay.cli("tlsrpt", "status").stdout, 5, "the new settings")


def test_a_copy_of_todays_report_goes_to_whom_the_operator_names(lab, reporter, wish):
    wish("good.test", "mailto:reports@good.test")
    before = len(mailed(lab, "good.test"))
    counted(reporter, "good.test")
    said = reporter.cli("tlsrpt", "send", "good.test", "--day", day_of(), "--to", "copy@good.test").stdout
    assert "a copy is in the queue as " in said
    assert reporter.wait_delivery("copy@good.test", "delivered")["relief"] == "TLS report"
    assert len(mailed(lab, "good.test")) == before
