"""Which mail goes where: the table of routes, what it ends by itself, and what is said of it."""
import json
import os
import subprocess

import pytest
import table
from client import Client, send
from services import wait_until
from test_auth import plain, secure, user
from test_configuration import start_and_fail
from test_policy import arrived, wait_arrived

ONE, OTHER = "mx.nopolicy.test", "mx2.listedsecond.test"
SECOND = ("127.0.0.4", 25)


def route(name, hop=f"[{ONE}]", **more):
    return {"name": name, **{k.replace("_", "-"): v for k, v in more.items()}, "next-hop": hop}


def secret(folder, text, mode=0o600):
    path = f"{folder}/password"
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


def rcpt(path, address=("127.0.0.1", 25)):
    with Client(address) as c:
        c.ehlo()
        c.say("MAIL FROM:<ada@sender.test>")
        return c.say(f"RCPT TO:<{path}>")[1]


@pytest.fixture(name="switch")
def fixture_switch(lab, make_relay):
    """A relay with a route for each kind of condition."""
    certificate, key = lab.certificate(table.RELAY_NAME)
    relay = make_relay(
        listeners=({"address": "127.0.0.1:25"}, {"name": "second", "address": f"{SECOND[0]}:25"},
                   {"address": f"{table.RELAY_ADDRESS}:25", "relay-from": ["127.0.0.0/8"],
                    "tls-certificate": certificate, "tls-key": key}),
        routes=(route("exact", recipients=["a.route.test"]),
                route("below", recipients=[".route.test"]),
                route("void", "discard", recipients=["void.test"]),
                route("sender", senders=["special.test", ".low.special.test"]),
                route("null", senders=["<>"], recipients=["other.test"]),
                route("place", listeners=["second"]),
                route("who", users=["ada"]),
                route("plain", "mx", recipients=["good.test", "nopolicy.test"], tls="none")))
    relay.write(users_file=f"{relay.folder}/users")
    assert user(relay, "add", "ada", password="secret\n").returncode == 0
    return relay.start()


def test_each_message_goes_by_the_first_route_of_which_all_holds(lab, switch):
    ways = [("you@a.route.test", "exact", {}), ("you@b.route.test", "below", {}),
            ("you@x.b.route.test", "below", {}),
            ("one@other.test", "sender", {"sender": "ada@special.test"}),
            ("two@other.test", "sender", {"sender": "ada@very.low.special.test"}),
            ("three@other.test", "null", {"sender": ""}),
            ("four@other.test", "place", {"address": SECOND})]
    sent = [(rcpt_to, name, send(rcpt_to, **how)) for rcpt_to, name, how in ways]
    for rcpt_to, name, message in sent:
        assert wait_arrived(lab, message)["host"] == ONE
        assert switch.wait_delivery(rcpt_to, "delivered")["route"] == name
    wait_arrived(lab, send("five@also-good.test"))
    assert switch.wait_delivery("five@also-good.test", "delivered")["route"] == ""


def test_a_route_knows_who_logged_in(lab, switch):
    switch.lab = lab
    wait_until(lambda: "AUTH" in secure(switch)[1], 5, "AUTH to be offered")
    client, _ = secure(switch)
    assert client.say(plain("ada", "secret"))[0] == 235
    client.begin("ada@sender.test", "you@wherever.test")
    assert client.data(b"Subject: x\r\n\r\nhello\r\n")[0] == 250
    client.close()
    assert switch.wait_delivery("you@wherever.test", "delivered")["route"] == "who"


def test_a_route_to_mx_has_its_own_tls_and_weakens_no_policy_that_is_enforced(lab, switch):
    assert wait_arrived(lab, send("you@nopolicy.test"))["host"] == ONE
    event = switch.wait_delivery("you@nopolicy.test", "delivered")
    assert (event["route"], event["tls"]) == ("plain", "none")
    wait_arrived(lab, send("you@good.test"))
    event = switch.wait_delivery("you@good.test", "delivered")
    assert (event["route"], event["tls"], event["sts"]) == ("plain", "verified", "enforce")


def test_discarded_mail_is_gone_and_the_log_says_by_which_route(lab, switch):
    message = send("you@void.test")
    event = switch.wait_delivery("you@void.test", "delivered")
    assert event["route"] == "void" and event["reply"] == "discarded by route void"
    assert not switch.queue() and not arrived(lab, message) and not switch.events("bounce")
    shown = switch.cli_json("queue", "show", event["qid"])["recipients"][0]
    assert shown["last_reply"] == "discarded by route void"


def test_of_discarded_mail_hears_who_asked_to(switch):
    with Client() as c:
        for line in ("EHLO client.sender.test", "MAIL FROM:<ada@nopolicy.test>",
                     "RCPT TO:<you@void.test> NOTIFY=SUCCESS"):
            assert c.say(line)[0] == 250
        assert c.say("DATA")[0] == 354
        assert c.data(b"Subject: x\r\n\r\nhello\r\n")[0] == 250
    switch.wait_delivery("you@void.test", "delivered")
    switch.wait_delivery("ada@nopolicy.test", "delivered")


