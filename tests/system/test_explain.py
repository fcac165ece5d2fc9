"""waxseal explain: what would happen to mail for somebody now, why, and who mends what is wrong."""
import json
import subprocess
import time

import pytest
from client import send
from relay import BINARY
from services import wait_until
from test_dane import SELF_SIGNED, ZEROS, fitting, fixture_publish, fixture_tlsa, records  # noqa: F401

SECURE, DELIVERABLE, NOWHERE, NOT_KNOWN = 0, 1, 2, 3


def explain(relay, *words):
    """The exit status, and what --json gives."""
    done = relay.cli("explain", *words, "--json", check=False, seconds=110)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def told(relay, *words):
    return relay.cli("explain", *words, check=False, seconds=110).stdout


def hosts_of(found):
    return [host for hop in found["hops"] for host in hop["hosts"]]


def problems_of(found):
    """All that is wrong, as one text."""
    parts = found["hops"] + hosts_of(found) + found["policies"]
    return "\n".join(f'{p["what"]} -> {p["who"]}' for part in parts for p in part["problems"])


# ------------------------------------------------------------ all is well

def test_a_good_domain_is_told_from_its_records_to_its_certificate(lab, shared_relay):
    begin = time.time()
    status, found = explain(shared_relay, "ada@good.test")
    assert status == SECURE and found["deliverable"] == "securely" and problems_of(found) == ""
    assert (found["address"], found["next_hop"], found["route"]) == ("ada@good.test", "good.test", None)
    hop = found["hops"][0]
    assert hop["mx"] == "found" and hop["mx_dnssec"] and hop["policy"] == "sts enforce"
    assert hop["report_records"] == ["v=TLSRPTv1; rua=mailto:reports@good.test"]
    host = hop["hosts"][0]
    assert host["mx"] == "mx.good.test" and host["listed"] and host["usable"]
    assert len(host["addresses"]) == 2 and host["addresses_dnssec"] and host["tlsa"]["worth"] == "none"
    session = host["session"]
    assert (host["level_wanted"], session["level"]) == ("verified", "verified")
    assert session["certificate"]["verify_result"] == "ok" and len(session["certificate"]["key_sha256"]) == 64
    assert host["report"] == {"counted": True, "policy_type": "sts", "policy_domain": "good.test", "result": "success",
                              "reason": ""}
    got = wait_until(lambda: lab.sessions(host="mx.good.test", since=begin), 5, "the session at the MX")
    assert len(got) == 1
    said = [c.split()[0].upper() for c in got[0]["commands"]]
    assert said == ["EHLO", "STARTTLS", "EHLO", "QUIT"], "no transaction, no login"


def test_the_text_says_the_same_to_people(lab, shared_relay):
    text = told(shared_relay, "good.test")
    assert text.startswith("Mail for good.test goes to good.test\n")
    for words in ("policy that binds: sts enforce, id 20260101T000000", "cached: mode enforce",
                  "published now: TXT record valid, id 20260101T000000; mode enforce, mx mx.good.test, max_age 604800\n",
                  "TLS reports: v=TLSRPTv1; rua=mailto:reports@good.test", "mx.good.test, preference 10",
                  "wanted: verified", "session with [", "certificate: subject CN=mx.good.test",
                  "in TLS reports: sts of good.test, success", "\ndeliverable securely: "):
        assert words in text, text


# ------------------------------------------------------------ what keeps mail waiting here

def test_mail_for_a_suspended_next_hop_does_not_go_now(shared_relay):
    shared_relay.cli("queue", "suspend", "good.test", "--reason", "they move house")
    try:
        status, found = explain(shared_relay, "good.test", "--offline")
        text = told(shared_relay, "ada@good.test", "--offline")
    finally:
        shared_relay.cli("queue", "resume", "good.test")
    assert status == NOWHERE and (found["deliverable"], found["deliverable_then"]) == ("no", "securely")
    queue = found["queue"]
    assert (queue["hop_state"], queue["suspended_until"]) == ("suspended", "resumed")
    assert queue["suspended_reason"] == "they move house" and queue["suspended_by"] == 0
    assert "suspended this next hop until it is resumed: they move house\n" in text
    assert "waxseal queue resume good.test\n" in text and "but for that deliverable securely" in text
    status, found = explain(shared_relay, "good.test", "--offline")
    assert status == SECURE and "deliverable_then" not in found and found["queue"]["delivery"] == "on"


