"""Roles that can no longer hear each other: one of the two is ended, and there is a new channel.

What a captured role could say is said for it: its end of a channel is taken (pidfd_getfd(2))."""
import ctypes
import os
import re
import socket
import subprocess

from client import Client
from services import wait_until

PIDFD_OPEN, PIDFD_GETFD = 434, 438
GARBAGE = b"\xff" * 64
libc = ctypes.CDLL(None, use_errno=True)


def syscall(number, *words):
    result = libc.syscall(number, *words)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}")
    return result


def sockets(pid):
    """The sockets of a process: inode to descriptor."""
    found = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            match = re.match(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:  # closed meanwhile
            continue
        if match:
            found[int(match[1])] = int(fd)
    return found


def find_end(pid, peer):
    ours, theirs = sockets(pid), sockets(peer)
    lines = subprocess.run(["ss", "-xnH"], capture_output=True, text=True, check=True).stdout
    for line in lines.splitlines():
        numbers = [int(w) for w in line.split()[4:] if w.isdigit()]
        if len(numbers) == 2 and numbers[0] in ours and numbers[1] in theirs:
            pidfd = syscall(PIDFD_OPEN, pid, 0)
            fd = syscall(PIDFD_GETFD, pidfd, ours[numbers[0]], 0)
            os.close(pidfd)
            return socket.socket(fileno=fd)
    return None


def end_of(pid, peer):
    """A copy of the end that a process has of its channel to another."""
    return wait_until(lambda: find_end(pid, peer), 5, f"a channel from {pid} to {peer}")


def only(relay, role):
    pids = relay.role_pids(role)
    assert len(pids) == 1, f"{role}: {pids}"
    return pids[0]


def say_garbage(relay, role, peer):
    with end_of(only(relay, role), only(relay, peer)) as s:
        s.sendall(GARBAGE)


def wait_replaced(relay, role, before):
    wait_until(lambda: relay.role_pids(role) not in ([], [before]), 10, f"a new {role}")


def mail_goes_through(lab, relay, who):
    with Client() as c:
        c.begin("a@sender.test", who)
        assert c.data(b"Subject: hello\r\n\r\n")[0] == 250
    relay.wait_delivery(who, "delivered", 15)


def ready(relay, times):
    wait_until(lambda: len(relay.events("ready")) >= times, 10, "all roles to be ready")


def start(make_relay):
    relay = make_relay(smtpd_processes=1, deliver_processes=1).start()
    ready(relay, 1)
    return relay


def test_what_smtpd_says_to_the_queue_is_nonsense_it_is_ended_and_mail_goes_on(lab, make_relay):
    relay = start(make_relay)
    smtpd, queue = only(relay, "smtpd"), only(relay, "queue")
    for _ in range(3):
        before = only(relay, "smtpd")
        say_garbage(relay, "smtpd", "queue")
        wait_replaced(relay, "smtpd", before)
    assert only(relay, "queue") == queue and only(relay, "smtpd") != smtpd
    told = relay.wait_event("roles-quarrel", count=3, name="queue", peer="smtpd", ends="peer")
    assert told.level == "error" and "large" in told["why"]
    ready(relay, 4)
    mail_goes_through(lab, relay, "one@nopolicy.test")
    row = [r for r in relay.cli_json("status")["roles"] if r["role"] == "smtpd"][0]
    assert row["blamed"] == 3 and row["restarts"] == 3 and row["last_end"] == "refused by queue"


def test_a_worker_that_keeps_accusing_the_queue_is_ended_itself(lab, make_relay):
    relay = start(make_relay)
    queue, deliver = only(relay, "queue"), only(relay, "deliver")
    say_garbage(relay, "queue", "deliver")
    relay.wait_event("roles-quarrel", name="deliver", peer="queue", ends="peer")
    wait_replaced(relay, "queue", queue)
    queue = only(relay, "queue")
    assert only(relay, "deliver") == deliver
    ready(relay, 2)
    say_garbage(relay, "queue", "deliver")
    relay.wait_event("roles-quarrel", name="deliver", peer="queue", ends="teller")
    wait_replaced(relay, "deliver", deliver)
    deliver = only(relay, "deliver")
    ready(relay, 3)
    say_garbage(relay, "queue", "deliver")  # not even in a new process
    wait_replaced(relay, "deliver", deliver)
    assert only(relay, "queue") == queue, "the queue was ended once, not thrice"
    ready(relay, 4)
    mail_goes_through(lab, relay, "two@nopolicy.test")


def test_a_channel_that_is_closed_between_two_that_live_is_replaced(lab, make_relay):
    relay = start(make_relay)
    queue, smtpd = only(relay, "queue"), only(relay, "smtpd")
    with end_of(smtpd, queue) as s:
        s.shutdown(socket.SHUT_WR)  # the queue alone sees an end
    told = relay.wait_event("roles-quarrel", name="queue", peer="smtpd", ends="peer")
    assert "closed" in told["why"]
    wait_replaced(relay, "smtpd", smtpd)
    assert only(relay, "queue") == queue
    ready(relay, 2)
    mail_goes_through(lab, relay, "three@nopolicy.test")


def test_a_role_that_dies_or_drains_is_in_no_quarrel(lab, make_relay):
    relay = start(make_relay)
    relay.kill_role("queue")
    ready(relay, 2)
    relay.reload()
    relay.wait_event("reloaded")
    wait_until(lambda: len(relay.role_pids("smtpd")) == 1 and len(relay.role_pids("deliver")) == 1,
               20, "the old ones to end")
    mail_goes_through(lab, relay, "four@nopolicy.test")
    assert not relay.events("roles-quarrel")
