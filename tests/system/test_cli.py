"""The command line: what an administrator can see and do."""
import datetime
import json
import re
import subprocess

import pytest
from client import send
from relay import BINARY
from services import wait_until
from table import MX_ADDRESSES
from test_policy import arrived, wait_arrived


@pytest.mark.parametrize("words", [
    [], ["run"], ["check"], ["version"], ["status"], ["queue"], ["queue", "list"], ["queue", "show"],
    ["queue", "retry"], ["explain"], ["policy"], ["policy", "list"], ["policy", "show"], ["policy", "refresh"], ["policy", "drop"],
    ["policy", "export"], ["policy", "import"], ["dkim"], ["dkim", "new"], ["dkim", "check"], ["tlsrpt"],
    ["tlsrpt", "report"], ["tlsrpt", "status"], ["tlsrpt", "send"]])
def test_every_command_has_a_help(words):
    done = subprocess.run([BINARY, *words, "--help"], capture_output=True, text=True, timeout=5,
                          check=False)
    assert done.returncode == 0 and "waxseal" in done.stdout and not done.stderr


@pytest.mark.parametrize("words", [["nonsense"], ["queue", "nonsense"], ["queue", "show"],
                                   ["policy", "show"], ["tlsrpt", "send"], ["tlsrpt", "status", "--to", "x"],
                                   ["run", "--nonsense"]])
def test_wrong_usage_is_said_and_has_status_2(words):
    done = subprocess.run([BINARY, *words], capture_output=True, text=True, timeout=5, check=False)
    assert done.returncode == 2 and done.stderr


def test_what_somebody_typed_comes_back_without_controls(make_relay):
    relay = make_relay().start()
    for words in (["no\x1bsense"], ["queue", "no\x1bsense"], ["queue", "list", "--no\x1bsense"], ["trace", "no\x1bsense"],
                  ["queue", "hold", "no\x1bsense", "--yes"], ["user", "check", "no\x1bsense", "--config", "x\x1by"]):
        done = subprocess.run([BINARY, *words, *([] if "x\x1by" in words else ["--config", relay.configuration])],
                              capture_output=True, timeout=5, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode > 0 and b"\x1b" not in done.stderr, done.stderr


def test_version_names_the_product_and_its_version():
    done = subprocess.run([BINARY, "version"], capture_output=True, text=True, timeout=5, check=True)
    assert done.stdout.startswith("waxseal ") and done.stdout.split()[1][0].isdigit()


def test_commands_to_a_relay_that_is_not_running_say_so(make_relay):
    done = make_relay().cli("queue", "list", check=False)
    assert done.returncode == 1 and "running" in done.stderr


def test_queue_list_shows_what_waits_and_why(relay):
    send("you@mail-451.test", sender="ada@sender.test")
    relay.wait_delivery("you@mail-451.test", "deferred")
    row = relay.wait_queue(1)[0]
    assert row["sender"] == "ada@sender.test" and row["recipient"] == "you@mail-451.test"
    assert row["next_hop"] == "mail-451.test" and row["attempts"] >= 1
    assert "451" in row["last_reply"] and row["next_try"] and row["id"]
    text = relay.cli("queue", "list").stdout
    assert row["id"] in text and "you@mail-451.test" in text and "451" in text


@pytest.mark.parametrize("words", [["queue", "list"], ["queue", "summary"], ["hosts"], ["policy", "list"]])
def test_a_list_for_programs_begins_when_there_is_one(make_relay, words):
    done = make_relay().cli(*words, "--json", check=False)
    assert done.returncode == 1 and "no waxseal is running" in done.stderr and done.stdout == ""


def test_queue_list_of_an_empty_queue_is_an_empty_list(relay):
    assert relay.queue() == []
    assert relay.cli("queue", "list", "--json").stdout == "[]\n"
    assert relay.cli("queue", "list").returncode == 0


def test_queue_show_tells_a_messages_story(relay):
    send("you@expired.test")
    event = relay.wait_delivery("you@expired.test", "deferred")
    text = relay.cli("queue", "show", event["qid"]).stdout
    for word in ("you@expired.test", "mx.expired.test", "enforce", "expired"):
        assert word in text
    shown = relay.cli_json("queue", "show", event["qid"])
    assert shown["id"] == event["qid"]


def test_queue_show_holds_what_was_decided_and_why(relay):
    send("you@expired.test")
    event = relay.wait_delivery("you@expired.test", "deferred")
    row = relay.cli_json("queue", "show", event["qid"])["recipients"][0]
    decision = row["decision"]
    assert row["attempts"] == 1 and row["next_try"] > decision["at"]
    assert decision["policy"] == "sts enforce" and decision["policy_id"] == "20260101T000000"
    assert decision["policy_expires"] > decision["at"]
    assert len(decision["candidates"]) == 2, "each address of the host"
    for one in decision["candidates"]:
        assert one["mx"] == "mx.expired.test" and one["address"] in MX_ADDRESSES["mx.expired.test"]
        assert one["verdict"] == "certificate expired" and one["tls"] == "encrypted"
        assert one["tls_version"].startswith("TLSv1.") and one["cipher"]
        for word in ("CN=mx.expired.test", "issuer CN=", "expires ", "X509_V_ERR_CERT_HAS_EXPIRED"):
            assert word in one["certificate"]
        assert (one["level_wanted"], one["level"]) == ("verified", "encrypted")
        assert one["verify_result"] == "X509_V_ERR_CERT_HAS_EXPIRED"


def test_queue_show_tells_of_every_candidate_and_of_what_is_done(relay):
    send("you@listedsecond.test")
    event = relay.wait_delivery("you@listedsecond.test", "delivered")
    row = relay.cli_json("queue", "show", event["qid"])["recipients"][0]
    first, last = row["decision"]["candidates"]
    assert (first["mx"], first["verdict"], first["address"]) == ("mx1.listedsecond.test", "not in policy", "")
    assert (last["mx"], last["verdict"], last["tls"]) == ("mx2.listedsecond.test", "delivered", "verified")
    assert last["reply"] == row["last_reply"] and last["reply"].startswith("250 ")


def test_of_a_host_that_rests_all_mail_shows_when_it_is_tried_again(make_relay):
    relay = make_relay(retry_first="1h").start()
    send("first@mx-refused.test")
    relay.wait_delivery("first@mx-refused.test", "deferred")
    send("second@mx-refused.test")
    rows = {r["recipient"]: r for r in relay.wait_queue(2)}
    second = rows["second@mx-refused.test"]
    assert second["attempts"] == 0 and second["state"] == "queued"
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=30)
    assert second["next_try"] > later.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_queue_show_of_an_unknown_message_is_an_error(relay):
    done = relay.cli("queue", "show", "123abc", check=False)
    assert done.returncode == 1 and "123abc" in done.stderr


