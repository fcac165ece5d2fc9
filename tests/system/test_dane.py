"""DANE: what a host's TLSA records say is what happens, with no setting for it (RFC 7672)."""
import json
import ssl
import time

import pytest
from client import send
from test_bounces import wait_bounce
from test_next_hops import digest_of
from test_policy import arrived, wait_arrived
from test_requiretls import Lenient
from test_sessions import sessions_end

ZEROS = 64 * "0"
SELF_SIGNED = "mx.nopolicy-selfsigned.test"


def records(host, port=25):
    return f"_{port}._tcp.{host}"


def fitting(host):
    """The record that domains are told to publish: the digest of the host's key."""
    return "3 1 1 " + digest_of(host, "key-sha256").split(":")[1]


@pytest.fixture(name="publish")
def fixture_publish(lab):
    """Puts records in a signed zone (or in the other one), ends the sessions, and takes all back afterwards."""
    published = []

    def put(name, kind, *data, zone="test."):
        published.append((name, kind, zone))
        lab.dns.set(name, kind, *data, zone=zone)
    yield put
    for name, kind, zone in reversed(published):
        lab.dns.set(name, kind, zone=zone)


@pytest.fixture(name="tlsa")
def fixture_tlsa(lab, publish):
    def put(host, *data):
        publish(records(host), "TLSA", *data)
        lab.mx(host)        # what was open ends
    return put


def nothing_was_said(lab, host, since):
    return not any(c.upper().startswith(("MAIL", "RCPT", "DATA", "BDAT"))
                   for s in lab.sessions(host=host, since=since) for c in s["commands"])


# ------------------------------------------------------------ records that can be used

@pytest.mark.parametrize("domain, policy", [("nopolicy-selfsigned.test", "none"), ("expired.test", "enforce"),
                                            ("wrongname.test", "enforce"), ("unlisted.test", "enforce")])
def test_a_certificate_that_fits_will_do_whatever_else_is_wrong_with_it(lab, shared_relay, tlsa, domain, policy):
    """Self-signed, expired, of another name; and an MX that the domain's own MTA-STS policy does not list."""
    host = f"mx.{domain}"
    tlsa(host, fitting(host), "3 1 1 " + ZEROS)
    got = wait_arrived(lab, send(f"dane@{domain}"))
    event = shared_relay.wait_delivery(f"dane@{domain}", "delivered")
    assert event["sts"] == "dane" and event["level"] == "dane" and event["wanted"] == "dane", policy
    assert got["host"] == host == got["sni"] and got["tls"] in ("TLSv1.2", "TLSv1.3")
    told = shared_relay.cli("trace", event["qid"]).stdout
    assert "policy: dane" in told and f"TLSA records of {host}: usable; the certificate fits 3 1 1" in told, told


@pytest.mark.parametrize("domain", ["nopolicy.test", "good.test"])
def test_a_certificate_that_does_not_fit_is_not_rescued_by_authorities_nor_by_mta_sts(lab, relay, tlsa, domain):
    host, since = f"mx.{domain}", time.time()
    tlsa(host, "3 1 1 " + ZEROS)
    message = send(f"you@{domain}")
    event = relay.wait_delivery(f"you@{domain}", "deferred")
    assert event["status"] == "4.7.5" and event["sts"] == "dane"
    assert f"the TLSA records of {host} (DANE)" in event["reply"] and "X509_V_ERR_DANE_NO_MATCH" in event["reply"]
    assert f"the postmaster of {host} must mend" in event["reply"]
    assert not arrived(lab, message) and nothing_was_said(lab, host, since)
    tlsa(host, fitting(host))
    wait_arrived(lab, message)


def test_what_never_fits_bounces_at_the_end_of_its_life_and_no_sooner(lab, make_relay, tlsa):
    make_relay(retry_first="1s", retry_max="2s", queue_lifetime="4s").start()
    tlsa("mx.nopolicy.test", "3 1 1 " + ZEROS)
    began, message = time.time(), send("you@nopolicy.test", sender="undane@sender.test")
    _, report = wait_bounce(lab, "undane@sender.test", 20)
    assert time.time() - began > 3 and not arrived(lab, message)
    words = " ".join(next(report.iter_parts()).get_content().split())
    assert "how the recipient's servers are to be known (TLSA records, DANE)" in words
    assert "their administrator has to mend servers or records" in words


def test_without_tls_no_mail_goes_to_a_host_with_records(lab, shared_relay, tlsa):
    """Usable or not, records promise TLS (RFC 7672 section 2.2)."""
    for domain, data in (("nopolicy-notls.test", "3 1 1 " + ZEROS), ("nopolicy-tlsrefused.test", "1 1 1 " + ZEROS),
                         ("nopolicy-tls10.test", "0 0 1 " + ZEROS), ("nopolicy-handshake.test", "3 1 1 " + ZEROS)):
        host, since = f"mx.{domain}", time.time()
        tlsa(host, data)
        message = send(f"dane@{domain}")
        event = shared_relay.wait_delivery(f"dane@{domain}", "deferred")
        assert "TLSA records" in event["reply"] and event["status"] == "4.7.5", event.text
        assert not arrived(lab, message) and nothing_was_said(lab, host, since)


