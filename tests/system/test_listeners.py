"""Listeners of other kinds beside the plain one: TLS required, TLS first, a proxy in front."""
import os
import re
import shutil
import socket
import ssl
import subprocess
import time

import pytest
import table
from client import Client, Message
from lab import in_internet
from relay import BINARY
from services import answers, wait_until
from test_policy import wait_arrived

HELD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../bench/held.py")
RCPT = re.compile("^RCPT")
PLAIN = {"address": "127.0.0.1:25"}
HAPROXY = """
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen smtp
    bind 127.0.0.1:2500
    server relay 127.0.0.1:2501 send-proxy-v2
listen submissions
    bind 127.0.0.1:4650
    server relay 127.0.0.1:4651 send-proxy
"""


def with_tls(lab, **members):
    certificate, key = lab.certificate(table.RELAY_NAME)
    return {"tls-certificate": certificate, "tls-key": key, **members}


def accepted(port):
    """Has a connection to that port been taken by a process?  One that waits has no inode yet."""
    with open("/proc/net/tcp", encoding="ascii") as f:
        rows = [line.split() for line in f]
    return any(r[1].endswith(f":{port:04X}") and r[3] == "01" and r[9] != "0" for r in rows[1:])


class SecureClient(Client):
    """One that begins with the handshake."""

    def __init__(self, address, ca_file):  # pylint: disable=super-init-not-called
        context = ssl.create_default_context(cafile=ca_file)
        self.socket = context.wrap_socket(socket.create_connection(address, 30),
                                          server_hostname=table.RELAY_NAME)
        self.reader = self.socket.makefile("rb")
        self.greeting = self.reply()


def test_a_submission_listener_wants_tls_before_all_else(lab, make_relay):
    make_relay(listeners=(PLAIN, with_tls(lab, address="127.0.0.1:587", preset="submission",
                                          auth="optional"))).start()
    with Client(("127.0.0.1", 587)) as c:
        assert "STARTTLS" in c.ehlo()[1]
        assert c.say("MAIL FROM:<a@sender.test>")[1].startswith("530 5.7.0")
        assert c.say("NOOP")[0] == 250
        c.starttls(lab.ca_file)
        c.ehlo()
        assert c.say("MAIL FROM:<a@sender.test>")[0] == 250
        assert c.say("QUIT")[0] == 221


def test_a_submissions_listener_begins_with_the_handshake(lab, make_relay):
    make_relay(listeners=(PLAIN, with_tls(lab, address="127.0.0.1:465", preset="submissions",
                                          **{"relay-from": ["127.0.0.0/8"], "auth": "optional",
                                             "banner": "ESMTP", "name": "users"}))).start()
    message = Message()
    with SecureClient(("127.0.0.1", 465), lab.ca_file) as c:
        assert c.greeting == (220, f"220 {table.RELAY_NAME} ESMTP")
        assert "STARTTLS" not in c.ehlo()[1]
        c.begin("a@sender.test", "you@nopolicy.test")
        assert c.data(message.content)[0] == 250
    with open(wait_arrived(lab, message)["file"], encoding="latin-1") as f:
        assert "with ESMTPS" in f.read()


def test_haproxy_in_front_hands_on_who_the_client_is(lab, make_relay):
    """PROXY version 2 before a greeting in clear, version 1 before a handshake."""
    front = ["127.0.0.1/32"]
    relay = make_relay(log_level="debug", listeners=(
        PLAIN, {"address": "127.0.0.1:2501", "proxy-from": front, "relay-from": ["127.0.0.9/32"]},
        with_tls(lab, address="127.0.0.1:4651", tls="implicit", **{"proxy-from": front}))).start()
    with open(f"{relay.folder}/haproxy.cfg", "w", encoding="ascii") as f:
        f.write(HAPROXY)
    with subprocess.Popen([shutil.which("haproxy") or "/usr/sbin/haproxy", "-db", "-f",
                           f"{relay.folder}/haproxy.cfg"]) as haproxy:
        try:
            wait_until(answers("127.0.0.1", 2500), 10, "haproxy to serve")
            message = Message()
            with Client(("127.0.0.1", 2500), source="127.0.0.9") as c:
                c.begin("a@sender.test", "you@nopolicy.test")
                assert c.data(message.content)[0] == 250
            with open(wait_arrived(lab, message)["file"], encoding="latin-1") as f:
                assert "([127.0.0.9])" in f.read()
            with Client(("127.0.0.1", 2500), source="127.0.0.8") as c:
                c.ehlo()
                c.say("MAIL FROM:<a@sender.test>")
                assert c.say("RCPT TO:<you@nopolicy.test>")[0] == 550
            with SecureClient(("127.0.0.1", 4650), lab.ca_file) as c:
                assert c.greeting[0] == 220
        finally:
            haproxy.terminate()


