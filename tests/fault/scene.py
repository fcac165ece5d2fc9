"""What every fault test sets up: a relay of its own, a sink behind it, the ledger between."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import types

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/../lab")

from relay import Relay                       # noqa: E402
from services import answers, wait_until      # noqa: E402

RELAY = ("127.0.0.1", 25)
SINK = ("127.0.0.2", 25)
CA_FILE = "/etc/ssl/certs/ca-certificates.crt"


class Scene:
    """A folder, a relay that hands everything to the sink, and the sink's log."""

    def __init__(self, name, binary=None, environment=None, folder=None, **settings):
        self.folder = folder or tempfile.mkdtemp(prefix=f"waxseal-{name}-")
        os.chmod(self.folder, 0o755)
        if binary:
            import relay
            relay.BINARY = binary
        place = types.SimpleNamespace(folder=self.folder, ca_file=CA_FILE)
        self.relay = Relay(place, environment=environment, **{
            "listeners": ({"address": f"{RELAY[0]}:{RELAY[1]}", "relay-from": ["127.0.0.0/8"]},),
            "relayhost": f"[{SINK[0]}]:{SINK[1]}", "tls-level": "none", **settings})
        self.sink_log = f"{self.folder}/sink.log"
        self.sink = subprocess.Popen([sys.executable, f"{HERE}/sink.py", *map(str, SINK), self.sink_log])
        wait_until(answers(*SINK), 10, "the sink")

    def received(self):
        """id -> list of (digest, time), in the order of arrival."""
        found = {}
        if os.path.exists(self.sink_log):
            with open(self.sink_log, encoding="utf-8") as f:
                for line in f:
                    entry = json.loads(line)
                    found.setdefault(entry["id"], []).append((entry["digest"], entry["at"]))
        return found

    def wait_empty(self, seconds=120):
        """Until nothing is queued."""
        wait_until(lambda: not self.relay.queue(), seconds, "the queue to run empty",
                   lambda: f"{self.relay.queue()[:3]}", every=0.2)

    def close(self):
        if self.relay.process and self.relay.process.poll() is None:
            self.relay.kill()
        self.sink.kill()
        self.sink.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def audit(acknowledged, sent, received, kills, slack=2.0):
    """What is wrong with the books: a list of sentences, empty when all is well.

    A second copy is legal only where a kill lies between the first copy's final dot (with `slack`
    seconds for the outcome's commit) and the second copy.
    """
    wrong = []
    for name in acknowledged:
        if name not in received:
            wrong.append(f"acknowledged and lost: {name}")
    for name, copies in received.items():
        if name not in sent:
            wrong.append(f"never sent: {name or copies}")
            continue
        wrong += [f"altered: {name}" for digest, _ in copies if digest != sent[name]]
        for (_, first), (_, second) in zip(copies, copies[1:]):
            if not any(first - slack <= kill <= second and kill <= first + slack for kill in kills):
                wrong.append(f"doubled without a cause: {name} at {first:.3f} and {second:.3f}")
    return wrong
