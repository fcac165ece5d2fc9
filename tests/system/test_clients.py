"""What clients may and may not do: the dialogue, relaying, smuggling, nonsense."""
import socket
import time

import pytest
import table
from client import Client, Message, send
from test_policy import arrived, wait_arrived

RELAY = (table.RELAY_ADDRESS, 25)


@pytest.fixture(name="client")
def fixture_client(shared_relay):
    with Client() as c:
        yield c


# ------------------------------------------------------------ the dialogue

def test_the_greeting_and_ehlo_name_the_relay_and_its_extensions(client):
    assert client.greeting[0] == 220 and "relay.test" in client.greeting[1]
    code, text = client.ehlo()
    words = {line[4:].split()[0] for line in text.split("\n")}
    assert code == 250 and "relay.test" in words
    assert {"PIPELINING", "SIZE", "8BITMIME", "ENHANCEDSTATUSCODES", "CHUNKING", "DSN", "LIMITS"} <= words
    assert "STARTTLS" not in words, "there is no certificate for it here"


def test_helo_is_answered_in_one_line(client):
    assert client.say("HELO x.test") == (250, "250 relay.test")


@pytest.mark.parametrize("line, code", [
    ("NOOP", 250), ("RSET", 250), ("VRFY ada", 252), ("HELP", 214), ("QUIT", 221), ("NONSENSE", 500),
    ("MAIL FROM:<a@b.test>", 503), ("RCPT TO:<a@b.test>", 503), ("DATA", 503)])
def test_each_command_before_ehlo_has_its_reply(client, line, code):
    got, text = client.say(line)
    assert got == code or (line == "HELP" and got in (211, 500, 502)), text


@pytest.mark.parametrize("line, code", [
    ("MAIL FROM:<a@b.test> SIZE=1000", 250), ("MAIL FROM:<>", 250), ("mail from:<a@b.test>", 250),
    ("MAIL FROM:<a@b.test> BODY=8BITMIME", 250), ("MAIL FROM:<a@b.test> SIZE=99999999999", 552),
    ("MAIL FROM:<a@b.test> NOSUCH=1", 555), ("MAIL FROM:a@b.test>", 501),
    ("MAIL FROM:<a b@c.test>", 501),
    ("MAIL FROM:<a@b.test> SIZE=1 SIZE=1", 501), ("MAIL FROM:<a@b.test> SIZE=-1", 501),
    ("MAIL TO:<a@b.test>", 501), ("MAIL", 501), ("MAIL FROM:<\x01@b.test>", 501)])
def test_mail_is_read_strictly(client, line, code):
    client.ehlo()
    assert client.say(line)[0] == code


@pytest.mark.parametrize("line, code", [
    ("RCPT TO:<you@good.test>", 250), ("RCPT TO:<@x.test,@y.test:you@good.test>", 250),
    ('RCPT TO:<"a b"@good.test>', 250), ("RCPT TO:<you@[198.51.100.1]>", 250),
    ("RCPT TO:<postmaster>", 250), ("RCPT TO:<>", 501), ("RCPT TO:<you>", 501),
    ("RCPT TO:<you@good..test>", 501), ("RCPT TO:<you@-bad.test>", 501),
    ("RCPT TO:<you@good.test> NOSUCH", 555), ("RCPT TO:<" + "x" * 100 + "@good.test>", 250),
    ("RCPT TO:<" + "x" * 250 + "@good.test>", 501),
    ("RCPT TO:<you@" + "x" * 64 + ".test>", 501)])
def test_rcpt_is_read_strictly(client, line, code):
    """A long local-part is taken (VERP, SRS) as long as the path fits RFC 5321 section 4.5.3.1.3."""
    client.ehlo()
    client.say("MAIL FROM:<a@sender.test>")
    got, text = client.say(line)
    assert got == code or (code == 501 and got in (550, 553)), text
    assert "\n" not in text and text[4:6] in ("2.", "5.")


def test_data_without_a_recipient_is_refused(client):
    client.ehlo()
    client.say("MAIL FROM:<a@sender.test>")
    assert client.say("DATA")[0] in (503, 554)


def test_pipelined_commands_are_answered_in_order(lab, client):
    client.ehlo()
    message = Message()
    client.send("MAIL FROM:<a@sender.test>\r\nRCPT TO:<you@nopolicy.test>\r\nNONSENSE\r\nDATA\r\n")
    assert [client.reply()[0] for _ in range(4)] == [250, 250, 500, 354]
    assert client.data(message.content)[0] == 250
    wait_arrived(lab, message)