def test_records_of_no_use_ask_for_tls_with_whomever(lab, shared_relay, tlsa):
    tlsa(SELF_SIGNED, "1 1 1 " + ZEROS, "3 1 1 00", "3 9 1 " + ZEROS)
    got = wait_arrived(lab, send("unusable@nopolicy-selfsigned.test"))
    event = shared_relay.wait_delivery("unusable@nopolicy-selfsigned.test", "delivered")
    assert got["tls"] and event["level"] == "encrypted" and event["wanted"] == "encrypted"


def test_an_authority_of_the_records_vouches_for_the_domains_own_name_and_for_no_other_domains_mail(
        lab, make_relay, tlsa, publish):
    """DANE-TA: the certificate bears the next hop's name; another domain's mail finds no session to share."""
    host, own, other = "mx.wrongname.test", "mx.somebody-else.test", "elsewhere.test"
    relay = make_relay(retry_first="2s", retry_max="4s", connection_idle="20s").start()
    with open(f"{lab.folder}/ca/ca.pem", encoding="ascii") as f:
        authority = ssl.PEM_cert_to_DER_cert(f.read()).hex()
    tlsa(host, f"2 0 0 {authority}")
    for domain in (own, other):
        publish(domain, "MX", f"10 {host}.")
    wait_arrived(lab, send(f"you@{own}"))
    message = send(f"you@{other}")
    event = relay.wait_delivery(f"you@{other}", "deferred")
    assert "another name" in event["reply"] and "DANE" in event["reply"]
    assert not arrived(lab, message)


# ------------------------------------------------------------ where records are looked for

def test_dns_that_cannot_say_makes_the_host_one_that_cannot_be_reached(lab, relay, publish):
    """RFC 7672 section 2.1.2; the next MX host takes the mail, or it waits."""
    host, since = "mx.nopolicy.test", time.time()
    publish(records(host), "CNAME", "any.servfail.test.")
    publish("two.test", "MX", f"10 {host}.", f"20 {SELF_SIGNED}.")
    assert wait_arrived(lab, send("you@two.test"), 30)["host"] == SELF_SIGNED
    message = send("you@nopolicy.test")
    event = relay.wait_delivery("you@nopolicy.test", "deferred", 30)
    assert event["status"] == "4.4.3" and f"the TLSA records of {host} are not known" in event["reply"]
    assert not lab.sessions(host=host, since=since), "it is not even connected to"
    lab.dns.set(records(host), "CNAME")
    wait_arrived(lab, message, 30)


def test_no_records_are_asked_for_where_something_on_the_way_is_not_signed(lab, shared_relay, publish):
    """An unsigned host that would not answer (section 2.2.2), and a signed one named by an unsigned MX."""
    publish(records("mx.insecure.test"), "CNAME", "any.servfail.test.", zone="insecure.test.")
    publish("unsigned.insecure.test", "MX", "10 mx.insecure.test.", zone="insecure.test.")
    publish("forged.insecure.test", "MX", f"10 {SELF_SIGNED}.", zone="insecure.test.")
    publish(records(SELF_SIGNED), "TLSA", "3 1 1 " + ZEROS)
    for name in ("unsigned", "forged"):
        wait_arrived(lab, send(f"you@{name}.insecure.test"))
        event = shared_relay.wait_delivery(f"you@{name}.insecure.test", "delivered")
        assert event["level"] != "dane" and event["sts"] == "none"


def test_an_alias_of_a_host_is_looked_up_at_its_end_and_then_itself(lab, relay, publish):
    """Section 2.2.3; the name said to the server (SNI) is the one where the records stand."""
    for alias, end in (("in1.test", SELF_SIGNED), ("in2.test", "mx.insecure.test")):
        publish(alias, "CNAME", f"{end}.")
        publish(f"of-{alias}", "MX", f"10 {alias}.")
    key = fitting(SELF_SIGNED)
    publish(records(SELF_SIGNED), "TLSA", key)
    publish(records("in1.test"), "TLSA", "3 1 1 " + ZEROS)       # not asked for: the end comes first
    assert wait_arrived(lab, send("end@of-in1.test"))["sni"] == SELF_SIGNED
    lab.dns.set(records(SELF_SIGNED), "TLSA")
    lab.dns.set(records("in1.test"), "TLSA", key)
    lab.mx(SELF_SIGNED)
    assert wait_arrived(lab, send("self@of-in1.test"))["sni"] == "in1.test"
    publish(records("in2.test"), "TLSA", key)                    # its end is not signed, the alias is
    assert wait_arrived(lab, send("out@of-in2.test"))["sni"] == "in2.test"
    for who in ("end@of-in1.test", "self@of-in1.test", "out@of-in2.test"):
        assert relay.wait_delivery(who, "delivered")["level"] == "dane"


