"""What an operator does to mail that waits: which, how much, and what comes of it."""
import json
import os
import signal
import subprocess

import pytest
from client import Client, Message, send
from services import wait_until
from test_bounces import wait_bounce
from test_policy import arrived, wait_arrived


def rows(relay, *filters):
    return relay.cli_json("queue", "list", *filters)


def recipients(relay, *filters):
    return sorted(row["recipient"] for row in rows(relay, *filters))


def change(relay, verb, *words):
    return json.loads(relay.cli("queue", verb, *words, "--yes", "--json").stdout)


def qid_of(relay, recipient):
    return next(row["id"] for row in rows(relay) if row["recipient"] == recipient)


@pytest.fixture
def waiting(make_relay):
    """Four recipients that are accepted and not tried."""
    relay = make_relay(delivery="hold").start()
    send("one@nopolicy.test", sender="ada@sender.test")
    send(["two@nopolicy.test", "two@good.test"], sender="bob@sender.test", size=20000)
    send("three@sub.nopolicy.test", sender="")
    relay.wait_queue(4)
    return relay


# ------------------------------------------------------------ which

def test_filters_choose_by_everything_that_a_row_is(waiting):
    relay = waiting
    assert recipients(relay, "--sender", "ada@*") == ["one@nopolicy.test"]
    assert recipients(relay, "--sender", "<>") == ["three@sub.nopolicy.test"]
    assert recipients(relay, "--domain", "nopolicy.test") == ["one@nopolicy.test", "two@nopolicy.test"]
    assert recipients(relay, "--domain", ".nopolicy.test") == ["three@sub.nopolicy.test"]
    assert recipients(relay, "--recipient", "two@*", "--next-hop", "good.test") == ["two@good.test"]
    assert len(recipients(relay, "--larger", "10K")) == 2 == len(recipients(relay, "--smaller", "10K"))
    assert recipients(relay, "--older", "1h") == [] and len(recipients(relay, "--younger", "1h")) == 4
    assert len(recipients(relay, "--state", "queued")) == 4 and recipients(relay, "--state", "held") == []
    assert recipients(relay, "--state", "signature") == recipients(relay, "--state", "policy") == []
    assert recipients(relay, "--id", qid_of(relay, "one@nopolicy.test")) == ["one@nopolicy.test"]
    assert recipients(relay, "--reply", "greylisted") == [] == recipients(relay, "--user", "*")


NONSENSE = [
    ["hold"], ["hold", "123abc"], ["hold", "--older", "soon"], ["hold", "--sender", "x" * 400],
    ["remove", "--all", "--sender", "*"], ["remove", "--state", "gone", "--yes"],
    ["bounce", "--all", "--yes"], ["reroute", "--all", "--yes"],
    ["reroute", "--all", "--yes", "--to-route", "nowhere"], ["reroute", "--all", "--yes", "--to", "a b"],
    ["reroute", "--all", "--yes", "--to", "[mx.good.test]", "--back"],
    ["suspend", "nopolicy.test"], ["suspend", "nopolicy.test", "--reason", "x", "--for", "soon"],
    ["suspend", "nopolicy.test", "--reason", "x", "--until", "2020-01-01"],
    ["suspend", "no hop", "--reason", "x"], ["resume", "nopolicy.test"],
    ["suspend", "route:nowhere", "--reason", "x"], ["suspend", "relayhost", "--reason", "x"],
]


def test_what_makes_no_sense_changes_nothing_and_says_why(waiting):
    for words in NONSENSE:
        done = waiting.cli("queue", *words, check=False)
        assert done.returncode != 0 and done.stderr, words
    assert len(recipients(waiting, "--state", "queued")) == 4


@pytest.mark.parametrize("words", [["list", "--reason", "greylisted"], ["retry", "--reason", "greylisted"],
                                   ["hold", "--reason", "greylisted"]])
