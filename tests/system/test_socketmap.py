"""Other mail systems ask waxseal which policy binds mail to a domain: the socketmap (docs/socketmap.md)."""
import socket
import time

import pytest
from client import Client, Message
from services import wait_until
from test_next_hops import digest_of
from test_policy import arrived, wait_arrived

AT = ("127.0.0.1", 8461)
GOOD = "OK secure match=mx.good.test servername=hostname"


def netstring(text):
    data = text.encode()
    return b"%d:%s," % (len(data), data)


class Asker:
    """A connection to the socketmap: asks and is answered in netstrings."""

    def __init__(self, at=AT, seconds=30):
        self.socket = socket.socket(socket.AF_UNIX if isinstance(at, str) else socket.AF_INET)
        self.socket.settimeout(seconds)
        self.socket.connect(at)
        self.kept = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def say(self, data):
        self.socket.sendall(data)

    def hear(self):
        """One answer, as text; None when the connection has ended."""
        while True:
            length, colon, rest = self.kept.partition(b":")
            if colon and len(rest) > int(length):
                assert rest[int(length):int(length) + 1] == b","
                self.kept = rest[int(length) + 1:]
                return rest[:int(length)].decode()
            try:
                got = self.socket.recv(65536)
            except ConnectionResetError:
                got = b""
            if not got:
                return None
            self.kept += got

    def ask(self, key, name="QUERY"):
        self.say(netstring(f"{name} {key}"))
        return self.hear()


def ask(key, name="QUERY"):
    with Asker() as asker:
        return asker.ask(key, name)


# ------------------------------------------------------------ what is answered

def test_an_enforced_policy_is_told_as_postfix_and_sendmail_want_it(lab, shared_relay):
    assert ask("good.test") == GOOD
    assert ask("good.test", "sts") == GOOD
    assert ask("GOOD.test.", "query") == GOOD
    assert ask("good.test:25") == GOOD
    assert ask("wildcard.test").startswith("OK secure match=.")


def test_for_tls_reports_the_text_of_the_policy_comes_along(lab, shared_relay):
    policy = shared_relay.cli_json("policy", "show", "good.test") if ask("good.test") == GOOD else None
    assert ask("good.test", "QUERYwithTLSRPT") == GOOD + (
        " policy_type=sts policy_domain=good.test mx_host_pattern=mx.good.test"
        " { policy_string = version: STSv1 } { policy_string = mode: enforce }"
        " { policy_string = mx: mx.good.test } { policy_string = max_age: %d }" % policy["max_age"])


@pytest.mark.parametrize("key", ["testing.test", "none.test", "nopolicy.test", "policy-404.test", "nowhere.test",
                                 ".good.test", ".test", "[192.0.2.1]", "[mx.good.test]:25", "/run/lmtp", "", "a b"])
def test_where_no_policy_holds_mail_nothing_is_found(lab, shared_relay, key):
    assert ask(key) == ask(key, "QUERYwithTLSRPT") == "NOTFOUND "


def test_other_maps_are_refused(lab, shared_relay):
    assert ask("good.test", "transport").startswith("PERM ")
    with Asker() as asker:
        asker.say(b"0:,")
        assert asker.hear().startswith("PERM ")


def test_dane_comes_first_where_every_mx_has_it(lab, make_relay):
    key = {host: digest_of(host, "key-sha256").split(":")[1] for host in ("mx.good.test", "mx.nopolicy.test")}
    relay = make_relay().start()
    try:
        lab.dns.set("_25._tcp.mx.good.test", "TLSA", f"3 1 1 {key['mx.good.test']}")
        lab.dns.set("_25._tcp.mx.nopolicy.test", "TLSA", f"3 1 1 {key['mx.nopolicy.test']}")
        assert ask("nopolicy.test") == "OK dane"
        assert ask("good.test") == ask("good.test", "QUERYwithTLSRPT") == "OK dane-only"
        assert ask("good.test:2525") == GOOD, "there are no records for that port"
        assert ask("good.test", "sts") == GOOD, "sendmail looks after DANE itself"
        relay.write(socketmap_dane="off")
        relay.reload()
        wait_until(lambda: ask("good.test") == GOOD, 10, "the new settings")
        assert ask("nopolicy.test") == "NOTFOUND "
    finally:
        lab.dns.set("_25._tcp.mx.good.test", "TLSA")
        lab.dns.set("_25._tcp.mx.nopolicy.test", "TLSA")


def test_a_policy_that_is_not_known_is_a_trouble_until_mail_has_waited_long_enough(lab, make_relay):
    make_relay(policy_unknown_wait="4s").start()
    assert ask("txt-servfail.test").startswith("TEMP ")
    wait_until(lambda: ask("txt-servfail.test") == "NOTFOUND ", 20, "an end of the patience", every=0.5)


def test_a_cached_policy_is_told_while_dns_and_policy_host_are_down(lab, make_relay):
    make_relay().start()
    assert ask("good.test") == GOOD
    lab.dns.down()
    lab.web.down()
    try:
        time.sleep(11)      # no answer is kept that long
        assert ask("good.test") == GOOD
    finally:
        lab.web.up()
        lab.dns.up()


