"""Routes over the wire: logging in, implicit TLS, levels, fall-back, and whose policy counts."""
import hashlib
import os
import smtplib
import ssl
import subprocess
import time

import pytest
import table
from client import send
from services import wait_until
from test_policy import arrived, wait_arrived

EXIM, POSTFIX = "mx.exim.test", "mx.postfix.test"


def to(name, hop, **more):
    """A route of that name for the domain NAME.hops.test."""
    return {"name": name, "recipients": [f"{name}.hops.test"], "next-hop": hop,
            **{k.replace("_", "-"): v for k, v in more.items()}}


def digest_of(host, what):
    """SHA-256 of the certificate that a host shows, or of its key, as openssl sees it."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP(table.MX_ADDRESSES[host][0], timeout=10) as client:
        client.starttls(context=context)
        der = client.sock.getpeercert(True)
    if what == "key-sha256":
        words = "openssl x509 -inform DER -pubkey -noout | openssl pkey -pubin -outform DER"
        der = subprocess.run(["sh", "-c", words], input=der, capture_output=True, check=True).stdout
    return f"{what}:{hashlib.sha256(der).hexdigest()}"


def secret(folder, name, text):
    path = f"{folder}/{name}"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as f:
        f.write(text + "\n")
    return path


@pytest.fixture(scope="module", name="secrets")
def fixture_secrets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("secrets")
    return {name: secret(folder, name, text) for name, text in {
        "ada": f"{table.USER}:{table.PASSWORD}", "bob": f"bob:{table.PASSWORD}",
        "wrong": f"{table.USER}:not this"}.items()}


@pytest.fixture(name="hops")
def fixture_hops(lab, make_relay):
    """Makes a running relay with these routes."""
    def make(*routes, **settings):
        relay = make_relay(retry_first="2s", retry_max="4s", log_level="debug", connection_idle="1s",
                           routes=tuple(routes), **settings)
        return relay.start()
    return make


def mail(name):
    return send(f"you@{name}.hops.test")


def test_a_real_server_takes_mail_of_who_logs_in(lab, hops, secrets):
    """STARTTLS and PLAIN on 587; TLS from the first byte and LOGIN on 465; two who share nothing."""
    exim = lab.peer("exim", "mx")
    relay = hops(to("submit", f"[{EXIM}]:587", tls="verify", credentials=secrets["ada"]),
                 to("sealed", f"[{EXIM}]", tls="verify", implicit_tls="on", credentials=secrets["ada"]),
                 to("other", f"[{EXIM}]:587", tls="encrypt", credentials=secrets["bob"]))
    for name in ("submit", "sealed", "other"):
        message = mail(name)
        assert message.body.replace(b"\r\n", b"\n") in exim.wait_for(message.id.encode())
        event = relay.wait_delivery(f"you@{name}.hops.test", "delivered")
        assert event["route"] == name
        told = relay.cli("trace", event["qid"], "--json").stdout
        assert f'"{name}"' in told and ('"LOGIN"' if name == "sealed" else '"PLAIN"') in told, told
    log = exim.log()
    assert f"A=plain:{table.USER}" in log and f"A=login:{table.USER}" in log
    assert "A=plain:bob" in log, "his mail did not go over ada's session"
    assert not relay.events("login-failed")


def test_a_postfix_with_dovecot_takes_mail_of_who_logs_in(lab, hops, secrets):
    """SCRAM after STARTTLS on 587, PLAIN under TLS from the first byte on 465; nothing without."""
    postfix = lab.peer("postfix", "mx")
    relay = hops(to("submit", f"[{POSTFIX}]:587", tls="verify", credentials=secrets["ada"]),
                 to("sealed", f"[{POSTFIX}]:465", tls="verify", implicit_tls="on", credentials=secrets["bob"]),
                 to("locked", f"[{POSTFIX}]:587", tls="verify", credentials=secrets["wrong"]),
                 to("nobody", f"[{POSTFIX}]:587", tls="verify"))
    for name, user, how in ("submit", "ada", "SCRAM-SHA-256"), ("sealed", "bob", "PLAIN"):
        message = mail(name)
        assert message.body.replace(b"\r\n", b"\n") in postfix.wait_for(message.id.encode())
        event = relay.wait_delivery(f"you@{name}.hops.test", "delivered")
        assert event["route"] == name and event["tls"] == "verified"
        assert f'"{how}"' in relay.cli("trace", event["qid"], "--json").stdout
        wait_until(lambda how=how, user=user: f"sasl_method={how}, sasl_username={user}" in postfix.log(), 5,
                   f"{user}'s login in the Postfix's log")
    mail("locked")
    event = relay.wait_delivery("you@locked.hops.test", "deferred")
    assert event["status"].startswith("4.7.") and secrets["wrong"] in event["reply"]
    mail("nobody")
    assert "Access denied" in relay.wait_delivery("you@nobody.hops.test")["reply"]


def test_a_wrong_password_lets_mail_wait_and_says_whose_it_is(lab, hops, secrets):
    lab.peer("exim", "mx")
    relay = hops(to("locked", f"[{EXIM}]:587", tls="verify", credentials=secrets["wrong"]))
    mail("locked")
    event = relay.wait_event("login-failed", 10, route="locked", mx=EXIM)
    assert event["credentials"] == secrets["wrong"] and event["said"].startswith("535")
    event = relay.wait_delivery("you@locked.hops.test", "deferred")
    assert event["status"].startswith("4.7.") and secrets["wrong"] in event["reply"]
    assert "route locked" in event["reply"]
    assert len(relay.queue()) == 1 and "not this" not in open(relay.log_file, encoding="utf-8").read()
    with open(secrets["wrong"], "w", encoding="utf-8") as f:      # mended: it goes at the next try
        f.write(f"{table.USER}:{table.PASSWORD}\n")
    relay.wait_delivery("you@locked.hops.test", "delivered", 20)


def test_a_host_that_offers_no_login_lets_mail_wait(lab, hops, secrets):
    relay = hops(to("mute", "[mx.nopolicy.test]", tls="verify", credentials=secrets["ada"]),
                 to("bare", "[mx.nopolicy-notls.test]", tls="encrypt", credentials=secrets["ada"]))
    message = mail("mute")
    event = relay.wait_delivery("you@mute.hops.test", "deferred")
    assert "no mechanism" in event["reply"] and "route mute" in event["reply"]
    bare = mail("bare")
    event = relay.wait_delivery("you@bare.hops.test", "deferred")
    assert "no STARTTLS offered" in event["reply"] and event["status"] == "4.7.5"
    assert not arrived(lab, message) and not arrived(lab, bare)


def test_another_waxseal_is_logged_in_to_by_scram_bound_to_the_session(lab, make_relay, secrets):
    """It verifies our proof and we verify its signature; -PLUS ties both to the TLS session."""
    certificate, key = lab.certificate(table.RELAY_NAME)
    server = make_relay(listeners=({"address": f"{table.RELAY_ADDRESS}:587", "relay-from": ["127.0.0.0/8"],
                                    "tls-certificate": certificate, "tls-key": key},
                                   {"address": "127.0.0.3:25"}))
    server.address = ("127.0.0.3", 25)
    server.write(users_file=f"{server.folder}/users")
    done = subprocess.run([os.environ["WAXSEAL"], "user", "add", table.USER, "--config", server.configuration],
                          input=table.PASSWORD + "\n", capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    server.start()
    relay = make_relay(log_level="debug", routes=({
        "name": "up", "next-hop": f"[{table.RELAY_NAME}]:587", "tls": "verify",
        "credentials": secrets["ada"]},)).start()
    message = send("you@nopolicy.test")
    relay.wait_delivery("you@nopolicy.test", "delivered")
    assert server.wait_event("auth", 5, user=table.USER)["mechanism"].upper() == "SCRAM-SHA-256-PLUS"
    wait_arrived(lab, message)


def test_a_certificate_must_be_for_the_next_hop_or_listed(lab, hops):
    good, own = "mx.nopolicy.test", "mx.nopolicy-selfsigned.test"
    relay = hops(
        to("named", "[mx.nopolicy.test]", tls="verify"),
        to("misnamed", "[mx.wrongname.test]", tls="verify"),
        to("pinned", "[mx.nopolicy-selfsigned.test]", tls="fingerprint",
           tls_fingerprints=[digest_of(good, "sha256"), digest_of(own, "sha256")]),
        to("keyed", "[mx.nopolicy-selfsigned.test]", tls="fingerprint",
           tls_fingerprints=[digest_of(own, "key-sha256")]),
        to("unpinned", "[mx.nopolicy.test]", tls="fingerprint", tls_fingerprints=["sha256:" + 64 * "0"]))
    for name in ("named", "pinned", "keyed"):
        wait_arrived(lab, mail(name))
    refused = [mail("misnamed"), mail("unpinned")]
    event = relay.wait_delivery("you@misnamed.hops.test", "deferred")
    assert "certificate for another name" in event["reply"] and "route misnamed" in event["reply"]
    event = relay.wait_delivery("you@unpinned.hops.test", "deferred")
    assert "certificate not listed" in event["reply"] and event["status"] == "4.7.5"
    assert not any(arrived(lab, message) for message in refused)


def test_dane_goes_by_tlsa_records_alone(lab, hops):
    """RFC 7672: what the records say, whoever signed the certificate; nothing without them."""
    host, other = "mx.nopolicy-selfsigned.test", "mx.nopolicy.test"
    key, whole = digest_of(host, "key-sha256").split(":")[1], digest_of(host, "sha256").split(":")[1]
    relay = hops(to("dane", f"[{host}]", tls="dane"), to("dane-mx", "nopolicy-selfsigned.test", tls="dane"),
                 to("undane", f"[{other}]", tls="dane"))
    try:
        lab.dns.set(f"_25._tcp.{host}", "TLSA", f"3 1 1 {key}", "0 0 1 " + 64 * "0")
        for name in ("dane", "dane-mx"):
            wait_arrived(lab, mail(name))
            relay.wait_delivery(f"you@{name}.hops.test", "delivered")
        lab.dns.set(f"_25._tcp.{host}", "TLSA", f"3 0 1 {whole}", "3 1 1 " + 64 * "0")
        lab.mx(host)  # its sessions end
        wait_arrived(lab, mail("dane"))
        lab.dns.set(f"_25._tcp.{host}", "TLSA", "3 1 1 " + 64 * "0")
        lab.mx(host)
        message = mail("dane")
        event = relay.wait_event("delivery", 10, rcpt="<you@dane.hops.test>", outcome="deferred")
        assert "DANE" in event["reply"] and "X509_V_ERR_DANE_NO_MATCH" in event["reply"]
        lab.dns.set(f"_25._tcp.{other}", "TLSA", "1 1 1 " + 64 * "0")
        refused = mail("undane")
        event = relay.wait_delivery("you@undane.hops.test", "deferred")
        assert "no usable TLSA records (none of the host's TLSA records can be used" in event["reply"]
        assert not arrived(lab, message) and not arrived(lab, refused)
    finally:
        lab.dns.set(f"_25._tcp.{host}", "TLSA")
        lab.dns.set(f"_25._tcp.{other}", "TLSA")


def test_a_session_that_dane_has_judged_carries_the_next_message_of_its_route_and_no_others(lab, hops):
    host = "mx.nopolicy-selfsigned.test"
    relay = hops(to("dane", f"[{host}]", tls="dane"), to("dane-too", f"[{host}]", tls="dane"), hop_connections=1)
    try:
        lab.dns.set(f"_25._tcp.{host}", "TLSA", "3 1 1 " + digest_of(host, "key-sha256").split(":")[1])
        lab.mx(host)
        since = time.time()
        for _ in range(5):
            wait_arrived(lab, mail("dane"), 2)
        wait_arrived(lab, mail("dane-too"), 2)
        relay.stop()
        found = wait_until(lambda: (s := lab.sessions(host=host, since=since)) and len(s) > 1 and s, 5, "both sessions")
        assert sorted(sum(c.upper().startswith("MAIL") for c in s["commands"]) for s in found) == [1, 5]
    finally:
        lab.dns.set(f"_25._tcp.{host}", "TLSA")


def test_dane_trusts_an_authority_of_the_records_for_the_right_name_and_waits_for_dns(lab, hops):
    """DANE-TA by a certificate in full, which the host need not send; TLSA that DNS cannot say."""
    good, wrong, dark = "mx.nopolicy.test", "mx.wrongname.test", "mx.nopolicy-selfsigned.test"
    with open(f"{lab.folder}/ca/ca.pem", encoding="ascii") as f:
        authority = ssl.PEM_cert_to_DER_cert(f.read()).hex()
    relay = hops(to("vouched", f"[{good}]", tls="dane"), to("misnamed", f"[{wrong}]", tls="dane"),
                 to("dark", f"[{dark}]", tls="dane"))
    try:
        lab.dns.set(f"_25._tcp.{good}", "TLSA", f"2 0 0 {authority}")
        lab.dns.set(f"_25._tcp.{wrong}", "TLSA", f"2 0 0 {authority}")
        lab.dns.set(f"_25._tcp.{dark}", "CNAME", "any.servfail.test.")
        wait_arrived(lab, mail("vouched"))
        refused = [mail("misnamed"), mail("dark")]
        event = relay.wait_delivery("you@misnamed.hops.test", "deferred")
        assert "X509_V_ERR_HOSTNAME_MISMATCH" in event["reply"] or "another name" in event["reply"]
        event = relay.wait_delivery("you@dark.hops.test", "deferred", 30)
        assert f"the TLSA records of {dark} are not known" in event["reply"] and event["status"] == "4.4.3"
        assert not any(arrived(lab, message) for message in refused)
        key = digest_of(dark, "key-sha256").split(":")[1]
        lab.dns.set(f"_25._tcp.{dark}", "CNAME")
        lab.dns.set(f"_25._tcp.{dark}", "TLSA", f"3 1 1 {key}")
        wait_arrived(lab, refused[1], 20)           # now that DNS tells
    finally:
        for host in good, wrong, dark:
            lab.dns.set(f"_25._tcp.{host}", "TLSA")
        lab.dns.set(f"_25._tcp.{dark}", "CNAME")


def test_a_route_has_its_own_port_and_internal_networks(lab, hops):
    """A port for the MX of its domains; an MX in a network that no other mail may go to."""
    lab.peer("postfix", "mx")
    lab.dns.set("ported.hops.test", "MX", f"10 {POSTFIX}.")
    lab.dns.set("indoors.hops.test", "A", "127.0.0.77")
    for name in "inside", "outside":
        lab.dns.set(f"{name}.hops.test", "MX", "10 indoors.hops.test.")
    relay = hops(to("ported", "mx", port=587, tls="verify"), to("outside", "mx"),
                 to("inside", "mx", mx_allow=["127.0.0.64/26"]))
    mail("ported")
    event = relay.wait_delivery("you@ported.hops.test")
    assert event["mx"] == POSTFIX and "Client host rejected: Access denied" in event["reply"], "as on 587"
    mail("inside")
    event = relay.wait_delivery("you@inside.hops.test", "deferred")
    assert "refused" in event["reply"], "it was tried: nobody listens there"
    mail("outside")
    event = relay.wait_delivery("you@outside.hops.test", "deferred")
    assert "internal addresses" in event["reply"] and event["status"] == "4.4.4"


def test_the_next_of_several_hosts_is_tried_when_the_first_is_down(lab, hops):
    relay = hops(to("steady", ["[mx.mx-refused.test] priority 10", "no-such-domain.test priority 15",
                               "[mx.nopolicy.test] priority 20"]))
    got = wait_arrived(lab, mail("steady"))
    assert got["host"] == "mx.nopolicy.test"
    relay.wait_delivery("you@steady.hops.test", "delivered")


def test_a_host_that_says_no_does_not_speak_for_one_that_dns_cannot_tell_of(lab, hops):
    """521 (RFC 7504) is final only where all hosts of the route could be asked."""
    lab.mx("mx.good.test", greeting="521 no mail here")
    relay = hops(to("two", ["good.test priority 1", "servfail.test priority 2"]), to("one", "good.test"))
    mail("one")
    mail("two")
    assert relay.wait_delivery("you@one.hops.test", "failed")["reply"].startswith("521")
    event = relay.wait_delivery("you@two.hops.test", "deferred", 30)
    assert event["status"] == "4.4.3" and event["reply"].startswith("servfail.test: MX lookup: ")


def test_a_next_hop_that_does_not_resolve_lets_mail_wait(lab, hops):
    relay = hops(to("lost", "no-such-domain.test"), to("blind", "[no-such-host.test]"),
                 to("narrow", "mx", families="ipv6"))
    lab.dns.set("narrow.hops.test", "A", f"{table.V4_MX}.77")        # and no AAAA: the route's doing
    for name in ("lost", "blind", "narrow"):
        mail(name)
        event = relay.wait_delivery(f"you@{name}.hops.test")
        assert event["outcome"] == "deferred" and event["status"] in ("4.3.5", "4.4.4"), event.text
        assert f"the administrator of this relay must mend route {name}" in event["reply"]
    assert not relay.events("delivery", outcome="failed")


def test_a_next_hop_that_is_this_relay_itself_lets_mail_wait(lab, hops):
    """Nothing goes round: by address, by name, by MX records, also as relayhost; a neighbour is fine."""
    lab.dns.set("round.hops.test", "MX", "10 entry.hops.test.", "20 mx.nopolicy.test.")
    lab.dns.set("entry.hops.test", "A", table.RELAY_ADDRESS)
    ours = {"four": "[127.0.0.1]", "any": "[0.0.0.0]:25", "six": "[::1]:25", "named": f"[{table.RELAY_NAME}]",
            "mx": "round.hops.test"}
    relay = hops(*(to(name, hop) for name, hop in ours.items()),
                 to("next", ["[127.0.0.1] priority 10", "[mx.nopolicy.test] priority 20"]),
                 to("neighbour", "[127.0.0.1]:10025"), relayhost="[127.0.0.1]:25",
                 listeners=tuple({"address": f"{at}:25"} for at in ("127.0.0.1", "[::1]", table.RELAY_ADDRESS)))
    messages = {rcpt: send(rcpt) for rcpt in (*(f"you@{name}.hops.test" for name in ours), "you@good.test")}
    for rcpt in messages:
        event = relay.wait_delivery(rcpt)
        assert event["outcome"] == "deferred" and event["status"] == "4.3.5", event.text
        assert "port 25, is a listener of this relay itself" in event["reply"], event.text
        assert "the administrator of this relay must name another host or port" in event["reply"]
    wait_arrived(lab, mail("next"))
    mail("neighbour")
    assert "refused" in relay.wait_delivery("you@neighbour.hops.test", "deferred")["reply"], "it was tried"
    assert len(relay.events("accept")) == len(messages) + 2 and not relay.events("bounce")
    found = relay.cli("check", check=False)
    assert found.returncode == 1
    assert found.stderr.count("a listener of this relay itself") == len(messages) + 1, found.stderr
    assert "relayhost [127.0.0.1] port 25 is a listener" in found.stderr
    assert f"next-hop {table.RELAY_NAME} port 25 is" in found.stderr
    assert "next-hop round.hops.test has an MX host whose port 25 is" in found.stderr
    found = relay.cli("explain", "you@good.test", check=False)
    assert found.returncode == 2 and "is a listener of this relay itself" in found.stdout
    found = relay.cli("explain", "you@mx.hops.test", check=False)
    assert found.returncode == 2, found.stdout
    assert "mx.nopolicy.test is no better than entry.hops.test, which is this relay itself" in found.stdout


def test_a_named_next_hop_brings_its_own_policy(lab, hops):
    """RFC 8461 section 3.4: its domain's, not the recipients'; a route takes nothing from it."""
    relay = hops(to("strict", "wrongname.test", tls="may"), to("fine", "good.test", tls="none"))
    message = mail("strict")
    event = relay.wait_delivery("you@strict.hops.test", "deferred")
    assert "MTA-STS policy of wrongname.test" in event["reply"]
    assert not arrived(lab, message)
    assert wait_arrived(lab, mail("fine"))["tls"], "the policy wins over tls = none"


def test_a_source_address_that_is_not_ours_lets_mail_wait_and_is_named(lab, hops):
    relay = hops(to("foreign", "[mx.nopolicy.test]", source_address=["192.0.2.7"], families="ipv4"))
    mail("foreign")
    event = relay.wait_delivery("you@foreign.hops.test", "deferred")
    assert "from 192.0.2.7: connect to" in event["reply"]
    assert "warning: source-address 192.0.2.7 of route foreign" in relay.cli("check").stderr


def test_a_route_has_its_own_source_and_name(lab, hops):
    lab.dns.set("sourced.hops.test", "MX", "10 mx.nopolicy.test.")
    lab.dns.set("plain.hops.test", "MX", "10 mx.nopolicy.test.")
    hops(to("sourced", "mx", source_address=[table.CLIENT_ADDRESS], hostname="out.relay.test",
            families="ipv4"))
    since = time.time()
    assert wait_arrived(lab, mail("sourced"))["peer"] == table.CLIENT_ADDRESS
    plain = wait_arrived(lab, mail("plain"))
    assert plain["peer"] != table.CLIENT_ADDRESS, "mail without the route does not share its session"
    said = [e for e in lab.events(since=since) if "out.relay.test" in str(e)]
    wait_until(lambda: said or [e for e in lab.events(since=since) if "out.relay.test" in str(e)], 5,
               "EHLO with the route's name")
