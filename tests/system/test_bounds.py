"""What does not grow with the queue: memory, and what a start has to read (promise 7)."""
import threading
import time

import pytest
from client import Client, Message
from services import wait_until

FEW, MANY = 300, 3000
SLACK_KIB = 1024            # of what the allocator and a batch do by themselves
AFTER_START_SLACK_KIB = 512 # a tree of many is a page or two deeper, and pages come in sixteens
CLIENTS = 12


def send_many(count, domain):
    """Messages of 3 KiB each, over some connections at the same time."""
    taken = []

    def one_client():
        with Client() as client:
            client.ehlo()
            for i in range(count // CLIENTS):
                client.say("MAIL FROM:<ada@sender.test>")
                client.say(f"RCPT TO:<you@{domain.format(i)}>")
                client.say("DATA")
                taken.append(client.data(Message(size=3000).content)[0] == 250)
    threads = [threading.Thread(target=one_client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(taken) and len(taken) == count // CLIENTS * CLIENTS


def memory_kib(pid):
    """(memory of its own, pages of the database it has looked at)"""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        own = [line for line in f if line.startswith("RssAnon:")][0]
    mapped, ours = 0, False
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as f:
        for line in f:
            if not line.split()[0].endswith(":"):
                ours = line.rstrip().endswith("/data.mdb")
            elif ours and line.startswith("Rss:"):
                mapped += int(line.split()[1])
    return int(own.split()[1]), mapped


def after_start(relay):
    """The same for a queue that has just started and done what a start does."""
    relay.stop()
    relay.start()
    wait_until(lambda: relay.cli_json("status")["state"] == "serving", 5, "all to serve")
    time.sleep(0.5)
    return memory_kib(relay.role_pids("queue")[0])


@pytest.mark.parametrize("settings, domain", [({"delivery": "hold"}, "hop{}.test"), ({}, "mx-refused.test")],
                         ids=["held, of many hops", "of one hop that rests"])
def test_memory_and_start_are_the_same_with_few_and_with_many_messages(make_relay, settings, domain):
    relay = make_relay(**settings).start()
    send_many(FEW, domain)
    few_running, _ = memory_kib(relay.role_pids("queue")[0])
    few_own, few_read = after_start(relay)
    send_many(MANY, domain)
    many_running, _ = memory_kib(relay.role_pids("queue")[0])
    many_own, many_read = after_start(relay)
    assert many_running - few_running < SLACK_KIB
    assert many_own - few_own < AFTER_START_SLACK_KIB, "a start loads nothing"
    assert many_read - few_read < AFTER_START_SLACK_KIB, "a start reads nothing"
