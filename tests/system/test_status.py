"""waxseal status: what runs, since when, what died and why it stays down."""
import fcntl
import json

from client import Client, send
from services import wait_until
from test_supervisor import ready

ROLES = {"smtpd", "auth", "pickup", "queue", "deliver", "policy", "tlsrpt", "sign"}


def status(relay):
    """The answer, whatever the exit status, which tells whether all is well."""
    done = relay.cli("status", "--json", check=False)
    shown = json.loads(done.stdout)
    assert done.returncode == (0 if shown["state"] == "serving" else 1), done.stdout
    return shown


def rows_of(relay, role):
    return [r for r in status(relay)["roles"] if r["role"] == role]


def test_status_shows_every_role_with_its_process_and_since_when(relay):
    ready(relay)
    shown = status(relay)
    assert shown["state"] == "serving" and shown["generation"] == 1
    assert shown["pid"] == relay.process.pid and shown["hostname"] and shown["version"]
    assert {r["role"] for r in shown["roles"]} == ROLES
    for row in shown["roles"]:
        assert row["state"] == "serving" and row["restarts"] == 0 and row["last_end"] is None
        assert row["pid"] in relay.role_pids(row["role"])
        assert shown["since"] <= row["since"]
    text = relay.cli("status").stdout
    for word in ("serving", "generation", *ROLES):
        assert word in text


def test_status_counts_restarts_and_says_how_a_role_ended(relay):
    ready(relay)
    before = rows_of(relay, "policy")[0]
    relay.kill_role("policy")
    wait_until(lambda: status(relay)["state"] == "serving", 5, "all to serve again")
    row = rows_of(relay, "policy")[0]
    assert row["restarts"] == 1 and row["last_end"] == "signal KILL"
    assert row["pid"] != before["pid"] and row["since"] >= before["since"]
    assert rows_of(relay, "queue")[0]["restarts"] == 0


def test_status_says_that_the_queue_is_down_and_why(make_relay):
    relay = ready(make_relay().start())
    relay.stop()
    with open(f"{relay.folder}/state/queue/data.mdb", "r+b") as f:
        f.write(b"\xff" * 8192 * 2)
    relay.start()
    relay.wait_event("role-stays-down", name="queue")
    shown = status(relay)
    assert shown["state"] == "impaired"
    row = rows_of(relay, "queue")[0]
    assert row["state"] == "down" and row["pid"] is None and row["last_end"] == "storage failing"
    done = relay.cli("status", check=False)
    assert done.returncode == 1 and "storage failing" in done.stdout


def test_ready_is_said_even_when_the_last_role_that_was_waited_for_stays_down(make_relay):
    relay = ready(make_relay().start())
    relay.stop()
    with open(f"{relay.folder}/state/queue/data.mdb", "r+b") as f:
        f.write(b"\xff" * 8192 * 2)
    with open(f"{relay.folder}/state/queue/lock", "r+b") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        relay.launch()
        wait_until(lambda: starting(relay) == {"queue"}, 10, "all but the queue to serve")
        assert not relay.said_ready()
    wait_until(relay.said_ready, 5, "the supervisor to say ready")


def starting(relay):
    """The roles that do not serve yet; nothing while the supervisor does not answer."""
    done = relay.cli("status", "--json", check=False)
    rows = json.loads(done.stdout)["roles"] if done.stdout else []
    return {r["role"] for r in rows if r["state"] != "serving"}


def test_after_a_reload_status_shows_the_new_generation_and_who_still_drains(relay):
    ready(relay)
    with Client() as c:
        c.begin("a@sender.test", "you@nopolicy.test")
        relay.reload()
        wait_until(lambda: len(rows_of(relay, "smtpd")) == 2 and
                   {r["state"] for r in rows_of(relay, "smtpd")} == {"serving", "draining"}, 5,
                   "the successor")
        wait_until(lambda: status(relay)["state"] == "serving", 5, "the other successors")
        assert status(relay)["generation"] == 2
    wait_until(lambda: len(rows_of(relay, "smtpd")) == 1, 10, "the predecessor to end")
    assert rows_of(relay, "smtpd")[0]["generation"] == 2


def test_status_of_a_relay_that_is_not_running_says_so(make_relay):
    done = make_relay().cli("status", check=False)
    assert done.returncode == 1 and "no waxseal is running" in done.stderr and not done.stdout


def test_status_says_how_much_the_queue_holds(make_relay):
    relay = ready(make_relay(delivery="hold").start())
    assert status(relay)["queue"]["messages"] == 0
    send(["bob@good.test", "eve@good.test"])
    send("bob@also-good.test")
    held = status(relay)["queue"]
    assert (held["messages"], held["recipients"], held["next_hops"]) == (2, 3, 2)
    assert held["held_messages"] == 0 and held["deferred_hops"] == 0
    assert 0 < held["bytes"] < held["bytes_max"]
    assert "recipients: 3" in relay.cli("status").stdout


HELD = 'delivery = "hold" is in the configuration: nothing is sent until you take that out and reload'


def test_whoever_asks_is_told_that_delivery_is_held(make_relay):
    relay = ready(make_relay(delivery="hold").start())
    qid = send("bob@good.test").reply.split()[-1]
    assert status(relay)["queue"]["delivery"] == "hold"
    for words in (("status",), ("trace", qid), ("queue", "retry", qid), ("queue", "reroute", qid, "--back"),
                  ("queue", "release", qid)):
        assert relay.cli(*words).stdout.count(HELD) == 1, words
    explained = relay.cli("explain", "--offline", "bob@good.test", check=False)
    assert explained.returncode == 2 and f"mail waits: {HELD}" in explained.stdout
    noted = 'note: with delivery = "hold" nothing is sent\n'
    assert noted in relay.cli("check").stderr
    relay.write(delivery="on")
    assert noted not in relay.cli("check").stderr
    relay.reload()
    relay.wait_delivery("bob@good.test", "delivered")
    assert status(relay)["queue"]["delivery"] == "on" and HELD not in relay.cli("status").stdout


def test_a_summary_shows_what_waits_for_each_next_hop_by_age(make_relay):
    relay = ready(make_relay(delivery="hold").start())
    assert "empty" in relay.cli("queue", "summary").stdout
    send(["bob@good.test", "eve@good.test"])
    send("bob@also-good.test")
    rows = relay.cli_json("queue", "summary")
    assert [(r["next_hop"], r["waiting"], r["5"], r["unknown"]) for r in rows] == [
        ("also-good.test", 1, 1, 0), ("good.test", 2, 2, 0)]
    text = relay.cli("queue", "summary").stdout
    assert "next hop" in text.splitlines()[0] and "1280+" in text.splitlines()[0]
