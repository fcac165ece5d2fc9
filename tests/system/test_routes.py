"""Where mail goes: MX lookup, implicit and null MX, DNS trouble, addresses that no MX may have."""
import time

import pytest
import table
from client import send
from services import wait_until
from test_policy import arrived, wait_arrived


def test_mail_for_an_alias_goes_to_its_targets_mx_and_not_under_its_policy(lab, shared_relay):
    """RFC 8461 section 8.2: one forged alias would else choose the policy."""
    assert wait_arrived(lab, send("you@alias.test"))["host"] == "mx.good.test"
    assert shared_relay.wait_delivery("you@alias.test", "delivered")["sts"] == "none"


def test_without_mx_record_the_domain_itself_is_the_mx(lab, shared_relay):
    assert wait_arrived(lab, send("you@implicit-nopolicy.test"))["host"] == "implicit-nopolicy.test"
    shared_relay.wait_delivery("you@implicit-nopolicy.test", "delivered")


@pytest.mark.parametrize("domain, status, reason", [
    ("nullmx.test", "5.1.10", "null MX"), ("no-such-domain.test", "5.1.2", "does not exist"),
    ("nodata.test", "5.4.4", "no address"), ("mx-nowhere.test", "5.4.4", "no address")])
def test_domains_that_take_no_mail_fail_at_once(shared_relay, domain, status, reason):
    send(f"you@{domain}")
    event = shared_relay.wait_delivery(f"you@{domain}", "failed")
    assert reason in event["reply"] and event["status"] == status


@pytest.mark.parametrize("domain", ["servfail.test", "bogus.test", "mx-unreachable.test",
                                    "mx-refused.test"])
def test_trouble_that_may_pass_defers(lab, shared_relay, domain):
    message = send(f"you@{domain}")
    shared_relay.wait_event("delivery", 30, rcpt=f"<you@{domain}>")
    assert not shared_relay.events("delivery", rcpt=f"<you@{domain}>", outcome="failed")
    assert any(r["recipient"] == f"you@{domain}" for r in shared_relay.queue())
    assert not arrived(lab, message)


def test_name_servers_that_never_answer_defer(shared_relay):
    send("you@silentdns.test")
    wait_until(lambda: shared_relay.events(rcpt="<you@silentdns.test>"), 90, "a word about it")
    assert not shared_relay.events("delivery", rcpt="<you@silentdns.test>", outcome="failed")


@pytest.mark.parametrize("domain", ["mx-internal.test", "mx-loopback.test"])
def test_an_mx_with_an_internal_address_is_never_connected_to(lab, shared_relay, domain):
    message = send(f"you@{domain}")
    shared_relay.wait_event("delivery", 20, rcpt=f"<you@{domain}>")
    assert not arrived(lab, message)
    assert not shared_relay.events("delivery", rcpt=f"<you@{domain}>", outcome="delivered")


def test_mx_allow_lets_named_networks_through(lab, make_relay):
    relay = make_relay(mx_allow=["127.0.0.0/8"], listeners=({"address": "127.0.0.2:25"},))
    relay.address = ("127.0.0.2", 25)
    relay.start()
    send("you@mx-loopback.test", address=relay.address)
    event = relay.wait_event("delivery", 20, rcpt="<you@mx-loopback.test>")
    assert "127.0.0.1" in event.text or "refused" in event.text, "it was tried (nobody listens there)"


def test_a_domain_whose_only_mx_is_this_relay_is_a_loop(shared_relay):
    send("you@mx-self.test")
    event = shared_relay.wait_delivery("you@mx-self.test", "failed")
    assert "loops" in event["reply"] and event["status"] == "5.4.6"


OWN_ADDRESSES = [("own-v4.test", "A", table.RELAY_ADDRESS),
                 ("own-v6.test", "AAAA", f"{table.V6}::fa")]


def loops(relay, rcpt):
    send(rcpt)
    event = relay.wait_event("delivery", 20, rcpt=f"<{rcpt}>")
    return event["outcome"] == "failed" and event["status"] == "5.4.6" and "loops" in event["reply"]


def test_an_mx_with_an_address_of_this_relay_is_a_loop_too(lab, shared_relay):
    """RFC 5321 section 5.1; it listens on that address, port 25."""
    lab.dns.set("own.test", "MX", "10 mail.own.test.", "20 mx.nopolicy.test.")
    lab.dns.set("mail.own.test", "A", table.RELAY_ADDRESS)
    message = send("worse@own.test")
    assert loops(shared_relay, "you@own.test")
    assert loops(shared_relay, f"you@[{table.RELAY_ADDRESS}]")
    lab.dns.set("own.test", "MX", "10 mx.mx-refused.test.", "20 mail.own.test.",
                "30 mx.nopolicy.test.")
    send("better@own.test")
    assert "refused" in shared_relay.wait_delivery("better@own.test", "deferred")["reply"]
    assert not arrived(lab, message)


