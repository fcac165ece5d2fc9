"""waxseal trace: a message's whole life."""
from client import send
from services import wait_until


def qid(relay, recipient, outcome):
    return relay.wait_delivery(recipient, outcome)["qid"]


def test_a_delivered_message_is_told_from_its_client_to_its_certificate(lab, make_relay):
    relay = make_relay().start()
    send("you@good.test", sender="ada@sender.test")
    trace = relay.cli_json("trace", qid(relay, "you@good.test", "delivered"))
    assert trace["client_address"] == "127.0.0.1" and trace["sender"] == "ada@sender.test"
    recipient = trace["recipients"][0]
    assert [event["event"] for event in recipient["events"]] == ["end"], "one row of the history"
    end = recipient["events"][0]
    candidate = end["decision"]["candidates"][-1]
    assert end["state"] == "delivered" and end["reply"].startswith("250 ")
    assert end["decision"]["policy"] == "sts enforce" and end["decision"]["policy_id"]
    assert candidate["tls_version"] and candidate["cipher"] and candidate["certificate"]
    assert (candidate["level_wanted"], candidate["level"]) == ("verified", "verified")
    assert candidate["certificate_subject"] and candidate["certificate_issuer"].startswith("CN=")
    assert "mx.good.test" in candidate["certificate_names"].split() and candidate["verify_result"] == "ok"
    assert len(candidate["key_sha256"]) == 64 and candidate["certificate_expires"] > end["at"]
    assert candidate["key_sha256"] in relay.cli("trace", trace["id"]).stdout
    event = relay.events("delivery", rcpt="<you@good.test>")[0]
    assert (event["wanted"], event["level"]) == ("verified", "verified")
    told = relay.cli("trace", trace["id"]).stdout
    assert "accepted from [127.0.0.1]" in told and "policy: sts enforce" in told
    assert "certificate:" in told and "they said: 250" in told


def test_each_attempt_is_kept_and_what_operators_did(lab, make_relay):
    relay = make_relay(retry_first="1s", retry_max="1s").start()
    send("you@mail-451.test", sender="ada@nopolicy.test")
    relay.wait_delivery("you@mail-451.test", "deferred", 20, count=3)
    message = relay.queue()[0]["id"]
    relay.cli("queue", "hold", message, "--reason", "odd", "--yes")
    trace = relay.cli_json("trace", message)
    events = trace["recipients"][0]["events"]
    attempts = [event for event in events if event["event"] == "attempt"]
    assert [event["attempt"] for event in attempts] == list(range(1, len(attempts) + 1))
    assert all(event["result"] == "deferred" and event["decision"]["candidates"] for event in attempts)
    assert all(event["reply"].startswith("451 ") and event["remote"] for event in attempts)
    assert events[-1]["event"] == "operator" and events[-1]["words"] == "odd"
    told = relay.cli("trace", message).stdout
    assert "attempt 2" in told and "they said: 451" in told
    assert f"waxseal queue release {message}" in told
    relay.cli("queue", "bounce", message, "--reason", "no", "--yes")
    relay.wait_delivery("ada@nopolicy.test", "delivered")
    trace = relay.cli_json("trace", message)
    kinds = [event["event"] for event in trace["recipients"][0]["events"]]
    assert kinds[-2:] in (["end", "notification"], ["notification", "end"]) and trace["waiting"] == 0
    assert f'by message {relay.wait_event("bounce")["notification"]}' in relay.cli("trace", message).stdout


def test_a_host_that_took_it_for_one_recipient_did_not_deliver_it_to_another(lab, make_relay):
    relay = make_relay().start()
    send(["you@nopolicy.test", "refuse.1@nopolicy.test"], sender="ada@nopolicy.test")
    message = relay.wait_delivery("refuse.1@nopolicy.test", "failed")["qid"]
    assert relay.wait_delivery("you@nopolicy.test", "delivered")["mx"] == "mx.nopolicy.test"
    for recipient in relay.cli_json("trace", message)["recipients"]:
        end = recipient["events"][-1] if recipient["events"][-1]["event"] == "end" else recipient["events"][0]
        assert end["decision"]["candidates"][-1]["verdict"] == "delivered for some recipients", recipient
    send(["me@nopolicy.test", "us@nopolicy.test"])
    message = relay.wait_delivery("us@nopolicy.test", "delivered")["qid"]
    assert "for some recipients" not in relay.cli("trace", message).stdout


def test_each_host_that_was_tried_has_its_own_words(lab, make_relay):
    relay = make_relay().start()
    lab.dns.set("three.test", "MX", "10 mx.greeting-554.test.", "20 mx.mail-451.test.")
    try:
        send("you@three.test")
        told = relay.cli("trace", qid(relay, "you@three.test", "deferred")).stdout
    finally:
        lab.dns.set("three.test", "MX")
    hosts = told.split("policy: none")[1].split("they said:")[0].split("mx.")
    assert "it said: 554 5.3.2 no mail here\n" in hosts[1] and hosts[1].startswith("greeting-554.test")
    assert any(host.startswith("mail-451.test") and "it said: 451 4.3.0 not now\n" in host for host in hosts)


def test_of_many_attempts_the_first_and_the_last_are_kept(lab, make_relay):
    relay = make_relay(retry_first="1h").start()
    send("you@mail-451.test")
    for n in range(1, 19):
        relay.wait_delivery("you@mail-451.test", "deferred", 10, count=n)
        if n < 18:
            relay.cli("queue", "retry", "--all", "--yes")
    recipient = relay.cli_json("trace", relay.queue()[0]["id"])["recipients"][0]
    kept = [event["attempt"] for event in recipient["events"] if event["event"] == "attempt"]
    assert kept == [1, 2] + list(range(5, 19)) and recipient["attempts_not_kept"] == 2


def test_of_more_recipients_than_are_shown_it_is_said_how_to_see_them_all(lab, make_relay):
    relay = make_relay(max_recipients=2000).start()
    relay.cli("queue", "suspend", "good.test", "--reason", "they move house")
    send([f"r{n}@good.test" for n in range(1003)])
    message = relay.cli_json("queue", "list", "--recipient", "r0@good.test")[0]["id"]
    trace = relay.cli_json("trace", message)
    assert len(trace["recipients"]) == 1000 and trace["recipients_not_shown"] == 3
    told = relay.cli("trace", message).stdout
    how = f"waxseal queue list --id {message}"
    assert told.endswith(f"\n3 more recipients are not shown: {how} lists all that wait\n")
    assert how in relay.cli("queue", "show", message).stdout
    assert len(relay.cli_json(*how.split()[1:])) == 1003


def test_a_message_nobody_knows_is_an_error(relay):
    done = relay.cli("trace", "123abc", check=False)
    assert done.returncode == 1 and "123abc" in done.stderr