def test_who_takes_a_reason_for_a_filter_is_told_of_the_one_for_replies(words):
    done = subprocess.run([os.environ["WAXSEAL"], "queue", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "--reply TEXT" in done.stderr


def test_a_dry_run_shows_what_and_how_much_and_changes_nothing(waiting):
    told = waiting.cli("queue", "remove", "--domain", "nopolicy.test", "--dry-run").stdout
    assert "one@nopolicy.test" in told and "two@good.test" not in told
    assert "2 recipients of 2 messages" in told and "nothing was changed" in told
    counts = json.loads(waiting.cli("queue", "remove", "--all", "--dry-run", "--json").stdout)
    assert (counts["recipients"], counts["messages"]) == (4, 3)
    assert len(rows(waiting)) == 4


# ------------------------------------------------------------ what is done

def test_hold_and_release(lab, make_relay):
    relay = make_relay(retry_first="1h").start()
    lab.mx("mx.nopolicy.test", mail="451 4.3.0 not now")
    message = send(["held@nopolicy.test", "free@nopolicy.test"])
    relay.wait_delivery("held@nopolicy.test", "deferred")
    assert change(relay, "hold", "--recipient", "held@*", "--reason", "looks odd")["changed"] == 1
    shown = relay.cli_json("queue", "show", qid_of(relay, "held@nopolicy.test"))
    assert shown["held"] == "looks odd" and shown["held_by"] is not None
    lab.mx_as_before()
    assert change(relay, "retry", "--all")["changed"] == 1, "held mail is not retried"
    relay.wait_delivery("free@nopolicy.test", "delivered")
    relay.stop()
    relay.start()
    assert [(row["state"], row["held"]) for row in rows(relay, "--reply", "looks ODD")] == [("held", "looks odd")]
    assert rows(relay, "--reply", "looks even") == []
    assert change(relay, "release", "--state", "held")["changed"] == 1
    relay.wait_delivery("held@nopolicy.test", "delivered")
    assert len(arrived(lab, message)) == 2
    event = relay.wait_event("queue-change", action="hold")
    assert event["changed"] == "1" and event["uid"] and event["reason"] == "looks odd"


def test_a_bounce_tells_the_sender_why_and_a_removal_tells_nobody(lab, make_relay):
    relay = make_relay(retry_first="1h").start()
    send("back@mail-451.test", sender="given-back@sender.test")
    send("gone@mail-451.test", sender="thrown-away@sender.test")
    relay.wait_event("delivery", outcome="deferred", count=2)
    gone = qid_of(relay, "gone@mail-451.test")
    assert change(relay, "bounce", "--recipient", "back@*", "--reason", "wir senden das nicht: zu groß")["changed"] == 1
    assert change(relay, "remove", gone)["changed"] == 1
    _, report = wait_bounce(lab, "given-back@sender.test")
    told = next(report.iter_parts()).get_content()
    assert "wir senden das nicht: zu groß" in " ".join(told.split())
    assert "x-waxseal; wir senden das nicht: zu gro\\x{DF}" in str(report)
    assert not lab.messages(recipients=["<thrown-away@sender.test>"]) and rows(relay) == []
    assert relay.cli_json("trace", gone)["recipients"][0]["state"] == "removed"


def test_reroute_sends_mail_another_way_and_back(lab, make_relay):
    relay = make_relay(retry_first="1h").start()
    first = send("you@mail-451.test")
    relay.wait_event("delivery", outcome="deferred")
    change(relay, "reroute", "--domain", "mail-451.test", "--to", "[mx.nopolicy.test]", "--reason", "they move house")
    wait_arrived(lab, first)
    event = relay.wait_event("queue-change", action="reroute")
    assert event["to"] == "to:[mx.nopolicy.test]" and event["reason"] == "they move house"
    traced = relay.cli_json("trace", first.reply.split()[-1])["recipients"][0]["events"]
    said = next(e for e in traced if e["event"] == "operator")
    assert (said["words"], said["reason"]) == ("to:[mx.nopolicy.test]", "they move house")
    send("me@mail-451.test")
    relay.wait_delivery("me@mail-451.test", "deferred")
    relay.cli("queue", "suspend", "to:[mx.nopolicy.test]:25", "--reason", "wait")
    change(relay, "reroute", "--all", "--to", "[MX.NoPolicy.test]")
    wait_until(lambda: rows(relay)[0]["next_hop"] == "to:[mx.nopolicy.test]", 5, "the host's one name")
    assert rows(relay)[0]["state"] == "suspended"
    change(relay, "reroute", "--all", "--back")
    wait_until(lambda: rows(relay)[0]["next_hop"] == "mail-451.test", 5, "the old way")


NO_WAYS = [
    ("mx", "by --to-route; a host of that name is [mx]"), ("discard", "by --to-route"), ("error 5.1.1 x", "--to-route"),
    ("route:strict/good.test", "--to-route strict"), ("route:gone", "there is no route gone"),
    ("relayhost", "there is no relayhost in the configuration"), ("good.test:0", "as in the setting relayhost"),
]


def test_a_word_that_is_no_host_is_no_way_and_the_answer_says_what_to_write(make_relay):
    relay = make_relay(delivery="hold",
                       routes=({"name": "strict", "recipients": ["good.test"], "next-hop": "mx"},)).start()
    send("one@nopolicy.test")
    relay.wait_queue(1)
    for where, instead in NO_WAYS:
        done = relay.cli("queue", "reroute", "--all", "--to", where, "--yes", check=False)
        assert done.returncode != 0 and instead in done.stderr, (where, done.stderr)
    assert rows(relay)[0]["next_hop"] == "nopolicy.test"


def test_a_next_hop_as_the_summary_calls_it_is_a_way(lab, make_relay):
    relay = make_relay(relayhost="[mx.good.test]", retry_first="1h", routes=(
        {"name": "later", "recipients": ["mail-451.test"], "next-hop": "mx"},
        {"name": "inside", "recipients": ["inside.test"], "next-hop": "[mx.nopolicy.test]"})).start()
    send("one@mail-451.test")
    send("two@mail-451.test")
    relay.wait_event("delivery", outcome="deferred", count=2)
    change(relay, "reroute", "--recipient", "one@*", "--to", "RelayHost")
    assert relay.wait_delivery("one@mail-451.test", "delivered")["mx"] == "mx.good.test"
    change(relay, "reroute", "--recipient", "two@*", "--to", "route:inside")
    assert relay.wait_delivery("two@mail-451.test", "delivered")["mx"] == "mx.nopolicy.test"


def test_a_host_to_which_mail_is_rerouted_has_its_own_policies_and_not_those_of_the_domain(lab, make_relay):
    relay = make_relay(retry_first="1h").start()
    send("bracket@expired.test")
    relay.wait_delivery("bracket@expired.test", "deferred")
    send("name@expired.test")
    told = relay.cli("queue", "reroute", "--domain", "expired.test", "--to", "[mx.nopolicy.test]", "--dry-run").stdout
    assert "MTA-STS and DANE of the recipients' domains would count no more" in told
    change(relay, "reroute", "--recipient", "bracket@*", "--to", "[mx.nopolicy.test]")
    assert relay.wait_delivery("bracket@expired.test", "delivered")["sts"] == "relayhost"
    change(relay, "reroute", "--recipient", "name@*", "--to", "good.test")
    assert relay.wait_delivery("name@expired.test", "delivered")["sts"] == "enforce"


def test_what_is_being_delivered_is_left_and_told(lab, make_relay):
    relay = make_relay().start()
    before = len(lab.messages(host="mx.dot-silence.test"))
    send("busy@dot-silence.test")
    wait_until(lambda: len(lab.messages(host="mx.dot-silence.test")) > before, 10, "the final dot")
    assert rows(relay)[0]["state"] == "delivering"
    told = change(relay, "remove", "--all")
    assert (told["changed"], told["delivering"]) == (0, 1)
    assert len(rows(relay)) == 1


def test_what_a_worker_has_not_begun_is_taken_back(lab, make_relay):
    """One connection, which waits for the answer to a final dot: what is behind it is still ours."""
    host = "mx.nopolicy.test"
    relay = make_relay(routes=({"name": "one", "recipients": ["nopolicy.test"], "next-hop": "mx",
                                "connections": 1},)).start()
    wait_arrived(lab, send("known@nopolicy.test"))
    relay.wait_delivery("known@nopolicy.test", "delivered")
    lab.mx(host, dot="=silence")
    before = len(lab.messages(host=host))
    send("first@nopolicy.test")
    wait_until(lambda: len(lab.messages(host=host)) > before, 10, "the final dot")
    send("second@nopolicy.test")
    for words in ("hold",), ("remove",), ("reroute", "--to", "[mx.good.test]"):
        name = f"{words[0]}@nopolicy.test"
        send(name)
        wait_until(lambda: len(recipients(relay, "--state", "delivering")) == 3, 5, "three with the worker")
        told = change(relay, *words, "--recipient", name)
        assert (told["changed"], told["delivering"]) == (1, 0), told
    assert recipients(relay, "--state", "held") == ["hold@nopolicy.test"]
    assert relay.wait_delivery("reroute@nopolicy.test", "delivered")["mx"] == "mx.good.test"
    told = change(relay, "hold", "--all")
    assert told["delivering"] >= 1, "what was begun is left"
    assert recipients(relay) == ["first@nopolicy.test", "hold@nopolicy.test", "second@nopolicy.test"]
    assert len(lab.messages(host=host)) == before + 1, "nothing else came there"


def hand_in_many(messages, each):
    """Messages of so many recipients, with all commands of one in one write."""
    with Client() as c:
        c.ehlo()
        for number in range(messages):
            to = "".join(f"RCPT TO:<r{number}-{n}@many.test>\r\n" for n in range(each))
            c.send(f"MAIL FROM:<ada@sender.test>\r\n{to}DATA\r\n")
            assert [c.reply()[0] for _ in range(each + 2)] == [250] * (each + 1) + [354]
            assert c.data(Message().content)[0] == 250


def counts(relay):
    return json.loads(relay.cli("queue", "hold", "--all", "--dry-run", "--json").stdout)


def test_an_interrupted_hold_stops_between_slices_and_says_how_far_it_came(make_relay):
    relay = make_relay(delivery="hold").start()
    hand_in_many(60, 100)
    queue = relay.role_pids("queue")[0]
    # Who runs the tests in the background has it ignored, and children inherit that.
    command = subprocess.Popen([os.environ["WAXSEAL"], "queue", "hold", "--all", "--yes", "--config",
                                relay.configuration], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    wait_until(lambda: counts(relay)["held"] > 0 or command.poll() is not None, 10, "the first slice", every=0)
    os.kill(queue, signal.SIGSTOP)
    command.send_signal(signal.SIGINT)
    assert command.wait(10) != 0
    os.kill(queue, signal.SIGCONT)
    changed = int(relay.wait_event("queue-change", action="hold")["changed"])
    assert (counts(relay)["recipients"], counts(relay)["held"]) == (6000, changed)
    assert 0 < changed < 6000, changed
    assert change(relay, "release", "--state", "held")["changed"] == changed, "the next has its turn"


# ------------------------------------------------------------ next hops

def test_a_suspended_hop_is_not_tried_until_it_is_resumed(lab, make_relay):
    relay = make_relay().start()
    said = relay.cli("queue", "suspend", "NoPolicy.TEST.", "--reason", "they move house").stdout
    assert said == "suspend: nopolicy.test\n"
    message = send("you@nopolicy.test")
    wait_arrived(lab, send("me@good.test"))
    relay.stop()
    relay.start()
    row = relay.wait_queue(1)[0]
    assert row["state"] == "suspended" and row["next_try"] is None and not arrived(lab, message)
    shown = relay.cli_json("queue", "show", row["id"])["recipients"][0]
    assert (shown["state"], shown["suspended_reason"]) == ("suspended", "they move house")
    assert len(rows(relay, "--state", "suspended")) == 1 and rows(relay, "--state", "queued") == []
    hop = next(h for h in relay.cli_json("queue", "summary") if h["next_hop"] == "nopolicy.test")
    assert (hop["state"], hop["suspended_until"]) == ("suspended", "resumed")
    assert relay.cli_json("status")["queue"]["suspended_not_shown"] == 0
    told = relay.cli_json("status")["queue"]["suspended"]
    assert [(h["next_hop"], h["suspended_reason"]) for h in told] == [("nopolicy.test", "they move house")]
    assert change(relay, "retry", "--all")["suspended"] == 1
    assert "1 recipient not tried yet: the next hop is suspended" in relay.cli("queue", "retry", "--all", "--yes").stdout
    assert relay.cli("queue", "resume", "NoPolicy.TEST.").stdout == "resume: nopolicy.test\n"
    wait_arrived(lab, message)
    assert relay.cli_json("status")["queue"]["suspended"] == []
    assert change(relay, "retry", "--all").get("suspended", 0) == 0


@pytest.mark.parametrize("name, instead, settings", [
    ("good.test", "relayhost", {"relayhost": "[mx.nopolicy.test]"}),
    ("good.test", "route:inside", {"routes": ({"name": "inside", "recipients": ["good.test"],
                                               "next-hop": "[mx.nopolicy.test]"},)}),
    ("Good.test.", "route:strict/good.test", {"routes": ({"name": "strict", "next-hop": "mx"},)}),
    ("good.test", None, {"routes": ({"name": "some", "senders": ["<>"], "next-hop": "[mx.nopolicy.test]"},)}),
])
def test_a_domain_of_which_no_mail_waits_under_its_name_is_not_suspended(make_relay, name, instead, settings):
    relay = make_relay(**settings).start()
    done = relay.cli("queue", "suspend", name, "--reason", "x", check=False)
    assert (done.returncode == 0) == (instead is None)
    assert instead is None or f": it goes by {instead}; " in done.stderr
    assert [hop["next_hop"] for hop in relay.cli_json("queue", "summary")] == ([] if instead else ["good.test"])


def test_a_suspension_ends_by_itself(lab, make_relay):
    relay = make_relay().start()
    relay.cli("queue", "suspend", "nopolicy.test", "--reason", "a moment", "--for", "3s")
    message = send("you@nopolicy.test")
    wait_until(lambda: [r["state"] for r in rows(relay)] == ["suspended"], 2, "the suspension to hold")
    wait_arrived(lab, message)
    wait_until(lambda: relay.cli_json("queue", "summary") == [], 5, "its row to go")