def test_a_route_without_conditions_is_for_all_other_mail(lab, make_relay):
    relay = make_relay(relayhost="[mx.mail-451.test]", routes=(
        route("first", recipients=["a.route.test"]), route("rest", f"[{OTHER}]"))).start()
    assert wait_arrived(lab, send("you@a.route.test"))["host"] == ONE
    assert wait_arrived(lab, send("you@b.route.test"))["host"] == OTHER
    assert relay.wait_delivery("you@b.route.test", "delivered")["route"] == "rest"


def test_an_error_route_refuses_at_rcpt_before_anything_is_taken(make_relay):
    relay = make_relay(routes=(route("moved", "error 5.1.6 has moved away", recipients=["gone.test"]),
                               route("shut", "error no mail to here", recipients=[".shut.test"])))
    relay.start()
    assert rcpt("you@gone.test") == "550 5.1.6 has moved away"
    assert rcpt("you@a.shut.test") == "550 5.7.1 no mail to here"
    assert rcpt("you@shut.test").startswith("250")
    assert not relay.events("bounce") and not relay.queue()


def test_after_a_reload_queued_mail_goes_by_the_new_routes(lab, make_relay):
    """One moves to a host that takes it, one fails with the route's words, one is forgotten."""
    relay = make_relay(retry_first="1s", retry_max="1s", routes=(route("down", "[mx.mail-451.test]"),))
    relay.start()
    names = ["moved", "failed", "forgotten"]
    sent = {name: send(f"you@{name}.route.test", sender="ada@nopolicy.test") for name in names}
    for name in names:
        relay.wait_delivery(f"you@{name}.route.test", "deferred")
    relay.write(routes=(route("up", recipients=["moved.route.test"]),
                        route("shut", "error 5.1.6 has moved away", recipients=["failed.route.test"]),
                        route("void", "discard", recipients=["forgotten.route.test"])))
    relay.reload()
    assert wait_arrived(lab, sent["moved"])["host"] == ONE
    assert relay.wait_delivery("you@moved.route.test", "delivered")["route"] == "up"
    event = relay.wait_delivery("you@failed.route.test", "failed")
    assert (event["status"], event["reply"], event["route"]) == ("5.1.6", "has moved away", "shut")
    assert relay.wait_delivery("you@forgotten.route.test", "delivered")["route"] == "void"
    relay.wait_delivery("ada@nopolicy.test", "delivered")
    wait_until(lambda: not relay.queue(), 5, "an empty queue")


def test_an_edge_needs_no_relayhost_where_a_route_leads_inside(lab, make_relay):
    relay = make_relay()
    with open(f"{relay.folder}/recipients", "w", encoding="ascii") as f:
        f.write("@good.test\n")
    relay.write(listeners=({"address": "127.0.0.1:25"},
                           {"address": f"{table.RELAY_ADDRESS}:25", "preset": "edge",
                            "relay-to": ["good.test"], "recipients": f"{relay.folder}/recipients"}),
                routes=(route("inside", recipients=["good.test"]),))
    relay.start()
    assert wait_arrived(lab, send("ada@good.test", address=(table.RELAY_ADDRESS, 25)))["host"] == ONE
    relay.write(routes=(route("inside", "mx", recipients=["good.test"]),))
    assert "relay-to without relayhost" in relay.cli("check", check=False).stderr


def test_a_mailbox_is_asked_for_where_its_mail_would_go(lab, make_relay):
    """The route of the listener that asks, not that of others; nobody is behind a discard."""
    relay = make_relay(
        listeners=({"address": "127.0.0.1:25"},
                   {"name": "edge", "address": f"{table.RELAY_ADDRESS}:25", "preset": "edge",
                    "relay-to": ["good.test", "void.test"], "verify-recipients": "next-hop"}),
        routes=(route("void", "discard", recipients=["void.test"]),
                route("inside", listeners=["edge"]), route("rest", "[mx.nowhere.test]")))
    relay.start()
    outside = (table.RELAY_ADDRESS, 25)
    assert rcpt("ada@good.test", outside).startswith("250")
    assert rcpt("ada@void.test", outside).startswith("250")
    assert wait_arrived(lab, send("ada@good.test", address=outside))["host"] == ONE


@pytest.mark.parametrize("text, mode, words", [
    ("ada:secret\n", 0o604, "others can read"), ("ada:secret\n", 0o640, "its group can read"), (None, 0, "No such file"),
    ("no colon\n", 0o600, "USER:PASSWORD")])
def test_credentials_that_are_wrong_are_refused_at_check_and_start(make_relay, text, mode, words):
    relay = make_relay()
    path = f"{relay.folder}/password"
    if text:
        secret(relay.folder, text, mode)
    relay.write(routes=(route("away", tls="verify", credentials=path),))
    done = relay.cli("check", check=False)
    line = [x for x in done.stderr.split("\n") if words in x]
    assert done.returncode == 1 and path in line[0] and "secret" not in done.stderr
    status, lines = start_and_fail(relay)
    assert status == 1 and words in lines[0] and relay.state_is_untouched()


