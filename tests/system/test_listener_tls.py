"""TLS with clients: certificates of theirs and of ours."""
import datetime
import hashlib
import os
import ssl

import pytest
import table
from client import Client, Message
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from test_listeners import PLAIN, SecureClient, with_tls
from test_policy import wait_arrived

ADDRESS = ("127.0.0.1", 465)
DER = serialization.Encoding.DER
PEM = serialization.Encoding.PEM


class Identity:
    """A client's own certificate, signed by itself."""

    def __init__(self, folder, name):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.utcnow()
        self.certificate = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256()))
        self.file = f"{folder}/{name}.pem"
        with open(self.file, "wb") as f:
            f.write(self.certificate.public_bytes(PEM))
            f.write(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8,
                                      serialization.NoEncryption()))

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