# ------------------------------------------------------------ what is wrong, and who mends it

@pytest.mark.parametrize("domain, status, wrong, who", [
    ("unlisted.test", NOWHERE, "does not name mx.unlisted.test, but mail.unlisted.test", "the postmaster of unlisted.test"),
    ("expired.test", NOWHERE, "mx.expired.test expired at 20", "the administrator of mx.expired.test"),
    ("notyet.test", NOWHERE, "not valid (X509_V_ERR_CERT_NOT_YET_VALID)", "the administrator of mx.notyet.test"),
    ("wrongname.test", NOWHERE, "the certificate of mx.wrongname.test is for ", "the administrator of mx.wrongname.test"),
    ("selfsigned.test", NOWHERE, "no authority that we trust", "the administrator of mx.selfsigned.test"),
    ("notls.test", NOWHERE, "mx.notls.test has no STARTTLS", "the administrator of mx.notls.test"),
    ("tlsrefused.test", NOWHERE, "STARTTLS refused): 454 4.7.0 TLS not available", "the administrator of mx.tlsrefused.test"),
    ("tls10.test", NOWHERE, "no TLS with mx.tls10.test", "the administrator of mx.tls10.test"),
    ("secondmx.test", SECURE, "mx1.secondmx.test expired at", "the administrator of mx1.secondmx.test"),
    ("listedsecond.test", SECURE, "does not name mx1.listedsecond.test", "the postmaster of listedsecond.test"),
    ("testing.test", DELIVERABLE, "mx.testing.test expired at", "the administrator of mx.testing.test"),
    ("testing-unlisted.test", DELIVERABLE, "does not name mx.testing-unlisted.test", "the postmaster of testing-unlisted.test"),
    ("nopolicy.test", DELIVERABLE, "", ""),
    ("nopolicy-notls.test", DELIVERABLE, "has no STARTTLS", "the administrator of mx.nopolicy-notls.test"),
    ("nopolicy-tlsrefused.test", DELIVERABLE, "STARTTLS refused", "the administrator of"),
    ("nopolicy-handshake.test", DELIVERABLE, "no TLS with mx.nopolicy-handshake.test", "the administrator of"),
    ("policy-404.test", DELIVERABLE, "its policy file cannot be had", "the postmaster of policy-404.test"),
    ("txt-twice.test", DELIVERABLE, "several policy records", "the postmaster of txt-twice.test"),
    ("txt-servfail.test", NOWHERE, "it is not known whether there is an MTA-STS policy", "the postmaster of txt-servfail.test"),
    ("backup.test", DELIVERABLE, "no session with mx1.backup.test", "the administrator of mx1.backup.test"),
    ("greeting-554.test", NOWHERE, "554 5.3.2 no mail here", "the administrator of mx.greeting-554.test"),
    ("mx-nowhere.test", NOWHERE, "MX host mx.mx-nowhere.test has no address", "the postmaster of mx-nowhere.test"),
    ("mx-internal.test", NOWHERE, "internal addresses", "the postmaster of mx-internal.test"),
    ("nullmx.test", NOWHERE, "no host takes mail for nullmx.test", "nobody: it is meant so"),
    ("nosuch.test", NOWHERE, "no host takes mail for nosuch.test", "the postmaster of nosuch.test"),
    ("servfail.test", NOWHERE, "no host takes mail for servfail.test", "whoever runs its name servers"),
])
def test_what_is_wrong_is_said_and_who_mends_it(lab, shared_relay, domain, status, wrong, who):
    got, found = explain(shared_relay, domain)
    problems = problems_of(found)
    assert got == status and wrong in problems and who in problems, problems
    assert (problems == "") == (wrong == ""), problems
    for one in hosts_of(found):
        assert not one["usable"] or one["tried"]


