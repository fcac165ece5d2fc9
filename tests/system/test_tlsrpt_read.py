"""Reports that others send: what `waxseal tlsrpt read` makes of them."""
import gzip
import json
import os
import resource
import subprocess
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from client import send
from relay import BINARY
from services import wait_until

FAILURE = {"result-type": "certificate-not-trusted", "sending-mta-ip": "192.0.2.7",
           "receiving-mx-hostname": "mx1.example.com", "receiving-ip": "198.51.100.25",
           "failed-session-count": 2, "failure-reason-code": "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT"}


def report(*failures, failed=0):
    return {"organization-name": "Relay Test Ltd", "contact-info": "tlsrpt@relay.example",
            "date-range": {"start-datetime": "2026-01-30T00:00:00Z", "end-datetime": "2026-01-30T23:59:59Z"},
            "report-id": "1@relay.example", "policies": [{
                "policy": {"policy-type": "sts", "policy-string": ["version: STSv1", "mode: enforce", "mx: mx1.example.com"],
                           "policy-domain": "example.com", "mx-host": ["mx1.example.com"]},
                "summary": {"total-successful-session-count": 40, "total-failure-session-count": failed},
                "failure-details": list(failures)}]}


FAILED = json.dumps(report(FAILURE, failed=2)).encode()


def read(content, *words, most_seconds=30):
    return subprocess.run([BINARY, "tlsrpt", "read", "-", *words], input=content, capture_output=True,
                          timeout=most_seconds, check=False)


def read_json(content):
    return json.loads(read(content, "--json").stdout)


def mail(content, subtype="tlsrpt+gzip"):
    """As a careful sender makes it."""
    message = EmailMessage(policy=policy.SMTP)
    message["From"], message["To"] = "Reports <tlsrpt@relay.example>", "tls@example.com"
    message["Subject"] = "Report Domain: example.com Submitter: relay.example Report-ID: <1@relay.example>"
    message["TLS-Report-Domain"], message["TLS-Report-Submitter"] = "example.com", "relay.example"
    message.set_content("This is a TLS report.")
    message.add_attachment(content, "application", subtype,
                           filename="relay.example!example.com!1769731200!1769817599.json.gz")
    message.replace_header("Content-Type", message["Content-Type"].replace("multipart/mixed", "multipart/report")
                           + '; report-type="tlsrpt"')
    return message


def forwarded(message):
    """As a mail client does it for who asks what this is."""
    around = EmailMessage(policy=policy.SMTP)
    around["From"], around["Subject"] = "ada@example.com", "Fwd: what is this?"
    around.set_content("Look.")
    around.add_attachment(message_from_bytes(message.as_bytes(), policy=policy.SMTP))
    return around


@pytest.mark.parametrize("content", [
    FAILED, gzip.compress(FAILED), mail(gzip.compress(FAILED)).as_bytes(), mail(FAILED, "tlsrpt+json").as_bytes(),
    forwarded(mail(gzip.compress(FAILED))).as_bytes(), mail(gzip.compress(FAILED)).as_bytes().replace(b"\r\n", b"\n")],
    ids=["json", "gzip", "mail", "mail with json", "forwarded mail", "mail with bare line ends"])
def test_a_report_is_read_however_it_comes(content):
    done = read(content)
    assert done.returncode == 1 and not done.stderr
    text = done.stdout.decode()
    for part in ("about example.com, by Relay Test Ltd", "day         2026-01-30 (UTC)", "tlsrpt@relay.example",
                 "40 sessions succeeded, 2 failed", "certificate-not-trusted: 2 sessions",
                 "mx1.example.com [198.51.100.25]", "seen from   192.0.2.7", "signed itself",
                 "whose turn  whoever runs mx1.example.com", "openssl s_client -starttls smtp -connect mx1.example.com:25"):
        assert part in text, text
    assert read_json(content)["report"] == json.loads(FAILED)


def test_the_exit_status_tells_how_it_is(tmp_path):
    fine = tmp_path / "fine.json"
    fine.write_text(json.dumps(report()))
    done = subprocess.run([BINARY, "tlsrpt", "read", fine], capture_output=True, text=True, timeout=5, check=False)
    assert done.returncode == 0 and "40 sessions succeeded, 0 failed" in done.stdout and "differs" not in done.stdout
    for words, why in ((["/does/not/exist"], "No such file"), ([str(tmp_path)], "Is a directory"), ([], "FILE|-")):
        done = subprocess.run([BINARY, "tlsrpt", "read", *words], capture_output=True, text=True, timeout=5, check=False)
        assert done.returncode == 2 and why in done.stderr and not done.stdout
    for content, why in ((b"", "there is nothing in it"), (b"hello", "neither JSON"), (b'{"a":1}', "no TLS report"),
                         (b"Subject: x\r\n\r\nhello\r\n", "no TLS report in this mail"), (FAILED[:300], "JSON line 1")):
        done = read(content)
        assert done.returncode == 2 and why in done.stderr.decode() and not done.stdout
    done = subprocess.run([BINARY, "tlsrpt", "read", "--help"], capture_output=True, text=True, timeout=5, check=True)
    assert "--config" not in done.stdout and "FILE|-" in done.stdout


