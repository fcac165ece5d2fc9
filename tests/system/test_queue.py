"""The queue in trouble: messages that kill workers, deaths in the middle, a damaged database."""
import os
import random
import re
import shutil
import signal

import pytest
from client import send
from relay import USER
from services import kill, wait_until
from test_policy import arrived, wait_arrived


# ------------------------------------------------------------ suspects

def wait_session(lab, host, count):
    """Until that host has been given content so often (its final dot is silence)."""
    wait_until(lambda: len(lab.messages(host=host)) >= count, 15, f"message {count} at {host}")


def test_a_message_that_kills_three_workers_is_held_and_never_bounced(lab, make_relay):
    relay = make_relay(retry_first="1s", retry_max="1s").start()
    before = len(lab.messages(host="mx.dot-silence.test"))
    message = send("killer@dot-silence.test", sender="victim@sender.test")
    for death in (1, 2, 3):
        wait_session(lab, "mx.dot-silence.test", before + death)
        relay.kill_role("deliver")
    event = relay.wait_event("held", 10)
    assert event.level == "error" and event["why"]
    row = relay.wait_queue(1)[0]
    assert row["state"] == "held" and row["next_try"] is None and row["id"] == event["qid"]
    assert relay.cli_json("queue", "show", event["qid"])["held"]
    wait_arrived(lab, send("other@nopolicy.test"))
    assert len(lab.messages(host="mx.dot-silence.test")) == before + 3, "it is not tried again"
    relay.stop()
    relay.start()
    assert relay.wait_queue(1)[0]["state"] == "held", "a restart frees nothing"
    assert not relay.events("bounce") and not lab.messages(recipients=["<victim@sender.test>"])
    lab.mx("mx.dot-silence.test", dot="250 2.0.0 taken at last")
    relay.cli("queue", "release", event["qid"])
    relay.wait_delivery("killer@dot-silence.test", "delivered")
    assert len(arrived(lab, message)) == 4, "the MX saw all of it each time, and never said so"


def test_after_two_deaths_a_message_is_tried_alone(lab, make_relay):
    relay = make_relay(retry_first="1s", retry_max="1s").start()
    before = len(lab.messages(host="mx.dot-silence.test"))
    send("suspect@dot-silence.test")
    for death in (1, 2):
        wait_session(lab, "mx.dot-silence.test", before + death)
        relay.kill_role("deliver")
    wait_session(lab, "mx.dot-silence.test", before + 3)
    message = send("bystander@nopolicy.test")
    wait_until(lambda: relay.queue()[1:], 5, "the bystander to wait")
    assert not arrived(lab, message), "nobody shares a worker with a suspect"


# ------------------------------------------------------------ deaths in the middle

def test_when_the_queue_dies_a_worker_keeps_its_message_and_delivers_it_once(lab, make_relay):
    relay = make_relay().start()
    message = send("patient@slow.test")
    wait_until(lambda: lab.messages(id=message.id), 5, "its content at the MX")
    relay.kill_role("queue")
    relay.wait_delivery("patient@slow.test", "delivered", 20)
    relay.wait_queue(0)
    assert len(arrived(lab, message)) == 1


def test_when_a_worker_dies_before_the_final_dot_the_message_arrives_once(lab, make_relay):
    relay = make_relay(retry_first="1s").start()
    lab.mx("mx.nopolicy.test", data="=silence")
    message = send("again@nopolicy.test")
    wait_until(lambda: relay.role_pids("deliver") and relay.queue(), 5, "the message in the queue")
    lab.mx("mx.nopolicy.test")
    relay.kill_role("deliver")
    relay.wait_delivery("again@nopolicy.test", "delivered", 20)
    assert len(arrived(lab, message)) == 1


# ------------------------------------------------------------ salvage, export, import

def fill(relay, count=30):
    """Messages of all sizes that wait; by their Message-ID."""
    messages = [send([f"to{n}@good.test", f"cc{n}@nopolicy.test"][:1 + n % 2], size=n * n * 300)
                for n in range(count)]
    relay.wait_queue(sum(1 + n % 2 for n in range(count)))
    assert relay.stop() == 0
    return {m.id: m for m in messages}


def new_queue(relay):
    """The queue's folder moved aside, and an empty one in its place, as docs/storage.md says."""
    state, aside = f"{relay.folder}/state/queue", f"{relay.folder}/aside"
    os.rename(state, aside)
    os.mkdir(state, 0o700)
    shutil.chown(state, USER)
    return aside


def deliver_all(lab, relay, messages):
    relay.write(delivery="on")
    relay.start()
    for message in messages:
        wait_until(lambda m=message: arrived(lab, m), 20, f"{message.id}")
    relay.wait_queue(0)
    for message in messages:
        for got in arrived(lab, message):
            assert got["digest"] == message.digest and not got["bare"]


