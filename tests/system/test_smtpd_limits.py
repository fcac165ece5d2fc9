"""What smtpd keeps to while it runs: connections counted over all processes, certificates, the queue's absence."""
import os
import pwd
import re
import ssl
import subprocess
import time

import pytest
import table
from client import Client, Message, send
from services import wait_until
from test_policy import wait_arrived

OUTSIDE = (table.RELAY_ADDRESS, 25)
LISTENERS = ({"address": "127.0.0.1:25"}, {"address": f"{table.RELAY_ADDRESS}:25",
                                          "relay-from": [f"{table.CLIENT_ADDRESS}/32"]})


def outsider():
    return Client(OUTSIDE, source=table.CLIENT_ADDRESS)


def close_all(clients):
    for c in clients:
        c.close()


def reload(relay):
    before = len(relay.events("ready"))
    relay.reload()
    wait_until(lambda: len(relay.events("ready")) > before, 10, "the reload")


# ------------------------------------------------------------ connections

def test_connections_are_counted_over_old_and_new_processes(make_relay):
    """After a reload a client's sessions are spread over two generations, and its limit is still one."""
    relay = make_relay(max_connections_per_client=3, listeners=LISTENERS).start()
    clients = [outsider(), outsider()]
    for c in clients:
        c.begin("a@sender.test", "you@nopolicy.test")
    reload(relay)
    clients += [outsider(), outsider()]
    assert [c.greeting[0] for c in clients] == [220, 220, 220, 421]
    assert clients[0].data(Message().content)[0] == 250
    clients.pop(0).close()
    wait_until(lambda: greeted_as(220), 5, "room for one more")
    close_all(clients)


def greeted_as(code):
    with outsider() as c:
        return c.greeting[0] == code


def test_the_connections_of_a_dead_process_are_counted_no_more(make_relay):
    relay = make_relay(max_connections_per_client=2, listeners=LISTENERS).start()
    clients = [outsider() for _ in range(3)]
    assert [c.greeting[0] for c in clients] == [220, 220, 421]
    relay.kill_role("smtpd")
    clients += [outsider() for _ in range(3)]
    assert [c.greeting[0] for c in clients[3:]] == [220, 220, 421]
    close_all(clients)


def test_loopback_is_served_when_others_fill_the_rest(make_relay):
    relay = make_relay(max_connections=20, max_connections_per_client=100, listeners=LISTENERS).start()
    with outsider() as c:
        c.begin("a@sender.test", "you@nopolicy.test")
        assert c.data(Message().content)[0] == 250, "no stranger any more"
    clients = [outsider() for _ in range(19)]
    assert [c.greeting[0] for c in clients] == [220] * 18 + [421]
    with Client() as c:
        assert c.greeting[0] == 220
    assert "too many connections" in relay.wait_event("turn-away")["reply"]
    close_all(clients)


def test_overload_is_borne_by_strangers_in_order_and_good_clients_go_on(make_relay):
    """Late greetings, then 421 to those who come, then less time for those who are there."""
    relay = make_relay(max_connections=20, max_connections_per_client=100, listeners=(
        LISTENERS[0], {"address": f"{table.RELAY_ADDRESS}:25",
                       "relay-from": ["127.0.0.0/8", "198.51.100.0/24"]})).start()

    def comes(address):
        begun = time.monotonic()
        c = Client(OUTSIDE, source=address)
        return c, c.greeting[0], time.monotonic() - begun
    good = outsider()
    good.begin("a@sender.test", "you@nopolicy.test")
    assert good.data(Message().content)[0] == 250
    came = [comes(table.RELAY_ADDRESS) for _ in range(16)]
    assert [code for _, code, _ in came] == [220] * 15 + [421]
    assert max(took for _, _, took in came[:13]) < 0.9 < min(took for _, _, took in came[13:15])
    newcomer = outsider()
    assert newcomer.greeting[0] == 220, "who has handed in mail is no stranger"
    for c in (good, newcomer):
        c.begin("a@sender.test", "you@nopolicy.test")
    begun = time.monotonic()
    assert came[0][0].reply()[0] == 421, "a stranger who does nothing"
    assert 8 < time.monotonic() - begun < 15
    for c in (good, newcomer):
        assert c.data(Message().content)[0] == 250, "a good client is not hurried"
    wait_until(lambda: greeted_as(220), 5, "room again")
    assert "has too many connections" in relay.wait_event("turn-away")["reply"]
    close_all([c for c, _, _ in came] + [good, newcomer])


def test_so_many_reloads_that_old_processes_pile_up_close_no_door(make_relay):
    relay = make_relay(listeners=LISTENERS).start()
    clients = []
    for _ in range(30):
        clients.append(outsider())
        clients[-1].begin("a@sender.test", "you@nopolicy.test")
        reload(relay)
    assert greeted_as(220)
    for c in clients:
        assert c.data(Message().content)[0] == 250
        assert c.reply()[0] == 421, "an old process says farewell after the transaction"
    assert not relay.events("counting-alone") and not relay.events("role-keeps-dying")
    close_all(clients)