def test_a_proxied_listener_serves_nobody_without_a_header(make_relay):
    relay = make_relay(listeners=(PLAIN, {"address": "127.0.0.1:2501",
                                          "proxy-from": ["127.0.0.1/32"]})).start()
    with socket.create_connection(("127.0.0.1", 2501), 30) as s:
        assert s.recv(100) == b"", "there is no greeting, and an end after 5 seconds"
    assert "no PROXY header in time" in relay.wait_event("proxy-refused").text
    with socket.create_connection(("127.0.0.1", 2501), 30, source_address=("127.0.0.2", 0)) as s:
        assert s.recv(100) == b""


def test_a_client_whose_header_is_late_hears_of_a_reload(make_relay):
    relay = make_relay(smtpd_processes=1, listeners=(
        PLAIN, {"address": "127.0.0.1:2501", "proxy-from": ["127.0.0.1/32"]})).start()
    old = relay.role_pids("smtpd")
    with socket.create_connection(("127.0.0.1", 2501), 30) as s:
        wait_until(lambda: accepted(2501), 5, "the connection to be taken")
        relay.reload()
        wait_until(lambda: len(relay.role_pids("smtpd")) == 2, 10, "a successor")
        time.sleep(1.5)
        s.sendall(b"PROXY TCP4 127.0.0.9 127.0.0.1 4000 2501\r\n")
        assert s.recv(100).startswith(b"421 4.3.2 ")
    wait_until(lambda: not set(old) & set(relay.role_pids("smtpd")), 5, "the old one to end")


def test_check_warns_of_a_certificate_with_another_name(lab, make_relay):
    relay = make_relay()
    certificate, key = lab.certificate(table.RELAY_NAME)
    relay.write(hostname="other.test", listeners=(
        {"address": "127.0.0.1:25", "tls-certificate": certificate, "tls-key": key},))
    done = relay.cli("check")
    assert "warning: tls-certificate" in done.stderr and "other.test" in done.stderr


def test_check_warns_of_a_container_bridge_among_the_networks_that_relay(make_relay):
    relay = make_relay(listeners=({"address": "127.0.0.1:25", "relay-from": ["172.17.0.0/16"]},))
    assert "bridge" not in relay.cli("check").stderr
    for words in ("link add docker0 type bridge", "addr add 172.17.0.1/16 dev docker0"):
        subprocess.run(["ip", *words.split()], check=True)
    try:
        assert "172.17.0.1, our address on the bridge docker0" in relay.cli("check").stderr
    finally:
        subprocess.run(["ip", "link", "del", "docker0"], check=True)


def test_a_listener_has_as_many_addresses_as_it_is_given(make_relay):
    places = [("127.0.0.1", 25), ("::1", 25), ("127.0.0.1", 2525)]
    relay = make_relay(listeners=({"address": ["127.0.0.1:25", "[::1]:25", "127.0.0.1:2525"],
                                   "banner": "ESMTP many"},)).start()
    for place in places:
        with Client(place) as c:
            assert c.greeting == (220, f"220 {table.RELAY_NAME} ESMTP many")
    said = {e["address"] for e in relay.events("listening")}
    assert said >= {"127.0.0.1:25", "[::1]:25", "127.0.0.1:2525"}
    relay.write(listeners=({"address": ["127.0.0.1:2525", "127.0.0.1:25"], "banner": "ESMTP two"},))
    relay.reload()
    for place in (places[0], places[2]):
        wait_until(lambda place=place: greeting_of(place).endswith("ESMTP two"), 10, "the new banner")
    wait_until(lambda: not answers("::1", 25)(), 10, "the third address to be given up")


def greeting_of(place):
    with Client(place) as c:
        return c.greeting[1]


def test_a_foreign_address_relays_nothing_in_any_of_the_16_forms_that_nmap_knows(lab, make_relay):
    relay = make_relay(listeners=({"address": ["127.0.0.1:25", f"{table.RELAY_ADDRESS}:25"]},))
    relay.start()
    done = subprocess.run(
        [*in_internet(lab.folder), "nmap", "-n", "-Pn", "-p", "25", "--script", "smtp-open-relay",
         table.RELAY_ADDRESS], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        check=True)
    assert "all tests failed" in done.stdout, done.stdout
    assert len(relay.events("refuse", command=RCPT)) == 16
    assert not relay.events("accept")


@pytest.mark.parametrize("tls", [[], ["--tls"]], ids=["clear", "tls"])
def test_connections_that_are_held_take_little_memory_and_delay_nobody(tls):
    """The goals of docs/performance.md, with a twentieth of its connections."""
    done = subprocess.run([HELD, BINARY, "--idle", "500", "--drip", "100", "--seconds", "1", *tls],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr
