"""The keys that sign mail: which are taken, what becomes of them when they change, who has them."""
import os
import subprocess

import dkim
import pytest
from client import send
from services import wait_until
from test_configuration import start_and_fail
from test_policy import arrived

ED25519, RSA = ("ed25519", ()), ("rsa", ("-pkeyopt", "rsa_keygen_bits:2048"))
SHORT = ("rsa", ("-pkeyopt", "rsa_keygen_bits:1024"))
CURVE = ("ec", ("-pkeyopt", "ec_paramgen_curve:P-256"))


def make_key(path, kind=ED25519, mode=0o600):
    algorithm, options = kind
    subprocess.run(["openssl", "genpkey", "-quiet", "-algorithm", algorithm, *options, "-out", path + ".new"],
                   check=True, capture_output=True)
    os.chmod(path + ".new", mode)
    os.rename(path + ".new", path)
    return path


def entry(key, selector="one", senders="sender.test", **more):
    return {"senders": senders, "selector": selector, "key": key,
            **{k.replace("_", "-"): v for k, v in more.items()}}


def record(path):
    """What DNS would say of a key."""
    der = subprocess.run(["openssl", "pkey", "-in", path, "-pubout", "-outform", "DER"], check=True,
                         capture_output=True).stdout
    kind, key = (b"ed25519", der[-32:]) if len(der) < 64 else (b"rsa", der)
    return b"v=DKIM1; k=" + kind + b"; p=" + __import__("base64").b64encode(key)


def signed_with(lab, message, keys):
    """The selectors of the good signatures of a message that arrived, in their order."""
    found = wait_until(lambda: arrived(lab, message), 10, "it arrives")
    with open(found[0]["file"], "rb") as f:
        content = f.read()
    records = {f"{selector}._domainkey.sender.test.".encode(): record(path) for selector, path in keys.items()}
    judge = dkim.DKIM(content)
    count = content.partition(b"\r\n\r\n")[0].lower().count(b"dkim-signature:")
    for n in range(count):
        assert judge.verify(idx=n, dnsfunc=lambda name, **_: records[name])
    return [s.split(b"s=")[1].split(b";")[0].decode()
            for s in content.partition(b"\r\n\r\n")[0].split(b"DKIM-Signature:")[1:]]


# ------------------------------------------------------------ which keys are taken

def keys_that_cannot_be_used(folder):
    with open(f"{folder}/words", "w", encoding="utf-8") as f:
        f.write("nothing of use\n")
    os.chmod(f"{folder}/words", 0o600)
    return {
        make_key(f"{folder}/open", mode=0o604): "a private key that others can read; mend it with: chmod o-rwx",
        make_key(f"{folder}/short", SHORT): "RSA of 1024 bits is weak",
        make_key(f"{folder}/curve", CURVE): "neither an RSA nor an Ed25519 key",
        f"{folder}/words": "no private key in PEM form",
        f"{folder}/missing": "No such file or directory",
    }


def test_a_key_that_cannot_sign_is_refused_by_check_and_at_the_start(make_relay):
    relay = make_relay()
    wrong = keys_that_cannot_be_used(relay.folder)
    relay.write(dkim=tuple(entry(key, f"s{n}") for n, key in enumerate(wrong)))
    said = relay.cli("check", check=False)
    assert said.returncode == 1
    for key, words in wrong.items():
        lines = [x for x in said.stderr.split("\n") if f"dkim key {key}: " in x]
        assert len(lines) == 1 and words in lines[0], said.stderr
    status, lines = start_and_fail(relay)
    assert status == 1 and "a private key that others can read" in lines[0] and relay.state_is_untouched()