def test_credentials_that_become_wrong_change_nothing(lab, make_relay):
    relay = make_relay()
    path = secret(relay.folder, "ada:secret\n")
    relay.write(routes=(route("away", recipients=["x.test"], tls="verify", credentials=path),))
    relay.start()
    secret(relay.folder, "nothing of use\n")
    assert path in relay.wait_event("file-refused").text
    os.chmod(path, 0o644)
    relay.reload()
    assert "others can read" in relay.wait_event("reload-refused").text
    wait_arrived(lab, send("you@nopolicy.test"))


def test_check_says_which_routes_cannot_work_and_which_weaken_a_policy(make_relay):
    relay = make_relay(users_file="", routes=(
        route("lost", "[no-such-host.good.test]:587", recipients=["a.test"]),
        route("six", "[192.0.2.1]", families="ipv6", recipients=["e.test"], tls="encrypt"),
        route("four", "[mx.v6only.test]", families="ipv4", recipients=["f.test"], tls="verify"),
        route("v6", "[mx.v6only.test]", families="ipv6", recipients=["g.test"], tls="verify"),
        route("where", listeners=["nowhere"], users=["bob"]),
        route("bare", "mx", recipients=["b.test"], tls="none"),
        route("firm", recipients=["c.test"], tls="verify"),
        route("policy", "mx", recipients=["d.test"], tls="encrypt"),
        route("late", "mx", recipients=["d.test"], senders=["<>"]), route("rest"),
        route("never", "mx")))
    done = relay.cli("check", check=False)
    assert done.returncode == 1
    for words in ("no-such-host.good.test does not resolve", 'no listener is called "nowhere"',
                  'there is no user "bob"', "of route six leaves out its host [192.0.2.1]",
                  "mx.v6only.test has no IPv4 address, and families leaves others out"):
        assert words in done.stderr and f"warning: {words}" not in done.stderr
    assert "mx.v6only.test has no IPv6" not in done.stderr
    assert "warning: no mail reaches route never: route rest in front of it" in done.stderr
    assert "no mail reaches route late: route policy in front of it takes all that it would" in done.stderr
    assert done.stderr.count("no mail reaches") == 2
    notes = [x for x in done.stderr.split("\n") if " note: " in x]
    assert [x.split("route ")[1].split(":")[0] for x in notes] == ["lost", "six", "where", "bare", "rest"]
    relay.write(routes=(route("bare", "mx", tls="none"),))
    done = relay.cli("check")
    assert "note: route bare: mail goes in clear text wherever no policy enforces TLS" in done.stderr
    said = json.loads(subprocess.run([*done.args, "--json"], capture_output=True, check=True).stdout)
    assert said["fine"] and any("note: route bare" in x for x in said["warnings"])


def test_check_follows_a_next_hop_by_its_mx_records(make_relay):
    """What mail would wait for is wrong at each route that uses the name; a relayhost is looked at alike."""
    bad = {"nullmx.test": "takes no mail: it has a null MX", "mx-self.test": "leads back to this relay",
           "mx-nowhere.test": "has MX records, but none of their hosts has an address"}
    good = ["nopolicy.test", "implicit-nopolicy.test", "mx-internal.test", "v6only.test"]
    relay = make_relay(relayhost="mx-self.test", routes=(
        *(route(f"bad{i}", name, tls="dane") for i, name in enumerate(bad)),
        route("again", "nullmx.test", tls="dane"), route("good", good, tls="dane"),
        route("four", "v6only.test", tls="dane", families="ipv4")))
    done = relay.cli("check", check=False)
    assert done.returncode == 1
    lines = [x for x in done.stderr.split("\n") if "next-hop " in x and "warning:" not in x]
    for name, words in bad.items():
        assert sum(f"next-hop {name} {words}" in x for x in lines) == (2 if name == "nullmx.test" else 1)
    assert sum("v6only.test has MX records, but none of their hosts has an IPv4 address" in x for x in lines) == 1
    assert len(lines) == 5 and "relayhost mx-self.test leads back to this relay" in done.stderr


def test_check_looks_at_the_relayhost_as_at_a_route(make_relay):
    relay = make_relay(relayhost="[no-such-host.good.test]:587")
    done = relay.cli("check", check=False)
    assert done.returncode == 1 and "relayhost no-such-host.good.test does not resolve" in done.stderr
    relay.write(relayhost="[mx.good.test]", tls_level="encrypt")
    assert 'note: relayhost: what MTA-STS or DANE' in relay.cli("check").stderr


def test_at_run_time_mail_waits_for_a_host_that_does_not_resolve(make_relay):
    relay = make_relay(routes=(route("lost", "[no-such-host.good.test]"),)).start()
    send("you@wherever.test")
    event = relay.wait_delivery("you@wherever.test")
    assert event["outcome"] == "deferred" and event["route"] == "lost" and len(relay.queue()) == 1
