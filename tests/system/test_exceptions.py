"""Exceptions of the administrator: a policy that need not be met, for a reason and until a day."""
import datetime
import json

from client import send
from services import wait_until
from test_requiretls import hand_in_required
from test_listeners import with_tls
from test_policy import arrived, wait_arrived


def day(days_from_now):
    now = datetime.datetime.now(datetime.timezone.utc)
    return (now + datetime.timedelta(days=days_from_now)).strftime("%Y-%m-%d")


def exception(domain, allow="unverified", days=30, reason="their CA is away, ticket 4711"):
    return {"domain": domain, "allow": allow, "reason": reason, "until": day(days)}


def rows(relay):
    return json.loads(relay.cli("status", "--json", check=False).stdout)["queue"]["exceptions"]


def test_an_exception_lets_mail_go_and_says_so(lab, make_relay):
    relay = make_relay(exception=(exception("expired.test"), exception("good.test"))).start()
    message = send("you@expired.test")
    assert wait_arrived(lab, message)["tls"]
    event = relay.wait_delivery("you@expired.test", "delivered")
    assert (event["sts"], event["relief"], event["needed"]) == ("enforce", "unverified", "yes")
    assert event["reason"] == "their CA is away, ticket 4711"
    trace = relay.cli_json("trace", event["qid"])["recipients"][0]["events"][-1]["decision"]
    assert trace["relief_domain"] == "expired.test" and trace["relief_needed"] is True
    told = relay.cli("trace", event["qid"]).stdout
    assert "need not be met (unverified): their CA is away, ticket 4711; without that" in told
    wait_arrived(lab, send("you@good.test"))
    event = relay.wait_delivery("you@good.test", "delivered")
    assert (event["tls"], event["relief"], event["needed"]) == ("verified", "unverified", "no")
    wait_arrived(lab, send("you@wildcard.test"))
    assert "relief" not in relay.wait_delivery("you@wildcard.test", "delivered")


def test_status_lists_exceptions_and_how_much_mail_each_was_for(lab, make_relay):
    relay = make_relay(exception=(exception("expired.test"), exception("good.test", "clear"))).start()
    for domain in ("expired.test", "good.test"):
        wait_arrived(lab, send(f"you@{domain}"))
        relay.wait_delivery(f"you@{domain}", "delivered")
    first, second = rows(relay)
    assert first == {"domain": "expired.test", "allow": "unverified", "until": day(30),
                     "days_left": 31, "deliveries": 1, "needed": 1,
                     "reason": "their CA is away, ticket 4711"}
    assert (second["allow"], second["deliveries"], second["needed"]) == ("clear", 1, 0)
    assert "domain: expired.test" in relay.cli("status").stdout


def test_an_exception_allows_no_more_than_it_says(lab, make_relay):
    """Without TLS nothing goes for "unverified", and none is for the domains below its own."""
    relay = make_relay(retry_first="1h", exception=(
        exception("notls.test"), exception("test", "clear"))).start()
    for domain in ("notls.test", "expired.test"):
        message = send(f"you@{domain}")
        event = relay.wait_delivery(f"you@{domain}", "deferred")
        assert event["sts"] == "enforce" and event["status"] == "4.7.5", event.text
        assert not arrived(lab, message)


def test_an_exception_for_clear_text_is_there_after_a_reload(lab, make_relay):
    relay = make_relay(retry_first="1h").start()
    message = send("you@notls.test")
    relay.wait_delivery("you@notls.test", "deferred")
    relay.write(exception=(exception("notls.test", "clear"),))
    relay.reload()
    relay.wait_event("reloaded")
    wait_until(lambda: rows(relay), 10, "the exception")
    relay.cli("queue", "retry", "--next-hop", "notls.test", "--yes")
    assert not wait_arrived(lab, message, 20)["tls"]
    event = relay.wait_delivery("you@notls.test", "delivered")
    assert (event["tls"], event["relief"], event["needed"]) == ("none", "clear", "yes")


def test_an_exception_for_clear_text_waits_for_no_policy_that_dns_does_not_tell(lab, make_relay):
    relay = make_relay(exception=(exception("txt-servfail.test", "clear"),)).start()
    wait_arrived(lab, send("you@txt-servfail.test"), 20)
    event = relay.wait_delivery("you@txt-servfail.test", "delivered")
    assert (event["sts"], event["relief"]) == ("unknown", "clear")


def test_an_exception_that_has_ended_is_as_none(lab, make_relay):
    relay = make_relay(retry_first="1h", exception=(exception("expired.test", "clear", -1),)).start()
    warning = relay.wait_event("exception-ends", domain="expired.test")
    assert (warning.level, warning["days-left"], warning["until"]) == ("warning", "0", day(-1))
    message = send("you@expired.test")
    assert "relief" not in relay.wait_delivery("you@expired.test", "deferred")
    assert not arrived(lab, message)
    assert rows(relay)[0]["days_left"] == 0
    checked = relay.cli("check")
    assert "the exception for expired.test has ended and is ignored" in checked.stderr


def test_an_end_within_seven_days_is_reminded_of(make_relay):
    relay = make_relay(exception=(exception("expired.test", days=6), exception("a.test", days=8)))
    relay.start()
    warning = relay.wait_event("exception-ends", domain="expired.test")
    assert warning["days-left"] == "7" and warning["reason"] == "their CA is away, ticket 4711"
    checked = relay.cli("check").stderr
    assert "the exception for expired.test ends within seven days" in checked
    assert "a.test" not in checked and not relay.events("exception-ends", domain="a.test")


def test_without_a_reason_or_an_end_there_is_no_exception(make_relay):
    for member in ("reason", "until"):
        entry = {k: v for k, v in exception("expired.test").items() if k != member}
        relay = make_relay(exception=(entry,))
        checked = relay.cli("check", check=False)
        assert checked.returncode == 1, checked.stderr
        assert f"exception lacks {'a reason' if member == 'reason' else 'an end'}" in checked.stderr


def test_a_message_with_requiretls_has_no_exception(lab, make_relay):
    relay = make_relay(exception=(exception("expired.test", "clear"),), listeners=(
        with_tls(lab, address="127.0.0.1:25", **{"relay-from": ["127.0.0.0/8"]}),)).start()
    hand_in_required(lab, "no-exception@sender.test", "you@expired.test")
    event = relay.wait_delivery("you@expired.test", "failed")
    assert event["status"] == "5.7.10" and "relief" not in event, event.text