def test_a_relay_that_listens_on_all_addresses_knows_them_all(lab, make_relay):
    relay = make_relay(listeners=({"address": "0.0.0.0:25"}, {"address": "[::]:25"})).start()
    for name, kind, address in OWN_ADDRESSES:
        lab.dns.set(name, kind, address)
        assert loops(relay, f"you@{name}")
    assert loops(relay, f"you@[{table.CLIENT_ADDRESS}]")
    wait_arrived(lab, send("you@nopolicy.test"))


def test_a_neighbour_on_port_25_of_the_same_machine_is_no_loop(lab, make_relay):
    relay = make_relay(listeners=({"address": "127.0.0.1:25"},
                                  {"address": f"{table.RELAY_ADDRESS}:587"})).start()
    name, kind, address = OWN_ADDRESSES[0]
    lab.dns.set(name, kind, address)
    send(f"you@{name}")
    assert "refused" in relay.wait_delivery(f"you@{name}", "deferred")["reply"], "it was tried"


@pytest.mark.parametrize("domain", ["backup.test", "backup-4xx.test"])
def test_when_the_first_mx_is_down_the_second_gets_the_mail(lab, shared_relay, domain):
    assert wait_arrived(lab, send(f"you@{domain}"))["host"] == f"mx2.{domain}"
    shared_relay.wait_delivery(f"you@{domain}", "delivered")


def test_two_messages_to_hosts_that_are_all_dead_do_not_wait_for_each_other_without_end(lab, make_relay):
    """Each finds that the other still tries, whenever it has tried all of them."""
    relay = make_relay(deliver_connect_timeout="1s").start()
    hosts = [f"mx{n}.all-dead.test" for n in (1, 2, 3)]
    lab.dns.set("all-dead.test", "MX", *(f"{n} {host}." for n, host in enumerate(hosts)))
    for host in hosts:
        lab.dns.set(host, "A", table.SILENT_ADDRESS)
    send("first@all-dead.test")
    time.sleep(0.9)
    send("second@all-dead.test")
    wait_until(lambda: relay.events("delivery", outcome="deferred"), 25, "one of them to come back")


@pytest.mark.parametrize("domain, colon", [("v4only.test", False), ("v6only.test", True)])
def test_hosts_with_one_address_family_are_reached_by_it(lab, shared_relay, domain, colon):
    got = wait_arrived(lab, send(f"you@{domain}"))
    assert (":" in got["address"]) == colon
    shared_relay.wait_delivery(f"you@{domain}", "delivered")


def test_an_mx_that_drops_packets_is_given_up_in_time_and_the_message_waits(lab, shared_relay):
    message = send("you@mx-dropped.test")
    assert any(r["recipient"] == "you@mx-dropped.test" for r in shared_relay.queue())
    shared_relay.wait_delivery("you@mx-dropped.test", "deferred", 90)
    assert not arrived(lab, message)


def test_when_one_address_of_a_host_is_dead_the_other_is_used(lab, shared_relay):
    dead = [a for a in table.MX_ADDRESSES["mx.also-good.test"] if ":" in a][0]
    lab.cut(dead)
    try:
        assert wait_arrived(lab, send("you@also-good.test"), 20)["address"] != dead
        shared_relay.wait_delivery("you@also-good.test", "delivered")
    finally:
        lab.mend(dead)


def test_a_relayhost_in_brackets_gets_everything_without_an_mx_lookup(lab, make_relay):
    address = table.MX_ADDRESSES["mx.nopolicy.test"][0]
    relay = make_relay(relayhost=f"[{address}]:25").start()
    message = send(["you@good.test", "you@no-such-domain.test"])
    got = wait_arrived(lab, message)
    assert got["host"] == "mx.nopolicy.test" and len(got["recipients"]) == 2
    assert relay.wait_delivery("you@no-such-domain.test", "delivered")


def test_a_relayhost_by_name_is_found_by_its_mx(lab, make_relay):
    relay = make_relay(relayhost="good.test").start()
    got = wait_arrived(lab, send("you@no-such-domain.test"))
    assert got["host"] == "mx.good.test"
    assert relay.wait_delivery("you@no-such-domain.test", "delivered")["tls"] == "verified"


@pytest.mark.parametrize("relayhost", ["no-such-domain.test", "nullmx.test", "relay.test",
                                       "[mx.mx-nowhere.test]:25"])
