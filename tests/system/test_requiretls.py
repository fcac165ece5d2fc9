"""REQUIRETLS and TLS-Required: No (RFC 8689): what the sender asks of TLS, more or less than a policy."""
import pytest
from client import Client, Message, send
from services import wait_until
from test_bounces import wait_bounce
from test_extensions import HOST, hand_in, said, secure_client
from test_listeners import with_tls
from test_policy import arrived, wait_arrived
from test_sendmail import run_sendmail

# ------------------------------------------------------------ REQUIRETLS

REQUIRETLS = "PIPELINING\n8BITMIME\nENHANCEDSTATUSCODES\nREQUIRETLS"


@pytest.fixture(name="secure_relay")
def fixture_secure_relay(lab, make_relay):
    """A relay with STARTTLS."""
    return make_relay(retry_first="2s", listeners=(
        with_tls(lab, address="127.0.0.1:25", **{"relay-from": ["127.0.0.0/8"]}),)).start()


def hand_in_required(lab, sender, *recipients):
    with secure_client(lab) as c:
        return hand_in(Message(), f"<{sender}> REQUIRETLS", *(f"<{r}>" for r in recipients), client=c)


def test_requiretls_is_offered_and_taken_inside_tls_only(lab, secure_relay):
    with Client() as c:
        assert "REQUIRETLS" not in c.ehlo()[1]
        assert c.say("MAIL FROM:<a@sender.test> REQUIRETLS")[1].startswith("530 5.7.10")
        c.starttls(lab.ca_file)
        assert "REQUIRETLS" in c.ehlo()[1]
        assert c.say("MAIL FROM:<a@sender.test> REQUIRETLS")[0] == 250


def test_requiretls_goes_on_over_a_verified_session(lab, secure_relay):
    lab.mx("mx.good.test", extensions=REQUIRETLS)
    message = hand_in_required(lab, "asks-tls@sender.test", "you@good.test")
    assert wait_arrived(lab, message)["tls"]
    assert any(c.startswith("MAIL FROM:<asks-tls@sender.test>") and " REQUIRETLS" in c
               for c in said(lab, "mx.good.test"))


@pytest.mark.parametrize("domain, status, why", [
    ("good.test", "5.7.30", "does not offer REQUIRETLS"),
    ("nopolicy.test", "5.7.30", "does not offer REQUIRETLS"),
    ("expired.test", "5.7.10", "certificate expired"),
    ("notls.test", "5.7.10", "no STARTTLS offered"),
    ("unlisted.test", "5.7.10", "not in policy"),
    ("testing-notls.test", "5.7.10", "no STARTTLS offered")])
def test_requiretls_that_cannot_be_kept_comes_back_at_once(lab, secure_relay, domain, status, why):
    """And what comes back has the headers only; nothing was sent."""
    sender = f"back-{domain}@sender.test".replace(".test@", "@")
    message = hand_in_required(lab, sender, f"you@{domain}")
    event = secure_relay.wait_delivery(f"you@{domain}", "failed")
    assert event["status"] == status and why in event["reply"], event.text
    _, report = wait_bounce(lab, sender)
    assert list(report.iter_parts())[2].get_content_type() == "text/rfc822-headers"
    assert not arrived(lab, message)


def test_requiretls_wants_the_name_of_the_host_validated(lab, secure_relay):
    """By DNSSEC, which nopolicy.test has, or by a policy, which insecure.test has no more."""
    for host in ("mx.nopolicy.test", "mx.insecure.test"):
        lab.mx(host, extensions=REQUIRETLS)
    lab.web.publish("insecure.test", "version: STSv1\nmode: none\nmax_age: 86400\n")
    try:
        wait_arrived(lab, hand_in_required(lab, "signed@sender.test", "you@nopolicy.test"))
        hand_in_required(lab, "unsigned@sender.test", "you@insecure.test")
        event = secure_relay.wait_delivery("you@insecure.test", "failed")
        assert event["status"] == "5.7.10" and "MX name not validated" in event["reply"], event.text
    finally:
        lab.web.restore("insecure.test")