def test_the_received_field_tells_where_the_message_came_from(lab, shared_relay):
    message = send("you@nopolicy.test")
    with open(wait_arrived(lab, message)["file"], encoding="latin-1") as f:
        first = f.read().split("\nFrom:")[0]
    assert first.startswith("Received: from client.sender.test (")
    assert "[127.0.0.1]" in first and "by relay.test" in first and "with ESMTP" in first
    assert "for <you@nopolicy.test>" in first
    qid = shared_relay.wait_delivery("you@nopolicy.test", "delivered")["qid"]
    assert shared_relay.events("delivery", qid=qid) and "id " in first


def test_the_reply_to_the_final_dot_names_the_queue_id(lab, shared_relay):
    message = send("named@nopolicy.test")
    event = shared_relay.wait_delivery("named@nopolicy.test", "delivered")
    assert event["qid"] in message.reply


# ------------------------------------------------------------ relaying

def test_a_client_from_outside_the_listed_networks_may_not_relay(shared_relay):
    with Client(RELAY, source=table.CLIENT_ADDRESS) as c:
        c.ehlo()
        c.say("MAIL FROM:<a@sender.test>")
        code, text = c.say("RCPT TO:<you@good.test>")
        assert code in (550, 554) and "5.7.1" in text


@pytest.mark.parametrize("path", [
    "you%good.test@relay.test", "@relay.test:you@good.test", '"you@good.test"@other.test',
    "good.test!you@other.test", "you@[127.0.0.1]", "you@[198.51.100.250]"])
def test_no_spelling_of_an_address_makes_an_open_relay(shared_relay, path):
    with Client(RELAY, source=table.CLIENT_ADDRESS) as c:
        c.ehlo()
        c.say("MAIL FROM:<a@sender.test>")
        assert c.say(f"RCPT TO:<{path}>")[0] >= 500


def test_relay_from_names_the_networks_that_may(lab, make_relay):
    relay = make_relay(listeners=({"address": "127.0.0.1:25"}, {
        "address": f"{table.RELAY_ADDRESS}:25", "relay-from": [f"{table.CLIENT_ADDRESS}/32"]})).start()
    with Client(RELAY, source=table.CLIENT_ADDRESS) as c:
        c.begin("a@sender.test", "you@nopolicy.test")
        assert c.data(Message().content)[0] == 250
    assert relay.wait_delivery("you@nopolicy.test", "delivered")


def test_an_empty_configuration_listens_on_loopback_only(make_relay):
    relay = make_relay().start()
    assert relay.is_up()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(RELAY, timeout=2)
    socket.create_connection(("::1", 25), timeout=2).close()


# ------------------------------------------------------------ smuggling

SMUGGLED = b"MAIL FROM:<evil@sender.test>\r\nRCPT TO:<evil@nopolicy.test>\r\nDATA\r\nevil\r\n"


@pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n", b"\r\n.\r", b"\r.\r\n",
                                 b"\n.\r", b"\r\n\x00.\r\n"], ids=repr)
def test_only_crlf_dot_crlf_ends_a_message(lab, client, end):
    message = Message()
    client.begin("a@sender.test", "you@nopolicy.test")
    client.send(message.content + b"text" + end + SMUGGLED + b"\r\n.\r\n")
    code, text = client.reply()
    assert code in (550, 554), "content with bare CR, bare LF or NUL is refused"
    assert "5.6.0" in text
    assert client.say("NOOP")[0] == 250, "there was exactly one message, and one reply"
    time.sleep(0.3)
    assert not arrived(lab, message)
    assert not [m for m in lab.messages() if "<evil@nopolicy.test>" in m["recipients"]]


@pytest.mark.parametrize("line", [b"MAIL FROM:<a@sender.test>\nRCPT TO:<you@good.test>",
                                  b"NOOP\rMAIL FROM:<a@sender.test>", b"NO\x00OP"], ids=repr)
def test_a_command_with_a_bare_line_end_inside_is_one_bad_command(client, line):
    client.ehlo()
    assert client.say(line)[0] in (500, 501)
    assert client.say("RSET")[0] == 250


def test_what_was_sent_in_clear_behind_starttls_is_never_obeyed(lab, make_relay):
    """It is taken as the attack it is: no TLS, and the connection ends."""
    certificate, key = lab.certificate(table.RELAY_NAME)
    make_relay(listeners=({"address": "127.0.0.1:25", "tls-certificate": certificate,
                           "tls-key": key},)).start()
    with Client() as c:
        assert "STARTTLS" in c.ehlo()[1]
        c.send("STARTTLS\r\nMAIL FROM:<evil@sender.test>\r\nRCPT TO:<evil@good.test>\r\n")
        assert c.reply()[0] == 503
        assert c.reply()[0] == 0