def test_a_wildcard_that_covers_one_label_is_explained(lab, shared_relay):
    lab.web.publish("also-good.test", "version: STSv1\nmode: enforce\nmx: *.test\nmax_age: 86400\n")
    try:
        status, found = explain(shared_relay, "also-good.test")
    finally:
        lab.web.restore("also-good.test")
        shared_relay.cli("policy", "refresh", "also-good.test")
    assert status == NOWHERE
    assert "the policy's pattern *.test covers one label; mx.also-good.test has 2" in problems_of(found)


def test_of_very_many_mx_hosts_those_that_mail_goes_to_are_told(lab, shared_relay, publish):
    publish("many.test", "MX", *(f"{n} mx{n}.many.test." for n in range(1, 26)))
    status, found = explain(shared_relay, "many.test")
    assert status == NOWHERE and found["hops"][0]["mx_left_out"] == 5
    assert [host["mx"] for host in hosts_of(found)] == [f"mx{n}.many.test" for n in range(1, 21)]
    assert "; 5 more hosts, which mail never goes to\n" in told(shared_relay, "many.test")
    event = shared_relay.wait_event("mx-cut", domain="many.test")
    assert (event["hosts"], event["left-out"]) == ("20", "5")


def test_of_very_many_patterns_it_is_said_how_many_are_not_shown(lab, shared_relay):
    lab.web.publish("also-good.test", "version: STSv1\nmode: testing\nmax_age: 86400\n" + "mx: a\n" * 8000)
    try:
        _, found = explain(shared_relay, "also-good.test")
        text = told(shared_relay, "also-good.test")
    finally:
        lab.web.restore("also-good.test")
        shared_relay.cli("policy", "refresh", "also-good.test")
    published = found["policies"][0]["published"]
    assert (len(published["mx"]), published["mx_left_out"]) == (100, 7900)
    assert " a a and 7900 more, max_age 86400" in text


# ------------------------------------------------------------ the policy, cached and published

def test_what_is_cached_and_what_is_published_are_told_apart(lab, shared_relay):
    explain(shared_relay, "wildcard.test")
    lab.web.publish("wildcard.test", "version: STSv1\nmode: testing\nmx: *.wildcard.test\nmax_age: 86400\n")
    try:
        status, found = explain(shared_relay, "wildcard.test")
    finally:
        lab.web.restore("wildcard.test")
    policy = found["policies"][0]
    assert status == SECURE, "the cached one holds"
    assert policy["cached"]["mode"] == "enforce" and policy["published"]["mode"] == "testing"
    assert "changed under the same id" in problems_of(found)
    assert shared_relay.cli_json("policy", "show", "wildcard.test")["mode"] == "enforce", "nothing of it is kept"


# ------------------------------------------------------------ without contact, beside mail, by routes

def test_offline_contacts_no_host(lab, shared_relay):
    begin = time.time()
    status, found = explain(shared_relay, "expired.test", "--offline")
    assert status == SECURE and found["offline"], "nothing is known against it"
    assert hosts_of(found)[0]["contact"] == "none" and "session" not in hosts_of(found)[0]
    assert "no host was contacted" in told(shared_relay, "expired.test", "--offline")
    assert not lab.sessions(host="mx.expired.test", since=begin)


def test_mail_goes_on_while_as_much_is_explained_as_may_be(lab, make_relay):
    relay = make_relay().start()
    asked = [subprocess.Popen([BINARY, "explain", "mx-dropped.test", "--config", relay.configuration],
                              stderr=subprocess.PIPE, text=True) for _ in range(10)]
    try:
        wait_until(lambda: sum(one.poll() is not None for one in asked) == 6, 8, "all but four to be refused")
        for one in asked:
            assert one.poll() is None or (one.returncode == NOT_KNOWN and "explained already" in one.stderr.read())
        message = send("you@good.test")
        wait_until(lambda: lab.messages(id=message.id), 5, "the message at the MX")
    finally:
        for one in asked:
            one.kill()
            one.communicate()


