"""Notices beyond bounces: delays, the edge's strangers, the limit of each sender, the postmaster's copies."""
import time
from email.utils import parsedate_to_datetime

import pytest
import table
from client import send
from services import wait_until
from test_bounces import bounces, fields, send_with, wait_bounce
from test_edge import BEHIND, INSIDE, OUTSIDE, edge

POSTMASTER = "postmaster@sender.test"


def read(found):
    """(human text, groups of the status part, type of the returned part) of a notification without defects."""
    _, report = found
    assert not report.defects and not any(p.defects for p in report.walk())
    words, status, original = report.iter_parts()
    return " ".join(words.get_content().split()), fields(status), original.get_content_type()


def test_a_delay_is_told_once_and_says_how_long_the_message_will_be_tried(lab, make_relay):
    relay = make_relay(retry_first="1s", retry_max="1s", queue_lifetime="1h",
                       delay_notice_after="1s").start()
    send_with("delayed@sender.test", "ENVID=order-77", ("a@mail-451.test", ""), ("b@mail-451.test", ""),
              ("c@mail-451.test", "NOTIFY=FAILURE"))
    send_with("hushed@sender.test", "", ("d@mail-451.test", "NOTIFY=NEVER"))
    words, groups, original = read(wait_bounce(lab, "delayed@sender.test"))
    assert groups[0]["Original-Envelope-Id"] == "order-77"
    assert {g["Final-Recipient"] for g in groups[1:]} == {
        "rfc822; a@mail-451.test", "rfc822; b@mail-451.test"}
    for group in groups[1:]:
        assert group["Action"] == "delayed" and group["Status"].startswith("4.")
        until = parsedate_to_datetime(group["Will-Retry-Until"])
        assert (until - parsedate_to_datetime(groups[0]["Arrival-Date"])).total_seconds() == 3600
    assert "need not send it again" in words and "It will be tried again until" in words
    assert original == "text/rfc822-headers"
    relay.wait_delivery("a@mail-451.test", "deferred", count=5)
    assert len(bounces(lab, "delayed@sender.test")) == 1 and not bounces(lab, "hushed@sender.test")
    assert [e["kind"] for e in relay.events("bounce")] == ["delayed"]


def test_a_delay_is_told_once_over_restarts(lab, make_relay):
    relay = make_relay(retry_first="1s", retry_max="1s", delay_notice_after="1s").start()
    send("you@mail-451.test", sender="patient@sender.test")
    wait_bounce(lab, "patient@sender.test")
    relay.wait_queue(1)     # its delivery is on disk: else a kill may double it
    relay.kill()
    relay.start()
    relay.wait_delivery("you@mail-451.test", "deferred", count=2)
    assert len(bounces(lab, "patient@sender.test")) == 1


def test_who_the_edge_does_not_know_is_not_told_and_status_counts_it(lab, make_relay):
    relay = edge(lab, make_relay, "refuse@good.test").start()
    send("refuse@good.test", sender="innocent@sender.test", address=OUTSIDE)
    assert relay.wait_event("bounce", untold="stranger")["notification"] == ""
    send("refuse@good.test", sender="known@sender.test", address=INSIDE)
    relay.wait_event("bounce", kind="failed", untold="")
    relay.wait_queue(0)
    told = {m["recipients"][0] for m in lab.messages(host=BEHIND, sender="<>")}
    assert "<known@sender.test>" in told and "<innocent@sender.test>" not in told
    assert find(relay.cli_json("status"), "strangers_untold") == 1


def find(value, key):
    """The value under that key, however deep."""
    if not isinstance(value, dict):
        return None
    if key in value:
        return value[key]
    return next((f for f in (find(v, key) for v in value.values()) if f is not None), None)


def test_the_last_notification_of_an_hour_says_so_and_the_rest_is_logged_and_counted(lab, make_relay):
    relay = make_relay(notices_per_sender=2).start()
    for _ in range(3):
        send("refuse@nopolicy.test", sender="flooded@sender.test")
    relay.wait_event("bounce", untold="limit")
    wait_until(lambda: len(bounces(lab, "flooded@sender.test")) == 2, 10, "two bounces")
    says_so = ["told nothing more until" in read(b)[0] for b in bounces(lab, "flooded@sender.test")]
    assert sorted(says_so) == [False, True]
    assert find(relay.cli_json("status"), "senders_untold") == 1
    send("refuse@nopolicy.test", sender="another@sender.test")
    wait_bounce(lab, "another@sender.test")


