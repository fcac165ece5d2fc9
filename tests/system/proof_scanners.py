"""testssl.sh against the default listeners; it takes a minute or two: part of `make proof`, no story."""
import json
import os
import subprocess

import table
from test_listeners import PLAIN, with_tls

ABOVE_LOW = ("MEDIUM", "HIGH", "CRITICAL", "FATAL")
EXCEPT = {"cert_revocation"}  # the lab's authority revokes nothing


def scan(lab, relay, port, *options):
    found = f"{relay.folder}/{port}.json"
    return found, subprocess.Popen(
        ["testssl", "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none",
         "--add-ca", lab.ca_file, "--ip", "127.0.0.1", "--jsonfile", found, *options,
         f"{table.RELAY_NAME}:{port}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def test_testssl_finds_nothing_above_low(lab, make_relay):
    relay = make_relay(listeners=(PLAIN, with_tls(lab, address="127.0.0.1:2525"),
                                  with_tls(lab, address="127.0.0.1:465", tls="implicit"))).start()
    scans = [scan(lab, relay, 2525, "-t", "smtp"), scan(lab, relay, 465)]
    for found, process in scans:
        process.wait(600)
        assert os.path.exists(found), "testssl has looked at nothing"
        with open(found, encoding="utf-8") as f:
            findings = json.load(f)
        assert len(findings) > 100
        bad = [(f["severity"], f["id"], f["finding"]) for f in findings
               if f["severity"] in ABOVE_LOW and f["id"] not in EXCEPT]
        assert not bad
        print(found.rpartition("/")[2], len(findings), "findings,", sorted({(f["severity"], f["id"]) for f in findings if f["severity"] == "LOW"}))
