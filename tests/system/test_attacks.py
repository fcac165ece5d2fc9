"""Attacks on the path: under enforce, DANE and REQUIRETLS nothing goes in clear and nothing to a stranger.

Each story blinds policy and DNS in one way and plays all attacks of tests/lab/attacks.py meanwhile, against mail under
each guard.  Mail without a guard is sent along: it is robbed, which shows that the attack works.
"""
import time
from contextlib import contextmanager

import pytest
import table
from attacks import ATTACKS, CALM, THIEF
from client import Client, Message, send
from relay import Relay
from services import wait_until
from test_listeners import with_tls
from test_next_hops import digest_of
from test_policy import wait_arrived

SECONDS = 30
GUARDED = {"enforce": "sts", "required": "sts", "signed": "signed", "dane": "dane",
           "unvouched": "plain"}        # the local part, and to which of an attack's domains
WITH_REQUIRETLS = ("required", "signed", "unvouched")
FORGED_ID = ["v=STSv1; id=forged;"]
BLIND = {"signatures_are_stripped": ("signed", "dane"), "tlsa_records_are_denied": ("dane",),
         "tlsa_records_cannot_be_looked_up": ("dane",)}    # whose hosts cannot be known then: mail waits
STS = [a.domain("sts") for a in (*ATTACKS, CALM)]


def of_each(pattern, how):
    return {pattern.format(domain): how for domain in STS}


BLINDINGS = {
    "nothing_else": {},
    "the_txt_record_is_stripped": of_each("_mta-sts.{} TXT", "nxdomain"),
    "the_txt_record_cannot_be_looked_up": of_each("_mta-sts.{} TXT", "servfail"),
    "the_policy_host_is_blocked": of_each("_mta-sts.{} TXT", FORGED_ID),
    "the_policy_host_is_denied": {**of_each("_mta-sts.{} TXT", FORGED_ID), **of_each("mta-sts.{} *", "nxdomain")},
    "the_policy_host_is_the_thiefs": {**of_each("_mta-sts.{} TXT", FORGED_ID),
                                      **of_each("mta-sts.{} A", [table.POLICY_ADDRESSES["thief.test"]])},
    "signatures_are_stripped": {"*.signed.test *": "unsigned", "*.dane.test *": "unsigned"},
    "tlsa_records_are_denied": {"*.dane.test TLSA": "nxdomain"},
    "tlsa_records_cannot_be_looked_up": {"*.dane.test TLSA": "servfail"},
}


def swaps(attack):
    """The records that an attack forges, for all domains that it is played on."""
    if attack.swaps == "MX":
        return {f"{attack.domain(g)} MX": [f"10 {THIEF}"] for g in ("sts", "plain", "signed", "dane")}
    if attack.swaps == "AAAA":
        address = next(a for a in table.MX_ADDRESSES[THIEF] if ":" in a)
        return {f"{attack.mx(g)} AAAA": [address] for g in ("sts", "signed", "dane")}
    return {}


class Victim:
    """A relay that knows all policies, and all its mail."""

    def __init__(self, lab):
        self.lab = lab
        self.relay = Relay(lab, "victim", listeners=(
            with_tls(lab, address="127.0.0.1:25", **{"relay-from": ["127.0.0.0/8"]}),))
        key = digest_of(CALM.mx("dane"), "key-sha256").split(":")[1]
        for attack in (*ATTACKS, CALM):
            lab.dns.set(f"_25._tcp.{attack.mx('dane')}", "TLSA", f"3 1 1 {key}")
        self.relay.start()
        for domain in STS:
            send(f"first@{domain}")
        for domain in STS:
            assert self.relay.wait_delivery(f"first@{domain}", "delivered")["sts"] == "enforce"
        self.relay.stop()

    @contextmanager
    def attacked(self, blinding):
        for attack in ATTACKS:
            for guard in ("sts", "signed", "dane"):
                if attack.host:
                    self.lab.mx(attack.mx(guard), **attack.host)
        self.lab.dns.forge({k: v for a in ATTACKS for k, v in swaps(a).items()} | BLINDINGS[blinding])
        if blinding == "the_policy_host_is_blocked":
            self.lab.web.down()
        try:
            yield self.relay.start()
        finally:
            self.relay.cli("queue", "remove", "--all")
            self.relay.stop()
            self.lab.dns.truth()
            self.lab.mx_as_before()
            if blinding == "the_policy_host_is_blocked":
                self.lab.web.up()

    def send_all(self, story):
        """Mail under each guard and without any, to each attack's domains; gives the messages by recipient."""
        sent = {}
        with Client() as client:
            client.ehlo()
            client.starttls(self.lab.ca_file)
            client.ehlo()
            for attack in (*ATTACKS, CALM):
                for name, guard in {**GUARDED, "control": "plain"}.items():
                    rcpt = f"{name}-{story}@{attack.domain(guard)}"
                    sent[rcpt] = hand_in(client, rcpt, " REQUIRETLS" if name in WITH_REQUIRETLS else "")
        return sent

    def outcomes(self, sent):
        at = [0.0]

        def told():
            if time.time() - at[0] > 3:     # a next hop rests since the attacks before, or since its mail before
                at[0] = time.time()
                self.relay.cli("queue", "retry", "--all")
            events = {e["rcpt"].strip("<>"): e for e in self.relay.events("delivery")}
            return all(rcpt in events for rcpt in sent) and events
        return wait_until(told, SECONDS, "all mail to have an outcome", every=0.2,
                          explain=lambda: str(set(sent) - {e["rcpt"].strip("<>") for e in self.relay.events("delivery")}))


