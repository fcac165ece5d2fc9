"""The lab is what its table says; without that no other story proves anything."""
import smtplib
import socket
import ssl
import subprocess

import certificates
import policy_hosts
import pytest
import table
from attacks import ATTACKS
from client import Client
from services import wait_until


def dig(*words):
    done = subprocess.run(["kdig", "+adflag", "+time=3", "+retry=0", *words], capture_output=True,
                          text=True, check=False)
    return done.stdout


def curl(lab, domain):
    """(curl's exit status, HTTP status) of a policy fetch."""
    done = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "3",
                           "--cacert", lab.ca_file, f"https://mta-sts.{domain}"
                           + policy_hosts.WELL_KNOWN], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_signed_answers_carry_the_ad_bit():
    assert "status: NOERROR" in dig("MX", "good.test")
    assert " ad;" in dig("MX", "good.test")
    assert " ad;" in dig("TXT", "_mta-sts.good.test")
    assert " ad;" in dig("MX", "no-such-domain.test")


def test_an_unsigned_domain_has_answers_without_the_ad_bit():
    answer = dig("MX", "insecure.test")
    assert "mx.insecure.test." in answer and " ad;" not in answer


@pytest.mark.parametrize("name, status", [
    ("bogus.test", "SERVFAIL"), ("servfail.test", "SERVFAIL"), ("nodata.test", "NOERROR"),
    ("no-such-domain.test", "NXDOMAIN"), ("_mta-sts.txt-servfail.test", "SERVFAIL")])
def test_every_kind_of_dns_trouble_occurs(name, status):
    assert f"status: {status}" in dig("MX" if name[0] != "_" else "TXT", name)


def test_a_record_can_be_changed_while_the_lab_runs(lab):
    lab.dns.set("changing.test", "MX", "5 mx.good.test.")
    assert "mx.good.test." in dig("+short", "MX", "changing.test")
    lab.dns.set("changing.test", "MX")
    assert "NXDOMAIN" in dig("MX", "changing.test")


@pytest.mark.parametrize("kind, expected", [
    ("404", (0, "404")), ("301", (0, "301")), ("500", (0, "500")), ("204", (0, "204")),
    ("html", (0, "200")), ("wrongname", (60, "000")), ("expired", (60, "000")),
    ("selfsigned", (60, "000")), ("cnonly", (0, "200")), ("toolarge", (0, "200")),
    ("truncated", (18, "200")), ("closed", (52, "000")), ("refused", (7, "000")),
    ("silent", (28, "000")), ("slow", (28, "200")), ("nohost", (6, "000")),
    ("servfail", (6, "000")), ("garbage", (1, "000")), ("invalid", (0, "200"))])
def test_policy_hosts_of_every_kind_behave_so(lab, kind, expected):
    """curl itself takes a name from the CN where there is no SAN; RFC 8461 section 3.3 does not."""
    assert curl(lab, f"policy-{kind}.test") == expected


def test_a_good_policy_host_serves_its_policy(lab):
    assert curl(lab, "good.test") == (0, "200")


def tls_error(lab, host):
    """What a strict client says of a host's certificate; "" when all is well."""
    context = ssl.create_default_context(cafile=lab.ca_file)
    context.hostname_checks_common_name = False
    session = smtplib.SMTP(timeout=5)
    session.connect(table.MX_ADDRESSES[host][0], 25)
    session._host = host
    try:
        session.starttls(context=context)
        return ""
    except (ssl.SSLError, OSError, smtplib.SMTPException) as e:
        return str(e)
    finally:
        session.close()


@pytest.mark.parametrize("name, complaint", [
    ("mx.good.test", ""), ("mx.wildcard-cert.test", ""), ("mx.expired.test", "expired"),
    ("mx.notyet.test", "not yet valid"), ("mx.wrongname.test", "Hostname mismatch"),
    ("mx.cnonly.test", "Hostname mismatch"), ("mx.selfsigned.test", "self-signed"),
    ("mx.unknownca.test", "unable to get local issuer"), ("mx.notls.test", "not supported"),
    ("mx.tls12.test", "")])
