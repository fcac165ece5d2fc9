"""What people send mail with, as Debian has it: each logs in on the submission port, or calls sendmail."""
import os
import smtplib
import ssl
import subprocess

import pytest
import table
from client import Client, Message
from relay import BINARY
from services import wait_until
from test_policy import wait_arrived
from test_sendmail import arrived

SUBMISSION = (table.RELAY_ADDRESS, 587)


@pytest.fixture(name="relay")
def fixture_relay(lab, make_relay):
    """A submission port for users, as the preset has it; nobody else may relay there."""
    certificate, key = lab.certificate(table.RELAY_NAME)
    relay = make_relay(listeners=({"address": f"{table.RELAY_ADDRESS}:587", "preset": "submission",
                                   "tls-certificate": certificate, "tls-key": key},
                                  {"address": "127.0.0.1:25"}))
    relay.write(users_file=f"{relay.folder}/users")
    subprocess.run([BINARY, "user", "add", table.USER, "--config", relay.configuration],
                   input=table.PASSWORD + "\n", text=True, capture_output=True, timeout=30, check=True)
    relay.start()
    return relay


@pytest.fixture(name="sendmail")
def fixture_sendmail(relay):
    """sendmail as programs find it: one path, no further words."""
    path = f"{relay.folder}/bin-sendmail"
    with open(path, "w", encoding="ascii") as f:
        f.write(f'#!/bin/sh\nexec {os.path.abspath(BINARY)} sendmail -C {relay.configuration} "$@"\n')
    os.chmod(path, 0o755)
    return path


def run(*words, text="", environment=None):
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, **(environment or {})})
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def wait_subject(lab, subject):
    found = wait_until(lambda: arrived(lab, subject), 20, f"{subject} at an MX")
    assert len(found) == 1, "a message arrives once"
    return found[0]


def assert_was_user(relay, header):
    assert "with ESMTPSA id" in header and relay.wait_event("accept", user=table.USER)


# ------------------------------------------------------------ over SMTP, with TLS and a password

def test_python_smtplib_verifies_the_relay_and_logs_in(lab, relay):
    message = Message()
    with smtplib.SMTP(table.RELAY_NAME, 587) as smtp:
        smtp.starttls(context=ssl.create_default_context(cafile=lab.ca_file))
        smtp.login(table.USER, table.PASSWORD)
        assert smtp.sendmail("ada@sender.test", ["you@nopolicy.test"], message.content) == {}
    entry = wait_arrived(lab, message)
    with open(entry["file"], encoding="latin-1") as f:
        assert_was_user(relay, f.read())


def test_s_nail_logs_in(lab, relay):
    run("s-nail", "-:/", "-S", "v15-compat", "-S", f"tls-ca-file={lab.ca_file}",
        "-S", "tls-ca-no-defaults", "-S", "tls-verify=strict", "-S", "smtp-use-starttls",
        "-S", "smtp-auth=plain", "-S", f"mta=smtp://{table.USER}:{table.PASSWORD}@{table.RELAY_NAME}:587",
        "-r", "ada@sender.test", "-s", "from s-nail", "you@nopolicy.test", text="hello\n")
    assert_was_user(relay, wait_subject(lab, "from s-nail")[1])


NODEMAILER = """
const fs = require("fs"), mailer = require("nodemailer");
const [host, user, pass, ca] = process.argv.slice(2);
const transport = mailer.createTransport({ host, port: 587, requireTLS: true, auth: { user, pass },
                                           tls: { ca: fs.readFileSync(ca) } });
transport.sendMail({ from: "Ada <ada@sender.test>", to: "you@nopolicy.test", bcc: "blind@nopolicy.test",
                     subject: "from nodemailer", text: "Grüße\\n.\\n",
                     attachments: [{ filename: "a.bin", content: Buffer.alloc(100000, 7) }] })
    .then(() => transport.close(), (e) => { console.error(e); process.exit(1); });
"""


def test_nodemailer_logs_in(lab, relay, tmp_path):
    script = tmp_path / "send.js"
    script.write_text(NODEMAILER, encoding="utf-8")
    run("node", str(script), table.RELAY_NAME, table.USER, table.PASSWORD, lab.ca_file,
        environment={"NODE_PATH": "/usr/share/nodejs"})
    entry, header, body = wait_subject(lab, "from nodemailer")
    assert_was_user(relay, header)
    assert len(entry["recipients"]) == 2 and "blind@" not in header and len(body) > 130_000


