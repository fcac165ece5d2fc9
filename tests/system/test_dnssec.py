"""What DNSSEC is worth: the resolver shows that it validates, or DANE is off, and says so."""
import json
import socket
import threading

import pytest
from client import send
from services import wait_until
from test_listeners import with_tls
from test_next_hops import digest_of, mail, to
from test_policy import arrived, wait_arrived
from test_requiretls import REQUIRETLS, hand_in_required

HOST = "mx.nopolicy-selfsigned.test"


def dnssec(relay):
    """What `waxseal status` says of it: state and reason by role."""
    rows = json.loads(relay.cli("status", "--json", check=False).stdout)["dnssec"]
    return {row["role"]: (row["state"], row["reason"]) for row in rows}


@pytest.fixture(name="host_with_tlsa")
def fixture_host_with_tlsa(lab):
    """A host whose certificate nobody but its TLSA record vouches for."""
    lab.dns.set(f"_25._tcp.{HOST}", "TLSA", "3 1 1 " + digest_of(HOST, "key-sha256").split(":")[1])
    lab.mx(HOST)
    yield HOST
    lab.dns.set(f"_25._tcp.{HOST}", "TLSA")


def relay_by_dane(make_relay, host, **settings):
    return make_relay(retry_first="2s", retry_max="4s", routes=(to("dane", f"[{host}]", tls="dane"),),
                      **settings).start()


def test_a_resolver_that_validates_is_found_out_at_once(lab, make_relay, host_with_tlsa):
    """The first message waits for the proof, and goes by DANE."""
    relay = relay_by_dane(make_relay, host_with_tlsa, dnssec_bogus_name="mx.bogus.test")
    wait_arrived(lab, mail("dane"))
    for role in "deliver", "policy":
        assert [e.role.partition("/")[0] for e in relay.events("dnssec-proven")].count(role) >= 1
    assert not relay.events("dnssec-off")
    assert dnssec(relay) == {"deliver": ("on", None), "policy": ("on", None)}
    assert "DNSSEC" in relay.cli("status").stdout


def test_with_a_resolver_that_does_not_validate_dane_is_off_and_says_so(lab, make_relay, host_with_tlsa):
    blind = lab.dns.start_blind("127.0.0.1", 5399)
    try:
        relay = relay_by_dane(make_relay, host_with_tlsa, resolvers=["127.0.0.1:5399"])
        event = relay.wait_event("dnssec-off")
        assert event.level == "warning" and "does not validate" in event["reason"]
        refused = mail("dane")
        reply = relay.wait_delivery("you@dane.hops.test", "deferred")["reply"]
        assert "no usable TLSA records (the resolver does not validate: " in reply
        wait_arrived(lab, send("you@nopolicy.test"))        # all other mail goes as ever
        assert not arrived(lab, refused) and not relay.events("dnssec-proven")
        for state, reason in dnssec(relay).values():
            assert state == "off" and "does not validate" in reason
        relay.write(resolvers=[])
        relay.reload()
        wait_arrived(lab, refused, 20)                      # mended
        wait_until(lambda: set(dnssec(relay).values()) == {("on", None)}, 10, "DNSSEC to be on")
    finally:
        blind.stop()


def test_a_bogus_name_that_resolves_turns_dane_off(lab, make_relay, host_with_tlsa):
    relay = relay_by_dane(make_relay, host_with_tlsa, dnssec_bogus_name="mx.good.test")
    refused = mail("dane")
    relay.wait_delivery("you@dane.hops.test", "deferred")
    assert relay.wait_event("dnssec-off")["reason"].endswith("dnssec-bogus-name resolves")
    assert not arrived(lab, refused)


def test_a_resolver_that_comes_late_is_believed_from_its_first_answer_on(lab, make_relay, host_with_tlsa):
    lab.dns.down()
    try:
        relay = relay_by_dane(make_relay, host_with_tlsa)
        event = relay.wait_event("dnssec-off")
        assert "cannot be looked up" in event["reason"]
    finally:
        lab.dns.up()
    wait_arrived(lab, mail("dane"))
    relay.wait_delivery("you@dane.hops.test", "delivered")
    assert relay.events("dnssec-proven") and not relay.events("delivery", outcome="deferred")


class HalfDeaf(threading.Thread):
    """The lab's resolver, of which somebody keeps what would show that it validates: names of one label."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", port))

    def run(self):
        while True:
            query, back = self.socket.recvfrom(4096)
            if query[12] and query[13 + query[12]] == 0:
                self.socket.sendto(query[:2] + b"\x81\x82" + query[4:6] + 6 * b"\0" + query[12:13 + query[12] + 5], back)
                continue
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.sendto(query, ("127.0.0.1", 53))
                s.settimeout(5)
                self.socket.sendto(s.recv(65535), back)


def test_who_keeps_the_resolver_from_showing_that_it_validates_does_not_turn_dane_off(lab, make_relay, host_with_tlsa):
    """What may be secure waits, and goes when that is known; all other mail goes."""
    HalfDeaf(5398).start()
    relay = make_relay(retry_first="2s", retry_max="4s", resolvers=["127.0.0.1:5398"], listeners=(
        with_tls(lab, address="127.0.0.1:25", **{"relay-from": ["127.0.0.0/8"]}),)).start()
    lab.mx("mx.nopolicy.test", extensions=REQUIRETLS)
    message = send("you@nopolicy-selfsigned.test")
    event = relay.wait_delivery("you@nopolicy-selfsigned.test", "deferred", 40)
    assert event["status"] == "4.4.3" and "could not show so far that it validates" in event["reply"]
    required = hand_in_required(lab, "in-doubt@sender.test", "you@nopolicy.test")
    assert relay.wait_delivery("you@nopolicy.test", "deferred", 40)["status"] == "4.7.5"
    wait_arrived(lab, send("me@nopolicy.test"), 40)
    assert not arrived(lab, message) and not arrived(lab, required)
    relay.write(resolvers=[])
    relay.reload()
    relay.cli("queue", "retry", "--all")
    wait_arrived(lab, message, 20)
    wait_arrived(lab, required, 20)
