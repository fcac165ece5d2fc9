"""`make lab`: a shell inside the lab, with everything in reach and a hint how to use it."""
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import peers
import table
from lab import Lab
from relay import BINARY, Relay

HINT = """
You are inside the lab: a private internet of {domains} mail domains.  `exit` ends it all.

  the relay      listens on 127.0.0.1:25 and 198.51.100.250:25
                 waxseal queue list      waxseal policy show good.test      tail -f $LOG
  send mail      swaks --server 127.0.0.1 --from ada@sender.test --to you@good.test
  what arrived   tail -f $WAXSEAL_LAB/mx.jsonl     ls $WAXSEAL_LAB/mail
  the domains    lab domains                       (a list, each with what is special)
  DNS            kdig +adflag mx good.test         (signed; unbound validates)
  policies       curl --cacert $CA https://mta-sts.good.test/.well-known/mta-sts.txt
                 $WAXSEAL_LAB/web/policies holds them: edit and see
  an MX host     openssl s_client -starttls smtp -CAfile $CA -connect mx.good.test:25
  change one     lab mx mx.good.test dot="451 4.3.0 not now"      lab mx mx.good.test
  real servers   {peers}
"""


def main():
    lab = Lab.current()
    if sys.argv[1:] and sys.argv[1] != "--shell":
        command(lab, sys.argv[1:])
        return
    relay = Relay(lab, listeners=({"address": "127.0.0.1:25"},
                                  {"address": f"{table.RELAY_ADDRESS}:25"}))
    if os.path.exists(BINARY):
        relay.start()
    write_tools(lab, relay)
    real = "fetch them with `make peers`"
    if not peers.missing():
        real = "mail to you@postfix.test, you@exim.test"
        for program in peers.PACKAGES:
            lab.peer(program, "mx")
    print(HINT.format(domains=len(table.DOMAINS), peers=real))
    os.environ.update(CA=lab.ca_file, LOG=relay.log_file, PS1="lab \\w# ",
                      PATH=f"{lab.folder}/bin:" + os.environ["PATH"])
    os.execvp("bash", ["bash", "--norc", "-i"])


def write_tools(lab, relay):
    """`waxseal` with this relay's configuration, and `lab`."""
    os.makedirs(f"{lab.folder}/bin")
    for name, line in (("waxseal", f'"{BINARY}" "$@" --config {relay.configuration}'),
                       ("lab", f'/usr/bin/python3 {os.path.abspath(__file__)} "$@"')):
        path = f"{lab.folder}/bin/{name}"
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"#!/bin/sh\nexec {line}\n")
        os.chmod(path, 0o755)


def command(lab, words):
    if words[0] == "domains":
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        for d in table.DOMAINS.values():
            print(f"{d.name:28} {d.mode or '-':8} {d.says}")
    elif words[0] == "mx" and len(words) > 1:
        changes = dict(w.split("=", 1) for w in words[2:])
        lab.mx(words[1], **changes) if changes else lab.mx_as_before(words[1])
    else:
        sys.exit("usage: lab domains | lab mx HOST [STAGE=REPLY ...]")


if __name__ == "__main__":
    main()