def test_nothing_of_a_report_controls_the_terminal():
    evil = dict(FAILURE, **{"failure-reason-code": "\x1b]0;owned\x07\x9b2J", "receiving-mx-hostname": "$(reboot)\n; rm -rf ~"})
    done = read(json.dumps(report(evil, failed=2)).encode())
    assert all(byte >= 0x20 or byte == 0x0a for byte in done.stdout) and b"\xc2\x9b" not in done.stdout
    commands = [line for line in done.stdout.decode().split("\n") if "look  " in line]
    assert commands and all("YOUR-MX-HOST" in line and "reboot" not in line and "rm" not in line for line in commands)


def zeros(count):
    """`count` times 64 MiB of zeros, packed: gzip files may stand behind each other."""
    return gzip.compress(bytes(64 << 20), 9) * count


@pytest.mark.parametrize("content", [
    zeros(160), mail(zeros(160)).as_bytes(), b"[" * (32 << 20),
    b'{"policies":[' + b"{}," * 1_000_000 + b"{}]}",
    b'{"policies":[{"failure-details":[' + b"{}," * 580_000 + b"{}]}]}",
    b'{"policies":[{"policy":{"policy-string":[' + b'"a",' * 1_000_000 + b'""]}}]}',
    b'{"policies":[{"policy":{"policy-string":"' + b"\\n" * 34_000_000 + b'"}}]}',
    b'{"report-id":"' + b"\x7f" * (20 << 20) + b'"}',
    b"Content-Type: message/rfc822\r\n\r\n" * 300_000,
    b"Content-Type: message/rfc822\r\n\r\n" * 7 + b"Content-Type: application/tlsrpt+json\r\n\r\n{" + b"x" * (70 << 20),
    b"Content-Type: multipart/mixed; boundary=a\r\n\r\n" + b"--a\r\n\r\n" * 2_000_000,
    b"".join(b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n" % (n, n) for n in range(100_000))],
    ids=["10 GiB of zeros", "10 GiB of zeros in a mail", "deep JSON", "a million policies", "failures without end",
         "lines without end", "lines of one text", "a long text", "mails in mails", "a long mail in mails",
         "parts without end", "parts in parts"])
def test_a_bomb_costs_little_memory_and_time(content):
    def bound():
        resource.setrlimit(resource.RLIMIT_DATA, (512 << 20, 512 << 20))
        resource.setrlimit(resource.RLIMIT_CPU, (5, 5))
    done = subprocess.run([BINARY, "tlsrpt", "read", "-"], input=content, capture_output=True, timeout=30, check=False,
                          preexec_fn=bound)
    assert done.returncode in (0, 1, 2), done.stderr
    assert len(done.stdout) < 200_000 and len(done.stderr) < 1000


def test_a_report_of_a_hundred_thousand_failures_is_read_whole():
    failure = json.dumps(dict(FAILURE, **{"receiving-ip": "198.18.%d.%d", "failed-session-count": 1}))
    failures = ",".join(failure % (n // 256 % 256, n % 256) for n in range(100_000))
    whole = json.dumps(report("ALL", failed=100_000)).replace('"ALL"', failures)
    done = read(gzip.compress(whole.encode(), 1))
    assert done.returncode == 1
    text = done.stdout.decode()
    assert "100000 failed" in text and "certificate-not-trusted: 100000 sessions" in text and "and others" in text
    assert len(text) < 4000


def test_a_report_of_our_own_is_read_without_a_note(lab, relay, tmp_path):
    send("you@expired.test")
    relay.wait_delivery("you@expired.test", "deferred")

    def counted():
        return relay.cli("tlsrpt", "report", "expired.test", check=False).returncode == 0
    wait_until(counted, 5, "the session to be counted")
    own = tmp_path / "own.json"
    own.write_text(relay.cli("tlsrpt", "report", "expired.test").stdout)
    told = json.loads(subprocess.run([BINARY, "tlsrpt", "read", own, "--json"], capture_output=True, timeout=5,
                                     check=False).stdout)
    assert told["notes"] == [] and told["report"] == json.loads(own.read_text())
    finding = told["findings"][0]
    assert finding["result"] == "certificate-expired" and finding["domain"] == "expired.test"
    assert "had expired" in finding["cause"] and "Renew the certificate" in finding["mend"]
    assert finding["receivers"][0]["host"] in finding["check"]
