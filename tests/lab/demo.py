"""`make demo`: the main job, told in scenes.  Each claim is checked; status 0 says that all held."""
import json
import os
import subprocess
import sys
import textwrap
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import table
from client import send
from lab import Lab
from relay import Relay
from services import wait_until

COLOURS = {"title": "1;36", "good": "32", "bad": "1;31", "quiet": "2", "command": "33"}


def paint(text, colour):
    return f"\033[{COLOURS[colour]}m{text}\033[0m" if sys.stdout.isatty() else text


def say(text=""):
    print(text, flush=True)


def command(line):
    say(paint(f"   $ {line}", "command"))


def quote(text, lines=30, width=150):
    for line in text.rstrip().split("\n")[:lines]:
        say(paint(f"     {line[:width]}", "quiet"))


class Failed(Exception):
    """Something that was told did not hold."""


class Demo:
    def __init__(self):
        self.lab = Lab.current()
        self.relay = Relay(self.lab, "demo")
        self.claims = self.scenes = 0

    # ------------------------------------------------------------ telling

    def scene(self, title):
        self.scenes += 1
        say()
        say(paint(f"{self.scenes}. {title}", "title"))

    def claim(self, text, holds):
        """Tells what must be true, after making sure that it is."""
        self.claims += 1
        if not holds:
            say(paint(f"   ✗ {text}", "bad"))
            raise Failed(text)
        say(paint(f"   ✓ {text}", "good"))

    # ------------------------------------------------------------ doing

    def swaks(self, recipient):
        """Sends one message with a real client; returns its Message-ID."""
        message_id = f"<{time.time_ns()}@sender.test>"
        argv = ["swaks", "--server", "127.0.0.1", "--from", "ada@sender.test", "--to", recipient]
        command(" ".join(argv))
        done = subprocess.run([*argv, "--header", f"Message-Id: {message_id}"], capture_output=True,
                              text=True, check=False, timeout=30)
        reply = [line for line in done.stdout.split("\n") if line.startswith("<-  250")]
        if done.returncode or not reply:
            raise Failed(f"the relay did not take the message:\n{done.stdout}{done.stderr}")
        quote(reply[-1])
        return message_id

    def outcome(self, recipient, outcome):
        """The log line that tells what came of it."""
        event = self.relay.wait_delivery(recipient, outcome, 20)
        for line in textwrap.wrap(event.text[event.text.index("delivery "):], 110,
                                  subsequent_indent="  "):
            quote(line)
        return event

    def arrived(self, message_id, seconds=0.0):
        end = time.monotonic() + seconds
        while True:
            found = self.lab.messages(id=message_id)
            if found or time.monotonic() >= end:
                return found
            time.sleep(0.05)

    def cli(self, *words):
        command("waxseal " + " ".join(words))
        return self.relay.cli(*words).stdout

    # ------------------------------------------------------------ the scenes

    def enforced(self):
        self.scene("good.test enforces MTA-STS, and its MX is as it should be")
        message_id = self.swaks("you@good.test")
        event = self.outcome("you@good.test", "delivered")
        got = self.arrived(message_id, 5)
        self.claim("delivered under the enforced policy, with a verified certificate",
                   event["tls"] == "verified" and event["sts"] == "enforce")
        self.claim(f"mx.good.test has it, sent over {got[0]['tls'] if got else '?'}",
                   len(got) == 1 and got[0]["tls"] and got[0]["sni"] == "mx.good.test")
        quote(self.cli("policy", "show", "good.test"))

    def forbidden(self):
        self.scene("four domains enforce MTA-STS, and something is wrong with their MX")
        wrong = {"expired.test": "its certificate has expired",
                 "wrongname.test": "its certificate is another host's",
                 "notls.test": "it offers no STARTTLS",
                 "unlisted.test": "the policy does not list it"}
        for domain, what in wrong.items():
            message_id = self.swaks(f"you@{domain}")
            event = self.outcome(f"you@{domain}", "deferred")
            told = [c for s in self.lab.sessions(host=f"mx.{domain}") for c in s["commands"]
                    if c.upper().startswith(("MAIL", "DATA"))]
            self.claim(f"{what}: nothing was sent, not even the sender's address",
                       event["sts"] == "enforce" and not self.arrived(message_id) and not told)
        quote(self.cli("queue", "list"))
        waiting = {row["recipient"] for row in self.relay.queue()}
        self.claim("all four wait in the queue", waiting == {f"you@{d}" for d in wrong})

    def under_test(self):
        self.scene("testing.test only tests its policy; its MX has an expired certificate")
        message_id = self.swaks("you@testing.test")
        event = self.outcome("you@testing.test", "delivered")
        self.claim("delivered, with a note that the policy would have forbidden it",
                   event["sts"] == "testing" and event["tls"] != "verified"
                   and len(self.arrived(message_id, 5)) == 1)

    def policy_host_down(self):
        self.scene("the policy host is down, and somebody plays mx.good.test without a certificate")
        self.lab.web.down()
        self.lab.dns.set_policy_id("good.test", "20260401T000000")
        self.lab.mx("mx.good.test", certificate="selfsigned")
        say("   (the policy web servers are stopped, the TXT record has a new id, the MX is false)")
        message_id = self.swaks("safe@good.test")
        event = self.outcome("safe@good.test", "deferred")
        self.claim("the cached policy still protects: nothing was sent",
                   event["sts"] == "enforce" and not self.arrived(message_id))
        self.lab.mx_as_before("mx.good.test")
        say("   (the true mx.good.test is back; the policy host is still down)")
        self.cli("queue", "retry", "--all")
        got = self.arrived(message_id, 20)
        self.claim("now it is delivered, under the cached policy", len(got) == 1 and got[0]["tls"])
        self.lab.dns.set_policy_id("good.test", "20260101T000000")
        self.lab.web.up()

    def killed(self):
        self.scene("all processes of the relay are killed with -9 while mail goes in and out")
        self.lab.mx("mx.also-good.test", dot="=wait 0.3\n250 2.0.0 taken")
        accepted, stop = [], threading.Event()
        clients = [threading.Thread(target=self.keep_sending, args=(accepted, stop))
                   for _ in range(8)]
        for c in clients:
            c.start()
        wait_until(lambda: len(accepted) >= 300, 20, "300 accepted messages")
        pids = self.relay.processes()
        command("kill -9 " + " ".join(map(str, pids)))
        self.relay.kill()
        stop.set()
        for c in clients:
            c.join()
        say(f"   ({len(accepted)} messages were acknowledged with 250; the relay starts again)")
        waiting = len(accepted) - len({m["id"] for m in self.lab.messages()}
                                      & {m.id for m in accepted})
        self.lab.mx_as_before("mx.also-good.test")
        self.relay.start()
        self.check_ledger(accepted, waiting)

    @staticmethod
    def keep_sending(accepted, stop):
        while not stop.is_set():
            try:
                accepted.append(send("ledger@also-good.test", size=2000))
            except (OSError, AssertionError, ValueError):
                return      # the relay is gone: this one was not acknowledged

    def check_ledger(self, accepted, waiting):
        wanted = {m.id: m.digest for m in accepted}

        def missing():
            got = {m["id"]: m["digest"] for m in self.lab.messages(host="mx.also-good.test")}
            return [i for i in wanted if got.get(i) != wanted[i]]
        end = time.monotonic() + 30
        while missing() and time.monotonic() < end:
            time.sleep(0.2)
        self.claim(f"nothing lost, nothing altered: all {len(wanted)} arrived ({waiting} were still "
                   "in the queue when it was killed)", not missing())

    def mended(self):
        self.scene("expired.test's postmaster renews the certificate")
        self.lab.mx("mx.expired.test", certificate="good")
        before = {m["time"] for m in self.lab.messages(host="mx.expired.test")}
        self.cli("queue", "retry", "--all")
        self.outcome("you@expired.test", "delivered")
        got = [m for m in self.lab.messages(host="mx.expired.test") if m["time"] not in before]
        self.claim("what had waited is delivered, over a verified connection", len(got) == 1)

    def report(self):
        self.scene("the TLS-RPT report of the day, as expired.test's postmaster will get it")

        def ready():
            done = self.relay.cli("tlsrpt", "report", "expired.test", check=False)
            return done.returncode == 0 and "certificate-expired" in done.stdout
        wait_until(ready, 10, "the counts of the day")
        text = self.cli("tlsrpt", "report", "expired.test")
        quote(text, 80)
        policy = json.loads(text)["policies"][0]
        self.claim("it counts the failed sessions as certificate-expired",
                   policy["failure-details"][0]["result-type"] == "certificate-expired"
                   and policy["summary"]["total-failure-session-count"] >= 1)
        self.claim("and names policy, MX host and addresses",
                   policy["policy"]["policy-type"] == "sts"
                   and policy["policy"]["policy-domain"] == "expired.test"
                   and policy["failure-details"][0]["receiving-mx-hostname"] == "mx.expired.test"
                   and policy["failure-details"][0]["receiving-ip"]
                   in table.MX_ADDRESSES["mx.expired.test"])

    def play(self):
        began = time.monotonic()
        say(paint("waxseal in a private internet: signed DNS, policy hosts, MX hosts of every kind",
                  "title"))
        self.relay.start()
        for scene in (self.enforced, self.forbidden, self.under_test, self.policy_host_down,
                      self.killed, self.mended, self.report):
            scene()
        status = self.relay.stop()
        say()
        self.claim("the relay ends cleanly at SIGTERM", status == 0)
        say(paint(f"\n{self.claims} claims in {self.scenes} scenes, all checked, "
                  f"in {time.monotonic() - began:.0f} s", "good"))


def main():
    demo = Demo()
    try:
        demo.play()
    except Exception as e:      # whatever it is, the demo has failed and says why
        say(paint(f"\nthe demo failed: {type(e).__name__}: {e}", "bad"))
        with open(demo.relay.log_file, encoding="utf-8", errors="replace") as f:
            quote("\n".join(f.read().split("\n")[-25:]))
        sys.exit(1)
    finally:
        if demo.relay.process and demo.relay.processes():
            demo.relay.kill()


if __name__ == "__main__":
    main()
