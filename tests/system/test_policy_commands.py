"""What an administrator sees of cached policies, and can do about them."""
import json
import subprocess

from client import send
from relay import BINARY
from services import wait_until
from test_policy import wait_arrived
from test_policy_store import protected, without_the_domains_help

WEAKER = "version: STSv1\nmode: testing\nmx: mx.good.test\nmx: *.good.test\nmax_age: 100\n"
MANY = "version: STSv1\nmode: enforce\nmx: mx.good.test\nmax_age: 86400\n" + \
    "".join(f"mx:{n:x}\n" for n in range(8000))


def piped(relay, *words, text=""):
    argv = [BINARY, *words, "--config", relay.configuration]
    return subprocess.run(argv, input=text, capture_output=True, text=True, timeout=30, check=False,
                          env=relay.environment)


def status(relay):
    return relay.cli_json("status")["policy"]


def alarms(relay):
    return [(row["domain"], row["alarm"], row["detail"]) for row in status(relay)["alarms"]]


def test_cached_policies_are_listed_and_shown(lab, relay):
    assert "No policy is cached." in relay.cli("policy", "list").stdout
    wait_arrived(lab, send("you@good.test"))
    wait_arrived(lab, send("you@testing.test"))
    rows = relay.cli_json("policy", "list")
    assert [(row["domain"], row["mode"], row["patterns"], row["expired"], row["alarm"]) for row in rows] == [
        ("good.test", "enforce", 1, False, ""), ("testing.test", "testing", 1, False, "")]
    text = relay.cli("policy", "list").stdout
    assert "good.test" in text and "enforce" in text and rows[0]["id"] in text
    shown = relay.cli_json("policy", "show", "good.test")
    assert shown["mx"] == ["mx.good.test"] and shown["alarms"] == []
    assert shown["fetched"] <= shown["used"] < shown["next_refresh"] < shown["expires"]
    counts = status(relay)
    assert (counts["cached"], counts["fetches"], counts["fetches_failed"]) == (2, 2, 0)


def test_a_policy_is_dropped_for_a_reason_and_binds_no_more(lab, relay):
    wait_arrived(lab, send("you@good.test"))
    for reason in ([], ["--reason", ""], ["--reason", " "], ["--reason", "a\nb"], ["--reason", "x" * 301]):
        done = relay.cli("policy", "drop", "good.test", *reason, check=False)
        assert done.returncode == 2 and "say why" in done.stderr, reason
    assert relay.cli_json("policy", "drop", "good.test", "--reason", "planted by a thief")["mode"] == "enforce"
    event = relay.wait_event("policy-dropped", domain="good.test")
    assert event.level == "warning" and event["reason"] == "planted by a thief" and event["uid"] == "0"
    done = relay.cli("policy", "drop", "good.test", "--reason", "again", check=False)
    assert done.returncode == 1 and "there is no policy for good.test: nothing is cached" in done.stderr

    def story():
        lab.mx("mx.good.test", starttls=None)
        wait_arrived(lab, send("two@good.test"), 20)     # in clear: nobody knows of a policy any more
    wait_until(lambda: relay.cli_json("policy", "list") == [], 5, "the policy to be gone")
    without_the_domains_help(lab, story)


def test_exported_policies_protect_where_they_are_imported(lab, make_relay):
    old = make_relay().start()
    wait_arrived(lab, send("you@good.test"))
    before = old.cli_json("policy", "show", "good.test")
    exported = piped(old, "policy", "export").stdout
    assert [json.loads(line)["domain"] for line in exported.splitlines()] == ["good.test"]
    assert old.stop() == 0
    new = make_relay().start()
    assert new.cli_json("policy", "list") == []

    def story():
        done = piped(new, "policy", "import", text=exported + "\n")
        assert done.returncode == 0 and "1 policies imported, 0 not" in done.stdout, done.stderr
        shown = new.cli_json("policy", "show", "good.test")
        assert [shown[key] for key in ("id", "fetched", "expires", "mx")] == \
            [before[key] for key in ("id", "fetched", "expires", "mx")]
        protected(lab, new, "two")
        again = piped(new, "policy", "import", text=exported)
        assert "0 policies imported, 1 not" in again.stdout
        assert "line 1: not imported: good.test: the cached one was fetched later" in again.stderr
    without_the_domains_help(lab, story)


def test_what_is_no_exported_policy_is_refused_with_its_line(relay):
    lines = ['{"domain":"good.test","id":"A1","policy":"version: STSv1","fetched_utc_ms":1}',
             '{"domain":"..","id":"A1"}', "", '["good.test"]', "nonsense"]
    done = piped(relay, "policy", "import", text="\n".join(lines))
    assert done.returncode == 1
    assert "line 1: not imported: good.test: its policy file is not valid" in done.stderr
    assert "line 2: not imported: ..: it names no domain" in done.stderr
    assert "line 4: not imported: it names no domain" in done.stderr
    assert "line 5: " in done.stderr
    assert "0 policies imported, 3 not" in done.stdout
    long = piped(relay, "policy", "import", text="x" * 600000)
    assert long.returncode == 1 and "line 1 is too long for a policy" in long.stderr


def test_a_failing_refresh_is_in_status_with_the_days_left(lab, relay):
    wait_arrived(lab, send("you@good.test"))
    assert alarms(relay) == []
    lab.web.down()
    try:
        relay.cli("policy", "refresh", "good.test", check=False)
        row = status(relay)["alarms"][0]
        assert (row["domain"], row["alarm"]) == ("good.test", "refresh fails") and row["detail"]
        assert row["days_left"] in (6, 7) and row["since"].endswith("Z")
        assert status(relay)["refresh_failing"] == 1
        text = relay.cli("status").stdout
        assert "refresh_failing: 1" in text and "refresh fails" in text
        assert relay.cli_json("policy", "list")[0]["alarm"] == "refresh fails"
        relay.kill_role("policy")
        relay.wait_event("role-started", name="policy", count=2)
        wait_until(lambda: relay.cli("status", check=False).returncode == 0, 10, "all to serve again")
        assert alarms(relay)[0][:2] == ("good.test", "refresh fails")
    finally:
        lab.web.up()
    relay.cli("policy", "refresh", "good.test")
    assert alarms(relay) == []


def test_a_record_that_is_gone_and_a_policy_that_asks_for_less_are_in_status(lab, relay):
    wait_arrived(lab, send("you@good.test"))
    lab.dns.set_policy_id("good.test", None)
    lab.web.publish("good.test", WEAKER)
    try:
        relay.cli("policy", "refresh", "good.test")      # the file is fetched without a record, too
        assert relay.wait_event("policy-record-gone", domain="good.test")["txt"] == "no_record"
        assert alarms(relay) == [("good.test", "record gone", ""),
                                 ("good.test", "weakened", "mode, max_age, mx")]
        assert relay.wait_event("policy-weakened", domain="good.test")["mx-added"] == "*.good.test"
    finally:
        lab.web.restore("good.test")
        lab.dns.set_policy_id("good.test", "20260101T000000")
    relay.cli("policy", "refresh", "good.test")
    assert alarms(relay) == []


def test_of_a_policy_with_eight_thousand_patterns_512_count_and_it_is_said(lab, relay):
    lab.web.publish("good.test", MANY)
    try:
        message = send("you@good.test")
        event = relay.wait_event("policy-cut", domain="good.test")
        assert event.level == "warning" and (event["patterns"], event["left-out"]) == ("512", "7489")
        assert wait_arrived(lab, message)["tls"]
        assert relay.cli_json("policy", "show", "good.test")["mx_left_out"] == 7489
    finally:
        lab.web.restore("good.test")