def test_a_host_with_records_is_not_preferred_to_a_better_one_without(lab, shared_relay, publish):
    publish("order.test", "MX", "10 mx.nopolicy.test.", f"20 {SELF_SIGNED}.")
    publish(records(SELF_SIGNED), "TLSA", fitting(SELF_SIGNED))
    assert wait_arrived(lab, send("you@order.test"))["host"] == "mx.nopolicy.test"
    assert shared_relay.wait_delivery("you@order.test", "delivered")["level"] != "dane"


def test_no_record_stops_a_message_whose_sender_wants_it_to_go(lab, shared_relay, publish):
    """TLS-Required: No (RFC 8689 section 4.2.2): neither records that do not fit, nor DNS that cannot say."""
    publish(records("mx.nopolicy.test"), "CNAME", "any.servfail.test.")
    publish(records(SELF_SIGNED), "TLSA", "3 1 1 " + ZEROS)
    for domain in ("nopolicy.test", "nopolicy-selfsigned.test"):
        lab.mx(f"mx.{domain}")      # what was open ends
        got = wait_arrived(lab, send(f"must-go@{domain}", message=Lenient()), 30)
        event = shared_relay.wait_delivery(f"must-go@{domain}", "delivered")
        assert got["tls"] and event["level"] != "dane" and event["needed"] == "yes"
        waits = send(f"may-wait@{domain}")
        shared_relay.wait_delivery(f"may-wait@{domain}", "deferred", 30)
        assert not arrived(lab, waits), "over the session that was open for the other"


def test_a_message_that_goes_although_dns_cannot_say_is_counted_once(lab, make_relay, publish):
    """As it would be if it stayed: a failure of DNSSEC, and no session besides."""
    relay = make_relay().start()
    publish(records("mx.nopolicy.test"), "CNAME", "any.servfail.test.")
    wait_arrived(lab, send("must-go@nopolicy.test", message=Lenient()), 30)
    relay.stop()                        # what was counted is on disk then
    relay.start()
    report = json.loads(relay.cli("tlsrpt", "report", "nopolicy.test").stdout)
    assert [(p["policy"]["policy-type"], p["summary"]["total-successful-session-count"],
             p["summary"]["total-failure-session-count"]) for p in report["policies"]] == [("tlsa", 0, 1)], report
    detail, = report["policies"][0]["failure-details"]
    assert detail["result-type"] == "dnssec-invalid"
    assert detail["failure-reason-code"] == "the TLSA records of mx.nopolicy.test are not known: SERVFAIL", detail


# ------------------------------------------------------------ sessions

def test_what_records_judge_resumes_no_tls_session_and_is_never_resumed(lab, make_relay, publish):
    host, fits = "mx.nopolicy.test", fitting("mx.nopolicy.test")
    make_relay(connection_idle="1s").start()
    since, resumed = time.time(), []
    for n, data in enumerate(((), (), (fits,), (fits,)), 1):
        publish(records(host), "TLSA", *data)
        resumed.append(wait_arrived(lab, send("you@nopolicy.test"))["resumed"])
        sessions_end(lab, host, since, n)
    assert resumed == [False, True, False, False]


def test_mail_of_a_signed_and_of_an_unsigned_domain_shares_no_session(lab, make_relay, publish):
    """What TLSA records judged says nothing of a domain whose MX anybody may have made up."""
    relay = make_relay(connection_idle="20s").start()
    publish("signed.test", "MX", f"10 {SELF_SIGNED}.")
    publish("also-signed.test", "MX", f"10 {SELF_SIGNED}.")
    publish("open.insecure.test", "MX", f"10 {SELF_SIGNED}.", zone="insecure.test.")
    key = fitting(SELF_SIGNED)
    publish(records(SELF_SIGNED), "TLSA", key)
    lab.mx(SELF_SIGNED)
    since = time.time()
    for domain in ("signed.test", "open.insecure.test", "also-signed.test", "open.insecure.test"):
        wait_arrived(lab, send(f"you@{domain}"))
    levels = {d: relay.wait_delivery(f"you@{d}", "delivered")["level"]
              for d in ("signed.test", "also-signed.test", "open.insecure.test")}
    assert levels == {"signed.test": "dane", "also-signed.test": "dane", "open.insecure.test": "encrypted"}
    relay.stop()
    rcpts = [{c.split("@")[1].split(">")[0] for c in s["commands"] if c.upper().startswith("RCPT")}
             for s in lab.sessions(host=SELF_SIGNED, since=since)]
    assert not any("open.insecure.test" in names and len(names) > 1 for names in rcpts), rcpts