def test_queue_retry_brings_a_message_on_its_way_at_once(lab, make_relay):
    relay = make_relay().start()
    lab.mx("mx.nopolicy.test", mail="451 4.3.0 not now")
    message = send("you@nopolicy.test")
    event = relay.wait_delivery("you@nopolicy.test", "deferred")
    lab.mx_as_before()
    relay.cli("queue", "retry", event["qid"])
    wait_arrived(lab, message)


def test_queue_retry_all_lifts_the_back_off_of_hosts_too(lab, make_relay):
    relay = make_relay().start()
    lab.mx("mx.nopolicy.test", greeting="421 4.3.2 busy")
    messages = [send(f"u{n}@nopolicy.test") for n in range(5)]
    relay.wait_event("delivery", outcome="deferred")
    lab.mx_as_before()
    relay.cli("queue", "retry", "--all")
    for message in messages:
        wait_arrived(lab, message)


def test_a_message_is_retried_by_itself_later_and_later(lab, make_relay):
    relay = make_relay(retry_first="1s", retry_max="10s").start()
    message = send("you@mail-451.test")
    relay.wait_delivery("you@mail-451.test", "deferred", 30, count=3)
    assert not arrived(lab, message)
    delays = [float(e["delay"].rstrip("s")) for e in
              relay.events("delivery", rcpt="<you@mail-451.test>")]
    first, second = delays[1] - delays[0], delays[2] - delays[1]
    assert 0.4 < first < 3 and first < second < 6


def test_policy_show_tells_what_is_cached(lab, relay):
    wait_arrived(lab, send("you@good.test"))
    shown = relay.cli_json("policy", "show", "good.test")
    assert shown["mode"] == "enforce" and shown["id"] == "20260101T000000"
    assert shown["mx"] == ["mx.good.test"] and shown["max_age"] == 604800
    assert shown["fetched"] < shown["expires"]
    text = relay.cli("policy", "show", "good.test").stdout
    assert "enforce" in text and "mx.good.test" in text


def test_policy_show_of_a_domain_without_policy_says_so(relay):
    done = relay.cli("policy", "show", "nopolicy.test", check=False)
    assert "no" in (done.stdout + done.stderr).lower()


def test_policy_refresh_fetches_at_once(lab, relay):
    wait_arrived(lab, send("you@good.test"))
    lab.web.publish("good.test", "version: STSv1\nmode: testing\nmx: mx.good.test\nmax_age: 100\n")
    try:
        relay.cli("policy", "refresh", "good.test")
        wait_until(lambda: relay.cli_json("policy", "show", "good.test")["mode"] == "testing", 5,
                   "the new policy")
    finally:
        lab.web.restore("good.test")


# ------------------------------------------------------------ TLS-RPT

def report(relay, domain, *words):
    return json.loads(relay.cli("tlsrpt", "report", domain, *words).stdout)


def wait_report(relay, domain, failures):
    def found():
        summary = report(relay, domain)["policies"][0]["summary"]
        return summary["total-failure-session-count"] >= failures
    wait_until(found, 5, f"the report of {domain}")
    return report(relay, domain)


