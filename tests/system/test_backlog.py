"""What a backlog leaves to others: a flood and other senders, hosts that are down, a full queue, damage."""
import os
import time

import table
from client import Client, Message, send
from services import wait_until
from test_bounces import wait_bounce
from test_policy import arrived, wait_arrived

FLOOD = 120  # at one message in five seconds on each of 20 connections: half a minute


def flood(recipient, count, sender="bulk@flood.test"):
    body = Message().content
    with Client() as c:
        c.ehlo()
        for n in range(count):
            for line in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>", "DATA"):
                assert c.say(line)[0] in (250, 354)
            assert c.data(body.replace(b"Subject:", b"X-Number: %d\r\nSubject:" % n, 1))[0] == 250


def mail_from(address):
    with Client() as c:
        c.ehlo()
        return c.say(f"MAIL FROM:<{address}>")


def test_a_flood_of_one_sender_delays_nobody_else(lab, make_relay):
    """Others' mail to the same slow host goes next; the flood's sender has other mail at other hosts."""
    relay = make_relay(delivery="hold").start()
    flood("bulk@slow.test", FLOOD)
    relay.write(delivery="on")
    relay.reload()
    relay.wait_event("delivery", rcpt="<bulk@slow.test>")
    begun = time.monotonic()
    lone = send("lone@slow.test", sender="ada@sender.test")
    elsewhere = send("you@nopolicy.test", sender="bulk@flood.test")
    wait_arrived(lab, elsewhere, 2)
    wait_arrived(lab, lone, 16)  # a place is free within five seconds, and the host takes five more
    assert time.monotonic() - begun < 16
    assert len(relay.queue()) > FLOOD // 4


def test_many_hosts_that_are_silent_delay_no_mail_to_others(lab, make_relay):
    """More of them than a worker has places, and one host that is known to answer."""
    relay = make_relay(deliver_connections=40).start()
    wait_arrived(lab, send("you@nopolicy.test"))
    unused = [f"{table.V4_MX}.{n}" for n in range(205, 245)]
    assert not set(unused) & set(table.internet_addresses())
    for address in unused:
        flood(f"you@[{address}]", 2)
    for _ in range(3):
        wait_arrived(lab, send("you@nopolicy.test"), 2)
    assert len(relay.queue()) > 60


def test_where_many_are_waited_for_each_connection_has_its_time(lab, make_relay):
    """Three connections to each host, of a second each: with TLS, with old TLS, in clear."""
    relay = make_relay(deliver_connections=16).start()
    lab.mx("mx.nopolicy.test", greeting="=wait 1\n220 slow", handshake="=close")
    for name in "abc":
        lab.dns.set(f"slow-{name}.test", "MX", "10 mx.nopolicy.test.")
        send(f"you@slow-{name}.test")
    wait_until(lambda: len(relay.events("delivery")) == 3, 15, "the three of them")
    assert [e["outcome"] for e in relay.events("delivery")] == 3 * ["delivered"]


def test_beyond_so_many_messages_clients_wait_and_deliveries_go_on(lab, make_relay):
    relay = make_relay(delivery="hold", queue_messages_max=100).start()
    flood("you@nopolicy.test", 99)
    last = send("you@nopolicy.test")
    wait_until(lambda: mail_from("ada@sender.test")[0] == 452, 5, "the queue to be full")
    assert "4.3.1 " in mail_from("ada@sender.test")[1]
    assert relay.wait_event("queue-full")["because"] == "queue-messages-max"
    relay.write(delivery="on")
    relay.reload()
    wait_arrived(lab, last)
    wait_until(lambda: relay.events("queue-has-room"), 5, "room")
    wait_arrived(lab, send("you@nopolicy.test"))


def spoil(relay, mark):
    """One bit wherever it stands in the stopped relay's queue: in the live page, too, among those that were."""
    path = f"{relay.folder}/state/queue/data.mdb"
    with open(path, "rb") as file:
        data = file.read()
    assert mark in data
    with open(path, "r+b") as file:
        file.write(data.replace(mark, mark[:-1] + bytes([mark[-1] ^ 4])))


def test_a_damaged_record_costs_its_own_message_alone(lab, make_relay):
    """The envelope of one, the recipient of another, the content of a third, among messages that are whole."""
    relay = make_relay(delivery="hold").start()
    whole = [send("first@nopolicy.test")]
    spoilt = [send("a@nopolicy.test", sender="mark-envelope@sender.test"),
              send("mark-recipient@nopolicy.test"),
              send("c@nopolicy.test", body="mark-content\r\n")]
    whole += [send(["last@nopolicy.test", "other@nopolicy.test"]), send("last@good.test")]
    relay.stop()
    for mark in (b"mark-envelope", b"mark-recipient", b"mark-content"):
        spoil(relay, mark)
    relay.write(delivery="on")
    relay.start()
    for message in whole:
        wait_arrived(lab, message)
    relay.wait_event("queue-record-damaged", count=3)
    why = {e["qid"]: e["why"] for e in relay.events("queue-record-damaged")}
    ids = [m.reply.split()[-1] for m in spoilt]
    assert why == dict(zip(ids, 2 * ["a record is damaged"] + ["its content is damaged"]))
    rows = {row["id"]: row for row in relay.wait_queue(3)}
    assert [(rows[i]["state"], rows[i]["held"]) for i in ids] == [("damaged", why[i]) for i in ids]
    assert {row["id"] for row in relay.cli_json("queue", "list", "--state", "damaged")} == set(ids)
    assert relay.cli_json("queue", "list", "--state", "held") == []
    shown = [relay.cli_json("queue", "show", i) for i in ids]
    assert shown[0]["recipients"][0]["recipient"] == "a@nopolicy.test" and "sender" not in shown[0]
    assert "recipient" not in shown[1]["recipients"][0] and shown[1]["sender"] == "ada@sender.test"
    assert [(s["recipients"][0]["state"], s["held"], s["held_by"]) for s in shown] == [("damaged", why[i], None) for i in ids]
    for i, help in zip(ids, ("remove", "remove", "bounce")):
        told = relay.cli("trace", i).stdout
        assert f"waxseal queue {help} --id {i} --state damaged" in told and why[i] in told
    assert relay.cli_json("status")["queue"]["damaged_messages"] == 3
    assert not any(arrived(lab, m) for m in spoilt)
    relay.stop()
    said = relay.cli("queue", "export", f"{relay.folder}/out", check=False)
    assert said.returncode == 1 and all(i in said.stderr for i in ids) and not os.listdir(f"{relay.folder}/out")
    relay.start()
    assert len(relay.events("queue-record-damaged")) == 3, "each is named once"
    told = relay.cli("queue", "release", "--state", "damaged", "--yes").stdout
    assert "1 recipient changed of 3" in told and "1 recipient tried though damaged" in told
    assert "2 recipients left as they were: damaged beyond reading; waxseal queue remove" in told
    relay.wait_event("queue-record-damaged", count=4)
    told = relay.cli("queue", "retry", ids[2]).stdout
    assert "1 recipient left as they were: damaged; waxseal queue bounce" in told and "release" not in told
    relay.cli("queue", "bounce", "--state", "damaged", "--reason", "our disk failed", "--yes")
    _, report = wait_bounce(lab, "ada@sender.test")
    assert "our disk failed" in next(report.iter_parts()).get_content()
    relay.cli("queue", "remove", "--state", "damaged", "--yes")
    assert relay.queue() == [] and relay.cli_json("status")["queue"]["damaged_messages"] == 0
