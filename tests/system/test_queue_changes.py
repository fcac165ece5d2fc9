"""What the commands that change the queue tell, and what the log keeps of it."""
import os
import subprocess

import pytest
from test_queue_commands import change, qid_of, recipients, rows, waiting  # noqa: F401


def test_the_log_names_whom_a_filter_removed(waiting):  # noqa: F811
    gone = qid_of(waiting, "one@nopolicy.test")
    assert change(waiting, "remove", "--domain", "nopolicy.test", "--younger", "1h", "--reason", "spam run")["changed"] == 2
    event = waiting.wait_event("queue-change", action="remove")
    assert event["filter"] == "domain=nopolicy.test younger=1h" and event["changed"] == "2"
    lines = waiting.events("delivery", outcome="removed")
    assert sorted(line["rcpt"] for line in lines) == ["<one@nopolicy.test>", "<two@nopolicy.test>"]
    line = next(line for line in lines if line["qid"] == gone)
    assert line["reply"] == "spam run" and line["delay"].endswith("s")
    change(waiting, "hold", "--all")
    assert waiting.wait_event("queue-change", action="hold")["filter"] == "all"


def test_a_hold_keeps_its_reason_until_another_is_given_and_tells_what_was_held_already(waiting):  # noqa: F811
    qid = qid_of(waiting, "two@nopolicy.test")
    change(waiting, "hold", qid, "--recipient", "two@nopolicy.test", "--reason", "phishing")
    told = waiting.cli("queue", "hold", qid).stdout
    assert told == "hold: 1 recipient changed of 2 recipients of 1 message\n1 recipient held already\n"
    assert recipients(waiting, "--reply", "phishing") == ["two@good.test", "two@nopolicy.test"]
    told = waiting.cli("queue", "hold", qid, "--reason", "no, it is spam").stdout
    assert "2 recipients held already: the reason is now the one given" in told
    assert waiting.cli_json("queue", "show", qid)["held"] == "no, it is spam"


def test_a_message_that_waits_is_not_called_gone_when_filters_match_none_of_it(waiting):  # noqa: F811
    qid = qid_of(waiting, "one@nopolicy.test")
    done = waiting.cli("queue", "hold", qid, "--recipient", "zz@*", check=False)
    assert done.returncode == 1 and f"message {qid} waits, but the filters match no recipient" in done.stderr
    done = waiting.cli("queue", "hold", "123abc", "--recipient", "zz@*", check=False)
    assert done.returncode == 1 and "there is no message 123abc" in done.stderr


DROPPED = [
    (["list", "--state", "deferred", "--state", "held"], "given twice: --state"),
    (["list", "--config", "/dev/null", "--config", "/dev/null"], "given twice: --config"),
    (["remove", "15c49c3800", "--id", "15c49c3801"], "either QID or --id QID"),
    (["suspend", "good.test", "--reason", "x", "--for", "2h", "--until", "2099-01-01"], "either --for or --until"),
    (["suspend", "good.test", "--reason", "x", "--until", "soon"], "--until is a time such as"),
]


@pytest.mark.parametrize("words, why", DROPPED)
def test_no_option_is_dropped_for_another_or_taken_for_what_it_is_not(words, why):
    done = subprocess.run([os.environ["WAXSEAL"], "queue", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and why in done.stderr, done.stderr


@pytest.mark.parametrize("words, why", [
    (["reroute", "--to", "a b", "--dry-run"], "that is no place to send mail to"),
    (["reroute", "--to-route", "nowhere", "--dry-run", "--json"], "there is no route nowhere"),
    (["hold", "--reason", "x" * 400, "--dry-run"], "a reason is one line"),
    (["bounce"], "say why: --reason TEXT"),
])
def test_an_order_that_is_wrong_is_refused_before_anything_is_counted_or_asked(waiting, words, why):  # noqa: F811
    done = waiting.cli("queue", words[0], "--all", *words[1:], check=False)
    assert done.returncode != 0 and why in done.stderr and not done.stdout, (done.stdout, done.stderr)


def test_usage_shows_which_reason_is_needed():
    usages = [subprocess.run([os.environ["WAXSEAL"], *words, "--help"], capture_output=True, text=True,
                             check=True).stdout.split("\n")[0]
              for words in (["queue", "bounce"], ["queue", "suspend"], ["queue", "hold"])]
    assert [" --reason TEXT" in usage for usage in usages] == [True, True, False]
    assert " [--reason TEXT]" in usages[2]


def test_a_change_tells_what_waits_on_though_it_is_due(waiting):  # noqa: F811
    qid = qid_of(waiting, "two@good.test")
    assert "4 recipients left as they were: not held" in waiting.cli("queue", "release", "--all", "--yes").stdout
    change(waiting, "hold", qid)
    for hop in "good.test", "to:[mx.good.test]":
        waiting.cli("queue", "suspend", hop, "--reason", "they move house")
    told = waiting.cli("queue", "reroute", qid, "--to", "[mx.good.test]").stdout
    assert "2 recipients still held: they go that way when they are released" in told
    assert {row["next_hop"] for row in rows(waiting, "--state", "held")} == {"to:[mx.good.test]"}
    told = waiting.cli("queue", "release", qid).stdout
    assert "2 recipients not tried yet: the next hop is suspended" in told and "not held" not in told
    assert change(waiting, "reroute", qid, "--back")["suspended"] == 1
