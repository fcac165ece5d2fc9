"""Real mail servers at both ends: Postfix and Exim as client and as receiving MX."""
import subprocess

import pytest
from client import Client, Message, send
from test_policy import wait_arrived


@pytest.fixture(name="behind_relay")
def fixture_behind_relay(lab, shared_relay):
    """Hands a message to a real mail server whose smarthost is the relay."""
    def submit(program, recipient, message):
        peer = lab.peer(program, "client")
        with Client((peer.addresses[0], 25)) as c:
            c.begin("ada@sender.test", recipient)
            code, text = c.data(message.content)
            assert code == 250, text
        return peer
    return submit


@pytest.mark.parametrize("program", ["postfix", "exim"])
def test_mail_reaches_a_real_mx_over_verified_tls(lab, shared_relay, program):
    inbox = lab.peer(program, "mx")
    message = send(f"you@{program}.test")
    text = inbox.wait_for(message.id.encode())
    assert message.body.replace(b"\r\n", b"\n") in text
    event = shared_relay.wait_delivery(f"you@{program}.test", "delivered")
    assert event["tls"] == "verified" and event["sts"] == "enforce"


@pytest.mark.parametrize("program", ["postfix", "exim"])
def test_a_real_mail_server_uses_the_relay_as_its_smarthost(lab, behind_relay, program):
    message = Message()
    behind_relay(program, "you@good.test", message)
    assert wait_arrived(lab, message, 20)["tls"]


@pytest.mark.parametrize("first, last", [("postfix", "exim"), ("exim", "postfix")])
def test_mail_goes_from_one_real_server_through_the_relay_to_another(lab, behind_relay, first, last):
    inbox = lab.peer(last, "mx")
    message = Message(size=200_000)
    behind_relay(first, f"you@{last}.test", message)
    text = inbox.wait_for(message.id.encode())
    assert message.body.replace(b"\r\n", b"\n") in text


def test_a_real_server_defers_while_the_relay_is_down_and_sends_later(lab, make_relay, shared_relay):
    peer = lab.peer("postfix", "client")
    shared_relay.stop()
    message = Message()
    try:
        with Client((peer.addresses[0], 25)) as c:
            c.begin("ada@sender.test", "you@good.test")
            assert c.data(message.content)[0] == 250
    finally:
        shared_relay.start()
    wait_arrived(lab, message, 30)


def test_swaks_can_send_through_the_relay(lab, shared_relay):
    subprocess.run(["swaks", "--server", "127.0.0.1", "--from", "ada@sender.test", "--to",
                    "swaks@nopolicy.test", "--header", "Message-Id: <swaks@story>"], check=True,
                   capture_output=True, timeout=20)
    shared_relay.wait_delivery("swaks@nopolicy.test", "delivered")
    assert lab.messages(id="<swaks@story>")


def test_curl_can_send_through_the_relay(lab, shared_relay, tmp_path):
    mail = tmp_path / "mail"
    mail.write_bytes(b"Message-ID: <curl@story>\r\nSubject: curl\r\n\r\nhello\r\n")
    subprocess.run(["curl", "-s", "smtp://127.0.0.1", "--mail-from", "ada@sender.test",
                    "--mail-rcpt", "curl@nopolicy.test", "--upload-file", str(mail)], check=True,
                   timeout=20)
    shared_relay.wait_delivery("curl@nopolicy.test", "delivered")
    assert lab.messages(id="<curl@story>")