def test_mx_certificates_of_every_kind_are_seen_so(lab, name, complaint):
    error = tls_error(lab, name)
    assert complaint in error and bool(complaint) == bool(error)


def test_the_tls_1_0_host_speaks_nothing_newer(lab):
    assert tls_error(lab, "mx.tls10.test")
    done = subprocess.run(["openssl", "s_client", "-starttls", "smtp", "-tls1", "-cipher",
                           "DEFAULT@SECLEVEL=0", "-connect",
                           table.MX_ADDRESSES["mx.tls10.test"][0] + ":25"],
                          input="QUIT\n", capture_output=True, text=True, timeout=10, check=False)
    assert "New, TLSv1" in done.stdout


def test_an_mx_logs_what_it_got(lab):
    with Client((table.MX_ADDRESSES["mx.good.test"][0], 25)) as c:
        c.ehlo()
        c.starttls(lab.ca_file)
        c.begin("a@sender.test", "you@good.test")
        assert c.data(b"Message-ID: <lab-log@x>\r\n\r\n.a dot\r\n")[0] == 250
    found = lab.messages(id="<lab-log@x>")
    assert len(found) == 1 and found[0]["tls"] == "TLSv1.3" and not found[0]["bare"]
    with open(found[0]["file"], "rb") as f:
        assert f.read().endswith(b"\r\n\r\n.a dot\r\n")


def test_an_mx_changes_its_script_when_told(lab):
    address = (table.MX_ADDRESSES["mx.good.test"][0], 25)
    lab.mx("mx.good.test", mail="451 4.3.0 not now")
    with Client(address) as c:
        c.ehlo()
        assert c.say("MAIL FROM:<>")[0] == 451
    lab.mx_as_before("mx.good.test")
    with Client(address) as c:
        c.ehlo()
        assert c.say("MAIL FROM:<>")[0] == 250


def test_bytes_behind_the_220_of_starttls_arrive_with_it():
    with Client((table.MX_ADDRESSES["mx.inject.test"][0], 25)) as c:
        c.ehlo()
        c.send(b"STARTTLS\r\n")
        assert c.reply()[0] == 220
        assert c.reply() == (250, "250 mx.inject.test")


@pytest.mark.parametrize("address, error", [
    (table.SILENT_ADDRESS, socket.timeout), (table.UNREACHABLE_ADDRESS, OSError),
    (table.MX_ADDRESSES["mx.mx-refused.test"][0], ConnectionRefusedError)])
def test_addresses_that_lead_nowhere_fail_each_in_its_way(address, error):
    with pytest.raises(error):
        socket.create_connection((address, 25), timeout=0.5)


@pytest.mark.parametrize("program", ["postfix", "exim"])
def test_the_real_mail_servers_take_mail_over_verified_tls(lab, program):
    inbox = lab.peer(program, "mx")
    assert tls_error(lab, f"mx.{program}.test") == ""
    with Client((inbox.addresses[0], 25)) as c:
        c.begin("a@sender.test", f"you@{program}.test")
        assert c.data(b"Subject: lab\r\n\r\nfor the real one\r\n")[0] == 250
    inbox.wait_for(b"for the real one")


def test_a_host_can_be_cut_off_and_comes_back(lab):
    address = table.MX_ADDRESSES["mx.also-good.test"][0]
    lab.cut(address)
    with pytest.raises(OSError):
        socket.create_connection((address, 25), timeout=0.5)
    lab.mend(address)
    wait_until(lambda: socket.create_connection((address, 25), timeout=5), 10, "the host")


def test_every_kind_of_certificate_is_somebodys():
    used = {h.certificate for h in table.HOSTS.values()} | {a.host.get("certificate", "good") for a in ATTACKS}
    assert used == set(certificates.KINDS)