def test_a_relayhost_by_name_needs_no_other_word_for_its_name(lab, make_relay):
    """The administrator has said it; the certificate still has to be good for it."""
    lab.mx("mx.insecure.test", extensions=REQUIRETLS)
    lab.mx(HOST, extensions=REQUIRETLS, certificate="expired")
    listeners = (with_tls(lab, address="127.0.0.1:25", **{"relay-from": ["127.0.0.0/8"]}),)
    relay = make_relay(listeners=listeners, relayhost="[mx.insecure.test]:25").start()
    wait_arrived(lab, hand_in_required(lab, "by-relayhost@sender.test", "you@anywhere.test"))
    relay.stop()
    relay.write(relayhost=f"[{HOST}]:25")
    relay.start()
    hand_in_required(lab, "by-relayhost@sender.test", "me@anywhere.test")
    event = relay.wait_delivery("me@anywhere.test", "failed")
    assert event["status"] == "5.7.10" and "certificate expired" in event["reply"], event.text


def test_requiretls_goes_to_the_second_host_when_the_first_does_not_offer_it(lab, secure_relay):
    lab.mx("mx1.secondmx.test", certificate="good")
    lab.mx("mx2.secondmx.test", extensions=REQUIRETLS)
    message = hand_in_required(lab, "second@sender.test", "you@secondmx.test")
    assert wait_arrived(lab, message)["host"] == "mx2.secondmx.test"


def test_what_requiretls_finds_does_not_hold_up_other_mail(lab, secure_relay):
    hand_in_required(lab, "held-up@sender.test", "you@nopolicy.test")
    secure_relay.wait_delivery("you@nopolicy.test", "failed")
    wait_arrived(lab, send("other@nopolicy.test"), 3)


def test_requiretls_never_rides_on_a_session_made_for_less(lab, secure_relay):
    """The session of ordinary mail is still open, with a certificate that nobody vouches for."""
    lab.mx("mx.nopolicy-selfsigned.test", extensions=REQUIRETLS)
    wait_arrived(lab, send("first@nopolicy-selfsigned.test"))
    message = hand_in_required(lab, "rider@sender.test", "second@nopolicy-selfsigned.test")
    event = secure_relay.wait_delivery("second@nopolicy-selfsigned.test", "failed")
    assert event["status"] == "5.7.10" and "certificate not trusted" in event["reply"], event.text
    assert not arrived(lab, message)


def test_requiretls_waits_for_a_host_that_cannot_be_reached(lab, secure_relay):
    lab.mx("mx.good.test", greeting="421 4.3.2 busy")
    message = hand_in_required(lab, "patient@sender.test", "patient@good.test")
    secure_relay.wait_delivery("patient@good.test", "deferred")
    lab.mx("mx.good.test", extensions=REQUIRETLS)
    wait_arrived(lab, message, 15)


def test_a_notification_asks_for_requiretls_where_it_is_to_be_had(lab, secure_relay):
    lab.mx("mx.also-good.test", extensions=REQUIRETLS)
    hand_in_required(lab, "boss@also-good.test", "you@nopolicy.test")
    wait_until(lambda: lab.messages(host="mx.also-good.test", recipients=["<boss@also-good.test>"]),
               15, "the notification")
    assert any(c.startswith("MAIL FROM:<>") and " REQUIRETLS" in c
               for c in said(lab, "mx.also-good.test"))


def test_requiretls_is_kept_over_a_power_cut(lab, make_relay):
    relay = make_relay(delivery="hold", retry_first="2s", listeners=(
        with_tls(lab, address="127.0.0.1:25", **{"relay-from": ["127.0.0.0/8"]}),)).start()
    kept = hand_in_required(lab, "kept@sender.test", "kept@nopolicy.test")
    goes_on = hand_in_required(lab, "kept@sender.test", "kept@good.test")
    relay.kill()
    relay.write(delivery="on")
    lab.mx("mx.good.test", extensions=REQUIRETLS)
    relay.start()
    assert relay.wait_delivery("kept@nopolicy.test", "failed")["status"] == "5.7.30"
    wait_arrived(lab, goes_on)
    assert any(" REQUIRETLS" in c for c in said(lab, "mx.good.test") if c.startswith("MAIL FROM:<kept@"))
    assert not arrived(lab, kept)