def test_a_relayhost_that_does_not_exist_bounces_nothing(make_relay, relayhost):
    """The setting is wrong, not the address of the recipient."""
    relay = make_relay(relayhost=relayhost).start()
    send("you@anywhere.test")
    assert relay.wait_event("delivery", rcpt="<you@anywhere.test>")["status"] == "4.3.5"
    assert relay.wait_queue(1)[0]["recipient"] == "you@anywhere.test"


@pytest.mark.parametrize("relayhost, outcome", [
    ("good.test", "delivered"), ("expired.test", "deferred"), ("notls.test", "deferred"),
    ("unlisted.test", "deferred"), ("testing.test", "delivered")])
def test_the_policy_of_a_relayhost_by_name_binds(make_relay, relayhost, outcome):
    """RFC 8461 section 3.4; it wins over tls-level (decision table, row C9)."""
    relay = make_relay(relayhost=relayhost, tls_level="none").start()
    send("you@anywhere.test")
    event = relay.wait_delivery("you@anywhere.test", outcome)
    assert event["sts"] == ("testing" if relayhost == "testing.test" else "enforce")


@pytest.mark.parametrize("level, mx, outcome", [
    ("none", "mx.nopolicy.test", "delivered"), ("may", "mx.nopolicy-notls.test", "delivered"),
    ("encrypt", "mx.nopolicy-notls.test", "deferred"),
    ("encrypt", "mx.nopolicy.test", "delivered")])
def test_tls_level_says_what_a_relayhost_must_offer(lab, make_relay, level, mx, outcome):
    relay = make_relay(relayhost=f"[{table.MX_ADDRESSES[mx][0]}]:25", tls_level=level).start()
    message = send("you@anywhere.test")
    relay.wait_delivery("you@anywhere.test", outcome)
    got = arrived(lab, message)
    assert bool(got) == (outcome == "delivered")
    if got:
        assert bool(got[0]["tls"]) == (level != "none" and "notls" not in mx)


@pytest.mark.parametrize("floor, domain, outcome", [
    ("may", "nopolicy-notls.test", "delivered"), ("encrypt", "nopolicy-notls.test", "deferred"),
    ("encrypt", "nopolicy-selfsigned.test", "delivered"), ("verify", "nopolicy-selfsigned.test", "deferred"),
    ("verify", "nopolicy.test", "delivered")])
def test_tls_floor_says_what_all_mail_needs(lab, make_relay, floor, domain, outcome):
    relay = make_relay(tls_floor=floor).start()
    message = send(f"you@{domain}")
    event = relay.wait_delivery(f"you@{domain}", outcome)
    got = arrived(lab, message)
    assert bool(got) == (outcome == "delivered")
    if not got:
        assert "tls-floor of this relay asks for" in event["reply"] and event["status"] == "4.7.5"
    elif floor != "may":
        assert got[0]["tls"]


def test_a_route_that_says_none_goes_below_the_floor(lab, make_relay):
    relay = make_relay(tls_floor="encrypt", routes=({"name": "old", "recipients": ["nopolicy-notls.test"],
                                                     "next-hop": "mx", "tls": "none"},)).start()
    wait_arrived(lab, send("you@nopolicy-notls.test"))
    assert 'route old: tls = "none" goes below tls-floor = "encrypt"' in relay.cli("check").stderr


def test_delivery_on_hold_takes_mail_and_keeps_it(lab, make_relay):
    relay = make_relay(delivery="hold").start()
    message = send("you@good.test")
    assert len(relay.wait_queue(1)) == 1
    assert not arrived(lab, message)
    relay.write(delivery="on")
    relay.reload()
    wait_arrived(lab, message, 15)


def test_an_address_that_does_not_answer_goes_behind_the_others_for_a_while(lab, make_relay):
    """The first message waits for the head start of the dead one, later ones do not."""
    relay = make_relay(connection_idle="1s").start()
    dead = [a for a in table.MX_ADDRESSES["mx.also-good.test"] if ":" in a][0]
    lab.cut(dead)
    try:
        delays = []
        for name in ("one", "two", "three"):
            since = time.time()
            assert wait_arrived(lab, send(f"{name}@also-good.test"))["address"] != dead
            event = relay.wait_delivery(f"{name}@also-good.test", "delivered")
            delays.append(float(event["delay"].rstrip("s")))
            wait_until(lambda: lab.sessions(host="mx.also-good.test", since=since), 10, "QUIT")
    finally:
        lab.mend(dead)
    assert delays[0] >= 0.2 > min(delays[1:]), "250 ms, in whole tenths"


def candidates(relay, address):
    qid = relay.wait_delivery(address, "deferred")["qid"]
    row = relay.cli_json("queue", "show", qid)["recipients"][0]
    return [c["mx"] for c in row["decision"]["candidates"]]