def test_clients_may_use_starttls_where_a_certificate_is_set(lab, make_relay):
    certificate, key = lab.certificate(table.RELAY_NAME)
    make_relay(listeners=({"address": "127.0.0.1:25", "tls-certificate": certificate,
                           "tls-key": key},)).start()
    message = Message()
    with Client() as c:
        c.ehlo()
        c.starttls(lab.ca_file)
        assert "STARTTLS" not in c.ehlo()[1]
        c.begin("a@sender.test", "you@nopolicy.test")
        assert c.data(message.content)[0] == 250
    with open(wait_arrived(lab, message)["file"], encoding="latin-1") as f:
        assert "with ESMTPS" in f.read()


# ------------------------------------------------------------ bounds

def test_an_overlong_command_line_is_refused_and_the_session_goes_on(client):
    client.ehlo()
    assert client.say("NOOP " + "x" * 4000)[0] == 250
    assert client.say("NOOP " + "x" * 5000)[0] in (500, 501)
    assert client.say("NOOP")[0] == 250


def test_a_line_that_never_ends_costs_the_client_its_connection(client):
    client.ehlo()
    try:
        for _ in range(2000):
            client.send(b"x" * 8192)
        client.send(b"\r\n")
        code, _ = client.reply()
    except OSError:
        code = 0
    assert code in (0, 421, 500)


def test_too_many_errors_end_the_session_with_421(client):
    client.ehlo()
    client.socket.settimeout(60)
    codes = []
    while len(codes) < 40 and (not codes or codes[-1] not in (0, 421)):
        codes.append(client.say("NONSENSE")[0])
    assert codes[-1] == 421 and 10 <= len(codes) <= 30


def test_a_message_over_the_limit_is_refused_and_not_kept(lab, make_relay):
    relay = make_relay(max_message_size="64K").start()
    message = Message(size=100_000)
    with Client() as c:
        assert "SIZE 65536" in c.ehlo()[1]
        c.begin("a@sender.test", "you@nopolicy.test")
        code, text = c.data(message.content)
        assert code == 552 and "5.3.4" in text
        assert c.say("NOOP")[0] == 250
    assert relay.queue() == []


def test_too_many_recipients_get_452_and_the_others_are_served(make_relay):
    make_relay(max_recipients=100, delivery="hold").start()
    with Client() as c:
        c.ehlo()
        c.say("MAIL FROM:<a@sender.test>")
        codes = [c.say(f"RCPT TO:<u{n}@good.test>")[0] for n in range(101)]
    assert codes == [250] * 100 + [452]


def test_a_looping_message_is_refused(client):
    client.begin("a@sender.test", "you@good.test")
    code, text = client.data(b"Received: from a by b; now\r\n" * 101 + b"\r\nround\r\n")
    assert code == 554 and "5.4.6" in text


def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(lab, shared_relay):
    message = Message()
    with Client() as c:
        c.begin("a@sender.test", "left@nopolicy.test")
        c.send(message.content)
    time.sleep(0.5)
    assert not arrived(lab, message)
    assert not [r for r in shared_relay.queue() if r["recipient"] == "left@nopolicy.test"]


def test_a_silent_client_is_dropped_in_time(make_relay):
    make_relay(smtpd_timeout="2s").start()
    with Client() as c:
        c.ehlo()
        begin = time.monotonic()
        code, _ = c.reply()
        assert code in (0, 421) and 1 < time.monotonic() - begin < 6


def test_a_client_that_speaks_another_protocol_is_turned_away(shared_relay):
    for greeting in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\r\n"):
        with Client() as c:
            c.send(greeting)
            assert c.reply()[0] in (0, 421, 500, 501, 502, 554)
    assert send("after@nopolicy.test")


def test_each_client_address_has_a_limit_of_connections(make_relay):
    make_relay(max_connections_per_client=3, listeners=({"address": "127.0.0.1:25"}, {
        "address": f"{table.RELAY_ADDRESS}:25"})).start()
    clients = [Client(RELAY, source=table.CLIENT_ADDRESS) for _ in range(4)]
    codes = sorted(c.greeting[0] for c in clients)
    for c in clients:
        c.close()
    assert codes == [220, 220, 220, 421]


def test_nonsense_of_every_kind_leaves_the_role_alive(shared_relay):
    before = shared_relay.role_pids("smtpd")
    for blob in (b"\x00" * 5000 + b"\r\n", b"\xff\xfe" * 3000, b"\r\n" * 50,
                 b"EHLO " + b"\x80" * 300 + b"\r\n", b"MAIL FROM:<" + b"@" * 3000 + b">\r\n"):
        with Client() as c:
            try:
                c.send(blob)
                c.socket.shutdown(socket.SHUT_WR)
                while c.reply()[0]:
                    pass
            except (OSError, ValueError):
                pass
    assert shared_relay.role_pids("smtpd") == before
