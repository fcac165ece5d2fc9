"""The users of a Dovecot: its auth server behind the relay, as it comes from Debian."""
import contextlib
import os
import signal
import smtplib
import subprocess
import time

import pytest
import table
from client import Client
from relay import USER
from services import Service, tail, wait_until
from test_auth import b64, plain, scram, secure

RELAY = (table.RELAY_ADDRESS, 25)
SECRET = "s3cret, with comma"

CONFIGURATION = """
protocols =
base_dir = {folder}/dovecot-run
state_dir = {folder}/dovecot-run
log_path = {folder}/dovecot.log
ssl = no
default_internal_user = {user}
default_login_user = {user}
default_internal_group = nogroup
auth_mechanisms = plain login scram-sha-256 cram-md5
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/dovecot-users
}}
userdb {{
  driver = static
  args = uid={user} gid=nogroup home=/nonexistent
}}
service auth {{
  unix_listener {folder}/dovecot-auth {{
    mode = 0600
    user = {user}
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


@pytest.fixture(name="relay")
def fixture_relay(lab, make_relay):
    """Nobody may relay here without logging in, and the users are Dovecot's."""
    certificate, key = lab.certificate(table.RELAY_NAME)
    relay = make_relay(listeners=({"address": f"{table.RELAY_ADDRESS}:25", "relay-from": ["127.0.0.0/8"],
                                   "tls-certificate": certificate, "tls-key": key},
                                  {"address": "127.0.0.1:25", "relay-from": ["127.0.0.0/8"]}))
    relay.lab = lab
    relay.write(dovecot_socket=f"{relay.folder}/dovecot-auth")
    with open(f"{relay.folder}/dovecot-users", "w", encoding="utf-8") as f:
        f.write(f"ada:{SECRET}\nlocked:{SECRET}:::::: nologin=yes\n")
    with open(f"{relay.folder}/dovecot.conf", "w", encoding="utf-8") as f:
        f.write(CONFIGURATION.format(folder=relay.folder, user=USER))
    relay.dovecot = Service(relay.folder, "dovecot", ["/usr/sbin/dovecot", "-F", "-c", f"{relay.folder}/dovecot.conf"],
                            lambda: os.path.exists(f"{relay.folder}/dovecot-auth"))
    relay.dovecot.start()
    relay.start()
    relay.wait_event("dovecot-connected")       # until then users are told to come again
    yield relay
    signal_dovecot(relay, signal.SIGKILL)
    print(tail(f"{relay.folder}/dovecot.log"))


def signal_dovecot(relay, sig):
    """To the master and all its processes, as a service manager does."""
    found = subprocess.run(["pgrep", "-f", f"^dovecot/|{relay.folder}/dovecot.conf"], capture_output=True, text=True,
                           check=False)
    for pid in found.stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), sig)


def test_users_of_dovecot_log_in(relay):
    assert relay.wait_event("dovecot-connected", socket=f"{relay.folder}/dovecot-auth")
    client, offered = secure(relay)
    assert "AUTH PLAIN LOGIN SCRAM-SHA-256" in offered, offered
    assert client.say(plain("ada", SECRET))[0] == 235
    assert client.say("MAIL FROM:<ada@sender.test>")[0] == 250
    assert client.say("RCPT TO:<you@nopolicy.test>")[0] == 250
    assert relay.wait_event("auth", user="ada", mechanism="PLAIN")
    client, _ = secure(relay)
    assert client.say("AUTH LOGIN") == (334, "334 VXNlcm5hbWU6")
    assert client.say(b64("ada")) == (334, "334 UGFzc3dvcmQ6")
    assert client.say(b64(SECRET))[0] == 235
    client, _ = secure(relay)
    assert scram(client, "ada", SECRET) == 235
    with smtplib.SMTP(*RELAY) as smtp:
        smtp.starttls()
        smtp.login("ada", SECRET)


def test_a_wrong_password_and_an_unknown_user_are_alike(relay):
    replies = {}
    for name in ("ada", "nobody"):
        client, _ = secure(relay)
        replies[name] = client.say(plain(name, "wrong"))
    assert replies["ada"] == replies["nobody"] and replies["ada"][0] == 535
    assert relay.wait_event("auth-failed", user="ada", mechanism="PLAIN", why="wrong")
    assert relay.wait_event("auth-failed", user="nobody")
    client, _ = secure(relay)
    assert scram(client, "ada", "wrong") == 535
    assert client.say("AUTH PLAIN " + b64("nonsense"))[0] in (535, 501)
    assert client.say("AUTH CRAM-MD5")[0] == 504
    for number in range(7):
        client, _ = secure(relay)
        client.say(plain(f"u{number}", "wrong"))
    client, _ = secure(relay)
    assert client.say(plain("ada", SECRET))[0] == 454, "the address is blocked"


def test_a_client_may_change_its_mind(relay):
    client, _ = secure(relay)
    assert client.say("AUTH LOGIN")[0] == 334
    assert client.say("*")[0] == 501
    assert client.say("AUTH PLAIN")[0] == 334
    assert client.say("A" * 12000)[0] == 454, "more than Dovecot reads"
    assert client.say(plain("ada", SECRET))[0] == 235


def test_dovecot_may_go_and_come_back(relay):
    client, _ = secure(relay)
    assert client.say("AUTH LOGIN")[0] == 334
    signal_dovecot(relay, signal.SIGTERM)
    assert relay.wait_event("dovecot-away")
    assert client.say(b64("ada"))[0] == 454
    assert client.say(plain("ada", SECRET)) == (454, "454 4.7.0 Cannot check that now, please try again")
    assert "AUTH PLAIN" in secure(relay)[1], "clients are told to come again, not that nobody can log in"
    wait_until(lambda: not relay.dovecot.running(), 20, "the first Dovecot to end")   # a second one would refuse
    relay.dovecot.start()
    wait_until(lambda: secure(relay)[0].say(plain("ada", SECRET))[0] == 235, 15, "Dovecot to be back")


def test_a_dovecot_that_says_nothing_is_waited_for_and_no_longer(relay):
    client, _ = secure(relay)
    signal_dovecot(relay, signal.SIGSTOP)
    begun = time.monotonic()
    client.socket.settimeout(60)
    assert client.say(plain("ada", SECRET))[0] == 454
    assert 20 < time.monotonic() - begun < 40
    signal_dovecot(relay, signal.SIGCONT)
    wait_until(lambda: secure(relay)[0].say(plain("ada", SECRET))[0] == 235, 15, "Dovecot to be back")