SEND_EMAIL = ("send-email", "--quiet", "--confirm=never", "--8bit-encoding=UTF-8", "--suppress-cc=all",
              "--from=ada@sender.test", "--envelope-sender=auto", "--to=you@nopolicy.test")


@pytest.fixture(name="patch")
def fixture_patch(tmp_path, request):
    """A patch of a small repository, with the story's name as its subject."""
    environment = {"HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*words):
        return run("git", "-C", str(tmp_path), "-c", "user.name=Ada Lövelace", "-c",
                   "user.email=ada@sender.test", *words, environment=environment)
    git("init", "-q")
    (tmp_path / "file").write_text("one\n.\nGrüße\n", encoding="utf-8")
    git("add", "file")
    git("commit", "-q", "-m", request.node.name)
    git("format-patch", "-q", "--root", "-o", str(tmp_path), "HEAD")
    return git, str(next(tmp_path.glob("*.patch")))


def test_git_send_email_logs_in(lab, relay, patch, request):
    git, path = patch
    git(*SEND_EMAIL, f"--smtp-server={table.RELAY_NAME}", "--smtp-server-port=587", "--smtp-encryption=tls",
        f"--smtp-user={table.USER}", f"--smtp-pass={table.PASSWORD}", f"--smtp-ssl-cert-path={lab.ca_file}",
        path)
    _, header, body = wait_subject(lab, f"[PATCH] {request.node.name}")
    assert_was_user(relay, header)
    assert "+.\r\n" in body


@pytest.mark.parametrize("program", ["postfix", "exim"])
def test_a_real_mail_server_logs_in_at_its_smarthost(lab, relay, program):
    peer = lab.peer(program, "user")
    message = Message(size=100_000)
    with Client((peer.addresses[0], 25)) as c:
        c.begin("ada@sender.test", "you@nopolicy.test")
        assert c.data(message.content)[0] == 250
    entry = wait_arrived(lab, message, 30)
    with open(entry["file"], encoding="latin-1") as f:
        assert_was_user(relay, f.read())


def test_without_the_password_nobody_relays_there(relay):
    with Client(SUBMISSION) as c:
        c.ehlo()
        assert c.say("MAIL FROM:<a@sender.test>")[0] == 530


# ------------------------------------------------------------ through the socket

def test_swaks_speaks_to_the_socket(lab, relay):
    run("swaks", "--socket", f"{relay.folder}/run/submit", "--from", "ada@sender.test", "--to",
        "you@nopolicy.test", "--header", "Subject: swaks by socket")
    assert "(local user 0)" in wait_subject(lab, "swaks by socket")[1]


# ------------------------------------------------------------ through sendmail

def test_git_send_email_calls_sendmail(lab, sendmail, patch, request):
    git, path = patch
    git(*SEND_EMAIL, f"--smtp-server={sendmail}", path)
    entry, _, body = wait_subject(lab, f"[PATCH] {request.node.name}")
    assert entry["sender"].startswith("<ada@sender.test>") and "+Grüße\r\n" in body


def test_s_nail_calls_sendmail(lab, sendmail):
    run("s-nail", "-:/", "-S", "v15-compat", "-S", f"mta={sendmail}", "-r", "ada@sender.test",
        "-s", "s-nail by sendmail", "-b", "blind@nopolicy.test", "you@nopolicy.test", text="hello\n")
    entry, header, _ = wait_subject(lab, "s-nail by sendmail")
    assert len(entry["recipients"]) == 2 and "blind" not in header


def test_nodemailer_calls_sendmail(lab, sendmail, tmp_path):
    script = tmp_path / "send.js"
    script.write_text('require("nodemailer").createTransport({ sendmail: true, path: process.argv[2] })'
                      '.sendMail({ from: "ada@sender.test", to: "you@nopolicy.test", subject: "node by sendmail", '
                      'text: "hello" }).catch((e) => { console.error(e); process.exit(1); });',
                      encoding="utf-8")
    run("node", str(script), sendmail, environment={"NODE_PATH": "/usr/share/nodejs"})
    wait_subject(lab, "node by sendmail")

