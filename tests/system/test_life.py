"""The relay's life: deaths of each role, SIGTERM, SIGHUP, and nothing lost on the way."""
import os
import signal
import threading
import time

import pytest
import table
from client import Client, Message, send
from services import wait_until
from test_policy import arrived, wait_arrived

ROLES = ["smtpd", "auth", "pickup", "queue", "deliver", "policy", "tlsrpt", "sign"]


@pytest.mark.parametrize("role", ROLES)
def test_a_killed_role_comes_back_by_itself_and_mail_flows_on(lab, relay, role):
    wait_arrived(lab, send("before@good.test"))
    began = time.monotonic()
    relay.kill_role(role)
    message = Message()
    def accepted():
        try:
            send("after@good.test", message=message)
            return True
        except (OSError, AssertionError):
            return False
    wait_until(accepted, 10, "service")
    assert time.monotonic() - began < 3, "service is back within two seconds"
    wait_until(lambda: arrived(lab, message), 20, "the message")


def test_nothing_accepted_is_lost_when_all_is_killed_at_once(lab, relay):
    messages = [send(f"u{n}@slow.test") for n in range(20)]
    relay.kill()
    relay.start()
    for message in messages:
        wait_until(lambda m=message: arrived(lab, m), 60, "each message")


def test_held_messages_survive_kill_and_restart_unchanged(lab, make_relay):
    relay = make_relay(delivery="hold").start()
    messages = [send("you@nopolicy.test", size=1 << n) for n in range(8, 22, 2)]
    relay.kill()
    relay.write(delivery="on")
    relay.start()
    for message in messages:
        wait_arrived(lab, message, 20)


def test_with_its_supervisor_killed_no_role_stays_behind(relay):
    relay.process.send_signal(signal.SIGKILL)
    relay.process.wait(5)
    wait_until(lambda: not relay.processes(), 10, "all roles to end")


def test_sigterm_ends_the_relay_cleanly(lab, relay):
    wait_arrived(lab, send("you@good.test"))
    begin = time.monotonic()
    assert relay.stop() == 0
    assert time.monotonic() - begin < 10


def test_at_sigterm_a_client_in_between_gets_421(relay):
    with Client() as c:
        c.ehlo()
        relay.process.send_signal(signal.SIGTERM)
        assert c.reply()[0] in (421, 0)
    assert relay.process.wait(40) == 0


def test_at_sigterm_a_transaction_that_is_under_way_is_taken(lab, relay):
    message = Message(size=50000)
    with Client() as c:
        c.begin("a@sender.test", "you@nopolicy.test")
        c.send(message.content[:20000])
        relay.process.send_signal(signal.SIGTERM)
        time.sleep(1)
        c.send(message.content[20000:])
        assert c.say(".")[0] == 250
        assert c.reply()[0] in (421, 0)
    assert relay.process.wait(40) == 0
    relay.start()
    wait_arrived(lab, message)


def test_at_sigterm_a_final_dot_that_is_out_is_waited_for(lab, relay):
    message = send("you@slow.test")
    wait_until(lambda: arrived(lab, message), 10, "the dot to be out")
    assert relay.stop() == 0
    relay.start()
    time.sleep(3)
    assert len(arrived(lab, message)) == 1, "it was answered in time, so it is not sent again"


def test_sighup_puts_a_new_setting_in_force_within_a_second(relay):
    relay.write(max_message_size="64K")
    relay.reload()
    def offered():
        with Client() as c:
            return "SIZE 65536" in c.ehlo()[1]
    wait_until(offered, 1.5, "the new SIZE")


def test_a_configuration_with_errors_changes_nothing_at_sighup(lab, relay):
    relay.write_text("max-message-size = \"huge\";\nno-such-setting = 1;\n")
    relay.reload()
    wait_until(lambda: [e for e in relay.events() if "no-such-setting" in e.text], 5, "the reason")
    wait_arrived(lab, send("you@good.test"))
    with Client() as c:
        assert "SIZE 26214400" in c.ehlo()[1]


