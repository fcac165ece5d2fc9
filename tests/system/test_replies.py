"""What remote servers say, and worse: every stage, every class of reply, and servers that misbehave."""
import time

import pytest
from client import send
from test_policy import arrived, wait_arrived

TEMPORARY = ["greeting-421", "ehlo-421", "mail-451", "rcpt-450", "rcpt-452", "data-451", "dot-451"]
PERMANENT = ["greeting-554", "mail-550", "rcpt-550", "data-554", "dot-554"]
STAGES = ["greeting", "ehlo", "mail", "rcpt", "data", "dot"]


@pytest.mark.parametrize("name", TEMPORARY)
def test_a_4xx_at_any_stage_defers_and_is_remembered(shared_relay, name):
    send(f"you@{name}.test")
    event = shared_relay.wait_delivery(f"you@{name}.test", "deferred")
    code = name.split("-")[1]
    assert code in event.text
    row = [r for r in shared_relay.queue() if r["recipient"] == f"you@{name}.test"][0]
    assert code in row["last_reply"]


@pytest.mark.parametrize("name", PERMANENT)
def test_a_5xx_at_any_stage_fails_for_good(shared_relay, name):
    send(f"you@{name}.test")
    event = shared_relay.wait_delivery(f"you@{name}.test", None)
    assert name.split("-")[1] in event.text
    assert event["outcome"] == ("deferred" if name == "greeting-554" else "failed"), \
        "a greeting speaks of the host, not of the message"


def test_a_server_that_refuses_ehlo_gets_helo(lab, shared_relay):
    wait_arrived(lab, send("you@ehlo-502.test"))
    shared_relay.wait_delivery("you@ehlo-502.test", "delivered")


def test_a_bad_answer_to_quit_changes_nothing(lab, shared_relay):
    wait_arrived(lab, send("you@quit-500.test"))
    shared_relay.wait_delivery("you@quit-500.test", "delivered")


@pytest.mark.parametrize("stage", STAGES)
def test_a_connection_that_breaks_at_any_stage_is_tried_again(shared_relay, stage):
    send(f"you@{stage}-close.test")
    event = shared_relay.wait_delivery(f"you@{stage}-close.test")
    assert event["outcome"] == ("unknown" if stage == "dot" else "deferred")
    assert event["status"] == "4.4.2"
    if stage == "dot":
        assert "after the end of the message" in event["reply"], "a duplicate is possible, and said"
        shown = shared_relay.cli_json("queue", "show", event["qid"])["recipients"][0]
        assert shown["last_status"] == "4.4.2" and shown["state"] == "deferred"
    assert any(r["recipient"] == f"you@{stage}-close.test" for r in shared_relay.queue())


def test_each_recipient_has_a_fate_of_its_own(lab, shared_relay):
    message = send(["ok@nopolicy.test", "refuse@nopolicy.test", "defer@nopolicy.test"])
    assert wait_arrived(lab, message)["recipients"] == ["<ok@nopolicy.test>"]
    shared_relay.wait_delivery("ok@nopolicy.test", "delivered")
    shared_relay.wait_delivery("refuse@nopolicy.test", "failed")
    shared_relay.wait_delivery("defer@nopolicy.test", "deferred")


def test_many_line_replies_are_understood_and_kept(lab, shared_relay):
    wait_arrived(lab, send("you@multiline.test"))
    shared_relay.wait_delivery("you@multiline.test", "delivered")
    send("you@multiline-550.test")
    event = shared_relay.wait_delivery("you@multiline-550.test", "failed")
    assert "policy page" in event.text and event["status"] == "5.1.1"
    shown = shared_relay.cli_json("queue", "show", event["qid"])["recipients"][0]
    assert shown["last_reply"] == "550 5.1.1 no such user\n5.1.1 see the policy page"
    assert shown["last_status"] == "5.1.1"
    text = shared_relay.cli("queue", "show", event["qid"]).stdout
    assert "550 5.1.1 no such user\n" in text and " 5.1.1 see the policy page\n" in text


@pytest.mark.parametrize("name", ["endless", "longline", "garbage", "early"])
def test_a_server_that_talks_nonsense_defers_the_mail_and_harms_nobody(lab, shared_relay, name):
    before = shared_relay.role_pids("deliver")
    send(f"you@{name}.test")
    shared_relay.wait_delivery(f"you@{name}.test", "deferred", 20)
    wait_arrived(lab, send("after@nopolicy.test"))
    assert shared_relay.role_pids("deliver") == before


def test_silent_and_slow_servers_never_hold_up_another_job(lab, shared_relay):
    for stage in STAGES:
        send(f"slow@{stage}-silence.test")
    for name in ("trickle", "slow"):
        send(f"slow@{name}.test")
    begin = time.monotonic()
    for n in range(10):
        message = send(f"quick{n}@nopolicy.test")
        wait_arrived(lab, message, 3)
    assert time.monotonic() - begin < 10


def test_an_mx_that_reads_nothing_of_a_large_message_holds_up_no_other_job(lab, shared_relay):
    lab.mx("mx.good.test", data="354 go ahead\n=wait 6")
    for n in range(3):
        send(f"large{n}@good.test", size=10 << 20)
    time.sleep(1)
    for n in range(10):
        wait_arrived(lab, send(f"quick{n}@nopolicy.test", size=200000), 3)
    assert not shared_relay.events("delivery", rcpt="<large0@good.test>"), "it is still held up"
    for n in range(3):
        shared_relay.wait_event("delivery", 30, rcpt=f"<large{n}@good.test>")


def test_a_slow_final_dot_is_waited_for_and_the_message_arrives_once(lab, shared_relay):
    message = send("patient@slow.test")
    wait_arrived(lab, message)
    assert shared_relay.wait_delivery("patient@slow.test", "delivered", 15)
    assert len(arrived(lab, message)) == 1


def test_a_silent_mx_shared_by_many_messages_leaves_room_for_other_domains(lab, shared_relay):
    for n in range(60):
        send(f"u{n}@greeting-silence.test")
    wait_arrived(lab, send("quick@good.test"), 5)


def test_greylisting_is_answered_by_a_later_try(lab, relay):
    message = send("you@greylist.test")
    relay.wait_delivery("you@greylist.test", "deferred")
    wait_arrived(lab, message, 15)
    relay.wait_delivery("you@greylist.test", "delivered")


def test_content_arrives_byte_for_byte(lab, shared_relay):
    body = b".\x2e\r\n..two dots\r\n" + bytes(range(128, 256)) + b"\r\n" + b"y" * 990 + \
        b"\r\n\r\n.\xff\r\n"
    message = send("bytes@nopolicy.test", body=body)
    wait_arrived(lab, message)


def test_ten_mebibytes_arrive_whole(lab, shared_relay):
    message = send("big@nopolicy.test", size=10 << 20)
    wait_arrived(lab, message, 30)


def test_many_recipients_of_one_domain_share_a_transaction(lab, shared_relay):
    message = send([f"r{n}@nopolicy.test" for n in range(50)])
    assert len(wait_arrived(lab, message)["recipients"]) == 50


def test_recipients_of_many_domains_each_get_theirs(lab, shared_relay):
    domains = ["good.test", "nopolicy.test", "also-good.test", "v4only.test"]
    message = send([f"both@{d}" for d in domains])
    for d in domains:
        shared_relay.wait_delivery(f"both@{d}", "delivered")
    assert sorted(e["host"] for e in arrived(lab, message)) == sorted(f"mx.{d}" for d in domains)
