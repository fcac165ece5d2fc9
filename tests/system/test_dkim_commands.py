"""waxseal dkim new and dkim check: keys made, and compared with what DNS has of them."""
import json
import os
import pwd
import re
import subprocess

import dkim as dkim_module
import pytest
from client import send
from relay import BINARY
from test_policy import wait_arrived

DOMAIN = "sender.test"


def dkim(relay, *words, check=True):
    return relay.cli("dkim", *words, check=check)


def new(relay, selector, *words, domain=DOMAIN):
    return json.loads(dkim(relay, "new", domain, "--selector", selector, "--json", *words).stdout)


def configure(relay, *entries):
    """The entries as dkim new printed them, behind what the relay has."""
    with open(relay.configuration, "a", encoding="utf-8") as f:
        f.write(f"\ndkim = ( {', '.join(entries)} );\n")


def strings(text):
    """A record's text as DNS takes it: strings of at most 255 octets."""
    return " ".join(f'"{text[i:i + 255]}"' for i in range(0, len(text), 255))


def public_key(path):
    """The base64 that p= must have, as openssl has it."""
    der = subprocess.run(["openssl", "pkey", "-in", path, "-pubout", "-outform", "DER"], check=True,
                         capture_output=True).stdout
    words = subprocess.run(["openssl", "base64", "-A"], check=True, capture_output=True,
                           input=der[-32:] if len(der) < 64 else der).stdout
    return words.decode()


def looked_up(name, **_):
    """What the lab's DNS has there, as dkimpy wants it."""
    said = subprocess.run(["kdig", "+short", "TXT", name.decode()], check=True, capture_output=True).stdout
    return b"".join(re.findall(rb'"([^"]*)"', said))


@pytest.fixture(name="publish")
def fixture_publish(lab):
    """Puts TXT records into DNS and takes them out again at the end."""
    names = set()

    def publish(name, *texts):
        names.add(name)
        lab.dns.set(name, "TXT", *map(strings, texts))
    yield publish
    for name in names:
        lab.dns.set(name, "TXT")


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_a_new_key_is_its_owners_alone_and_comes_with_its_record(make_relay, kind):
    relay = make_relay()
    made = new(relay, "k1", "--algorithm", kind)
    assert made["key"] == f"{relay.folder}/dkim/{DOMAIN}.k1.pem"
    assert os.stat(made["key"]).st_mode & 0o777 == 0o600
    assert os.stat(os.path.dirname(made["key"])).st_mode & 0o777 == 0o700
    assert made["record"] == f"v=DKIM1; k={kind}; p={public_key(made['key'])}"
    pieces = re.findall(r'"([^"]*)"', made["zone"])
    assert "".join(pieces) == made["record"] and max(map(len, pieces)) <= 255
    assert made["zone"].startswith(f"k1._domainkey.{DOMAIN}. IN TXT (")


def test_what_root_makes_belongs_to_the_user_that_runs_the_relay(make_relay):
    relay = make_relay(user="nobody")
    path = new(relay, "k1", "--algorithm", "ed25519")["key"]
    nobody = pwd.getpwnam("nobody").pw_uid
    assert [os.stat(p).st_uid for p in (path, os.path.dirname(path))] == [nobody, nobody]


def test_a_key_that_is_there_is_never_overwritten(make_relay):
    relay = make_relay()
    path = new(relay, "k1", "--algorithm", "ed25519")["key"]
    with open(path, "rb") as f:
        before = f.read()
    done = dkim(relay, "new", DOMAIN, "--selector", "k1", check=False)
    assert done.returncode == 1 and "stays as it is" in done.stderr and done.stdout == ""
    os.symlink(f"{relay.folder}/elsewhere", f"{relay.folder}/link.pem")
    done = dkim(relay, "new", DOMAIN, "--output", f"{relay.folder}/link.pem", check=False)
    assert done.returncode == 1 and not os.path.exists(f"{relay.folder}/elsewhere")
    with open(path, "rb") as f:
        assert f.read() == before


@pytest.mark.parametrize("words", [
    ["--bits", "1024"], ["--bits", "8192"], ["--bits", "x"], ["--algorithm", "dsa"], ["--selector", "a_b"],
    ["--selector", "a" * 64], ["--algorithm", "ed25519", "--bits", "2048"], ["--output", ""]])
def test_what_makes_no_good_key_is_refused(make_relay, words):
    relay = make_relay()
    done = dkim(relay, "new", DOMAIN, *words, check=False)
    assert done.returncode == 2 and done.stderr and not os.path.exists(f"{relay.folder}/dkim")