# ------------------------------------------------------------ how it is asked

def test_pieces_and_several_at_once_are_answered_in_order(lab, shared_relay):
    with Asker() as asker:
        for byte in netstring("QUERY good.test"):
            asker.say(bytes([byte]))
        assert asker.hear() == GOOD
        asker.say(netstring("QUERY wildcard.test") + netstring("QUERY .test") + netstring("sts good.test")
                  + netstring("other x") + netstring("QUERY good.test")[:9])
        first = asker.hear()
        assert first.startswith("OK secure match=.")
        assert [asker.hear(), asker.hear(), asker.hear()[:4]] == ["NOTFOUND ", GOOD, "PERM"]
        asker.say(netstring("QUERY good.test")[9:])
        assert asker.hear() == GOOD


@pytest.mark.parametrize("nonsense", [b"QUERY good.test\n", b"01:a,", b"15:QUERY good.testx", b"10001:", b"1234567",
                                      b"-1:,", b"GET / HTTP/1.0\r\n\r\n", b"\0"])
def test_what_is_no_netstring_ends_the_connection_and_nothing_else(lab, shared_relay, nonsense):
    with Asker() as asker:
        asker.say(netstring("QUERY good.test") + nonsense)
        assert asker.hear() == GOOD
        assert asker.hear() is None
    assert ask("good.test") == GOOD


def test_a_key_of_the_largest_size_is_answered(lab, shared_relay):
    assert ask("a" * (10000 - len("QUERY "))) == "NOTFOUND "


def test_a_thousand_questions_for_one_new_domain_are_one_fetch(lab, make_relay):
    make_relay().start()
    before = lab.web.fetches("good.test")
    askers = [Asker() for _ in range(1000)]
    for asker in askers:
        asker.say(netstring("QUERY good.test"))
    assert {asker.hear() for asker in askers} == {GOOD}
    assert lab.web.fetches("good.test") - before == 1
    for asker in askers:
        asker.socket.close()


def test_who_takes_no_answers_holds_up_nobody(lab, shared_relay):
    with Asker() as deaf:
        deaf.socket.settimeout(0.5)
        question = netstring("QUERYwithTLSRPT good.test")
        with pytest.raises(TimeoutError):
            while True:
                deaf.say(question * 1000)
        begin = time.time()
        assert ask("good.test") == GOOD
        assert time.time() - begin < 1
    assert ask("good.test") == GOOD


def test_more_connections_than_are_kept_cost_the_longest_idle_one(lab, make_relay):
    relay = make_relay().start()
    first, others = Asker(), []
    try:
        others = [Asker() for _ in range(2000)]
        assert others[-1].ask("good.test") == GOOD and others[0].ask("good.test") == GOOD
        assert first.hear() is None
        assert relay.wait_event("socketmap-crowded")
    finally:
        for asker in (first, *others):
            asker.socket.close()
    assert ask("good.test") == GOOD


def test_status_counts_who_asks_and_what_they_were_told(lab, make_relay):
    relay = make_relay().start()
    with Asker() as one, Asker() as other:
        for asker in (one, one, other):
            assert asker.ask("good.test") == GOOD
        counts = relay.cli_json("status")["policy"]
        assert (counts["socketmap_connections"], counts["socketmap_answers"]) == (2, 3)
    assert "socketmap_answers: 3" in relay.cli("status").stdout


# ------------------------------------------------------------ where it listens

def test_a_default_that_something_else_has_is_passed_over_and_a_choice_is_not(lab, make_relay):
    with socket.create_server(AT):
        relay = make_relay().start()
        assert "8461" in relay.wait_event("listener-skipped")["address"]
        assert relay.stop() == 0
        relay.write(socketmap="127.0.0.5:8462")
        with socket.create_server(("127.0.0.5", 8462)):
            relay.launch()
            assert relay.process.wait(10) == 1
            assert "127.0.0.5:8462" in relay.wait_event("start-refused")["error"]


def test_a_reload_moves_it_and_ends_it(lab, make_relay):
    relay = make_relay().start()
    path = f"{relay.folder}/policies"
    with Asker() as before:
        assert before.ask("good.test") == GOOD
        relay.reload()
        relay.wait_event("reloaded")
        assert before.ask("good.test") == GOOD, "the same socket, the same connections"
        relay.write(socketmap=f"unix:{path}")
        relay.reload()
        relay.wait_event("socketmap-open", address=f"unix:{path}")
        assert before.hear() is None
    with Asker(path) as asker:
        assert asker.ask("good.test") == GOOD
        with pytest.raises(ConnectionRefusedError):
            Asker()
        relay.write(socketmap="")
        relay.reload()
        assert asker.hear() is None


def test_it_serves_on_after_the_death_of_its_role(lab, make_relay):
    relay = make_relay().start()
    assert ask("good.test") == GOOD
    relay.kill_role("policy")
    assert ask("good.test") == GOOD


# ------------------------------------------------------------ the real Postfix