# ------------------------------------------------------------ shares

def mail_from(sender, connect=Client):
    """What MAIL of a sender is answered, in a connection of its own."""
    with connect() as c:
        c.ehlo()
        return c.say(f"MAIL FROM:<{sender}>")


def test_a_senders_share_is_one_for_all_processes_and_outlives_them(make_relay):
    relay = make_relay(smtpd_processes=3, max_messages_per_sender=4).start()
    assert [mail_from("a@sender.test")[0] for _ in range(6)] == [250] * 4 + [450] * 2
    assert "messages of this sender" in mail_from("a@sender.test")[1]
    reload(relay)
    relay.kill_role("smtpd")
    wait_until(lambda: mail_from("b@sender.test")[0] == 250, 5, "another sender's mail to be taken")
    assert mail_from("a@sender.test")[0] == 450


def test_the_limits_of_a_listener_stand_before_those_of_all(make_relay):
    make_relay(max_messages_per_client=1, listeners=(LISTENERS[0], {
        **LISTENERS[1], "max-connections-per-client": 2, "max-messages-per-client": 3,
        "max-message-size": "1M", "max-recipients": 7})).start()
    clients = [outsider() for _ in range(3)]
    assert [c.greeting[0] for c in clients] == [220, 220, 421]
    close_all(clients)
    wait_until(lambda: greeted_as(220), 5, "room again")
    with outsider() as c:
        offer = c.ehlo()[1]
        assert "SIZE 1048576" in offer and "RCPTMAX=7" in offer
        codes = [c.say("MAIL FROM:<a@sender.test>")[0] for _ in range(4) if c.say("RSET")[0] == 250]
        assert codes == [250] * 3 + [450]


# ------------------------------------------------------------ disk

def leave_room(path, mib):
    """Writes a file that leaves so much room on its file system."""
    free = os.statvfs(os.path.dirname(path))
    with open(path, "wb") as f:
        os.posix_fallocate(f.fileno(), 0, free.f_bavail * free.f_frsize - (mib << 20))


def test_when_others_fill_the_disk_mail_is_refused_at_mail_and_delivered_on(lab, make_relay):
    relay = make_relay(delivery="hold").start()
    relay.stop()
    folder = f"{relay.folder}/state/queue"
    for name in os.listdir(folder):
        os.unlink(f"{folder}/{name}")
    owner = pwd.getpwnam("nobody")
    subprocess.run(["mount", "-t", "tmpfs", "-o",
                    f"size=160m,mode=0700,uid={owner.pw_uid},gid={owner.pw_gid}", "tmpfs", folder],
                   check=True)
    try:
        relay.start()
        message = Message(size=1 << 20)
        send("you@nopolicy.test", message=message)
        leave_room(f"{folder}/filler", 8)
        relay.wait_queue(1)
        replies = []
        for _ in range(40):  # what was set aside before is used up first
            with Client() as c:
                c.ehlo()
                replies.append(c.say("MAIL FROM:<a@sender.test>"))
                if replies[-1][0] != 250:
                    break
                c.say("RCPT TO:<you@nopolicy.test>")
                c.say("DATA")
                c.data(Message(size=1 << 20).content)
            time.sleep(0.2)
        assert replies[-1][0] == 452 and " 4.3.1 " in replies[-1][1]
        assert relay.wait_event("queue-full", 5)["because"] == "disk"
        relay.write(delivery="on")
        relay.reload()
        wait_arrived(lab, message)
        os.unlink(f"{folder}/filler")
        wait_until(lambda: mail_from("a@sender.test")[0] == 250, 10, "mail to be taken again")
        wait_arrived(lab, send("you@nopolicy.test"))
    finally:
        relay.kill()
        subprocess.run(["umount", "-l", folder], check=True)


# ------------------------------------------------------------ envelopes

def test_an_envelope_too_large_for_the_queue_is_452_and_the_role_lives(make_relay):
    relay = make_relay(max_recipients=50000, delivery="hold").start()
    before = relay.role_pids("smtpd")
    domain = ".".join(["d" * 60] * 3) + ".test"
    with Client() as c:
        c.ehlo()
        c.say("MAIL FROM:<a@sender.test>")
        c.send("".join(f"RCPT TO:<u{n}@{domain}>\r\n" for n in range(2500)))
        codes = [c.reply()[0] for _ in range(2500)]
        taken = codes.count(250)
        assert codes == [250] * taken + [452] * (2500 - taken) and taken >= 1000
        assert c.say("DATA")[0] == 354
        assert c.data(Message().content)[0] == 250
    assert relay.role_pids("smtpd") == before
    relay.wait_queue(taken)