def hand_in(client, rcpt, parameter=""):
    message = Message()
    for line in (f"MAIL FROM:<ada@sender.test>{parameter}", f"RCPT TO:<{rcpt}>", "DATA"):
        code, text = client.say(line)
        assert code in (250, 354), f"{line}: {text}"
    assert client.data(message.content)[0] == 250
    return message


@pytest.fixture(scope="module", name="victim")
def fixture_victim(the_lab):
    victim = Victim(the_lab)
    yield victim
    if victim.relay.processes():
        victim.relay.kill()


# ------------------------------------------------------------ what the sinks saw

def is_guarded(text):
    return any(f"<{name}-" in text for name in GUARDED)


def true_hosts():
    return {a.domain(g): a.mx(g) for a in (*ATTACKS, CALM) for g in set(GUARDED.values())}


def check_message(event):
    """Guarded mail came over good TLS, to the true host, which showed the true certificate."""
    for rcpt in filter(is_guarded, event["recipients"]):
        host = true_hosts()[rcpt.strip("<>").split("@")[1]]
        assert event["tls"] in ("TLSv1.2", "TLSv1.3"), event
        assert event["host"] == event["sni"] == host and event["certificate"] == "good", event
        assert not rcpt.startswith("<unvouched"), "nobody vouches for the name of that host"


def check_session(event):
    """Not a word of guarded mail was said outside such a session."""
    commands = event["commands"]
    said = [n for n, command in enumerate(commands) if is_guarded(command)]
    if said:
        assert event["tls"] in ("TLSv1.2", "TLSv1.3") and event["certificate"] == "good", event
        assert "STARTTLS" in commands[:said[0]], event


def control_is_robbed(lab, attack, message):
    got = lab.messages(id=message.id)
    assert len(got) == 1, f"{attack.name}: mail without a guard arrives"
    assert (got[0]["tls"] or "clear").startswith(attack.robbed), got
    if attack.robbed == "TLSv1":
        assert got[0]["tls"] == "TLSv1"
    assert (got[0]["host"] == THIEF) == bool(attack.swaps), got


@pytest.mark.parametrize("blinding", BLINDINGS)
def test_nothing_leaves_in_clear_or_to_a_stranger_though(lab, victim, blinding):
    since = time.time()
    with victim.attacked(blinding):
        sent = victim.send_all(blinding)
        outcomes = victim.outcomes(sent)
    for event in lab.messages(since=since):
        check_message(event)
    for event in lab.sessions(since=since):
        check_session(event)
    for attack in ATTACKS:
        for name, guard in GUARDED.items():
            event = outcomes[f"{name}-{blinding}@{attack.domain(guard)}"]
            assert event["outcome"] in (("deferred", "failed") if name in WITH_REQUIRETLS else ("deferred",)), event.text
        control_is_robbed(lab, attack, sent[f"control-{blinding}@{attack.domain('plain')}"])
    for name, guard in GUARDED.items():
        event = outcomes[f"{name}-{blinding}@{CALM.domain(guard)}"]
        if guard == "plain":        # nobody vouches for the name of its host
            assert event["outcome"] == "failed" and event["status"] == "5.7.10", event.text
        elif guard in BLIND.get(blinding, ()):
            assert event["outcome"] == "deferred", event.text
        else:
            assert event["outcome"] == "delivered", event.text
            assert event["level"] == ("dane" if guard == "dane" else "verified"), event.text


# ------------------------------------------------------------ resumption

def sessions_end(lab, since, count):
    def found():
        return [s for s in lab.sessions(host="mx1.shared.test", since=since) if s["tls"]]
    return wait_until(lambda: len(found()) >= count and found(), 20, f"{count} sessions to be over")


def test_a_tls_session_verified_for_one_name_is_not_resumed_for_another(lab, make_relay):
    """Three names of one host with one certificate: only what was begun under a name is resumed under it.  The third
    name is not in that certificate, which would stay unseen if a session of another name were resumed."""
    relay = make_relay(connection_idle="1s").start()
    since = time.time()
    for count, (n, ends) in enumerate(((1, "delivered"), (3, "deferred"), (2, "delivered"), (1, "delivered"),
                                       (2, "delivered")), 1):
        message = send(f"number{count}@enforce{n}.shared.test")
        event = relay.wait_delivery(f"number{count}@enforce{n}.shared.test", ends)
        if ends == "delivered":
            assert event["tls"] == "verified"
            wait_arrived(lab, message)
        else:
            assert "another name" in event["reply"], event.text
        sessions_end(lab, since, count)
    found = sessions_end(lab, since, 5)
    names = {s["number"]: s["sni"] for s in found}
    assert [s["sni"] for s in found] == [f"mx{n}.shared.test" for n in (1, 3, 2, 1, 2)]
    assert [s["resumed"] for s in found] == [False, False, False, True, True]
    for session in found:
        assert session["ticket_of"] is None or names[session["ticket_of"]] == session["sni"], session


# ------------------------------------------------------------ what lasts

@pytest.mark.parametrize("attack", [a for a in ATTACKS if a.name in ("broken", "downgraded")], ids=lambda a: a.name)
def test_what_mail_without_a_guard_learned_of_a_host_weakens_no_other_mail(lab, make_relay, attack):
    """The attack is on while mail without a policy goes there, and over when mail under enforce does."""
    relay = make_relay().start()
    lab.mx(attack.mx("sts"), **attack.host)
    control = send(f"control@{attack.domain('plain')}")
    wait_arrived(lab, control, 20)
    control_is_robbed(lab, attack, control)
    relay.wait_delivery(f"control@{attack.domain('plain')}", "delivered")
    lab.mx_as_before()
    got = wait_arrived(lab, send(f"enforce-after@{attack.domain('sts')}"))
    assert relay.wait_delivery(f"enforce-after@{attack.domain('sts')}", "delivered")["level"] == "verified"
    check_message(got)