def test_a_short_key_and_a_foreign_domain_sign_when_told_and_check_warns(make_relay):
    relay = make_relay()
    key = make_key(f"{relay.folder}/short", SHORT)
    relay.write(dkim=(entry(key, allow_short_key="on"),
                      entry(key, "two", ["a.other.test", ".b.other.test"], domain="b.other.test",
                            allow_short_key="on"),
                      entry(key, "three", "*", domain="sender.test", allow_short_key="on")))
    said = relay.cli("check")
    warnings = [x for x in said.stderr.split("\n") if "dkim" in x or "DMARC" in x]
    assert any("has 1024 bits, and many receivers do not count its signatures" in x for x in warnings)
    assert any("mail from a.other.test is signed as b.other.test, which DMARC does not count" in x
               for x in warnings)
    assert any("mail of any domain is signed as sender.test" in x for x in warnings)
    assert not any("from .b.other.test" in x for x in warnings)


# ------------------------------------------------------------ keys change

def test_a_key_that_changes_on_disk_signs_from_then_on_unless_it_is_worse(lab, make_relay):
    relay = make_relay()
    one, two = make_key(f"{relay.folder}/one"), make_key(f"{relay.folder}/two", RSA)
    relay.write(dkim=(entry(one), entry(two, "two")))
    relay.start()
    keys = {"one": one, "two": two}
    assert signed_with(lab, send("you@nopolicy.test"), keys) == ["one", "two"]

    make_key(one)
    assert relay.wait_event("file-changed")["path"] == one
    relay.wait_event("dkim-keys", count=2)
    assert signed_with(lab, send("you@nopolicy.test"), keys) == ["one", "two"]

    make_key(two, SHORT)
    assert "RSA of 1024 bits is weak" in relay.wait_event("file-refused").text
    assert len(signed_with_old(lab, send("you@nopolicy.test"))) == 2
    relay.reload()
    assert "RSA of 1024 bits is weak" in relay.wait_event("reload-refused").text

    relay.write(dkim=(entry(two, "two", allow_short_key="on"),))
    relay.reload()
    relay.wait_event("dkim-keys", count=3)
    assert signed_with(lab, send("you@nopolicy.test"), keys) == ["two"]


def signed_with_old(lab, message):
    found = wait_until(lambda: arrived(lab, message), 10, "it arrives")
    with open(found[0]["file"], "rb") as f:
        return f.read().split(b"DKIM-Signature:")[1:]


# ------------------------------------------------------------ who has them

def test_status_shows_the_keys_and_what_was_signed(lab, make_relay):
    relay = make_relay()
    one, two = make_key(f"{relay.folder}/one"), make_key(f"{relay.folder}/two", RSA)
    relay.write(dkim=(entry(one), entry(two, "two", ["sender.test", ".low.test"])))
    relay.start()
    assert signed_with(lab, send("you@nopolicy.test"), {"one": one, "two": two}) == ["one", "two"]
    sign = relay.cli_json("status")["sign"]
    assert [(k["senders"], k["selector"], k["algorithm"], k["bits"]) for k in sign["keys"]] == [
        ("sender.test", "one", "ed25519-sha256", 256), ("sender.test .low.test", "two", "rsa-sha256", 2048)]
    assert sign["messages"]["signed"] == 1 and sign["messages"]["trouble"] == 0
    text = relay.cli("status").stdout.partition("\nDKIM\n")[2]
    assert "sender.test .low.test" in text and "signed: 1" in text


def memory_holds(pid, secret):
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps, \
            open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            begin, end = (int(x, 16) for x in span.split("-"))
            if "w" not in rights or begin >= 1 << 47:
                continue
            memory.seek(begin)
            try:
                if secret in memory.read(end - begin):
                    return True
            except OSError:
                continue
    return False


def test_no_process_but_the_signing_one_and_the_supervisor_has_a_key(make_relay):
    relay = make_relay()
    key = make_key(f"{relay.folder}/one")
    relay.write(dkim=(entry(key),))
    relay.start()
    with open(key, "rb") as f:
        secret = f.read().split(b"\n")[1][16:]
    holders = {p for p in relay.processes() if memory_holds(p, secret)}
    assert holders == {relay.process.pid, *relay.role_pids("sign")}