@pytest.fixture(name="postfix")
def fixture_postfix(lab, shared_relay):
    """A Postfix that delivers mail itself, and asks the relay for policies."""
    return lab.peer("postfix", "own")


def submit(postfix, recipient):
    message = Message()
    with Client((postfix.addresses[0], 25)) as c:
        c.begin("ada@sender.test", recipient)
        code, text = c.data(message.content)
        assert code == 250, text
    return message


def wait_logged(postfix, *words, seconds=20):
    """The log line that has all these words."""
    def found():
        return next((line for line in postfix.log().split("\n") if all(w in line for w in words)), None)
    return wait_until(found, seconds, f"{words} in the log of Postfix", lambda: postfix.log()[-3000:])


def test_a_real_postfix_delivers_by_the_policies_that_it_is_told(lab, postfix):
    for domain in ("good.test", "wildcard.test", "tls12.test"):
        got = wait_arrived(lab, submit(postfix, f"you@{domain}"), 20)
        assert got["tls"] and got["sni"] == got["host"], "servername=hostname"
        assert "Verified TLS connection established" in wait_logged(postfix, f"to {got['host']}[", "TLS connection")
    for domain in ("testing-notls.test", "nopolicy.test"):
        wait_arrived(lab, submit(postfix, f"you@{domain}"), 20)


@pytest.mark.parametrize("domain", ["expired.test", "wrongname.test", "selfsigned.test", "notls.test",
                                    "tlsrefused.test"])
def test_what_a_policy_forbids_a_real_postfix_does_not_send(lab, postfix, domain):
    begin = time.time()
    message = submit(postfix, f"you@{domain}")
    wait_logged(postfix, f"to=<you@{domain}>", "status=deferred")
    assert not arrived(lab, message)
    for session in lab.sessions(host=f"mx.{domain}", since=begin):
        assert not any(c.upper().startswith(("MAIL", "RCPT", "DATA")) for c in session["commands"])
    postfix.run("postsuper", "-d", "ALL")


def test_a_next_hop_whose_port_has_a_name_is_guarded_by_its_domains_policy(lab, postfix):
    with open(f"{postfix.folder}/etc/postfix/main.cf", "r+", encoding="utf-8") as conf:     # a mount: not to be replaced
        before = conf.read()
        conf.seek(0)
        conf.write(before.replace("relayhost =\n", "relayhost = notls.test:smtp\n"))
        conf.truncate()
    postfix.run("postfix", "reload")
    try:
        message = submit(postfix, "named@nopolicy.test")
        wait_logged(postfix, "to=<named@nopolicy.test>", "status=deferred")
        assert not arrived(lab, message), "the policy of notls.test is in force, and its host has no TLS"
    finally:
        with open(f"{postfix.folder}/etc/postfix/main.cf", "w", encoding="utf-8") as conf:
            conf.write(before)
        postfix.run("postfix", "reload")
        postfix.run("postsuper", "-d", "ALL")


def test_a_real_postfix_uses_dane_where_it_is_told_to(lab, postfix):
    good, forged = "nopolicy.test", "nopolicy-selfsigned.test"
    key = digest_of(f"mx.{good}", "key-sha256").split(":")[1]
    try:
        lab.dns.set(f"_25._tcp.mx.{good}", "TLSA", f"3 1 1 {key}")
        lab.dns.set(f"_25._tcp.mx.{forged}", "TLSA", "3 1 1 " + 64 * "0")
        for domain in (good, forged):
            wait_until(lambda d=domain: ask(d) == "OK dane", 15, "the new answer", every=0.5)
        wait_arrived(lab, submit(postfix, f"you@{good}"), 20)
        wait_logged(postfix, "Verified TLS connection established", f"mx.{good}[")
        message = submit(postfix, f"you@{forged}")
        wait_logged(postfix, f"to=<you@{forged}>", "status=deferred")
        assert not arrived(lab, message)
    finally:
        for domain in (good, forged):
            lab.dns.set(f"_25._tcp.mx.{domain}", "TLSA")
        postfix.run("postsuper", "-d", "ALL")


def test_postmap_asks_by_hand(lab, postfix):
    asked = "socketmap:inet:127.0.0.1:8461:QUERY"
    done = postfix.run("postmap", "-q", "good.test", asked)
    assert done.stdout == GOOD[3:] + "\n", done
    done = postfix.run("postmap", "-q", "testing.test", asked)
    assert (done.returncode, done.stdout) == (1, "")
    done = postfix.run("postmap", "-q", "good.test", "socketmap:inet:127.0.0.1:8461:other")
    assert done.returncode == 1 and "no such map" in done.stderr


def test_a_real_postfix_holds_mail_while_nobody_can_be_asked(lab, postfix, shared_relay):
    shared_relay.stop()
    try:
        message = submit(postfix, "later@good.test")
        wait_logged(postfix, "to=<later@good.test>", "status=deferred (client TLS configuration problem)")
        assert not arrived(lab, message)
    finally:
        shared_relay.start()
    wait_arrived(lab, message, 30)
