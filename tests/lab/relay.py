"""The relay under test: its configuration, life, log and command line."""
import json
import os
import re
import signal
import subprocess
import tempfile

import table
from services import answers, kill, process_state, tail, wait_until

BINARY = os.environ.get("WAXSEAL", os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                                "../../build/waxseal"))
USER = "nobody"
LINE = re.compile(r"^(?P<time>\S+) (?P<level>\w+) (?P<role>[\w/.-]+)\[(?P<pid>\d+)\] (?P<event>\S+)"
                  r"(?P<keys>.*)$")
KEY = re.compile(r' ([\w-]+)=("(?:[^"\\]|\\.)*"|<[^>]*>|\S*)')


class Event(dict):
    """One log line: its keys as a dict; time, level, role, pid and event as attributes."""

    def __init__(self, match):
        super().__init__((k, v.strip('"')) for k, v in KEY.findall(match["keys"]))
        self.time, self.level = match["time"], match["level"]
        self.role, self.pid, self.event = match["role"], int(match["pid"]), match["event"]
        self.text = match.string


def parse_line(line):
    match = LINE.match(line)
    return Event(match) if match else None


def as_setting(value):
    """A Python value in libconfig's syntax."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, dict):
        return "{ " + " ".join(f"{k} = {as_setting(v)};" for k, v in value.items()) + " }"
    if isinstance(value, tuple):
        return "( " + ", ".join(as_setting(v) for v in value) + " )"
    if isinstance(value, list):
        return "[ " + ", ".join(as_setting(v) for v in value) + " ]"
    return str(value)


class Relay:
    """One instance with state, run directory and configuration of its own; listens on 127.0.0.1:25."""

    def __init__(self, lab, name="relay", environment=None, **settings):
        self.lab = lab
        self.folder = tempfile.mkdtemp(prefix=f"{name}-", dir=lab.folder)
        os.chmod(self.folder, 0o755)
        self.configuration = f"{self.folder}/waxseal.conf"
        self.log_file = f"{self.folder}/log"
        self.environment = {**os.environ, **(environment or {})}
        self.process = None
        self.log_from = 0       # where the log of the present start begins
        self.address = ("127.0.0.1", 25)
        self.settings = {
            "hostname": table.RELAY_NAME, "user": USER, "state-dir": f"{self.folder}/state",
            "run-dir": f"{self.folder}/run", "ca-file": lab.ca_file, **settings}
        self.write()

    # ------------------------------------------------------------ configuration and life

    def write(self, **changes):
        """Writes the configuration, with these settings changed ('_' stands for '-')."""
        for key, value in changes.items():
            self.settings[key.replace("_", "-")] = value
        self.write_text("".join(f"{k} = {as_setting(v)};\n" for k, v in self.settings.items()))

    def write_text(self, text):
        with open(self.configuration, "w", encoding="utf-8") as f:
            f.write(text)

    def launch(self):
        self.log_from = os.path.getsize(self.log_file) if os.path.exists(self.log_file) else 0
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen([BINARY, "run", "--config", self.configuration],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.environment, start_new_session=True)
        return self

    def start(self, seconds=10):
        self.launch()
        wait_until(self.is_up, seconds, "the relay to serve",
                   lambda: tail(self.log_file))
        return self

    def is_up(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"the relay ended with {self.process.returncode}:\n"
                               + tail(self.log_file))
        return self.said_ready() and answers(*self.address)()

    def said_ready(self):
        """Has the supervisor said `ready` since the last launch?  Reads only what came since then."""
        with open(self.log_file, "rb") as f:
            f.seek(self.log_from)
            return any(line.endswith(b" ready") for line in f.read().split(b"\n"))

    def stop(self, sig=signal.SIGTERM, seconds=40):
        """Ends it; returns its exit status."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(sig)
        status = self.process.wait(seconds) if self.process else None
        self.wait_gone()
        return status

    def kill(self):
        """kill -9 of all its processes at once, as a power cut would."""
        for pid in self.processes():
            kill(pid, signal.SIGKILL)
        self.process.wait(10)
        self.wait_gone()

    def wait_gone(self):
        wait_until(lambda: not self.processes(), 20, "all roles to end")

    def state_is_untouched(self):
        state = f"{self.folder}/state"
        return not os.path.exists(state) or os.listdir(state) == []

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def processes(self):
        """The process ids of supervisor and roles: all of the session that launch began."""
        found = []
        for pid in (int(p) for p in os.listdir("/proc") if p.isdigit()):
            try:
                with open(f"/proc/{pid}/stat", encoding="latin-1") as f:
                    fields = f.read().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[3]) == self.process.pid and fields[0] != "Z":
                found.append(pid)
        return found

    def role_pids(self, role):
        """The living processes of a role, by its argument words."""
        found = []
        for pid in self.processes():
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    words = f.read().decode("latin-1").rstrip("\0").replace("\0", " ")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if re.search(rf"[ :/]{role}( |\[|$)", words) and pid != self.process.pid:
                found.append(pid)
        return found

    def kill_role(self, role):
        """kill -9 of one role; returns when another process has taken its place."""
        before = self.role_pids(role)
        assert before, f"no process of role {role}"
        for pid in before:
            kill(pid, signal.SIGKILL)
        wait_until(lambda: [p for p in self.role_pids(role) if p not in before], 10,
                   f"{role} to be started anew", lambda: tail(self.log_file))
        assert not any(process_state(p) not in ("", "Z") for p in before)

    # ------------------------------------------------------------ log

    def events(self, event=None, **keys):
        """Log lines as Events; a key's value may be a text or a compiled pattern."""
        if not os.path.exists(self.log_file):
            return []
        with open(self.log_file, encoding="utf-8", errors="replace") as f:
            found = [e for e in map(parse_line, f.read().split("\n")) if e is not None]
        def fits(e):
            return (event is None or e.event == event) and all(
                (v.search(e.get(k, "")) if isinstance(v, re.Pattern) else e.get(k) == v)
                for k, v in keys.items())
        return [e for e in found if fits(e)]

    def wait_event(self, event, seconds=10, count=1, **keys):
        """Waits for a log line (the count-th such) and returns the last one."""
        def found():
            events = self.events(event, **keys)
            return events[-1] if len(events) >= count else None
        return wait_until(found, seconds, f"log event {event} {keys}",
                          lambda: "\n" + tail(self.log_file, 4000), every=0.05)

    def wait_delivery(self, rcpt, outcome=None, seconds=10, count=1):
        keys = {"outcome": outcome} if outcome else {}
        return self.wait_event("delivery", seconds, count, rcpt=f"<{rcpt}>", **keys)

    # ------------------------------------------------------------ command line

    def cli(self, *words, check=True, seconds=30):
        """Runs a waxseal command; returns the finished process (stdout and stderr as text)."""
        argv = [BINARY, *words, "--config", self.configuration]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False,
                              env=self.environment)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(argv)} gave {done.returncode}: "
                                 f"{done.stdout}{done.stderr}")
        return done

    def cli_json(self, *words):
        return json.loads(self.cli(*words, "--json").stdout)

    def queue(self):
        """The queue's rows (one per recipient) as `queue list --json` gives them."""
        rows = self.cli_json("queue", "list")
        return rows["messages"] if isinstance(rows, dict) else rows

    def wait_queue(self, count, seconds=10):
        def fits():
            rows = self.queue()
            return (rows,) if len(rows) == count else None
        return wait_until(fits, seconds, f"{count} rows in the queue",
                          lambda: f"{self.queue()}\n{tail(self.log_file, 3000)}", every=0.1)[0]