def test_what_dkim_new_says_works_as_it_says(lab, make_relay, publish):
    relay = make_relay()
    said = [dkim(relay, "new", DOMAIN, "--selector", "r1").stdout,
            dkim(relay, "new", DOMAIN, "--selector", "e1", "--algorithm", "ed25519").stdout]
    entries = [re.search(r"^    (\{ .* \})$", text, re.M).group(1) for text in said]
    configure(relay, *entries)
    assert relay.cli("check").returncode == 0
    done = dkim(relay, "check", check=False)
    assert done.returncode == 1 and done.stdout.count("wrong") == 2
    for text, selector in zip(said, ("r1", "e1")):
        zone = re.search(r"IN TXT \((.*?) \)\n", text, re.S).group(1)
        record = "".join(re.findall(r'"([^"]*)"', zone))
        assert zone in done.stdout     # the record that is missing is shown again
        publish(f"{selector}._domainkey.{DOMAIN}", record)
    done = dkim(relay, "check")
    assert done.stdout.count(": fine\n") == 2 and "RSA of 2048 bits" in done.stdout
    relay.start()
    message = send("you@nopolicy.test", sender=f"ada@{DOMAIN}")
    with open(wait_arrived(lab, message)["file"], "rb") as f:
        judge = dkim_module.DKIM(f.read())
    assert [judge.verify(idx=n, dnsfunc=looked_up) for n in range(2)] == [True, True]


def test_dkim_check_says_what_is_wrong_and_who_mends_it(lab, make_relay, publish):
    relay = make_relay()
    made = new(relay, "k1", "--algorithm", "ed25519")
    other = new(relay, "k2", "--algorithm", "ed25519")
    rsa = new(relay, "k3")
    configure(relay, made["entry"])
    name, record = made["name"], made["record"]
    for texts, verdict, what in (
            ([], "wrong", ["no-record"]),
            ([record], "fine", []),
            ([record, "v=spf1 -all"], "wrong", ["several-records"]),
            (["v=spf1 -all"], "wrong", ["broken-record"]),
            (["v=DKIM1; k=ed25519; p="], "wrong", ["revoked"]),
            ([other["record"]], "wrong", ["other-key"]),
            ([rsa["record"]], "wrong", ["other-kind"]),
            ([record + "; h=sha1"], "wrong", ["not-sha256"]),
            ([record + "; s=tlsrpt"], "wrong", ["not-for-email"]),
            ([record + "; t=y; s=email"], "warning", ["not-for-reports", "testing"])):
        publish(name, *texts)
        done = dkim(relay, "check", "--json", check=False)
        row = json.loads(done.stdout)[0]
        assert (row["verdict"], [f["what"] for f in row["findings"]]) == (verdict, what), texts
        assert done.returncode == (1 if verdict == "wrong" else 0)
        assert row["record"] == record and all(f["text"] and f["remedy"] for f in row["findings"])
    lab.dns.down()
    try:
        done = dkim(relay, "check", check=False)
    finally:
        lab.dns.up()
    assert done.returncode == 1 and f"{name}: unknown" in done.stdout and "Try again" in done.stdout


def test_dkim_check_names_keys_that_cannot_be_used_and_domains_that_nothing_signs(make_relay, publish):
    relay = make_relay()
    done = dkim(relay, "check", check=False)
    assert done.returncode == 1 and "mail is not signed" in done.stderr
    made = new(relay, "k1", "--algorithm", "ed25519")
    configure(relay, made["entry"].replace(f'"{DOMAIN}"', '[ "*" ]'))
    publish(made["name"], made["record"])
    done = dkim(relay, "check", check=False)
    assert done.returncode == 1 and "waxseal dkim check DOMAIN" in done.stdout
    assert dkim(relay, "check", DOMAIN.upper()).stdout.startswith(f"{made['name']}: fine")
    os.chmod(made["key"], 0o644)
    done = dkim(relay, "check", DOMAIN, check=False)
    assert done.returncode == 1 and "others can read" in done.stdout
    relay.write()
    configure(relay, made["entry"])
    done = dkim(relay, "check", "elsewhere.test", check=False)
    assert done.returncode == 1 and "waxseal dkim new elsewhere.test" in done.stderr
    assert dkim(relay, "check", "a b", check=False).returncode == 1


def test_a_domain_in_other_letters_is_written_in_a_labels(make_relay):
    relay = make_relay()
    done = subprocess.run([BINARY, "dkim", "new", "b\u00fccher.test", "--algorithm", "ed25519", "--selector", "k",
                           "--json", "--config", relay.configuration], capture_output=True, text=True, timeout=20, check=True)
    assert json.loads(done.stdout)["name"] == "k._domainkey.xn--bcher-kva.test"