def test_a_damaged_queue_is_salvaged_and_its_mail_is_delivered(lab, make_relay):
    relay = make_relay(delivery="hold").start()
    messages = fill(relay)
    aside = new_queue(relay)
    dice = random.Random(7)
    with open(f"{aside}/data.mdb", "r+b") as file:
        size = os.fstat(file.fileno()).st_size
        for _ in range(12):                     # a page of bytes here and there; metas are spared
            file.seek(4096 * dice.randrange(2, size // 4096))
            file.write(dice.randbytes(4096))
    done = relay.cli("queue", "salvage", aside, check=False)
    rescued = int(re.match(r"(\d+) messages salvaged", done.stdout).group(1))
    assert rescued >= 12 and done.returncode == (rescued < 30), done.stdout + done.stderr
    assert len(re.findall("message [0-9a-f]+ could not be read whole", done.stderr)) + rescued >= 30
    relay.write(delivery="on")
    relay.start()
    wait_until(lambda: relay.queue() == [], 30, "all that was rescued to be delivered")
    got = {e["id"]: e for e in lab.messages() if e["id"] in messages}
    assert len(got) >= rescued
    for message_id, event in got.items():
        assert event["digest"] == messages[message_id].digest, "whole or not at all"


@pytest.mark.parametrize("at", [0, 4096, 0x2000, 0x5000])
def test_one_damaged_page_loses_little_or_nothing(lab, make_relay, at):
    relay = make_relay(delivery="hold").start()
    messages = fill(relay, 12)
    aside = new_queue(relay)
    with open(f"{aside}/data.mdb", "r+b") as file:
        file.seek(at)
        file.write(b"\xa5" * 4096)
    said = relay.cli("queue", "salvage", aside, check=False)
    relay.write(delivery="on")
    relay.start()
    wait_until(lambda: relay.queue() == [], 30, "delivery")
    got = {e["id"] for e in lab.messages() if e["id"] in messages}
    assert len(got) >= 11, said.stdout + said.stderr


def test_a_queue_moves_by_export_and_import(lab, make_relay):
    relay = make_relay(delivery="hold").start()
    messages = fill(relay, 10)
    out = f"{relay.folder}/out"
    relay.cli("queue", "export", out)
    assert len([n for n in os.listdir(out) if n.endswith(".message")]) == 10
    other = make_relay(delivery="hold")
    other.start()
    assert other.stop() == 0
    other.cli("queue", "import", out)
    assert len([n for n in os.listdir(out) if n.endswith(".imported")]) == 10
    deliver_all(lab, other, list(messages.values()))
    for message in messages.values():
        taken = [r for e in arrived(lab, message) for r in e["recipients"]]
        assert len(set(taken)) == len(taken), "each recipient once"


def test_what_an_operator_holds_stays_held_where_the_queue_moves_to(lab, make_relay):
    relay = make_relay(delivery="hold").start()
    message = send(["free@nopolicy.test", "held@nopolicy.test"])
    qid = relay.wait_queue(2)[0]["id"]
    relay.cli("queue", "hold", "--recipient", "held@*", "--reason", "phishing", "--yes")
    relay.stop()
    out = f"{relay.folder}/out"
    relay.cli("queue", "export", out)
    for way in ("salvage", "import"):
        aside = new_queue(relay)
        relay.cli("queue", way, {"salvage": aside, "import": out}[way])
        relay.write(delivery="on")
        relay.start()
        row, = relay.wait_queue(1)
        assert (row["recipient"], row["state"], row["held"]) == ("held@nopolicy.test", "held", "phishing"), way
        assert row["id"] == qid, "nothing is in the way of its id"
        tried = [r for e in arrived(lab, message) for r in e["recipients"]]
        assert tried == ["<free@nopolicy.test>"] * (2 if way == "import" else 1)
        if way == "salvage":
            relay.stop()
            shutil.rmtree(aside)
    relay.cli("queue", "release", "--all", "--yes")
    relay.wait_delivery("held@nopolicy.test", "delivered", 10)


def test_the_tools_refuse_a_queue_that_is_in_use(make_relay):
    relay = make_relay(delivery="hold").start()
    send("you@good.test")
    for words in (["queue", "export", relay.folder], ["queue", "import", relay.folder],
                  ["queue", "salvage", f"{relay.folder}/state/queue"]):
        done = relay.cli(*words, check=False)
        assert done.returncode == 1 and done.stderr, words
    assert len(relay.queue()) == 1


def test_sigterm_to_every_process_is_an_orderly_stop(make_relay):
    """As `killall waxseal` sends it: the supervisor alone obeys; nobody dies of a message."""
    relay = make_relay(retry_first="1s", retry_max="1s").start()
    send("you@greeting-silence.test")
    for _ in range(3):
        for pid in sorted(relay.processes(), reverse=True):
            kill(pid, signal.SIGTERM)
        assert relay.process.wait(20) == 0
        relay.wait_gone()
        relay.start()
    assert relay.queue()[0]["state"] != "held"
    assert not [e for e in relay.events("role-ended") if e.level == "warning"]


def test_a_reload_is_no_death(make_relay):
    """Workers end at a reload, and give back what they hold; their messages are no suspects."""
    relay = make_relay(retry_first="1s", retry_max="1s").start()
    send("you@greeting-silence.test")
    for _ in range(4):
        pids = relay.role_pids("deliver")
        relay.reload()
        wait_until(lambda p=pids: not set(p) & set(relay.role_pids("deliver")), 15,
                   "the old worker to be gone")
    assert relay.queue()[0]["state"] != "held" and not relay.events("held")