def test_the_way_by_a_relayhost_is_explained(lab, make_relay):
    relay = make_relay(relayhost="[mx.nopolicy.test]").start()
    status, found = explain(relay, "ada@good.test")
    assert status == DELIVERABLE and found["next_hop"] == "relayhost"
    hop = found["hops"][0]
    assert (hop["name"], hop["kind"], hop["policy"]) == ("mx.nopolicy.test", "host", "relayhost")
    assert found["policies"] == [] and "goes to relayhost" in told(relay, "ada@good.test")


def test_routes_count_and_may_ask_for_the_sender(lab, make_relay):
    relay = make_relay(routes=(
        {"name": "refused", "recipients": ["no.test"], "next-hop": "error 5.7.1 not from here"},
        {"name": "two", "recipients": ["two.test"],
         "next-hop": ["[mx.good.test] priority 10", "[198.51.100.254] priority 20"]},
        {"name": "void", "senders": ["<>"], "next-hop": "discard"},
        {"name": "inside", "listeners": ["local"], "recipients": ["nopolicy.test"], "next-hop": "[mx.good.test]"},
        {"name": "partner", "senders": ["sender.test"], "next-hop": "[mx.good.test]", "tls": "verify"})).start()
    status, found = explain(relay, "ada@no.test")
    assert status == NOWHERE and found["ends"] == "error" and "5.7.1" in found["text"]
    status, found = explain(relay, "nopolicy.test")
    assert status == DELIVERABLE and found["route"] is None
    status, found = explain(relay, "nopolicy.test", "--sender", "bob@sender.test")
    assert status == SECURE and found["route"] == "partner"
    assert hosts_of(found)[0]["mx"] == "mx.good.test"
    assert found["other_routes"] == [{"route": "inside", "listeners": ["local"], "users": []}]
    assert "\n  but mail that came in by listener local goes by route inside\n" in told(relay, "nopolicy.test", "--offline")
    status, found = explain(relay, "nopolicy.test", "--sender", "<>")
    assert found["other_routes"] == []
    assert status == NOWHERE and found["ends"] == "discard"
    assert "which throws it away" in told(relay, "nopolicy.test", "--sender", "<>")
    status, found = explain(relay, "two.test")
    assert status == DELIVERABLE and [hop["name"] for hop in found["hops"]] == ["mx.good.test", "198.51.100.254"]
    assert [host["usable"] for host in hosts_of(found)] == [True, False]


def test_an_exception_is_told_with_its_end(lab, make_relay):
    relay = make_relay(exception=({"domain": "expired.test", "allow": "unverified", "reason": "their new CA",
                                   "until": f"{time.gmtime().tm_year + 1}-12-31"},)).start()
    status, found = explain(relay, "expired.test")
    assert status == DELIVERABLE and hosts_of(found)[0]["usable"]
    shown = found["hops"][0]["exception"]
    assert (shown["allow"], shown["reason"]) == ("unverified", "their new CA") and shown["days_left"] > 360
    assert hosts_of(found)[0]["level_wanted"] == "encrypted"
    assert "exception: unverified until " in told(relay, "expired.test")


def test_what_the_table_rewrite_makes_of_an_address_is_what_counts(lab, make_relay):
    relay = make_relay(rewrite=["internal -> nopolicy.test"]).start()
    status, found = explain(relay, "ada@internal", "--offline")
    assert status == DELIVERABLE and found["next_hop"] == "nopolicy.test"
    assert (found["address"], found["rewritten"]) == ("ada@internal", "ada@nopolicy.test")
    assert "Mail for ada@internal, which becomes ada@nopolicy.test, goes to" in told(relay, "ada@internal", "--offline")


# ------------------------------------------------------------ DANE

def test_tlsa_records_that_fit_are_told_with_their_host(lab, shared_relay, tlsa):
    tlsa(SELF_SIGNED, fitting(SELF_SIGNED))
    status, found = explain(shared_relay, "nopolicy-selfsigned.test")
    host = hosts_of(found)[0]
    assert status == SECURE and problems_of(found) == ""
    assert host["tlsa"] == {"worth": "usable", "base": SELF_SIGNED, "records": [fitting(SELF_SIGNED)]}
    assert (host["level_wanted"], host["session"]["level"]) == ("dane", "dane")
    assert host["session"]["certificate"]["tlsa_record"] == "3 1 1"
    assert host["report"] == {"counted": True, "policy_type": "tlsa", "policy_domain": SELF_SIGNED,
                              "result": "success", "reason": ""}


