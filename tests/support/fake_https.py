#!/usr/bin/python3
"""A policy host of every kind, for tests: fake_https.py FOLDER ADDRESS PORT...

Makes a test CA in FOLDER (ca.pem) and serves HTTPS; the name asked for by SNI chooses the
certificate, the path chooses what is answered.  Prints "ready" when it listens.  What is posted is
written to FOLDER/posted, header and body.
"""
import datetime
import os
import socket
import ssl
import sys
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

POLICY = b"version: STSv1\nmode: enforce\nmx: mail.example.com\nmax_age: 604800\n"
NOW = datetime.datetime.utcnow()
DAY = datetime.timedelta(days=1)


def head(status, *fields):
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "Connection: close", "", ""]).encode()


def plain(body, status="200 OK", kind="text/plain"):
    return head(status, f"Content-Type: {kind}", f"Content-Length: {len(body)}") + body


def chunked(body):
    return (head("200 OK", "Content-Type: text/plain", "Transfer-Encoding: chunked")
            + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))


ANSWERS = {
    "/ok": plain(POLICY),
    "/chunked": chunked(POLICY),
    "/html": plain(POLICY, kind="text/html"),
    "/missing": plain(b"no", "404 Not Found"),
    "/moved": head("301 Moved", "Location: https://mta-sts.example.com/ok", "Content-Length: 0"),
    "/unmarked": head("200 OK", "Content-Type: text/plain") + POLICY,
    "/cut": head("200 OK", "Content-Type: text/plain", "Content-Length: 1000") + POLICY,
    "/long-line": head("200 " + "x" * 200_000),
    "/large": plain(b"x" * 70000),
    "/large-chunked": chunked(b"x" * 70000),
    "/full": plain(b"x" * 65536),
    "/taken": head("201 Created", "Content-Length: 0"),
    "/refused": plain(b"\r\nno such \xff mailbox\nmore", "400 Bad Request"),
    "/taken-endless": head("200 OK") + b"x" * 10_000_000,
    "/refused-cut": head("500 Oops", "Content-Length: 1000") + b"later",
    "/early": head("200 OK", "Content-Length: 0"),
}


def certificate(folder, name, sans, signer=None, until=NOW + 30 * DAY, ca=False):
    """Writes NAME.pem with key and certificate; `signer` is None for a self-signed one."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = signer[0].subject if signer else subject
    builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
               .public_key(key.public_key()).serial_number(x509.random_serial_number())
               .not_valid_before(NOW - 60 * DAY).not_valid_after(until)
               .add_extension(x509.BasicConstraints(ca=ca, path_length=None), True))
    if sans:
        names = x509.SubjectAlternativeName([x509.DNSName(san) for san in sans])
        builder = builder.add_extension(names, False)
    made = builder.sign(signer[1] if signer else key, hashes.SHA256())
    with open(os.path.join(folder, name + ".pem"), "wb") as file:
        file.write(key.private_bytes(serialization.Encoding.PEM,
                                     serialization.PrivateFormat.PKCS8,
                                     serialization.NoEncryption()))
        file.write(made.public_bytes(serialization.Encoding.PEM))
    return made, key


def contexts(folder):
    ca = certificate(folder, "ca", [], ca=True)
    with open(os.path.join(folder, "ca.pem"), "wb") as file:
        file.write(ca[0].public_bytes(serialization.Encoding.PEM))
    kinds = {
        "mta-sts.example.com": {"sans": ["mta-sts.example.com"], "signer": ca},
        "mta-sts.wildcard.test": {"sans": ["*.wildcard.test"], "signer": ca},
        "mta-sts.common-name.test": {"sans": [], "signer": ca},
        "mta-sts.wrong.test": {"sans": ["other.test"], "signer": ca},
        "mta-sts.self-signed.test": {"sans": ["mta-sts.self-signed.test"]},
        "mta-sts.expired.test": {"sans": ["mta-sts.expired.test"], "signer": ca,
                                 "until": NOW - DAY},
    }
    made = {}
    for name, kind in kinds.items():
        certificate(folder, name, **kind)
        made[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made[name].load_cert_chain(os.path.join(folder, name + ".pem"))
    return made


def receive(stream):
    """A whole request; of one for /early only what came first."""
    got = stream.recv(4096)
    while b"\r\n\r\n" not in got:
        got += stream.recv(4096)
    fields, _, body = got.partition(b"\r\n\r\n")
    for line in fields.split(b"\r\n"):
        name, _, value = line.partition(b":")
        while name.lower() == b"content-length" and len(body) < int(value) and b"/early" not in fields:
            body += stream.recv(65536)
    return fields + b"\r\n\r\n" + body


def serve(plain_socket, context, folder):
    try:
        with context.wrap_socket(plain_socket, server_side=True) as stream:
            request = receive(stream)
            path = request.split(b" ")[1].decode()
            if request.startswith(b"POST "):
                with open(os.path.join(folder, "posted"), "wb") as file:
                    file.write(request)
            if path == "/silent":
                time.sleep(30)
            stream.sendall(ANSWERS.get(path, ANSWERS["/missing"]))
            if path not in ("/unmarked", "/cut", "/refused-cut"):
                stream.unwrap()
    except (OSError, IndexError):
        pass


def listen(listener, first, folder):
    while True:
        accepted, _ = listener.accept()
        threading.Thread(target=serve, args=(accepted, first, folder), daemon=True).start()


def main():
    folder, address, *ports = sys.argv[1:]
    made = contexts(folder)
    first = made["mta-sts.example.com"]
    first.sni_callback = lambda stream, name, _: setattr(stream, "context", made.get(name, first))
    listeners = [socket.create_server((address, int(port))) for port in ports]
    print("ready", flush=True)
    for listener in listeners[1:]:
        threading.Thread(target=listen, args=(listener, first, folder), daemon=True).start()
    listen(listeners[0], first, folder)


main()
