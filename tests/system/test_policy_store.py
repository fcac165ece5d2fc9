"""The policy cache outlives what happens to its process, its disk and its database."""
import glob

from client import send
from services import wait_until
from test_policy import arrived, wait_arrived


def protected(lab, relay, name):
    """With policy host and TXT record gone, only what is kept can hold this mail back."""
    lab.mx("mx.good.test", starttls=None)
    message = send(f"{name}@good.test")
    assert relay.wait_delivery(f"{name}@good.test", "deferred")["sts"] == "enforce"
    assert not arrived(lab, message)


def without_the_domains_help(lab, story):
    lab.web.down()
    lab.dns.set_policy_id("good.test", None)
    try:
        story()
    finally:
        lab.dns.set_policy_id("good.test", "20260101T000000")
        lab.web.up()


def damage(relay, keep):
    path = f"{relay.folder}/state/policy/data.mdb"
    with open(path, "r+b") as file:
        file.truncate(keep)


def test_a_damaged_policy_database_is_set_aside_and_still_protects(lab, make_relay):
    relay = make_relay().start()
    wait_arrived(lab, send("you@good.test"))
    assert relay.stop() == 0
    damage(relay, 9000)
    relay.start()
    assert relay.wait_event("policy-database-damaged").level == "error"
    relay.wait_event("policy-database-refilled")
    assert glob.glob(f"{relay.folder}/state/policy/damaged-*/data.mdb")
    assert relay.cli_json("policy", "show", "good.test")["mode"] == "enforce"
    without_the_domains_help(lab, lambda: protected(lab, relay, "two"))


def test_an_emptied_policy_database_is_noticed_too(lab, make_relay):
    relay = make_relay().start()
    wait_arrived(lab, send("you@good.test"))
    assert relay.stop() == 0
    damage(relay, 0)
    relay.start()
    relay.wait_event("policy-database-refilled")
    without_the_domains_help(lab, lambda: protected(lab, relay, "two"))


def test_a_killed_policy_role_comes_back_with_what_it_knew(lab, make_relay):
    relay = make_relay().start()
    wait_arrived(lab, send("you@good.test"))

    def story():
        relay.kill_role("policy")
        protected(lab, relay, "two")
    without_the_domains_help(lab, story)


def test_a_refused_refresh_says_why_and_the_cached_policy_stays(lab, make_relay):
    relay = make_relay().start()
    wait_arrived(lab, send("you@good.test"))
    lab.web.down()
    try:
        done = relay.cli("policy", "refresh", "good.test", check=False)
        assert done.returncode == 1 and "the cached one stays in force" in done.stderr
        event = relay.wait_event("policy-fetch-failed", domain="good.test")
        assert event.level == "warning" and int(event["days-left"]) in (6, 7)
        assert relay.cli_json("policy", "show", "good.test")["mode"] == "enforce"
    finally:
        lab.web.up()


def test_a_weaker_policy_is_taken_and_raises_a_warning(lab, make_relay):
    relay = make_relay().start()
    wait_arrived(lab, send("you@good.test"))
    lab.web.publish("good.test", "version: STSv1\nmode: none\nmax_age: 100\n")
    try:
        relay.cli("policy", "refresh", "good.test")
        event = relay.wait_event("policy-weakened", domain="good.test")
        assert event.level == "warning"
        assert (event["mode-before"], event["mode"]) == ("enforce", "none")
        wait_until(lambda: relay.cli_json("policy", "show", "good.test")["mode"] == "none", 5,
                   "the new policy")
    finally:
        lab.web.restore("good.test")
