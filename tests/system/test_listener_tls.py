"""TLS with clients: certificates of theirs and of ours, and what they are shown when."""
import datetime
import hashlib
import os
import ssl

import pytest
import table
from client import Client, Message
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from services import wait_until
from test_listeners import PLAIN, SecureClient, with_tls
from test_policy import wait_arrived

ADDRESS = ("127.0.0.1", 465)
DER = serialization.Encoding.DER
PEM = serialization.Encoding.PEM


def put(path, content):
    """Puts a file in place whole, as certbot and the like do."""
    with open(path + ".new", "wb") as f:
        f.write(content)
    os.chmod(path + ".new", 0o600)
    os.rename(path + ".new", path)


class Identity:
    """A certificate, signed by itself, and its key: both in `file`, the key alone in `key_file`."""

    def __init__(self, folder, name, names=(), rsa_key=False, starts=-1, days=30,
                 file=None):
        key = (rsa.generate_private_key(65537, 2048) if rsa_key
               else ec.generate_private_key(ec.SECP256R1()))
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.utcnow()
        builder = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=starts))
            .not_valid_after(now + datetime.timedelta(days=days)))
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), False)
        self.certificate = builder.sign(key, hashes.SHA256())
        self.file = file or f"{folder}/{name}.pem"
        self.key_file = self.file.replace(".pem", ".key")
        private = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8,
                                    serialization.NoEncryption())
        put(self.key_file, private)
        put(self.file, self.certificate.public_bytes(PEM) + private)

    def fingerprint(self):
        return hashlib.sha256(self.certificate.public_bytes(DER)).hexdigest()

    def key_fingerprint(self):
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        return hashlib.sha256(self.certificate.public_key().public_bytes(DER, spki)).hexdigest()


class ArmedClient(SecureClient):
    """One with a certificate of its own."""

    def __init__(self, lab, identity, address=ADDRESS):  # pylint: disable=super-init-not-called
        context = ssl.create_default_context(cafile=lab.ca_file)
        if identity:
            context.load_cert_chain(identity.file)
        Client.__init__(self, address, wrap=lambda s: context.wrap_socket(
            s, server_hostname=table.RELAY_NAME))


class Looker(Client):
    """One that takes whatever certificate it is shown, and keeps it in `shown`."""

    def __init__(self, name=table.RELAY_NAME, address=ADDRESS, signatures="", newest=None):
        # pylint: disable=super-init-not-called
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if newest:
            context.maximum_version = newest
        if signatures:
            context.set_ciphers(signatures)
        Client.__init__(self, address,
                        wrap=lambda s: context.wrap_socket(s, server_hostname=name))
        self.shown = hashlib.sha256(self.socket.getpeercert(True)).hexdigest()


def shown_to(**asked):
    with Looker(**asked) as c:
        assert c.greeting[0] == 220
        return c.shown


def implicit(lab, **members):
    return with_tls(lab, address="127.0.0.1:465", tls="implicit",
                    **{k.replace("_", "-"): v for k, v in members.items()})


def test_a_client_that_is_asked_may_show_any_certificate_or_none(lab, make_relay):
    relay = make_relay(listeners=(PLAIN, implicit(lab, tls_client_certificates="request"))).start()
    printer = Identity(relay.folder, "printer")
    with ArmedClient(lab, printer) as c:
        message = Message()
        c.begin("a@sender.test", "you@nopolicy.test")
        assert c.data(message.content)[0] == 250
    event = relay.wait_event("client-certificate")
    assert event["certificate"] == printer.fingerprint()
    assert event["key"] == printer.key_fingerprint()
    assert event["subject"] == "CN=printer"
    assert event["verdict"] == "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT"
    wait_arrived(lab, message)
    with ArmedClient(lab, None) as c:
        assert c.ehlo()[0] == 250
    assert len(relay.events("client-certificate")) == 1