def test_a_long_reverse_path_is_taken_and_carried_as_it_came(lab, shared_relay):
    """VERP and SRS make local-parts of more than 64 octets."""
    sender = "bounces+" + "x" * 120 + "=nopolicy.test@sender.test"
    message = send("verp@nopolicy.test", sender=sender)
    assert wait_arrived(lab, message)["sender"].strip("<>") == sender
    assert shared_relay.wait_delivery("verp@nopolicy.test", "delivered")


def test_no_address_forges_a_key_in_the_log(shared_relay):
    with Client() as c:
        c.ehlo()
        path = '"x> outcome=delivered reply=forged y"@sender.test'
        assert c.say(f"MAIL FROM:<{path}>")[0] == 250
        assert c.say("NONSENSE")[0] == 500
    event = shared_relay.wait_event("refuse", **{"from": re.compile("outcome")})
    assert "outcome" not in event and event["reply"].startswith("500")


# ------------------------------------------------------------ the queue goes away

def test_a_queue_that_dies_within_data_is_451_and_the_session_goes_on(lab, make_relay):
    relay = make_relay().start()
    message = Message()
    with Client() as c:
        c.begin("a@sender.test", "you@nopolicy.test")
        c.send(message.content[:100])
        relay.kill_role("queue")
        code, text = c.data(message.content[100:])
        assert code == 451 and "4.3.0" in text
        c.begin("a@sender.test", "you@nopolicy.test")
        assert c.data(message.content)[0] == 250
    wait_arrived(lab, message)


# ------------------------------------------------------------ certificates

def serial_seen(ca_file):
    with Client() as c:
        c.ehlo()
        c.starttls(ca_file)
        return c.socket.getpeercert()["serialNumber"]


def write_pair(relay, certificate, key):
    """Certificate and key of a listener, as a renewal would put them there."""
    paths = [f"{relay.folder}/{name}" for name in ("chain.pem", "key.pem")]
    for source, path in zip((certificate, key), paths):
        with open(source, encoding="ascii") as f, open(f"{path}.new", "w", encoding="ascii") as out:
            out.write(f.read())
        os.chmod(f"{path}.new", 0o600)
        os.rename(f"{path}.new", path)
    return paths


def test_a_renewed_certificate_is_used_without_a_reload(lab, make_relay):
    relay = make_relay()
    chain, key = write_pair(relay, *lab.certificate(table.RELAY_NAME))
    relay.write(listeners=({"address": "127.0.0.1:25", "tls-certificate": chain, "tls-key": key},))
    relay.start()
    first = serial_seen(lab.ca_file)
    with Client() as c:
        c.ehlo()
        c.starttls(lab.ca_file)
        write_pair(relay, *lab.certificate("mx.postfix.test"))
        wait_until(lambda: serial_seen(lab.ca_file) != first, 20, "the new certificate", every=0.5)
        assert c.ehlo()[0] == 250, "sessions go on with the one they began with"
    assert relay.events("file-changed")


def test_a_handshake_that_is_none_ends_that_session_only(lab, make_relay):
    certificate, key = lab.certificate(table.RELAY_NAME)
    relay = make_relay(listeners=({"address": "127.0.0.1:25", "tls-certificate": certificate,
                                   "tls-key": key},)).start()
    before = relay.role_pids("smtpd")
    with Client() as c:
        c.ehlo()
        assert c.say("STARTTLS")[0] == 220
        c.send(b"\x16\x03\x01\xff\xff" + b"\x00" * 300)
        assert c.socket.recv(1) in (b"", b"\x15"), "an alert, or the end; never a clear word"
    assert relay.wait_event("tls-failed")["reason"]
    assert serial_seen(lab.ca_file) and relay.role_pids("smtpd") == before


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_tls_is_refused(lab, make_relay):
    certificate, key = lab.certificate(table.RELAY_NAME)
    relay = make_relay(listeners=({"address": "127.0.0.1:25", "tls-certificate": certificate,
                                   "tls-key": key},)).start()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with Client() as c:
        c.ehlo()
        assert c.say("STARTTLS")[0] == 220
        try:
            context.wrap_socket(c.socket)
            wrong = "TLS 1.1 was taken"
        except (ssl.SSLError, OSError):
            wrong = ""
    assert not wrong
    assert relay.wait_event("tls-failed")


# ------------------------------------------------------------ time

def test_half_a_command_wins_no_time(make_relay):
    make_relay(smtpd_timeout="2s").start()
    with Client() as c:
        end = time.monotonic() + 3
        try:
            while time.monotonic() < end:
                c.send("N")
                time.sleep(0.2)
        except OSError:
            pass
        c.socket.settimeout(0.5)
        assert c.reply()[0] == 421