def test_requiretls_holds_for_everybody_whom_an_alias_stands_for(lab, make_relay):
    """RFC 8689 section 4.1: one tag for the message, whoever its recipients become."""
    relay = make_relay(listeners=(
        with_tls(lab, address="127.0.0.1:25", **{"relay-from": ["127.0.0.0/8"]}),))
    with open(f"{relay.folder}/aliases", "w", encoding="utf-8") as f:
        f.write("team: one@nopolicy.test, two@notls.test\n")
    relay.write(aliases_file=f"{relay.folder}/aliases")
    relay.start()
    message = hand_in_required(lab, "to-team@sender.test", f"team@{relay.settings['hostname']}")
    assert relay.wait_delivery("one@nopolicy.test", "failed")["status"] == "5.7.30"
    assert relay.wait_delivery("two@notls.test", "failed")["status"] == "5.7.10"
    assert not arrived(lab, message)


def test_requiretls_waits_for_a_policy_that_is_not_known(lab, make_relay):
    """Other mail goes without it in the end; this would go unprotected."""
    relay = make_relay(policy_unknown_wait="0s", retry_first="1h", listeners=(
        with_tls(lab, address="127.0.0.1:25", **{"relay-from": ["127.0.0.0/8"]}),)).start()
    message = hand_in_required(lab, "unknown@sender.test", "you@txt-servfail.test")
    assert relay.wait_delivery("you@txt-servfail.test", "deferred", 20)["sts"] == "unknown"
    assert not arrived(lab, message)


def test_a_notification_goes_without_requiretls_rather_than_not_at_all(lab, secure_relay):
    """RFC 8689 section 5: it is not discarded where the next hop does not offer it."""
    hand_in_required(lab, "plain-home@nopolicy.test", "you@notls.test")
    wait_until(lambda: lab.messages(host=HOST, recipients=["<plain-home@nopolicy.test>"]), 15,
               "the notification")
    assert any(c.startswith("MAIL FROM:<>") and "REQUIRETLS" not in c for c in said(lab))


def test_the_word_of_a_delay_has_headers_only_and_asks_for_requiretls_too(lab, make_relay):
    """RFC 8689 section 5: of every notification about such a message, whatever RET asked for."""
    lab.mx("mx.good.test", greeting="421 4.3.2 busy")
    lab.mx("mx.also-good.test", extensions=REQUIRETLS)
    make_relay(retry_first="1s", retry_max="1s", delay_notice_after="2s", listeners=(
        with_tls(lab, address="127.0.0.1:25", **{"relay-from": ["127.0.0.0/8"]}),)).start()
    with secure_client(lab) as c:
        hand_in(Message(), "<waits@also-good.test> REQUIRETLS RET=FULL", "<late@good.test>", client=c)
    got = wait_until(lambda: lab.messages(host="mx.also-good.test", recipients=["<waits@also-good.test>"]),
                     15, "the notification")[0]
    with open(got["file"], "rb") as f:
        report = f.read()
    assert b"\r\nAction: delayed\r\n" in report
    assert b"\r\nContent-Type: text/rfc822-headers" in report and b"Content-Type: message/rfc822" not in report
    assert any(c.startswith("MAIL FROM:<>") and " REQUIRETLS" in c
               for c in said(lab, "mx.also-good.test"))


# ------------------------------------------------------------ TLS-Required: No

class Lenient(Message):
    """A message whose header has this field in front."""

    def __init__(self, field="TLS-Required: No", **more):
        super().__init__(**more)
        self.content = f"{field}\r\n".encode() + self.content


@pytest.mark.parametrize("domain, tls", [("notls.test", "none"), ("expired.test", "encrypted"),
                                         ("unlisted.test", "verified"), ("tls10.test", "verified")])
def test_tls_required_no_goes_where_the_policy_is_not_met(lab, shared_relay, domain, tls):
    """And the field goes on, for the next host to know."""
    message = send(f"no@{domain}", message=Lenient())
    got = wait_arrived(lab, message)
    with open(got["file"], "rb") as f:
        assert b"\r\nTLS-Required: No\r\n" in f.read()
    event = shared_relay.wait_delivery(f"no@{domain}", "delivered")
    assert (event["sts"], event["tls"]) == ("enforce", tls), event.text
    assert (event["relief"], event["needed"]) == ("TLS-Required: No", "yes")
    told = shared_relay.cli("trace", event["qid"]).stdout
    assert "what it asks need not be met: TLS-Required: No; without that" in told


def test_tls_required_no_still_prefers_what_the_policy_asks_for(lab, shared_relay):
    """RFC 8689 section 3: TLS is tried all the same."""
    wait_arrived(lab, send("no@good.test", message=Lenient()))
    event = shared_relay.wait_delivery("no@good.test", "delivered")
    assert (event["tls"], event["relief"], event["needed"]) == ("verified", "TLS-Required: No", "no")