def test_tlsa_records_that_do_not_do_are_told_with_what_they_come_to(lab, shared_relay, tlsa, publish):
    tlsa(SELF_SIGNED, "3 1 1 " + ZEROS)
    status, found = explain(shared_relay, "nopolicy-selfsigned.test")
    assert status == NOWHERE
    assert f"the certificate of {SELF_SIGNED} fits none of its TLSA records" in problems_of(found)
    tlsa(SELF_SIGNED, "1 1 1 " + ZEROS)
    status, found = explain(shared_relay, "nopolicy-selfsigned.test")
    host = hosts_of(found)[0]
    assert status == DELIVERABLE and host["tlsa"]["worth"] == "unusable"
    assert (host["level_wanted"], host["session"]["level"]) == ("encrypted", "encrypted")
    assert "none that SMTP can use" in problems_of(found)
    publish(records("mx.nopolicy.test"), "CNAME", "any.servfail.test.")
    status, found = explain(shared_relay, "nopolicy.test")
    host = hosts_of(found)[0]
    assert status == NOWHERE and host["tlsa"]["worth"] == "unknown" and host["contact"] == "none"
    assert host["report"]["result"] == "dnssec-invalid"
    assert "so it counts as one that cannot be reached -> the administrator of mx.nopolicy.test" in problems_of(found)


def test_that_dane_is_off_is_said_with_the_reason(lab, make_relay):
    blind = lab.dns.start_blind("127.0.0.1", 5399)
    try:
        relay = make_relay(resolvers=["127.0.0.1:5399"]).start()
        status, found = explain(relay, "nopolicy.test", "--offline")
        assert status == DELIVERABLE and found["dnssec"]["state"] == "off"
        assert "so that DANE is off: " in told(relay, "nopolicy.test", "--offline")
    finally:
        blind.stop()


# ------------------------------------------------------------ what cannot be explained

def test_a_role_policy_that_ends_meanwhile_takes_nothing_else_along(lab, make_relay):
    relay = make_relay().start()
    send("first@good.test")
    relay.wait_delivery("first@good.test", "delivered")
    silent = json.loads(relay.cli("policy", "export").stdout) | {"domain": "policy-silent.test"}
    silent["policy"] = silent["policy"].replace("good.test", "policy-silent.test")
    subprocess.run([BINARY, "policy", "import", "--config", relay.configuration], input=json.dumps(silent), text=True,
                   capture_output=True, timeout=10, check=True)
    with subprocess.Popen([BINARY, "explain", "policy-silent.test", "--offline", "--config", relay.configuration],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as asking:
        time.sleep(1.5)     # the worker has answered by then; the live policy is waited for
        relay.kill_role("policy")
        out, err = asking.communicate(timeout=30)
    assert asking.returncode != NOT_KNOWN and err == "", err
    assert "policy that binds: sts enforce" in out and "mx.policy-silent.test, preference 10" in out
    assert "it is not known what is cached and what is published: the role that was to answer ended" in out
    assert "to be mended by the administrator of this relay" in out and "published now" not in out


def test_what_cannot_be_asked_or_answered_has_its_own_exit_status(lab, make_relay):
    relay = make_relay()
    done = relay.cli("explain", "good.test", check=False)
    assert done.returncode == NOT_KNOWN and "no waxseal is running" in done.stderr
    relay.start()
    done = relay.cli("explain", "no domain", check=False)
    assert done.returncode == NOT_KNOWN and "neither a mailbox nor a domain" in done.stderr
    done = relay.cli("explain", "good.test", "--sender", "no domain", check=False)
    assert done.returncode == NOT_KNOWN and "the sender" in done.stderr
    assert relay.cli("explain", check=False).returncode == NOT_KNOWN
    assert relay.cli("explain", "good.test", "--nonsense", check=False).returncode == NOT_KNOWN
