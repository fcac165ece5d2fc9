"""Who logs in may relay: real clients, wrong passwords, and those who try too often."""
import base64
import hashlib
import hmac
import os
import re
import smtplib
import subprocess
import threading
import time
import unicodedata

import pytest
import table
from client import Client, Message
from services import wait_until
from test_policy import wait_arrived

RELAY = (table.RELAY_ADDRESS, 25)
PASSWORD = "corrëct horse"
SECRET = "s3cret, with comma"
FAIL2BAN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../etc/waxseal.fail2ban")


def user(relay, *words, password=None):
    return subprocess.run([os.environ["WAXSEAL"], "user", *words, "--config", relay.configuration],
                          input=password, capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture(name="relay")
def fixture_relay(lab, make_relay):
    """Nobody may relay here without logging in, from no address."""
    certificate, key = lab.certificate(table.RELAY_NAME)
    relay = make_relay(listeners=({"address": f"{table.RELAY_ADDRESS}:25", "relay-from": ["127.0.0.0/8"],
                                   "tls-certificate": certificate, "tls-key": key},
                                  {"address": "127.0.0.1:25", "relay-from": ["127.0.0.0/8"]}))
    relay.write(users_file=f"{relay.folder}/users")
    done = user(relay, "add", "ada", password=SECRET + "\n")
    assert done.returncode == 0, done.stderr
    relay.start()
    relay.lab = lab
    wait_until(lambda: "AUTH" in secure(relay)[1], 5, "AUTH to be offered")
    return relay


def secure(relay):
    client = Client(RELAY)
    client.ehlo()
    client.starttls(relay.lab.ca_file)
    return client, client.ehlo()[1]


def b64(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def plain(name, password):
    return "AUTH PLAIN " + b64(f"\0{name}\0{password}")


def hand_in(client, recipient="you@nopolicy.test"):
    message = Message()
    client.begin("ada@sender.test", recipient)
    assert client.data(message.content)[0] == 250
    return message


# ------------------------------------------------------------ real clients

def test_auth_is_offered_inside_tls_only(relay):
    with Client(RELAY) as client:
        assert "AUTH" not in client.ehlo()[1]
        assert client.say(plain("ada", SECRET))[0] == 538
        assert client.say("MAIL FROM:<> AUTH=<>")[0] == 555
    _, offered = secure(relay)
    assert "AUTH PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS" in offered


def test_python_logs_in_and_relays(relay):
    message = Message()
    with smtplib.SMTP(*RELAY) as smtp:
        smtp.starttls()
        smtp.login("ada", SECRET)
        smtp.sendmail("ada@sender.test", ["you@nopolicy.test"], message.content)
    with open(wait_arrived(relay.lab, message)["file"], encoding="latin-1") as f:
        assert "with ESMTPSA id" in f.read()
    assert relay.wait_event("auth", user="ada")
    assert relay.wait_event("accept", user="ada")


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_swaks_logs_in(relay, mechanism):
    done = subprocess.run(["swaks", "--server", RELAY[0], "--tls", "--auth", mechanism, "--auth-user", "ada",
                           "--auth-password", SECRET, "--from", "ada@sender.test", "--to",
                           "you@nopolicy.test"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout
    assert relay.wait_event("auth", user="ada", mechanism=mechanism)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_curl_logs_in(relay, tmp_path, mechanism):
    if mechanism not in ("PLAIN", "LOGIN"):
        version = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout
        if "GSASL" not in version:
            mechanism = "LOGIN"
    mail = tmp_path / "mail"
    mail.write_text("Subject: hello\r\n\r\nhello\r\n")
    done = subprocess.run(["curl", "-sS", f"smtp://{RELAY[0]}:25", "--ssl-reqd", "--insecure", "--user",
                           f"ada:{SECRET}", "--login-options", f"AUTH={mechanism}", "--mail-from",
                           "ada@sender.test", "--mail-rcpt", "you@nopolicy.test", "-T", str(mail)],
                          capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert relay.wait_event("auth", user="ada", mechanism=mechanism)


@pytest.mark.parametrize("mechanism", ["plain", "login", "scram-sha-256"])
def test_msmtp_logs_in(relay, tmp_path, mechanism):
    configuration = tmp_path / "msmtprc"
    configuration.write_text(f"""defaults
host {RELAY[0]}
port 25
from ada@sender.test
auth {mechanism}
user ada
passwordeval printf %s '{SECRET}'
tls on
tls_certcheck off
account default
""")
    configuration.chmod(0o600)
    done = subprocess.run(["msmtp", "-C", str(configuration), "you@nopolicy.test"], input="Subject: hello\n\nhello\n",
                          capture_output=True, text=True, timeout=30, check=False)
    if "not supported" in done.stderr:
        pytest.skip("this msmtp knows no " + mechanism)
    assert done.returncode == 0, done.stderr
    assert relay.wait_event("auth", user="ada", mechanism=mechanism.upper())


def scram(client, name, password, binding=None):
    """RFC 5802, as a client; returns the last reply and the server's signature's fate."""
    header = f"p={binding[0]},," if binding else "n,,"
    bare = f"n={name},r=fyko"
    mechanism = "SCRAM-SHA-256-PLUS" if binding else "SCRAM-SHA-256"
    code, text = client.say(f"AUTH {mechanism} {b64(header + bare)}")
    if code != 334:
        return code
    first = base64.b64decode(text[4:]).decode()
    nonce, salt, rounds = re.fullmatch(r"r=(fyko[^,]+),s=([^,]+),i=(\d+)", first).groups()
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(rounds))

    def mac(key, text):
        return hmac.new(key, text.encode(), "sha256").digest()
    key = mac(salted, "Client Key")
    without = f"c={b64(header.encode() + (binding[1] if binding else b''))},r={nonce}"
    said = f"{bare},{first},{without}"
    proof = bytes(a ^ b for a, b in zip(key, mac(hashlib.sha256(key).digest(), said)))
    code, text = client.say(b64(f"{without},p={b64(proof)}"))
    if code != 334:
        return code
    assert base64.b64decode(text[4:]).decode() == "v=" + b64(mac(mac(salted, "Server Key"), said))
    return client.say("")[0]


def test_scram_proves_both_sides(relay):
    client, _ = secure(relay)
    assert scram(client, "ada", SECRET) == 235
    message = hand_in(client)
    wait_arrived(relay.lab, message)


def test_scram_plus_is_bound_to_the_certificate(relay):
    client, _ = secure(relay)
    end_point = hashlib.sha256(client.socket.getpeercert(binary_form=True)).digest()
    assert scram(client, "ada", SECRET, ("tls-server-end-point", end_point)) == 235
    client, _ = secure(relay)
    assert scram(client, "ada", SECRET, ("tls-server-end-point", bytes(32))) == 535


class OpensslClient:
    """A session of `openssl s_client`, which tells the key material that tls-exporter is made of."""

    def __init__(self, ca_file, *words):
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            ["openssl", "s_client", "-connect", f"{RELAY[0]}:25", "-starttls", "smtp", "-CAfile", ca_file, "-crlf",
             "-ign_eof", "-tls1_3", "-keymatexport", "EXPORTER-Channel-Binding", "-keymatexportlen", "32", *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.patience = threading.Timer(20, self.process.kill)
        self.patience.start()
        assert self.read(r"Verif.*: (\d+|OK)")[1] in ("0", "OK")
        self.exporter = bytes.fromhex(self.read(r"Keying material: (\w+)")[1])

    def read(self, pattern):
        for line in self.process.stdout:
            found = re.search(pattern, line)
            if found:
                return found
        raise EOFError(pattern)

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        found = self.read(r"^(\d{3}) (.*)$")
        return int(found[1]), found[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.patience.cancel()
        self.process.kill()
        self.process.communicate()


def test_scram_plus_is_bound_to_the_session(relay):
    with OpensslClient(relay.lab.ca_file) as client:
        assert client.say("EHLO client.sender.test")[0] == 250
        assert scram(client, "ada", SECRET, ("tls-exporter", client.exporter)) == 235
    with OpensslClient(relay.lab.ca_file) as other, OpensslClient(relay.lab.ca_file) as client:
        assert client.say("EHLO client.sender.test")[0] == 250
        assert client.exporter != other.exporter
        assert scram(client, "ada", SECRET, ("tls-exporter", other.exporter)) == 535
        assert scram(client, "ada", SECRET, ("tls-unique", client.exporter[:12])) == 535


def test_scram_plus_knows_the_hash_of_its_certificate(relay, tmp_path):
    """RFC 5929 section 4.1: that of the signature, here SHA-384."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha384", "-subj", "/CN=relay.test",
                    "-addext", f"subjectAltName=DNS:{table.RELAY_NAME}", "-days", "3", "-keyout", tmp_path / "key",
                    "-out", tmp_path / "chain"], check=True, capture_output=True)
    listener = {**relay.settings["listeners"][0], "tls-certificate": str(tmp_path / "chain"),
                "tls-key": str(tmp_path / "key")}
    os.chmod(tmp_path / "key", 0o600)
    relay.write(listeners=(listener, relay.settings["listeners"][1]))
    relay.stop()
    relay.start()
    for digest, code in ((hashlib.sha384, 235), (hashlib.sha256, 535)):
        client = Client(RELAY)
        client.ehlo()
        client.starttls(str(tmp_path / "chain"))
        wait_until(lambda: "PLUS" in client.ehlo()[1], 5, "AUTH to be offered")  # pylint: disable=W0640
        end_point = digest(client.socket.getpeercert(binary_form=True)).digest()
        assert scram(client, "ada", SECRET, ("tls-server-end-point", end_point)) == code


# ------------------------------------------------------------ refusals

def test_a_wrong_password_and_an_unknown_user_are_alike(relay):
    times, replies = {}, {}
    for name in ("ada", "nobody"):
        client, _ = secure(relay)
        begun = time.monotonic()
        replies[name] = client.say(plain(name, "wrong"))
        times[name] = time.monotonic() - begun
    assert replies["ada"] == replies["nobody"] and replies["ada"][0] == 535
    assert min(times.values()) > 0.9 and abs(times["ada"] - times["nobody"]) < 0.25, times
    assert relay.wait_event("auth-failed", user="ada", mechanism="PLAIN", why="wrong")
    assert relay.wait_event("auth-failed", user="nobody")
    client, _ = secure(relay)
    assert scram(client, "nobody", "wrong") == 535
    with open(relay.log_file, encoding="utf-8") as f:
        text = f.read()
    assert "wrong\0" not in text and b64("\0ada\0wrong") not in text and SECRET not in text


def found_in_memory(pid, texts):
    """Which of these lie in what a process can write to."""
    found = set()
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for begin, end in re.findall(r"^(\w+)-(\w+) rw.*(?<!\[vvar\])$", maps.read(), re.M):
            memory.seek(int(begin, 16))
            content = memory.read(int(end, 16) - int(begin, 16))
            found |= {t for t in texts if t in content}
    return found


def test_no_password_stays_in_memory(relay):
    other = "another, that is wrong"
    secrets = {SECRET.encode(), other.encode(), b64(SECRET).encode(), b64(other).encode(),
               b64("\0ada\0" + SECRET).encode(), b64("\0ada\0" + other).encode()}
    client, _ = secure(relay)
    assert client.say(plain("ada", other))[0] == 535
    assert client.say(plain("ada", SECRET))[0] == 235
    client, _ = secure(relay)
    for line, code in (("AUTH LOGIN", 334), (b64("ada"), 334), (b64(other), 535),
                       ("AUTH LOGIN", 334), (b64("ada"), 334), (b64(SECRET), 235)):
        assert client.say(line)[0] == code
    for event in relay.events("role-started"):
        if event["name"] in ("smtpd", "auth"):
            assert not found_in_memory(int(event["pid"]), secrets), event["name"]


def test_nonsense_is_refused_and_the_session_goes_on(relay):
    client, _ = secure(relay)
    assert client.say("AUTH")[0] == 501
    assert client.say("AUTH CRAM-MD5")[0] == 504
    assert client.say("AUTH PLAIN ?")[0] == 501
    assert client.say("AUTH PLAIN =")[0] == 501
    assert client.say("AUTH PLAIN")[1] == "334 "
    assert client.say("*")[:1] == (501,)
    assert client.say("AUTH LOGIN") == (334, "334 VXNlcm5hbWU6")
    assert client.say(b64("ada")) == (334, "334 UGFzc3dvcmQ6")
    assert client.say("not base64!")[0] == 501
    assert client.say("AUTH PLAIN")[0] == 334
    assert client.say("A" * 12284)[0] == 501
    assert client.say("AUTH PLAIN")[0] == 334
    assert client.say("A" * 12288)[0] == 500
    assert client.say("MAIL FROM:<a@sender.test> AUTH=<>")[0] == 250
    assert client.say(plain("ada", SECRET))[0] == 503
    assert client.say("RCPT TO:<you@nopolicy.test>")[0] == 550
    assert client.say("RSET")[0] == 250
    assert client.say(plain("ada", SECRET))[0] == 235
    assert client.say(plain("ada", SECRET))[0] == 503
    assert client.say("MAIL FROM:<a@sender.test>")[0] == 250
    assert client.say("RCPT TO:<you@nopolicy.test>")[0] == 250


def test_three_failures_end_the_session_and_ten_block_the_address(relay):
    client, _ = secure(relay)
    assert [client.say(plain("ada", "wrong"))[0] for _ in range(3)] == [535, 535, 421]
    for _ in range(7):
        client, _ = secure(relay)
        client.say(plain(f"u{_}", "wrong"))
    client, _ = secure(relay)
    assert client.say(plain("ada", SECRET))[0] == 454
    assert relay.wait_event("auth-failed", user="ada", why="blocked")


FORGED = "x\\nhost waxseal[1]: 2026-11-22T00:52:53Z info smtpd[1] auth-failed client=203.0.113.99:1 user=y"


def found_by_fail2ban(log_file):
    """The addresses that fail2ban finds with our filter."""
    done = subprocess.run(["fail2ban-regex", "--out", "ip", log_file, FAIL2BAN], capture_output=True, text=True,
                          timeout=60, check=True)
    return done.stdout.split()


def test_fail2ban_finds_who_fails_and_nobody_else(relay, tmp_path):
    for name in ("ada", FORGED, FORGED.replace("\\n", "\n")):
        client, _ = secure(relay)
        assert client.say(plain(name, "wrong"))[0] == 535
        client.say(f"MAIL FROM:<{FORGED}>")
        client.say("EHLO info smtpd[1] auth-failed client=203.0.113.99:1 user=y")
    client, _ = secure(relay)
    assert client.say(plain("ada", SECRET))[0] == 235
    assert relay.wait_event("auth-failed", count=3)
    assert found_by_fail2ban(relay.log_file) == [table.RELAY_ADDRESS] * 3
    journal = tmp_path / "journal"
    journal.write_text("relay waxseal[7]: 2026-11-22T00:52:53Z info smtpd[9] auth-failed "
                       "client=[2001:db8::1]:4711 user=ada mechanism=PLAIN why=wrong\n")
    assert found_by_fail2ban(str(journal)) == ["2001:db8::1"]


def test_a_listener_may_require_it(relay):
    listener = {**relay.settings["listeners"][0], "relay-from": ["0.0.0.0/8", table.RELAY_ADDRESS + "/32"],
                "auth": "required"}
    relay.write(listeners=(listener, relay.settings["listeners"][1]))
    relay.reload()
    wait_until(lambda: secure(relay)[0].say("MAIL FROM:<a@sender.test>")[0] == 530, 10, "AUTH to be required")
    client, _ = secure(relay)
    assert client.say(plain("ada", SECRET))[0] == 235
    assert client.say("MAIL FROM:<a@sender.test>")[0] == 250


# ------------------------------------------------------------ the users file

def test_users_come_and_go_while_the_relay_runs(relay):
    assert user(relay, "add", "bob", password=PASSWORD + "\n").returncode == 0
    assert user(relay, "add", "bob", password="x\n").returncode == 1
    assert user(relay, "add", "eve", password="\N{HORSE}\n").returncode == 0
    assert user(relay, "list").stdout == "ada password scram\nbob password scram\neve password\n"
    assert relay.cli_json("user", "list") == [{"name": name, "scram": name != "eve"} for name in ("ada", "bob", "eve")]
    assert os.stat(f"{relay.folder}/users").st_mode & 0o777 == 0o600
    wait_until(lambda: secure(relay)[0].say(plain("bob", PASSWORD))[0] == 235, 20, "bob to be known")
    assert "SCRAM" not in secure(relay)[1], "eve could not use it"
    assert secure(relay)[0].say(plain("eve", "\N{HORSE}"))[0] == 235
    assert user(relay, "remove", "eve").returncode == 0
    wait_until(lambda: "SCRAM" in secure(relay)[1], 20, "eve to be gone")
    assert scram(secure(relay)[0], "bob", unicodedata.normalize("NFKC", PASSWORD)) == 235
    assert secure(relay)[0].say(plain("bob", unicodedata.normalize("NFD", PASSWORD)))[0] == 235


def test_the_auth_role_may_die(relay):
    client, _ = secure(relay)
    assert client.say("AUTH PLAIN")[0] == 334
    relay.kill_role("auth")
    assert client.say(b64(f"\0ada\0{SECRET}"))[0] in (454, 501, 500)
    wait_until(lambda: secure(relay)[0].say(plain("ada", SECRET))[0] == 235, 10, "the role to be back")


def test_a_users_file_that_others_can_read_is_refused(lab, make_relay):
    relay = make_relay()
    path = f"{relay.folder}/users"
    with open(path, "w", encoding="utf-8") as f:
        f.write("ada:plaintext\n# fine\nada\n")
    os.chmod(path, 0o644)
    relay.write(users_file=path)
    done = relay.cli("check", check=False)
    assert done.returncode == 1 and "others can read" in done.stderr
    os.chmod(path, 0o600)
    done = relay.cli("check", check=False)
    assert done.returncode == 1 and f"{path}:1:" in done.stderr and f"{path}:3:" in done.stderr