def test_the_report_counts_what_went_well(lab, relay):
    wait_arrived(lab, send("you@good.test"))
    relay.wait_delivery("you@good.test", "delivered")
    today = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    wait_until(lambda: relay.cli("tlsrpt", "report", "good.test", check=False).returncode == 0, 5,
               "a report")
    r = report(relay, "good.test")
    assert r["date-range"] == {"start-datetime": f"{today}T00:00:00Z",
                               "end-datetime": f"{today}T23:59:59Z"}
    assert r["organization-name"] and r["contact-info"] and r["report-id"]
    policy = r["policies"][0]
    assert policy["policy"]["policy-type"] == "sts"
    assert policy["policy"]["policy-domain"] == "good.test"
    assert policy["policy"]["mx-host"] == ["mx.good.test"]
    assert policy["policy"]["policy-string"] == ["version: STSv1", "mode: enforce",
                                                 "mx: mx.good.test", "max_age: 604800"]
    assert policy["summary"]["total-successful-session-count"] == 1
    assert policy["summary"]["total-failure-session-count"] == 0


@pytest.mark.parametrize("domain, kind, code", [
    ("expired.test", "certificate-expired", "X509_V_ERR_CERT_HAS_EXPIRED: certificate CN=.*, valid until 20.*Z$"),
    ("wrongname.test", "certificate-host-mismatch",
     "X509_V_ERR_HOSTNAME_MISMATCH: certificate for .*, not for mx.wrongname.test$"),
    ("selfsigned.test", "certificate-not-trusted",
     "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: certificate CN=.*, issued by CN="),
    ("notyet.test", "validation-failure", "X509_V_ERR_CERT_NOT_YET_VALID: certificate CN="),
    ("notls.test", "starttls-not-supported", "no STARTTLS offered$"),
    ("tlsrefused.test", "starttls-not-supported", "STARTTLS refused: 454 4.7.0 TLS not available$"),
    ("handshake-garbage.test", "validation-failure", "SSL_R_WRONG_VERSION_NUMBER$"),
    ("tls10.test", "validation-failure", "SSL_R_TLSV1_ALERT_PROTOCOL_VERSION$"),
    ("inject.test", "validation-failure", "TLS handshake failed: clear text behind the answer to STARTTLS$"),
    ("testing.test", "certificate-expired", "X509_V_ERR_CERT_HAS_EXPIRED: "),
    ("unlisted.test", "validation-failure", "MX host not in policy: mx.unlisted.test fits none of ")])
def test_each_failure_is_counted_under_its_result_type(shared_relay, domain, kind, code):
    send(f"counted@{domain}")
    shared_relay.wait_event("delivery", rcpt=f"<counted@{domain}>")
    policy = wait_report(shared_relay, domain, 1)["policies"][0]
    detail = policy["failure-details"][0]
    assert detail["result-type"] == kind
    assert detail["receiving-mx-hostname"] == f"mx.{domain}"
    assert detail["failed-session-count"] >= 1
    reason = detail["failure-reason-code"]
    assert re.match(code, reason), reason
    assert "additional-information" not in detail, "that would have to be a URI (RFC 8460 s.4.4)"
    if domain != "unlisted.test":
        assert detail["sending-mta-ip"] and detail["receiving-ip"]


@pytest.mark.parametrize("kind, result", [
    ("404", "sts-policy-fetch-error"), ("refused", "sts-policy-fetch-error"),
    ("expired", "sts-webpki-invalid"), ("wrongname", "sts-webpki-invalid"),
    ("html", "sts-policy-invalid"), ("invalid", "sts-policy-invalid")])
def test_a_policy_that_cannot_be_had_is_reported(shared_relay, kind, result):
    send(f"you@policy-{kind}.test")
    shared_relay.wait_event("delivery", rcpt=f"<you@policy-{kind}.test>")
    send(f"me@policy-{kind}.test")      # by the same plan, or within the five minutes
    shared_relay.wait_event("delivery", rcpt=f"<me@policy-{kind}.test>")
    def found():
        done = shared_relay.cli("tlsrpt", "report", f"policy-{kind}.test", check=False)
        return done.returncode == 0 and result in done.stdout and json.loads(done.stdout)["policies"]
    policies = wait_until(found, 5, result)
    of_fetch = next(p for p in policies if p["policy"]["policy-type"] == "sts")
    assert of_fetch["summary"] == {"total-successful-session-count": 0, "total-failure-session-count": 1}
    detail, = of_fetch["failure-details"]
    assert detail.pop("additional-information") == f"https://mta-sts.policy-{kind}.test/.well-known/mta-sts.txt"
    assert detail.pop("failure-reason-code") and detail == {"result-type": result, "failed-session-count": 1}
    assert {p["policy"]["policy-type"] for p in policies} <= {"sts", "no-policy-found"}


def test_a_day_without_sessions_has_no_report(relay):
    done = relay.cli("tlsrpt", "report", "good.test", "--day", "2020-02-02", check=False)
    assert done.returncode == 1 and done.stderr


def test_counts_survive_a_restart(lab, relay):
    wait_arrived(lab, send("you@good.test"))
    relay.wait_delivery("you@good.test", "delivered")
    wait_until(lambda: relay.cli("tlsrpt", "report", "good.test", check=False).returncode == 0, 5,
               "a report")
    relay.stop()
    relay.start()
    assert report(relay, "good.test")["policies"][0]["summary"]["total-successful-session-count"] == 1
