"""Bounces: a non-delivery is told to the sender, in the form of RFC 3464, and to nobody else."""
import email
import email.policy
import re

import pytest
from client import Client, Message, send
from services import wait_until


def bounces(lab, recipient):
    """Notifications that arrived for that sender, parsed."""
    found = []
    for event in lab.messages(host="mx.sender.test"):
        if event["recipients"] == [f"<{recipient}>"]:
            with open(event["file"], "rb") as f:
                found.append((event, email.message_from_bytes(f.read(), policy=email.policy.default)))
    return found


def wait_bounce(lab, recipient, seconds=15):
    return wait_until(lambda: bounces(lab, recipient), seconds, f"a bounce for {recipient}")[0]


def fields(part):
    """The groups of a message/delivery-status part: the message's, then each recipient's."""
    return [dict(group.items()) for group in part.get_payload()]


@pytest.fixture(name="bounce")
def fixture_bounce(lab, shared_relay):
    """(SMTP event, parsed notification, original) of a refused recipient, made once."""
    if not hasattr(shared_relay, "bounce"):
        message = send("refuse@nopolicy.test", sender="bounced@sender.test", subject="an offer")
        shared_relay.bounce = (*wait_bounce(lab, "bounced@sender.test"), message)
    return shared_relay.bounce


def test_a_refused_recipient_is_told_to_the_sender_from_the_null_sender(bounce):
    event, report, _ = bounce
    assert event["sender"] == "<>"
    assert report["To"] and "bounced@sender.test" in report["To"]
    assert report["Auto-Submitted"] in ("auto-replied", "auto-generated")
    assert report["Date"] and report["Message-ID"] and report["From"]


def test_a_bounce_is_a_multipart_report_with_three_parts(bounce):
    _, report, _ = bounce
    assert report.get_content_type() == "multipart/report"
    assert report["Content-Type"].params["report-type"] == "delivery-status"
    kinds = [p.get_content_type() for p in report.iter_parts()]
    assert kinds[:2] == ["text/plain", "message/delivery-status"]
    assert kinds[2] in ("message/rfc822", "text/rfc822-headers")
    assert not report.defects and not any(p.defects for p in report.walk())


def test_the_status_part_says_who_what_and_why(bounce):
    _, report, _ = bounce
    groups = fields(list(report.iter_parts())[1])
    assert groups[0]["Reporting-MTA"] == "dns; relay.test"
    assert groups[0]["Arrival-Date"]
    assert groups[1]["Final-Recipient"] == "rfc822; refuse@nopolicy.test"
    assert groups[1]["Action"] == "failed" and groups[1]["Status"] == "5.1.1"
    assert groups[1]["Remote-MTA"] == "dns; mx.nopolicy.test"
    assert groups[1]["Diagnostic-Code"].startswith("smtp; 550")


def test_the_human_part_names_recipient_and_reason(bounce):
    _, report, _ = bounce
    text = next(report.iter_parts()).get_content()
    assert "refuse@nopolicy.test" in text and "no such user" in text


def test_a_bounce_returns_the_original(bounce):
    _, report, message = bounce
    part = list(report.iter_parts())[2]
    original = part.get_content() if part.get_content_type() == "message/rfc822" else \
        email.message_from_string(part.get_content())
    assert original["Message-ID"] == message.id and original["Subject"] == "an offer"


def test_one_bounce_tells_of_all_recipients_that_failed_together(lab, shared_relay):
    send(["refuse1@nopolicy.test", "refuse2@nopolicy.test", "fine@nopolicy.test"],
         sender="several@sender.test")
    _, report = wait_bounce(lab, "several@sender.test")
    failed = {g["Final-Recipient"].split("; ")[1] for g in fields(list(report.iter_parts())[1])[1:]}
    assert failed == {"refuse1@nopolicy.test", "refuse2@nopolicy.test"}
    assert len(bounces(lab, "several@sender.test")) == 1


def test_the_null_sender_gets_no_bounce(lab, shared_relay):
    before = len(lab.messages())
    send("refuse@nopolicy.test", sender="")
    shared_relay.wait_event("delivery", rcpt="<refuse@nopolicy.test>", outcome="failed")
    wait_until(lambda: not [r for r in shared_relay.queue() if r["sender"] == ""], 10,
               "the message to be gone")
    assert len([m for m in lab.messages()[before:] if m["sender"] == "<>"]) == 0


@pytest.mark.parametrize("domain, status, words", [
    ("nullmx.test", "5.1.10", "takes no mail at all"),
    ("no-such-domain.test", "5.1.2", "does not exist"),
    ("mx-self.test", "5.4.6", "round in circles"),
    ("nodata.test", "5.4.4", "could not be reached")])
def test_where_no_remote_host_was_involved_the_bounce_names_none(lab, shared_relay, domain, status,
                                                                 words):
    """RFC 3464 section 2.3.5."""
    sender = f"at-{status}@sender.test"
    send(f"you@{domain}", sender=sender)
    _, report = wait_bounce(lab, sender)
    group = fields(list(report.iter_parts())[1])[1]
    assert group["Status"] == status and group["Action"] == "failed"
    assert "Remote-MTA" not in group
    assert words in next(report.iter_parts()).get_content()


