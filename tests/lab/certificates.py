"""The lab's certificate authority, and a certificate of every kind for a host name."""
import datetime
import os
import ssl
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KINDS = ("good", "wildcard", "expired", "notyet", "wrongname", "cnonly", "selfsigned", "unknownca",
         "forged", "thief", "otherkey", "pair")
_THIEFS = ("forged", "thief", "otherkey")       # with a key that is not the hosts'
_HOUR = datetime.timedelta(hours=1)
_DAY = datetime.timedelta(days=1)


def _name(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _write_whole(path, data, mode):
    """Puts a file there at once: a host's sessions ask for its certificate at the same time, each in its thread."""
    descriptor, unready = tempfile.mkstemp(dir=os.path.dirname(path))
    with open(descriptor, "wb") as f:
        f.write(data)
    os.chmod(unready, mode)
    os.replace(unready, path)


class Authority:
    """Signs certificates; all hosts share one key, which is enough here and quick, and all thieves another."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.now = datetime.datetime.utcnow()
        self.host_key = ec.generate_private_key(ec.SECP256R1())
        self.thief_key = ec.generate_private_key(ec.SECP256R1())
        self.root_key, self.root = self._root("Lab Root CA")
        self.other_key, self.other = self._root("A CA that nobody knows")
        self.ca_file = self._write("ca.pem", self.root)

    def _root(self, name):
        key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.KeyUsage(key_cert_sign=True, crl_sign=True, digital_signature=True,
                              content_commitment=False, key_encipherment=False,
                              data_encipherment=False, key_agreement=False,
                              encipher_only=False, decipher_only=False)
        builder = self._builder(_name(name), _name(name), key, -_DAY, 3650 * _DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        builder = builder.add_extension(usage, True)
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        return key, builder.sign(key, hashes.SHA256())

    def _builder(self, subject, issuer, key, begins, ends):
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
                .public_key(key.public_key()).serial_number(x509.random_serial_number())
                .not_valid_before(self.now + begins).not_valid_after(self.now + ends))

    def _write(self, name, *certificates):
        path = f"{self.folder}/{name}"
        _write_whole(path, b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates), 0o644)
        return path

    def key_file(self, kind="good"):
        path, key = f"{self.folder}/host.key", self.host_key
        if kind in _THIEFS:
            path, key = f"{self.folder}/thief.key", self.thief_key
        if not os.path.exists(path):
            _write_whole(path, key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                 serialization.NoEncryption()), 0o600)
        return path

    def issue(self, host, kind="good"):
        """Writes a certificate of that kind for the host; returns (certificate file, key file)."""
        names = {"wildcard": ["*." + host.split(".", 1)[1]], "wrongname": ["mx.somebody-else.test"],
                 "cnonly": [], "thief": ["mx.thief.test"],
                 "pair": [f"mx{n}.{host.split('.', 1)[1]}" for n in (1, 2)]}.get(kind, [host])
        begins, ends = {"expired": (-90 * _DAY, -_DAY), "notyet": (_DAY, 90 * _DAY)}.get(
            kind, (-_HOUR, 90 * _DAY))
        common = names[0] if names else host
        own = self.thief_key if kind in _THIEFS else self.host_key
        issuer, key = {"selfsigned": (_name(common), own), "forged": (_name(common), own),
                       "unknownca": (self.other.subject, self.other_key)}.get(
            kind, (self.root.subject, self.root_key))
        builder = self._builder(_name(common), issuer, own, begins, ends)
        if names:
            sans = [x509.DNSName(n) for n in names]
            builder = builder.add_extension(x509.SubjectAlternativeName(sans), False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        certificate = builder.sign(key, hashes.SHA256())
        return self._write(f"{kind}-{host}.pem", certificate), self.key_file(kind)


def server_context(certificate, key, only_version=""):
    """A TLS server's context, for one version only if so asked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if only_version:
        version = {"1.0": ssl.TLSVersion.TLSv1, "1.1": ssl.TLSVersion.TLSv1_1,
                   "1.2": ssl.TLSVersion.TLSv1_2}[only_version]
        context.minimum_version = context.maximum_version = version
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.load_cert_chain(certificate, key)
    return context
