"""The policy cache outlives what happens to its process, its disk and its database."""
import errno
import glob
import os
import pwd
import random
import subprocess
import time

import pytest
from client import send
from relay import USER
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


@pytest.mark.parametrize("page", [0, 1, 3, 10])
def test_no_damaged_page_costs_a_policy(lab, make_relay, page):
    """Not only a cut file: any page may have rotted (meta, tree, records)."""
    relay = make_relay().start()
    wait_arrived(lab, send("you@good.test"))
    assert relay.stop() == 0
    with open(f"{relay.folder}/state/policy/data.mdb", "r+b") as file:
        file.seek(4096 * page)
        file.write(random.Random(page).randbytes(4096))
    relay.start()
    without_the_domains_help(lab, lambda: protected(lab, relay, "two"))


def test_on_a_full_disk_policies_bind_are_renewed_and_survive_a_restart(lab, make_relay):
    relay = make_relay().start()
    relay.stop()
    folder = f"{relay.folder}/state/policy"
    for name in os.listdir(folder):
        os.unlink(f"{folder}/{name}")
    owner = pwd.getpwnam(USER)
    subprocess.run(["mount", "-t", "tmpfs", "-o",
                    f"size=5500k,mode=0700,uid={owner.pw_uid},gid={owner.pw_gid}", "tmpfs", folder],
                   check=True)
    try:
        relay.start()
        wait_arrived(lab, send("you@good.test"))
        fill_up(f"{folder}/filler")
        relay.cli("policy", "refresh", "good.test")
        wait_arrived(lab, send("you@wildcard.test"))
        relay.stop()
        relay.start()
        assert relay.cli_json("policy", "show", "wildcard.test")["mode"] == "enforce"
        without_the_domains_help(lab, lambda: protected(lab, relay, "two"))
    finally:
        relay.kill()
        subprocess.run(["umount", folder], check=True)


def fill_up(path):
    """Leaves not a block of the file system free."""
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError as e:
            assert e.errno == errno.ENOSPC


def test_after_a_failed_fetch_the_same_id_waits_and_another_does_not(lab, make_relay):
    """RFC 8461 section 3.3: five minutes for the same id."""
    relay = make_relay().start()
    os.unlink(f"{lab.web.folder}/policies/good.test")
    before = lab.web.fetches("good.test")
    try:
        for number in range(3):
            wait_arrived(lab, send(f"u{number}@good.test"))
        assert lab.web.fetches("good.test") == before + 1
        lab.dns.set_policy_id("good.test", "another")
        time.sleep(5.5)     # what was looked up may serve for that long, whatever its TTL
        wait_arrived(lab, send("u4@good.test"))
        assert lab.web.fetches("good.test") == before + 2
    finally:
        lab.web.restore("good.test")
        lab.dns.set_policy_id("good.test", "20260101T000000")


def test_a_damaged_report_database_is_set_aside_and_counting_goes_on(lab, make_relay):
    relay = make_relay().start()
    wait_arrived(lab, send("you@good.test"))
    relay.stop()
    with open(f"{relay.folder}/state/tlsrpt/data.mdb", "r+b") as file:
        file.write(random.Random(7).randbytes(3 * 4096))
    relay.start()
    assert relay.wait_event("tlsrpt-database-damaged").level == "error"
    lab.mx("mx.good.test", greeting="220 mx.good.test anew")
    wait_arrived(lab, send("two@good.test"))
    wait_until(lambda: relay.cli("tlsrpt", "report", "good.test", check=False).returncode == 0, 10,
               "new counts")