class Load:
    """Clients of every kind, one transaction a connection, until it is stopped."""

    def __init__(self):
        self.failures, self.sent, self.ending = [], [], threading.Event()
        self.threads = [threading.Thread(target=self.keep_on, args=(one,)) for one in
                        (self.small, self.small, self.large, self.slow, self.slow)]
        for thread in self.threads:
            thread.start()

    def keep_on(self, one):
        while not self.ending.is_set():
            try:
                self.sent.append(one())
            except (OSError, AssertionError) as e:
                self.failures.append(f"{one.__name__}: {e!r}")

    @staticmethod
    def small():
        return send("load@nopolicy.test")

    @staticmethod
    def large():
        return send("load@nopolicy.test", size=1 << 20)

    @staticmethod
    def slow():
        """A transaction that lasts longer than several reloads."""
        message = Message(size=20000)
        with Client() as c:
            c.begin("ada@sender.test", "load@nopolicy.test")
            for at in range(0, len(message.content), 4096):
                c.send(message.content[at:at + 4096])
                time.sleep(0.2)
            code, text = c.say(".")
            assert code == 250, text
        return message

    def stop(self):
        self.ending.set()
        for thread in self.threads:
            thread.join()


def test_a_hundred_sighups_under_load_refuse_no_connection_and_break_no_transaction(lab, relay):
    load, late = Load(), []
    try:
        for n in range(100):
            size = 65536 + 1024 * n
            relay.write(max_message_size=f"{size // 1024 + 1024}K")
            began = time.monotonic()
            relay.reload()
            while not offers_size(size + 1024 * 1024):
                time.sleep(0.02)
                if time.monotonic() - began > 5:
                    break
            late.append(time.monotonic() - began)
    finally:
        load.stop()
    assert not load.failures and len(load.sent) > 100
    assert len(relay.events("reloaded")) == 100
    assert max(late) < 1, sorted(late)[-10:]
    assert not relay.events("role-killed") and not relay.events("role-ended", level="warning")
    ids = {m.id for m in load.sent}
    wait_until(lambda: ids <= {m["id"] for m in lab.messages(host="mx.nopolicy.test")}, 60,
               "all that was accepted")
    arrivals = [m["id"] for m in lab.messages(host="mx.nopolicy.test") if m["id"] in ids]
    assert len(arrivals) == len(ids), "nothing arrived twice"


def offers_size(size):
    with Client() as c:
        return f"SIZE {size}" in c.ehlo()[1]


def test_a_storm_of_sighups_ends_with_the_last_configuration(lab, relay):
    for n in range(100):
        relay.write(max_message_size=f"{1024 + n}K")
        relay.reload()
    wait_until(lambda: offers_size((1024 + 99) * 1024), 1.5, "the last setting")
    assert len(relay.events("reloaded")) <= 10
    wait_arrived(lab, send("you@nopolicy.test"))


def test_an_open_session_finishes_its_transaction_across_a_reload(lab, relay):
    message = Message()
    with Client() as c:
        c.begin("a@sender.test", "you@nopolicy.test")
        relay.reload()
        time.sleep(1)
        assert c.data(message.content)[0] == 250
    wait_arrived(lab, message)


def test_a_new_listener_opens_at_sighup(relay):
    relay.write(listeners=({"address": "127.0.0.1:25"}, {"address": f"{table.RELAY_ADDRESS}:2525"}))
    relay.reload()
    def serves():
        try:
            with Client((table.RELAY_ADDRESS, 2525)) as c:
                return c.greeting[0] == 220
        except OSError:
            return False
    wait_until(serves, 3, "the new listener")


def test_several_instances_run_side_by_side(lab, relay, make_relay):
    other = make_relay(listeners=({"address": "127.0.0.2:25"},))
    other.address = ("127.0.0.2", 25)
    other.start()
    wait_arrived(lab, send("you@good.test", address=other.address))
    assert other.wait_delivery("you@good.test", "delivered")
    assert not relay.events("delivery")
    assert relay.queue() == [] == other.queue()


def test_the_roles_run_unprivileged(relay):
    for role in ROLES:
        for pid in relay.role_pids(role):
            with open(f"/proc/{pid}/status", encoding="ascii") as f:
                status = dict(line.split(":", 1) for line in f.read().strip().split("\n"))
            assert status["Uid"].split() == status["Gid"].split() == ["65534"] * 4, role
            assert status["Groups"].split() == [], role
            assert status["NoNewPrivs"].strip() == "1", role
            assert int(status["CapEff"], 16) == 0 and int(status["CapPrm"], 16) == 0, role


def test_only_the_queue_opens_the_queue_database(relay):
    owners = set()
    for pid in relay.processes():
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                if "/state/queue/" in os.readlink(f"/proc/{pid}/fd/{fd}"):
                    owners.add(pid)
            except FileNotFoundError:
                pass
    assert owners == set(relay.role_pids("queue"))
