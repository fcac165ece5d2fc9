"""Mail of every level over hosts that share address and certificate: none over a session made for less.

One host has four names; its certificate is good for the first two, and the fourth has TLSA records for its key.  To each
name go domains without a policy, with one of each mode, by routes of each level, and with REQUIRETLS; to the fourth, too,
domains that are not signed, whose mail its TLSA records do not concern.  Judged by what the host itself saw: under which name each
session began and, where it was resumed, the one before it (tests/lab/tickets.py), and with whose mail.
"""
import collections
import random
import re
import time

import table
from client import Client, Message
from services import wait_until
from test_listeners import with_tls
from test_next_hops import digest_of

HOST = "mx1.shared.test"
BY_POLICY = ("plain", "none", "testing", "enforce")
BY_ROUTE = ("clear", "encrypt", "verify", "fingerprint")
WITH_REQUIRETLS = ("required-plain", "required-enforce")
UNSURE = ("unsure-plain", "unsure-enforce")      # to the fourth name only
BINDING = ("enforce", "verify", "unsure-enforce", *WITH_REQUIRETLS)           # the certificate has to be good for the name
VERIFYING = (*BINDING, "testing")                           # it is looked at, and TLS is strict
IN_CLEAR = ("clear",)
GOOD_NAMES = (1, 2)
DANE_NAME = 4


def routes():
    """Levels by the administrator's word."""
    tls = {"clear": {"tls": "none"}, "encrypt": {"tls": "encrypt"}, "verify": {"tls": "verify"},
           "fingerprint": {"tls": "fingerprint", "tls-fingerprints": [digest_of(HOST, "key-sha256")]}}
    return tuple({"name": f"{level}{n}", "recipients": [f"{level}{n}.routed.test"],
                  "next-hop": f"[mx{n}.shared.test]", **words}
                 for level, words in tls.items() for n in (1, 2, 3, DANE_NAME))


def recipient(level, n, number):
    """The address to which mail of that level goes; its local part tells the level to who reads the host's log."""
    zone = "insecure" if level in UNSURE else "routed" if level in BY_ROUTE else "shared"
    domain = f"{level.removeprefix('required-')}{n}.{zone}.test"
    return f"{level}_{n}_{number}@{domain}"


def of_recipient(rcpt):
    level, n, _ = rcpt.strip("<>").split("@")[0].split("_")
    return level, int(n)


class Mailer:
    """Hands in many messages over one secured connection, each in two turns."""

    def __init__(self, lab):
        self.lab, self.client, self.count = lab, None, 0

    def connect(self):
        if self.client:
            self.client.close()
        self.client = Client()
        self.client.ehlo()
        self.client.starttls(self.lab.ca_file)
        self.client.ehlo()

    def send(self, rcpt, parameter):
        if self.count % 200 == 0:
            self.connect()
        self.count += 1
        message = Message()
        self.client.send(f"MAIL FROM:<ada@sender.test>{parameter}\r\nRCPT TO:<{rcpt}>\r\nDATA\r\n")
        replies = [self.client.reply() for _ in range(3)]
        assert [code for code, _ in replies] == [250, 250, 354], replies
        assert self.client.data(message.content)[0] == 250


def choose(dice):
    """A level and a name; where mail has to wait, it is less of it."""
    level = dice.choice(BY_POLICY + BY_ROUTE + WITH_REQUIRETLS + UNSURE)
    if level in UNSURE:
        return level, DANE_NAME
    return level, dice.choice((1, 1, 1, 1, 2, 2, 2, 2, 3, 4, 4)) if level in BINDING else dice.choice((1, 2, 3, 4))


def by_dane(level, n):
    return n == DANE_NAME and level not in UNSURE


def goes(level, n):
    return by_dane(level, n) or level not in BINDING or n in GOOD_NAMES


def binds(level, n):
    return level in BINDING or by_dane(level, n)


