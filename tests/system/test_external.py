"""Certificates of clients: who may relay by them, and who logs in with AUTH EXTERNAL."""
import subprocess

import pytest
from services import wait_until
from test_auth import b64
from test_listener_tls import ADDRESS, ArmedClient, Identity, implicit
from test_listeners import PLAIN

CLIENT = "app1.sender.test"


@pytest.fixture(name="start")
def fixture_start(lab, make_relay):
    """Starts a relay with such a listener, for which no network may relay."""
    def start(**members):
        members = {"tls_client_certificates": "request", "relay_from": ["10.0.0.0/8"], **members}
        return make_relay(listeners=(PLAIN, implicit(lab, **members))).start()
    return start


def may_relay(client):
    client.ehlo()
    assert client.say("MAIL FROM:<a@sender.test>")[0] == 250
    code, text = client.say("RCPT TO:<you@nopolicy.test>")
    assert code == 250 or "5.7.1" in text
    return code == 250


def test_a_fingerprint_may_relay(start, lab, tmp_path):
    first, second, other = (Identity(tmp_path, name) for name in ("first", "second", "other"))
    digest = first.fingerprint().upper()
    start(relay_certificates=["sha256:" + ":".join(digest[i:i + 2] for i in range(0, 64, 2)),
                              "key-sha256:" + second.key_fingerprint()])
    assert may_relay(ArmedClient(lab, first))
    assert may_relay(ArmedClient(lab, second))
    assert not may_relay(ArmedClient(lab, other))
    assert not may_relay(ArmedClient(lab, None))


def vouch_for(tmp_path, *identities):
    """An authority file in which these stand for themselves."""
    path = tmp_path / "clients.pem"
    path.write_bytes(b"".join(open(i.file, "rb").read().partition(b"-----BEGIN PRIVATE")[0] for i in identities))
    return str(path)


def test_a_name_may_relay_when_an_authority_vouches_for_it(start, lab, tmp_path):
    mine = Identity(tmp_path, "mine", names=[CLIENT, "app2.sender.test"])
    mail = Identity(tmp_path, "mail", names=["app3.sender.test"])
    old = Identity(tmp_path, "old", names=[CLIENT], starts=-60, days=-1)
    forged = Identity(tmp_path, "forged", names=[CLIENT])
    start(tls_client_ca=vouch_for(tmp_path, mine, mail, old), relay_certificates=[f"name:{CLIENT.upper()}"])
    assert may_relay(ArmedClient(lab, mine))
    for stranger in (mail, old, forged, None):
        assert not may_relay(ArmedClient(lab, stranger)), stranger and stranger.file


def test_external_logs_in_whose_certificate_it_is(start, lab, tmp_path):
    mine, other, forged = (Identity(tmp_path, name, names=[host]) for name, host in
                           (("mine", CLIENT), ("other", "app2.sender.test"), ("forged", CLIENT)))
    relay = start(tls_client_ca=vouch_for(tmp_path, mine, other), auth="required",
                  certificate_users=[f"name:{CLIENT} ada"])
    client = ArmedClient(lab, mine)
    assert "AUTH EXTERNAL" in client.ehlo()[1]
    assert client.say("MAIL FROM:<a@sender.test>")[0] == 530
    assert client.say("AUTH EXTERNAL " + b64("bob"))[0] == 535
    assert client.say("AUTH EXTERNAL")[0] == 334
    assert client.say(b64("ada"))[0] == 235
    assert may_relay(client)
    assert relay.wait_event("auth", user="ada", mechanism="EXTERNAL")
    assert relay.wait_event("auth-failed", user="ada", mechanism="EXTERNAL", why="another")
    for identity in (other, forged, None):
        client = ArmedClient(lab, identity)
        assert "AUTH" not in client.ehlo()[1]
        assert client.say("AUTH EXTERNAL =")[0] == 502


def test_curl_and_msmtp_log_in_with_their_certificate(start, tmp_path):
    mine = Identity(tmp_path, "mine")
    relay = start(certificate_users=[f"sha256:{mine.fingerprint()} ada"])
    mail = tmp_path / "mail"
    mail.write_text("Subject: hello\r\n\r\nhello\r\n")
    done = subprocess.run(["curl", "-sS", f"smtps://{ADDRESS[0]}:{ADDRESS[1]}", "--insecure", "--cert", mine.file,
                           "--key", mine.key_file, "--user", "ada:", "--login-options", "AUTH=EXTERNAL", "--mail-from",
                           "ada@sender.test", "--mail-rcpt", "you@nopolicy.test", "-T", str(mail)],
                          capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    configuration = tmp_path / "msmtprc"
    configuration.write_text(f"""defaults
host {ADDRESS[0]}
port {ADDRESS[1]}
from ada@sender.test
auth external
user ada
tls on
tls_starttls off
tls_certcheck off
tls_cert_file {mine.file}
tls_key_file {mine.key_file}
account default
""")
    configuration.chmod(0o600)
    done = subprocess.run(["msmtp", "-C", str(configuration), "you@nopolicy.test"], input="Subject: hello\n\nhello\n",
                          capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: len(relay.events("auth", user="ada", mechanism="EXTERNAL")) == 2, 10, "both to have logged in")
    assert len(relay.events("accept", user="ada")) == 2


def test_check_tells_what_could_never_fit(make_relay):
    relay = make_relay(listeners=({"address": "127.0.0.1:25", "relay-certificates": ["trusted"]},))
    done = relay.cli("check", check=False)
    assert done.returncode == 1 and "asks no client for a certificate" in done.stderr
    assert "no tls-client-ca" in done.stderr