def test_a_host_whose_addresses_are_all_dead_goes_behind_the_other_hosts(lab, make_relay):
    """It is still tried when there is nothing else."""
    lab.dns.set("dead-first.test", "MX", "10 dead.dead-first.test.", "20 mx.nopolicy.test.")
    lab.dns.set("dead.dead-first.test", "A", table.UNREACHABLE_ADDRESS)
    lab.dns.set("only-dead.test", "MX", "10 dead.dead-first.test.")
    relay = make_relay(connection_idle="1s").start()
    found = []
    for name in ("defer-one", "defer-two"):
        since = time.time()
        send(f"{name}@dead-first.test")
        found.append(candidates(relay, f"{name}@dead-first.test"))
        wait_until(lambda: lab.sessions(host="mx.nopolicy.test", since=since), 10, "QUIT")
    assert found == [["dead.dead-first.test", "mx.nopolicy.test"], ["mx.nopolicy.test"]]
    send("you@only-dead.test")
    assert candidates(relay, "you@only-dead.test") == ["dead.dead-first.test"]


def test_an_attempt_makes_thirty_connects_and_no_more(lab, make_relay):
    """Of five hosts with eight addresses each, all dead: the fourth's last two are not tried, nor is the fifth."""
    hosts = [f"mx{n}.many-dead.test" for n in range(5)]
    lab.dns.set("many-dead.test", "MX", *(f"{n} {host}." for n, host in enumerate(hosts)))
    for n, host in enumerate(hosts):
        lab.dns.set(host, "A", *(f"127.77.{n}.{i}" for i in range(1, 9)))
    relay = make_relay(mx_allow=["127.0.0.0/8"]).start()
    send("you@many-dead.test")
    tried = candidates(relay, "you@many-dead.test")
    assert [tried.count(host) for host in hosts] == [8, 8, 8, 6, 0]


def test_each_address_of_a_host_is_asked_before_it_counts_as_refusing(lab, make_relay):
    """IPv4 in the same round when IPv6 is refused at the greeting."""
    relay, since = make_relay().start(), time.time()
    lab.mx("mx.also-good.test", greeting="554 5.7.1 not from this address")
    send("you@also-good.test")
    relay.wait_delivery("you@also-good.test", "deferred")
    wait_until(lambda: {s["address"] for s in lab.sessions(host="mx.also-good.test", since=since)} ==
               set(table.MX_ADDRESSES["mx.also-good.test"]), 5, "both addresses to be asked")


def test_other_name_servers_in_resolv_conf_are_asked_without_a_word(lab, make_relay):
    relay = make_relay(relayhost="[mx.nopolicy.test]", retry_first="1s", retry_max="1s").start()
    with open("/etc/resolv.conf", "r+", encoding="ascii") as f:
        before = f.read()
        try:
            write_over(f, "nameserver 127.0.0.99\n")
            relay.wait_event("file-changed", path="/etc/resolv.conf")
            send("you@nopolicy.test")
            relay.wait_delivery("you@nopolicy.test", "deferred", 25)
        finally:
            write_over(f, before)
    relay.wait_delivery("you@nopolicy.test", "delivered", 25)


def write_over(f, text):
    f.seek(0)
    f.truncate()
    f.write(text)
    f.flush()


def test_an_mx_that_is_an_alias_is_followed_and_its_own_name_counts(lab, shared_relay):
    """RFC 2181 section 10.3 forbids it, people do it."""
    lab.dns.set("mx-alias.test", "MX", "10 mail.mx-alias.test.")
    lab.dns.set("mail.mx-alias.test", "CNAME", "mx.nopolicy.test.")
    got = wait_arrived(lab, send("you@mx-alias.test"))
    assert (got["host"], got["sni"]) == ("mx.nopolicy.test", "mail.mx-alias.test")


def test_hosts_of_the_same_preference_share_the_mail(lab, make_relay):
    lab.dns.set("shared-by-two.test", "MX", "10 mx.nopolicy.test.", "10 mx.good.test.")
    relay = make_relay(connection_messages=1).start()
    seen = set()
    for n in range(12):
        seen.add(wait_arrived(lab, send(f"you{n}@shared-by-two.test"))["host"])
        relay.wait_delivery(f"you{n}@shared-by-two.test", "delivered")
    assert seen == {"mx.nopolicy.test", "mx.good.test"}


def test_of_a_hundred_mx_hosts_the_best_twenty_are_tried_and_the_message_waits(lab, make_relay):
    lab.dns.set("a-hundred.test", "MX", *(f"{n} no{n}.a-hundred.test." for n in range(100)))
    lab.dns.set("*.a-hundred.test", "A", table.UNREACHABLE_ADDRESS)
    relay = make_relay().start()
    send("you@a-hundred.test")
    found = candidates(relay, "you@a-hundred.test")
    assert found == [f"no{n}.a-hundred.test" for n in range(20)]