@pytest.mark.parametrize("domain, field", [
    ("tlsrefused.test", "TLS-Required: Yes"),
    ("selfsigned.test", "TLS-Required: No\r\nTLS-Required: No"),
    ("wrongname.test", "TLS-Required: No, thanks"), ("notyet.test", "X-TLS-Required: No"),
    ("unknownca.test", "Subject: x\r\n TLS-Required: No")])
def test_nothing_else_lifts_the_policy(lab, shared_relay, domain, field):
    rcpt = f"other@{domain}"
    message = send(rcpt, message=Lenient(field))
    event = shared_relay.wait_delivery(rcpt, "deferred")
    assert event["status"] == "4.7.5" and "relief" not in event
    assert not arrived(lab, message)


def test_other_mail_for_the_same_host_stays_held_to_the_policy(lab, make_relay):
    """Nor goes it over the session that such a message has opened."""
    relay = make_relay(connection_idle="1m").start()
    wait_arrived(lab, send("first@notls.test", message=Lenient()))
    second = send("second@notls.test")
    assert "relief" not in relay.wait_delivery("second@notls.test", "deferred")
    assert not arrived(lab, second)


def test_tls_required_no_goes_while_the_policy_keeps_other_mail_waiting(lab, make_relay):
    """Its next hop rests then, but not for such a message; the others go on waiting."""
    relay = make_relay().start()
    others = [send(f"waits{n}@notls.test") for n in range(3)]
    relay.wait_delivery("waits0@notls.test", "deferred")
    wait_until(lambda: relay.cli_json("queue", "summary")[0]["state"] == "resting", 5, "a rest")
    for n in range(2):
        wait_arrived(lab, send(f"no{n}@notls.test", message=Lenient()))
        assert relay.wait_delivery(f"no{n}@notls.test", "delivered")["needed"] == "yes"
    relay.wait_queue(3)
    assert not any(arrived(lab, message) for message in others)


def test_tls_required_no_waits_for_no_policy_that_dns_does_not_tell(lab, shared_relay):
    wait_arrived(lab, send("no@txt-servfail.test", message=Lenient()), 20)
    event = shared_relay.wait_delivery("no@txt-servfail.test", "delivered")
    assert (event["sts"], event["relief"]) == ("unknown", "TLS-Required: No")


def test_requiretls_takes_the_headers_word_away(lab, secure_relay):
    with secure_client(lab) as c:
        message = hand_in(Lenient(), "<both@sender.test> REQUIRETLS", "<both@notls.test>", client=c)
    event = secure_relay.wait_delivery("both@notls.test", "failed")
    assert event["status"] == "5.7.10" and "relief" not in event
    assert not arrived(lab, message)


def test_tls_required_no_is_kept_over_a_power_cut(lab, make_relay):
    relay = make_relay(delivery="hold").start()
    message = send("no-kept@notls.test", message=Lenient())
    relay.kill()
    relay.write(delivery="on")
    relay.start()
    wait_arrived(lab, message)
    assert relay.wait_delivery("no-kept@notls.test", "delivered")["relief"] == "TLS-Required: No"


def test_a_listener_that_takes_the_field_out_does_not_obey_it(lab, make_relay):
    relay = make_relay(retry_first="1h", listeners=(
        {"address": "127.0.0.1:25", "remove-headers": ["TLS-Required"]},)).start()
    send("no-removed@notls.test", message=Lenient())
    assert "relief" not in relay.wait_delivery("no-removed@notls.test", "deferred")


def test_what_a_route_asks_for_holds_all_the_same(lab, make_relay):
    """It is the word of this relay's administrator, and no policy."""
    relay = make_relay(retry_first="1h", routes=(
        {"name": "strict", "recipients": ["expired.test"], "next-hop": "mx", "tls": "verify"},)).start()
    message = send("no-route@expired.test", message=Lenient())
    event = relay.wait_delivery("no-route@expired.test", "deferred")
    assert "route strict asks for" in event["reply"], event.text
    assert not arrived(lab, message)


def test_tls_required_no_of_a_local_user_counts_too(lab, make_relay):
    relay = make_relay().start()
    message = Lenient()
    run_sendmail(relay, "no-local@notls.test", text=message.content.decode().replace("\r\n", "\n"))
    assert not wait_arrived(lab, message)["tls"]