def test_the_postmaster_hears_of_bounces_and_of_those_that_nobody_takes_and_no_more(lab, make_relay):
    relay = make_relay(postmaster=POSTMASTER, postmaster_copies=["bounce", "2bounce"]).start()
    before = len(bounces(lab, POSTMASTER))
    message = send("refuse@nopolicy.test", sender="refuse@nopolicy.test")
    relay.wait_event("postmaster-copy", count=2)
    wait_until(lambda: len(bounces(lab, POSTMASTER)) == before + 2, 10, "copy and double bounce")
    relay.wait_queue(0)
    texts = [read(b)[0] for b in bounces(lab, POSTMASTER)[before:]]
    for words in ("copy for the postmaster of what was told to <refuse@nopolicy.test>",
                  "There is nobody else to tell of this"):
        assert sum(words in t for t in texts) == 1
    assert not any("<>" != m["sender"] for m in lab.messages(recipients=[f"<{POSTMASTER}>"]))
    assert not lab.messages(id=message.id)


def test_copies_that_nobody_takes_end_there(lab, make_relay):
    relay = make_relay(postmaster="refuse@nopolicy.test",
                       postmaster_copies=["bounce", "2bounce", "policy"]).start()
    send("refuse@nopolicy.test", sender="told@sender.test")
    wait_bounce(lab, "told@sender.test")
    untold = relay.wait_event("bounce", untold="no-sender")["qid"]
    relay.wait_queue(0)
    assert "its sender was not told, for it has none\n" in relay.cli("trace", untold).stdout
    time.sleep(0.5)
    assert len(relay.events("postmaster-copy")) == 1 and not relay.queue()


def test_what_a_route_discards_is_told_to_who_asks(lab, make_relay):
    hole = {"name": "hole", "recipients": ["good.test"], "next-hop": "discard"}
    relay = make_relay(routes=(hole,)).start()
    send_with("curious@sender.test", "", ("a@good.test", "NOTIFY=SUCCESS"), ("b@good.test", ""))
    words, groups, original = read(wait_bounce(lab, "curious@sender.test"))
    assert [(g["Final-Recipient"], g["Action"], g["Status"]) for g in groups[1:]] == [
        ("rfc822; a@good.test", "delivered", "2.0.0")]
    assert "set up not to pass on" in words and original == "text/rfc822-headers"
    relay.wait_queue(0)


def test_an_alias_of_several_is_expanded_and_told_so_to_who_asks(lab, make_relay):
    relay = make_relay()
    aliases = f"{relay.folder}/aliases"
    with open(aliases, "w", encoding="ascii") as f:
        f.write("both: a@nopolicy.test, b@nopolicy.test\n")
    relay.write(aliases_file=aliases)
    relay.start()
    message = send_with("asking@sender.test", "", (f"both@{table.RELAY_NAME}", "NOTIFY=SUCCESS,FAILURE"))
    words, groups, _ = read(wait_bounce(lab, "asking@sender.test"))
    assert [(g["Final-Recipient"], g["Action"]) for g in groups[1:]] == [
        (f"rfc822; both@{table.RELAY_NAME}", "expanded")]
    assert "stands for several others" in words
    relay.wait_queue(0)
    got = lab.messages(id=message.id)
    assert sorted(r for m in got for r in m["recipients"]) == ["<a@nopolicy.test>", "<b@nopolicy.test>"]
    assert len(bounces(lab, "asking@sender.test")) == 1


@pytest.mark.parametrize("domain, side, todo", [
    ("nullmx.test", "It is the address", "Check the part of the address behind the @"),
    ("multiline-550.test", "It is the address", "ask the recipient for the right one")])
def test_the_first_part_says_whose_side_it_is_and_what_to_do(lab, shared_relay, domain, side, todo):
    sender = f"plain-{domain.split('.')[0]}@sender.test"
    send(f"you@{domain}", sender=sender)
    words, _, _ = read(wait_bounce(lab, sender))
    assert side in words and todo in words and table.RELAY_NAME in words