def test_where_a_certificate_is_required_only_vouched_for_ones_will_do(lab, make_relay):
    relay = make_relay(listeners=(PLAIN,))
    friend, stranger = Identity(relay.folder, "friend"), Identity(relay.folder, "stranger")
    ca_file = f"{relay.folder}/clients.pem"
    with open(ca_file, "wb") as f:
        f.write(friend.certificate.public_bytes(PEM))
    relay.write(listeners=(PLAIN, implicit(lab, tls_client_certificates="require",
                                           tls_client_ca=ca_file)))
    relay.start()
    with ArmedClient(lab, friend) as c:
        assert c.ehlo()[0] == 250
    assert relay.wait_event("client-certificate")["verdict"] == "trusted"
    for client in (stranger, None):
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            with ArmedClient(lab, client) as c:
                assert c.greeting[0] == 220
    relay.wait_event("tls-failed", count=2)
    assert {e["reason"] for e in relay.events("tls-failed")} == {
        "SSL_R_CERTIFICATE_VERIFY_FAILED", "SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE"}


def test_authorities_of_clients_that_are_none_are_found_by_check(lab, make_relay):
    relay = make_relay(listeners=(PLAIN,))
    empty = f"{relay.folder}/empty.pem"
    with open(empty, "w", encoding="ascii"):
        os.chmod(empty, 0o644)
    relay.write(listeners=(PLAIN, implicit(lab, tls_client_certificates="request",
                                           tls_client_ca=empty)))
    done = relay.cli("check", check=False)
    assert done.returncode != 0
    assert f"tls-client-ca {empty}: no certificate" in done.stderr


def serving(identities, **members):
    """A listener on 465 with these certificates."""
    return {"address": "127.0.0.1:465", "tls": "implicit",
            "tls-certificate": [i.file for i in identities],
            "tls-key": [i.key_file for i in identities],
            **{k.replace("_", "-"): v for k, v in members.items()}}


def test_each_client_is_shown_the_certificate_of_the_name_it_asks_for(make_relay):
    relay = make_relay()
    ours = Identity(relay.folder, "ours", [table.RELAY_NAME])
    ours_rsa = Identity(relay.folder, "ours-rsa", [table.RELAY_NAME], rsa_key=True)
    other = Identity(relay.folder, "other", ["smtp.other.test", "*.other.test"])
    relay.write(listeners=(PLAIN, serving([ours, ours_rsa, other])))
    relay.start()
    assert shown_to() == ours.fingerprint()
    assert shown_to(name="smtp.other.test") == other.fingerprint()
    assert shown_to(name="mail.other.test") == other.fingerprint()
    assert shown_to(name="unknown.test") == ours.fingerprint()
    assert shown_to(name=None) == ours.fingerprint()
    assert shown_to(newest=ssl.TLSVersion.TLSv1_2, signatures="aRSA") == ours_rsa.fingerprint()


def test_a_new_certificate_is_shown_within_seconds_and_sessions_go_on(make_relay):
    relay = make_relay()
    first = Identity(relay.folder, "first", [table.RELAY_NAME])
    second = Identity(relay.folder, "second", ["smtp.other.test"])
    relay.write(listeners=(PLAIN, serving([first, second])))
    relay.start()
    with Looker(name="smtp.other.test") as before:
        before.ehlo()
        renewed = Identity(relay.folder, "second", ["smtp.other.test"])
        wait_until(lambda: shown_to(name="smtp.other.test") == renewed.fingerprint(), 8,
                   "the new certificate")
        assert before.shown == second.fingerprint()
        assert before.say("MAIL FROM:<a@sender.test>")[0] == 250
        assert shown_to() == first.fingerprint()
    Identity(relay.folder, "second", ["smtp.other.test"], file=f"{relay.folder}/x.pem")
    os.rename(f"{relay.folder}/x.key", second.key_file)   # a key that fits nothing
    assert "does not fit" in relay.wait_event("file-refused")["error"]
    relay.reload()
    assert "does not fit" in relay.wait_event("reload-refused")["error"]
    assert shown_to(name="smtp.other.test") == renewed.fingerprint()


