"""What the queue learns of hosts, and rates: as the operator sees and sets them."""
import time

import pytest
from client import send
from services import wait_until
from test_policy import wait_arrived


def host_row(relay, name):
    rows = relay.cli_json("hosts", name)
    return rows[0] if rows else None


def test_a_host_that_refuses_connections_is_shown_and_can_be_forgotten(lab, shared_relay):
    lab.mx("mx.good.test", greeting="421 4.3.2 too many connections")
    send("you@good.test")
    shared_relay.wait_delivery("you@good.test", "deferred")
    row = wait_until(lambda: (host_row(shared_relay, "mx.good.test") or {}).get("limit") and
                     host_row(shared_relay, "mx.good.test"), 5, "what was learned")
    assert row["limit"] == 1 and row["cap"] == 100 and row["kind"] == "mx"
    assert row["trouble"] == "421 4.3.2 too many connections"
    assert row["trouble_at"] < row["rests_until"] < row["expires"]
    refused = shared_relay.wait_event("host-refused", 5, host="mx.good.test")
    assert "421 4.3.2 too many connections" in refused.text
    assert "mx.good.test" in shared_relay.cli("hosts").stdout
    assert shared_relay.cli_json("hosts", "forget", "MX.good.test") == {"forgotten": True}
    row = host_row(shared_relay, "mx.good.test")
    assert not row or row["limit"] is None
    gone = shared_relay.cli("hosts", "forget", "mx.nobody.test", check=False)
    assert gone.returncode == 1 and "nothing was learned" in gone.stderr


def test_a_greylisted_recipient_says_nothing_about_the_host(lab, shared_relay):
    lab.mx("mx.nopolicy.test", rcpt="450 4.2.0 greylisted")
    send("grey@nopolicy.test")
    shared_relay.wait_delivery("grey@nopolicy.test", "deferred")
    row = host_row(shared_relay, "mx.nopolicy.test")
    assert not row or row["limit"] is None


def test_mail_refused_for_now_at_mail_is_a_reason(lab, shared_relay):
    lab.mx("mx.also-good.test", mail="451 4.7.1 slow down")
    send("slow@also-good.test")
    shared_relay.wait_delivery("slow@also-good.test", "deferred")
    row = wait_until(lambda: (host_row(shared_relay, "mx.also-good.test") or {}).get("limit") and
                     host_row(shared_relay, "mx.also-good.test"), 10, "what was learned")
    assert row["trouble"] == "451 4.7.1 slow down"
    shared_relay.cli("hosts", "forget", "mx.also-good.test")


@pytest.mark.parametrize("stage, said, is_learned", [
    ("data", "452 4.3.2 too busy for mail", True), ("dot", "452 4.3.2 too busy for mail", True),
    ("dot", "451 4.7.1 greylisted", False)])
def test_what_a_host_says_of_itself_at_the_message_is_a_reason_and_greylisting_is_not(
        lab, shared_relay, stage, said, is_learned):
    """The session ends with it, however long idle ones are kept: so it is learned at once."""
    since, host = time.time(), "mx.also-good.test"
    lab.mx(host, **{stage: said})
    send("busy@also-good.test")
    shared_relay.wait_delivery("busy@also-good.test", "deferred")
    if is_learned:
        wait_until(lambda: (host_row(shared_relay, host) or {}).get("trouble") == said, 3, "what was learned")
        wait_until(lambda: lab.sessions(host=host, since=since), 3, "QUIT")
        shared_relay.cli("hosts", "forget", host)
    else:
        send("busy-too@also-good.test")
        shared_relay.wait_delivery("busy-too@also-good.test", "deferred")
        assert not (host_row(shared_relay, host) or {}).get("limit")


def test_a_host_of_the_past_is_met_at_its_level_the_next_time_and_only_where_nothing_binds(lab, make_relay):
    """One handshake fails, and teaches; a route that verifies is not led down by it."""
    host = "mx.nopolicy-tls10.test"
    relay = make_relay(log_level="debug", connection_idle="1s", retry_first="2s", routes=(
        {"name": "strict", "recipients": ["strict.hops.test"], "next-hop": f"[{host}]", "tls": "verify"},)).start()

    def versions():
        """Of the sessions so far; "" for those whose handshake failed."""
        return [e["version"] for e in relay.events("session", mx=host)]
    wait_arrived(lab, send("you@nopolicy-tls10.test"))
    assert versions() == ["", "TLSv1"]
    assert relay.wait_event("host-tls-learned", host=host)["tls"] == "legacy"
    row = host_row(relay, host)
    assert row["tls"] == "legacy" and row["tls_expires"] > relay.events()[-1].time
    lab.mx(host)        # its sessions end
    wait_arrived(lab, send("you@nopolicy-tls10.test"))
    assert versions() == ["", "TLSv1", "TLSv1"]
    send("you@strict.hops.test")
    relay.wait_delivery("you@strict.hops.test", "deferred")
    assert versions()[-1] == ""
    assert relay.cli_json("hosts", "forget", host) == {"forgotten": True}
    lab.mx(host)
    wait_arrived(lab, send("you@nopolicy-tls10.test"))
    assert versions()[-2:] == ["", "TLSv1"]


def test_mail_is_handed_out_at_the_rate_that_is_set(lab, make_relay):
    relay = make_relay(hop_rate="120/1m")
    relay.start()
    begun = time.monotonic()
    messages = [send("you@good.test") for _ in range(5)]
    wait_arrived(lab, messages[0])
    assert time.monotonic() - begun < 1.5
    relay.wait_delivery("you@good.test", "delivered", count=5)
    assert 1.9 < time.monotonic() - begun < 4
