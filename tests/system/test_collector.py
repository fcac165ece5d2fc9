"""Other mail systems of this machine tell of their TLS sessions, as libtlsrpt does (docs/reporting.md)."""
import contextlib
import json
import os
import socket
import stat

import pytest
from client import send
from services import wait_until
from test_policy import wait_arrived

RECORD = "v=TLSRPTv1;rua=mailto:t@good.test"
FAILURE = {"c": 204, "s": "192.0.2.7", "n": "mx.good.test", "h": "mx.good.test", "r": "198.51.100.25",
           "f": "certificate has expired"}


class Teller:
    """What an MTA with libtlsrpt does: a datagram for each session, never waiting."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.connect(path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def raw(self, data):
        self.socket.send(data, socket.MSG_DONTWAIT)

    def session(self, domain, *policies, record=RECORD, **members):
        self.raw(json.dumps({"dpv": "1", "d": domain, "pr": record, "policies": list(policies), **members}).encode())


def policy(lines, failed=False, kind=2, domain="good.test", **members):
    return {"policy-type": kind, "policy-domain": domain, "policy-string": lines, "mx-host": ["mx.good.test"],
            "failure-details": [FAILURE] if failed else [], "t": int(failed), "f": int(failed), **members}


@pytest.fixture(name="relay")
def fixture_relay(make_relay):
    relay = make_relay()
    relay.socket = f"{relay.folder}/tlsrpt.sock"
    relay.write(tlsrpt_socket=relay.socket, tlsrpt_socket_group="root")
    return relay.start()


def counts(relay):
    """While roles start the exit status is not 0, and there may be no counts."""
    return json.loads(relay.cli("status", "--json", check=False).stdout)["tlsrpt"] or {}


def wait_counts(relay, **wanted):
    wait_until(lambda: wanted.items() <= counts(relay).items(), 10, f"{wanted}", lambda: counts(relay))


def sums(relay, domain):
    """Of each policy in today's report: its first line, successes and failures."""
    report = relay.cli_json("tlsrpt", "report", domain)
    return [(p["policy"].get("policy-string", [""])[0], p["summary"]["total-successful-session-count"],
             p["summary"]["total-failure-session-count"]) for p in report["policies"]]


def test_sessions_of_another_mail_system_stand_in_the_same_report(lab, relay):
    wait_arrived(lab, send("you@good.test"))
    wait_counts(relay, sessions=1)
    published = relay.cli_json("tlsrpt", "report", "good.test")["policies"][0]["policy"]["policy-string"]
    with Teller(relay.socket) as teller:
        teller.session("good.test", policy(published))
        teller.session("good.test", policy(published, failed=True))
        teller.session("good.test", policy(["3 1 1 8D02"], kind=1, domain="mx.good.test"), policy(published, f=901))
    wait_counts(relay, socket_datagrams=3, socket_sessions=3, socket_unfinished=1)
    assert sorted(sums(relay, "good.test")) == [("3 1 1 8D02", 1, 0), ("version: STSv1", 2, 1)]
    detail = relay.cli_json("tlsrpt", "report", "good.test")["policies"][0]["failure-details"][0]
    assert detail == {"result-type": "certificate-expired", "sending-mta-ip": "192.0.2.7",
                      "receiving-mx-hostname": "mx.good.test", "receiving-mx-helo": "mx.good.test",
                      "receiving-ip": "198.51.100.25", "failed-session-count": 1,
                      "failure-reason-code": "certificate has expired"}
    row, = [r for r in relay.cli_json("tlsrpt", "status")["today"] if r["domain"] == "good.test" and r["view"] == "domain"]
    assert row["wanted"] == "yes", "by the record that came along; DNS has none"


def test_only_a_group_may_tell_and_garbage_harms_nobody(relay):
    mode = os.stat(relay.socket).st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o660 and os.stat(relay.socket).st_gid == 0
    with Teller(relay.socket) as teller:
        for data in (b"", b"\0" * 100, b"[" * 5000, b'{"dpv":"2"}', b'{"dpv":"1"}', b'{"dpv":"1","d":"..","policies":[]}'):
            teller.raw(data)
        teller.session("good.test", policy(["x\nmode: none"]), policy([]))
        teller.session("good.test", policy([], failed=True, t=9), record="nonsense")
        teller.session("good.test", *[policy([]) for _ in range(17)])
        with contextlib.suppress(BlockingIOError):
            for _ in range(5000):
                teller.raw(b"flood")
    wait_until(lambda: relay.events("tlsrpt-datagrams-dropped"), 10, "a line in the log")
    wait_until(lambda: counts(relay).get("socket_sessions") == 1, 10, "the one that could be read")
    found = counts(relay)
    assert found["socket_other_version"] == 1 and found["socket_malformed"] >= 7, found
    assert len(relay.events("tlsrpt-datagrams-dropped")) == 1, "once a minute"
    assert "socket_sessions: 1" in relay.cli("status").stdout
    assert sums(relay, "good.test") == [("", 0, 1)]


def test_the_socket_outlives_its_role_and_follows_the_settings(relay):
    with Teller(relay.socket) as teller:
        relay.kill_role("tlsrpt")
        teller.session("good.test", policy([]))
        wait_counts(relay, socket_datagrams=1, socket_sessions=1)
        other = f"{relay.folder}/other.sock"
        relay.write(tlsrpt_socket=other)
        relay.reload()
        wait_until(lambda: os.path.exists(other), 10, "the other socket")
        with Teller(other) as late:
            late.session("good.test", policy([]))
            wait_counts(relay, socket_sessions=2)
        wait_until(lambda: refused(teller), 10, "nobody listens on the first")
    relay.write(tlsrpt_socket="")
    relay.reload()
    wait_until(lambda: "socket_sessions" not in counts(relay), 10, "no socket")


def refused(teller):
    try:
        teller.raw(b"x")
    except ConnectionRefusedError:
        return True
    return False


def test_a_group_that_there_is_not_is_said_at_once(relay):
    relay.stop()
    relay.write(tlsrpt_socket_group="no-such-group")
    assert relay.launch().process.wait(10) != 0
    with open(relay.log_file, encoding="utf-8") as log:
        assert "there is no group no-such-group" in log.read()