def test_a_long_refused_message_comes_back_as_headers_only(lab, shared_relay):
    send("refuse@nopolicy.test", sender="long@sender.test", size=1 << 20)
    event, report = wait_bounce(lab, "long@sender.test")
    assert event["size"] < 200_000
    assert list(report.iter_parts())[2].get_content_type() == "text/rfc822-headers"


def test_a_remote_reply_cannot_forge_fields_of_the_bounce(lab, shared_relay):
    send("you@multiline-550.test", sender="forge@sender.test")
    _, report = wait_bounce(lab, "forge@sender.test")
    groups = fields(list(report.iter_parts())[1])
    assert len(groups) == 2 and "see the policy page" in groups[1]["Diagnostic-Code"]


def test_at_the_end_of_its_life_a_message_is_returned_with_the_last_reason(lab, make_relay):
    relay = make_relay(retry_first="1s", retry_max="2s", queue_lifetime="4s").start()
    send("you@mail-451.test", sender="expired@sender.test")
    relay.wait_delivery("you@mail-451.test", "deferred")
    _, report = wait_bounce(lab, "expired@sender.test", 30)
    group = fields(list(report.iter_parts())[1])[1]
    assert group["Action"] == "failed" and re.match(r"[45]\.\d+\.\d+", group["Status"])
    assert "not now" in group["Diagnostic-Code"]
    relay.wait_queue(0)


def test_a_policy_failure_is_returned_only_at_the_end_and_names_policy_host_and_cause(lab,
                                                                                      make_relay):
    relay = make_relay(retry_first="1s", retry_max="2s", queue_lifetime="4s").start()
    message = send("you@expired.test", sender="policy@sender.test")
    relay.wait_delivery("you@expired.test", "deferred", count=2)
    assert not bounces(lab, "policy@sender.test")
    _, report = wait_bounce(lab, "policy@sender.test", 30)
    text = next(report.iter_parts()).get_content()
    assert "mx.expired.test" in text and "expired" in text.lower() and "MTA-STS" in text
    assert not lab.messages(id=message.id)




# ------------------------------------------------------------ what the sender asked for (RFC 3461)

def send_with(sender, mail, *recipients):
    """`recipients` are pairs of address and parameters."""
    message = Message()
    with Client() as c:
        c.ehlo()
        assert c.say(f"MAIL FROM:<{sender}> {mail}")[0] == 250
        for address, parameters in recipients:
            assert c.say(f"RCPT TO:<{address}> {parameters}")[0] == 250
        assert c.say("DATA")[0] == 354
        assert c.data(message.content)[0] == 250
    return message


@pytest.mark.parametrize("notify, told", [
    ("", True), ("NOTIFY=NEVER", False), ("NOTIFY=FAILURE", True), ("NOTIFY=SUCCESS,DELAY", False),
    ("NOTIFY=SUCCESS,FAILURE", True)])
def test_notify_decides_whether_a_failure_is_told(lab, shared_relay, notify, told):
    name = f"asked{notify.replace('=', '-').replace(',', '-').lower()}"
    send_with(f"{name}@sender.test", "", (f"refuse-{name}@nopolicy.test", notify))
    shared_relay.wait_event("delivery", rcpt=f"<refuse-{name}@nopolicy.test>", outcome="failed")
    if told:
        wait_bounce(lab, f"{name}@sender.test")
    else:
        wait_until(lambda: not [r for r in shared_relay.queue() if name in r["sender"]], 10, "end")
        assert not bounces(lab, f"{name}@sender.test")


def test_envid_orcpt_and_ret_come_back_in_a_bounce(lab, shared_relay):
    send_with("kept@sender.test", "RET=HDRS ENVID=QQ+20314+3D1",
              ("refuse-kept@nopolicy.test", "ORCPT=rfc822;Bob+2Blist@Example.com"))
    _, report = wait_bounce(lab, "kept@sender.test")
    parts = list(report.iter_parts())
    groups = fields(parts[1])
    assert groups[0]["Original-Envelope-Id"] == "QQ 314=1"
    assert groups[1]["Original-Recipient"] == "rfc822; Bob+list@Example.com"
    assert groups[1]["Final-Recipient"] == "rfc822; refuse-kept@nopolicy.test"
    assert parts[2].get_content_type() == "text/rfc822-headers"


def test_success_is_told_as_relayed_where_the_host_reports_nothing(lab, shared_relay):
    send_with("success@sender.test", "RET=FULL",
              ("first@nopolicy.test", "NOTIFY=SUCCESS"), ("second@nopolicy.test", "NOTIFY=FAILURE"),
              ("third@nopolicy.test", "NOTIFY=NEVER"), ("fourth@nopolicy.test", ""))
    _, report = wait_bounce(lab, "success@sender.test")
    parts = list(report.iter_parts())
    groups = fields(parts[1])
    assert [(g["Final-Recipient"], g["Action"], g["Status"][0]) for g in groups[1:]] == [
        ("rfc822; first@nopolicy.test", "relayed", "2")]
    assert parts[2].get_content_type() == "text/rfc822-headers"
    assert len(bounces(lab, "success@sender.test")) == 1