def test_certificates_are_read_again_at_a_reload(make_relay):
    relay = make_relay()
    first = Identity(relay.folder, "first", [table.RELAY_NAME])
    relay.write(listeners=(PLAIN, serving([first])))
    relay.start()
    assert shown_to() == first.fingerprint()
    second = Identity(relay.folder, "second", [table.RELAY_NAME])
    relay.write(listeners=(PLAIN, serving([second])))
    relay.reload()
    wait_until(lambda: shown_to() == second.fingerprint(), 8, "the certificate of the reload")


def test_what_is_wrong_with_a_certificate_is_said_at_check_time(make_relay):
    relay = make_relay()
    good = Identity(relay.folder, "good", [table.RELAY_NAME])
    other = Identity(relay.folder, "other", ["smtp.other.test"])
    complaints = {
        "expired at": Identity(relay.folder, "expired", days=-0.5),
        "is not valid before": Identity(relay.folder, "early", starts=2),
        "No such file": Identity(relay.folder, "absent"),
        "does not fit": Identity(relay.folder, "odd"),
        "holds no certificate": Identity(relay.folder, "none"),
    }
    os.unlink(complaints["No such file"].file)
    put(complaints["does not fit"].key_file, open(good.key_file, "rb").read())
    put(complaints["holds no certificate"].file, b"nonsense\n")
    for complaint, identity in complaints.items():
        relay.write(listeners=(PLAIN, serving([good, identity])))
        done = relay.cli("check", check=False)
        assert done.returncode != 0 and complaint in done.stderr, done.stderr
        assert identity.file in done.stderr
    soon = Identity(relay.folder, "soon", ["smtp.other.test"], days=13)
    relay.write(listeners=(PLAIN, serving([other, soon])))
    done = relay.cli("check")
    assert f"{other.file} does not bear our name" in done.stderr
    assert f"{soon.file}: expires at" in done.stderr
    assert f"{soon.file} does not bear" not in done.stderr
    relay.start()
    relay.wait_event("certificate-warning", count=2)


def test_the_least_version_of_tls_is_the_listeners(make_relay):
    relay = make_relay()
    ours = Identity(relay.folder, "ours", [table.RELAY_NAME])
    relay.write(listeners=(PLAIN, serving([ours], tls_minimum="1.3")))
    relay.start()
    assert shown_to() == ours.fingerprint()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        shown_to(newest=ssl.TLSVersion.TLSv1_2)
    assert relay.wait_event("tls-failed")["reason"] == "SSL_R_UNSUPPORTED_PROTOCOL"


def come_again(context, session):
    """Connects with a session; returns whether it was resumed, and the session for next time."""
    with Client(ADDRESS, wrap=lambda s: context.wrap_socket(
            s, server_hostname=table.RELAY_NAME, session=session)) as c:
        assert c.greeting[0] == 220
        return c.socket.session_reused, c.socket.session


def test_clients_come_back_with_tickets_to_any_process_and_after_a_reload(lab, make_relay):
    relay = make_relay(smtpd_processes=3, listeners=(PLAIN, implicit(lab))).start()
    for newest in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=lab.ca_file)
        context.maximum_version = newest
        resumed, session = come_again(context, None)
        assert not resumed
        for _ in range(8):
            resumed, session = come_again(context, session)
            assert resumed
        relay.write(listeners=(implicit(lab), PLAIN))
        before = relay.role_pids("smtpd")
        relay.reload()
        wait_until(lambda before=before: not set(before) & set(relay.role_pids("smtpd")), 15,
                   "the successors")
        assert come_again(context, session)[0]


def test_no_tickets_where_clients_are_asked_for_certificates(lab, make_relay):
    make_relay(listeners=(PLAIN, implicit(lab, tls_client_certificates="request"))).start()
    context = ssl.create_default_context(cafile=lab.ca_file)
    _, session = come_again(context, None)
    assert not session.has_ticket
    assert not come_again(context, session)[0]
