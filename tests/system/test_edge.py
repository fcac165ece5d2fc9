"""Who may send what where: the edge, with its mailboxes, and rules for some clients."""
import table
from client import Client, send
from services import wait_until
from test_policy import wait_arrived

OUTSIDE = (table.RELAY_ADDRESS, 25)
INSIDE = ("127.0.0.1", 25)
BEHIND = "mx.nopolicy.test"


def list_mailboxes(path, *mailboxes):
    with open(path, "w", encoding="ascii") as f:
        f.write("# the mailboxes there are\n" + "".join(f"{m}\n" for m in mailboxes))


def edge(lab, make_relay, *mailboxes, **members):
    """A relay whose edge takes mail for good.test and also-good.test to a host behind it."""
    relay = make_relay(relayhost=f"[{table.MX_ADDRESSES[BEHIND][0]}]:25")
    if mailboxes:
        members["recipients"] = f"{relay.folder}/recipients"
        list_mailboxes(members["recipients"], *mailboxes)
    relay.write(listeners=({"address": "127.0.0.1:25"},
                           {"address": f"{table.RELAY_ADDRESS}:25", "preset": "edge",
                            "relay-to": ["good.test", "also-good.test"], **members}))
    return relay


def rcpt(path, address=OUTSIDE):
    with Client(address) as c:
        c.ehlo()
        c.say("MAIL FROM:<a@sender.test>")
        return c.say(f"RCPT TO:<{path}>")


def test_anybody_reaches_the_mailboxes_of_our_domains_and_nobody_else(lab, make_relay):
    relay = edge(lab, make_relay, "ada@good.test", "@also-good.test").start()
    got = wait_arrived(lab, send("Ada@good.test", address=OUTSIDE))
    assert got["host"] == BEHIND and got["recipients"] == ["<Ada@good.test>"]
    wait_arrived(lab, send("whoever@also-good.test", address=OUTSIDE))
    assert rcpt("bob@good.test")[1].startswith("550 5.1.1")
    assert rcpt("ada@nopolicy.test")[1].startswith("550 5.7.1")
    assert rcpt("postmaster@good.test")[0] == 250
    assert rcpt("ada@nopolicy.test", INSIDE)[0] == 250
    assert relay.cli("check").returncode == 0


def test_the_list_of_mailboxes_is_read_again_when_it_changes(lab, make_relay):
    relay = edge(lab, make_relay, "ada@good.test").start()
    path = f"{relay.folder}/recipients"
    assert rcpt("bob@good.test")[0] == 550
    list_mailboxes(path, "bob@good.test")
    wait_until(lambda: rcpt("bob@good.test")[0] == 250, 10, "the new list")
    assert rcpt("ada@good.test")[0] == 550
    list_mailboxes(path, "this is no mailbox")
    assert "no mailbox" in relay.wait_event("file-refused").text
    assert rcpt("bob@good.test")[0] == 250, "the old one stands"


def test_a_list_that_is_wrong_or_missing_is_found_at_check(lab, make_relay):
    relay = edge(lab, make_relay, "ada@good.test", "@")
    done = relay.cli("check", check=False)
    assert done.returncode == 1 and "recipients:3: this is no mailbox" in done.stderr
    assert "waxseal.conf:" in done.stderr
    done = edge(lab, make_relay).cli("check", check=False)
    assert done.returncode == 1 and "can only bounce" in done.stderr


def test_a_network_with_rules_uses_its_senders_and_recipients_and_no_others(make_relay):
    relay = make_relay(sender_rules=["network 127.0.0.0/8: sender.test"],
                       recipient_rules=["network 127.0.0.0/8: nopolicy.test"]).start()
    send("you@nopolicy.test")
    with Client() as c:
        c.ehlo()
        assert c.say("MAIL FROM:<a@elsewhere.test>")[1].startswith("553 5.7.1")
        c.say("MAIL FROM:<a@sender.test>")
        assert c.say("RCPT TO:<you@good.test>")[1].startswith("550 5.7.1")
        assert c.say("RCPT TO:<you@nopolicy.test>")[0] == 250
        c.say("DATA")
        assert c.data(b"From: ceo@elsewhere.test\r\n\r\nPay\r\n")[1].startswith("550 5.7.1")
    assert "not a sender of your network" in relay.events("refuse")[0].text
    relay.wait_delivery("you@nopolicy.test", "delivered")
    assert len(relay.queue()) == 0


def test_relaying_for_the_address_of_a_proxy_is_refused(make_relay):
    relay = make_relay()
    proxied = {"address": "127.0.0.1:2501", "proxy-from": ["192.0.2.7"]}
    outside = {"address": f"{table.RELAY_ADDRESS}:25"}
    relay.write(listeners=(proxied, {**outside, "relay-from": ["192.0.2.7/32"]}))
    done = relay.cli("check", check=False)
    assert done.returncode == 1 and "a proxy of another listener" in done.stderr
    assert relay.launch().process.wait(10) == 1, "it does not start either"
    assert relay.state_is_untouched()
    relay.write(listeners=(proxied, {**outside, "relay-from": ["192.0.2.0/24"]}))
    done = relay.cli("check")
    assert "warning: relay-from: 192.0.2.0/24 holds 192.0.2.7" in done.stderr


# ------------------------------------------------------------ the next hop is asked

def behind(lab, **script):
    """How the host behind the edge answers."""
    lab.mx(BEHIND, **script)


def test_the_host_behind_is_asked_whether_there_is_such_a_mailbox(lab, make_relay):
    relay = edge(lab, make_relay, **{"verify-recipients": "next-hop"}).start()
    got = wait_arrived(lab, send("ada@good.test", address=OUTSIDE))
    assert got["host"] == BEHIND
    behind(lab, rcpt="550 5.1.1 nobody of that name")
    assert rcpt("bob@good.test")[1].startswith("550 5.1.1")
    assert rcpt("ada@good.test")[0] == 250, "what was said is remembered"
    behind(lab, rcpt="451 4.2.1 greylisted")
    assert rcpt("eve@good.test")[1].startswith("451 4.4.1")
    assert rcpt("bob@good.test")[0] == 550
    assert len(relay.queue()) == 0 and rcpt("x@nopolicy.test")[0] == 550


def test_a_host_that_is_down_leaves_mailboxes_undecided(lab, make_relay):
    edge(lab, make_relay, **{"verify-recipients": "next-hop"}).start()
    behind(lab, mail="550 5.7.1 not from nobody")
    assert rcpt("ada@good.test")[1].startswith("451 4.4.1")
    behind(lab, greeting="421 4.3.2 going down")
    assert rcpt("bob@good.test")[1].startswith("451 4.4.1")


def test_a_worker_that_dies_while_it_asks_leaves_the_mailbox_undecided(lab, make_relay):
    relay = edge(lab, make_relay, **{"verify-recipients": "next-hop"}).start()
    behind(lab, rcpt="=wait 20\n250 2.1.5 at last")
    with Client(OUTSIDE) as c:
        c.ehlo()
        c.say("MAIL FROM:<a@sender.test>")
        c.send("RCPT TO:<ada@good.test>\r\nNOOP\r\n")
        wait_until(lambda: [e for e in lab.events(host=BEHIND)], 10, "the probe")
        relay.kill_role("deliver")
        assert c.reply()[1].startswith("451 4.4.1")
        assert c.reply()[0] == 250