class Judge:
    """Reads the host's log: what each message came over."""

    def __init__(self, lab, since):
        rows = lab.messages(host=HOST, since=since)
        self.messages = [(*of_recipient(m["recipients"][0]), m) for m in rows if "_" in m["recipients"][0]]
        self.begun_by = {}      # connection: (level, name) of its first message
        for level, n, m in self.messages:
            self.begun_by.setdefault(m["number"], (level, n))
        self.before = {m["number"]: m["ticket_of"] for _, _, m in self.messages if m["resumed"]}

    def ancestry(self, number):
        """With whose mail this connection began, and each one whose TLS session it goes on with."""
        while number is not None:
            if number in self.begun_by:
                yield self.begun_by[number]
            number = self.before.get(number)

    def check(self, level, n, m):
        assert m["host"] == HOST
        if level in IN_CLEAR and not binds(level, n):
            assert m["tls"] is None, m
            return
        assert m["tls"] in ("TLSv1.2", "TLSv1.3") and m["sni"] == f"mx{n}.shared.test", m
        assert not m["resumed"] or m["ticket_of"], "it is known which session goes on here"
        for begun_level, begun_n in self.ancestry(m["number"]):
            assert begun_n == n, (m, "a session that began under another name")
            if by_dane(level, n):
                assert by_dane(begun_level, begun_n), (m, f"a session that began with {begun_level} mail")
            elif binds(level, n):
                assert begun_level in VERIFYING, (m, f"a session that began with {begun_level} mail")
            if "fingerprint" in (level, begun_level):
                assert level == begun_level, (m, f"a session that began with {begun_level} mail")

    def check_all(self):
        for level, n, m in self.messages:
            assert goes(level, n), (m, "this host's certificate is not good for that name")
            self.check(level, n, m)


def deliveries(lab, relay, count, seconds):
    """Sends so many messages in an order by chance and judges them; gives how many arrived, by level and name."""
    dice, mailer, since = random.Random(8461), Mailer(lab), time.time()
    sent = collections.Counter()
    for number in range(count):
        level, n = choose(dice)
        mailer.send(recipient(level, n, number), " REQUIRETLS" if level in WITH_REQUIRETLS else "")
        sent[level, n] += 1
    expected = {key: number for key, number in sent.items() if goes(*key)}

    def arrived():
        got = collections.Counter(of_recipient(m["recipients"][0]) for m in lab.messages(host=HOST, since=since)
                                  if "_" in m["recipients"][0])
        return got if sum(got.values()) >= sum(expected.values()) else None
    got = wait_until(arrived, seconds, f"{sum(expected.values())} messages", every=0.5)
    assert got == expected
    judge = Judge(lab, since)
    judge.check_all()
    log_agrees(relay)
    return judge


def log_agrees(relay):
    for event in relay.events("delivery", rcpt=re.compile("_")):
        level, n = of_recipient(event["rcpt"])
        if event["outcome"] == "delivered":
            assert goes(level, n) and (event["tls"] == "verified" or not binds(level, n)), event.text
            assert event["level"] == "dane" or not by_dane(level, n), event.text
        else:
            assert not goes(level, n), event.text


def run(lab, make_relay, count, seconds):
    lab.dns.set(f"_25._tcp.mx{DANE_NAME}.shared.test", "TLSA", "3 1 1 " + digest_of(HOST, "key-sha256").split(":")[1])
    relay = make_relay(connection_messages=7, routes=routes(), listeners=(
        with_tls(lab, address="127.0.0.1:25", **{"relay-from": ["127.0.0.0/8"]}),)).start()
    judge = deliveries(lab, relay, count, seconds)
    shared = sum(judge.begun_by[m["number"]] != (level, n) for level, n, m in judge.messages)
    resumed = sum(bool(m["resumed"]) for _, _, m in judge.messages)
    assert shared > count // 100 and resumed > count // 10, (shared, resumed, "else it says nothing")
    print(f"{len(judge.messages)} of {count} messages arrived over {len(judge.begun_by)} sessions: {resumed} over "
          f"resumed ones, {shared} over one that other mail began")


def test_no_mail_goes_over_a_session_made_for_another_name_or_for_less(lab, make_relay):
    """The same with ten times as much is in `make proof`."""
    assert table.MX_ADDRESSES["mx3.shared.test"] == table.MX_ADDRESSES[HOST]
    run(lab, make_relay, 1000, 60)
