"""The lab as one object: starts everything, and serves as handle for whoever is inside.

    lab = Lab.current()             inside (tests/lab/enter.py COMMAND starts it)
    lab.dns, lab.web                name service and policy hosts: change, stop, start
    lab.reports.start().posts()     what was posted to https://reports.post.test/
    lab.mx("mx.good.test", mail="451 4.3.0 not now")        changes an MX host's script
    lab.messages(host="mx.good.test")                       what MX hosts got
    lab.peer("postfix", "mx")                               a real mail server, started when asked for
"""
import json
import os
import subprocess

import certificates
import mx_host
import peers
import policy_hosts
import report_hosts
import table
from dns import Dns
from services import Service, answers, in_internet, move_to_internet, tail, wait_until

VARIABLE = "WAXSEAL_LAB"


class PolicyHosts:
    """The web servers that hold policies."""

    def __init__(self, lab_folder):
        folder = self.folder = f"{lab_folder}/web"
        self.domains = [d for d in table.DOMAINS.values() if d.mode]
        self.service = Service(
            lab_folder, "nginx",
            ["nginx", "-c", f"{folder}/nginx.conf", "-p", folder, "-e", f"{folder}/nginx.log"],
            answers(table.POLICY_ADDRESSES["good.test"], 443), internet=True)

    def write(self, authority):
        for d in ("policies", "tmp"):
            os.makedirs(f"{self.folder}/{d}", exist_ok=True)
        for d in self.domains:
            self.publish(d.name, policy_hosts.body_of(d))
        ours = [d for d in self.domains if policy_hosts.played_by_nginx(d)]
        with open(f"{self.folder}/nginx.conf", "w", encoding="utf-8") as f:
            f.write(policy_hosts.nginx_configuration(ours, table.POLICY_ADDRESSES, authority,
                                                     self.folder))

    def publish(self, domain, text):
        """Puts another policy text on the domain's policy host (its TXT record stays)."""
        with open(f"{self.folder}/policies/{domain}", "w", encoding="utf-8") as f:
            f.write(text)

    def restore(self, domain):
        self.publish(domain, policy_hosts.body_of(table.DOMAINS[domain]))

    def fetches(self, domain):
        """How often that policy host was asked for its policy."""
        lines = tail(f"{self.folder}/nginx-access.log", 1 << 24).split("\n")
        return sum(line.startswith(f"mta-sts.{domain} ") for line in lines)

    def down(self):
        self.service.stop()

    def up(self):
        self.service.start()


class Lab:
    def __init__(self, folder):
        self.folder = folder
        self.ca_file = f"{folder}/ca/ca.pem"
        self.dns = Dns(folder)
        self.web = PolicyHosts(folder)
        self.reports = report_hosts.ReportHost(folder)
        self._peers = {}

    @classmethod
    def current(cls):
        if VARIABLE not in os.environ:
            raise RuntimeError("not inside the lab: start this with tests/lab/enter.py COMMAND")
        return cls(os.environ[VARIABLE])

    # ------------------------------------------------------------ start

    def start(self):
        authority = certificates.Authority(f"{self.folder}/ca")
        for program in peers.PACKAGES:      # their files, so that anybody can start them later
            authority.issue(f"mx.{program}.test")
        authority.issue(table.RELAY_NAME)
        authority.issue(report_hosts.NAME)
        os.makedirs(f"{self.folder}/web", exist_ok=True)
        self.web.write(authority)
        self.web.service.launch()
        self._fork_hosts(authority)
        self.dns.write()
        self.dns.start()
        self.web.service.wait_ready()
        wait_until(answers(table.MX_ADDRESSES["mx.sender.test"][0], 25), 10, "the MX hosts")

    def _fork_hosts(self, authority):
        """One process plays all MX hosts and the odd policy hosts."""
        if os.fork():
            return
        try:
            out = os.open(f"{self.folder}/hosts.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(out, 1)
            os.dup2(out, 2)
            os.setsid()
            move_to_internet(self.folder)
            policy_hosts.start_odd(self.web.domains, table.POLICY_ADDRESSES, authority)
            mx_host.start_all(table.HOSTS, table.MX_ADDRESSES, authority, self.folder)
        finally:
            os._exit(1)

    # ------------------------------------------------------------ MX hosts

    def mx(self, host, **changes):
        """Changes stages of a host's script, or its `certificate`; its sessions end."""
        path = f"{self.folder}/mx/{host}.json"
        with open(path + ".new", "w", encoding="utf-8") as f:
            json.dump(changes, f)
        os.replace(path + ".new", path)
        self._wait_seen(host, os.stat(path).st_mtime_ns)

    def mx_as_before(self, host=None):
        changed = [n[:-5] for n in os.listdir(f"{self.folder}/mx") if n.endswith(".json")]
        for name in changed:
            if host in (None, name):
                os.unlink(f"{self.folder}/mx/{name}.json")
        for name in changed:
            if host in (None, name):
                self._wait_seen(name, 0)

    def _wait_seen(self, host, change):
        def seen():
            try:
                with open(f"{self.folder}/mx/{host}.seen", encoding="ascii") as f:
                    return f.read() == str(change)
            except FileNotFoundError:
                return False
        wait_until(seen, 10, f"{host} to change its mind")

    def events(self, event=None, since=0.0, **facts):
        """What the MX hosts saw: dicts of mx_host.py's log that have those facts."""
        with open(f"{self.folder}/mx.jsonl", encoding="utf-8") as f:
            all_events = [json.loads(line) for line in f if line.endswith("\n")]
        facts = {**facts, **({"event": event} if event else {})}
        return [e for e in all_events
                if e["time"] >= since and all(e.get(k) == v for k, v in facts.items())]

    def messages(self, **facts):
        return self.events("message", **facts)

    def sessions(self, **facts):
        return self.events("session", **facts)

    # ------------------------------------------------------------ real mail servers

    def peer(self, program, role, **more):
        """A Postfix or Exim as "mx" or as "client" of the relay; started at the first call."""
        key = (program, role)
        if key not in self._peers:
            host = f"mx.{program}.test"
            files = (f"{self.folder}/ca/good-{host}.pem", f"{self.folder}/ca/host.key")
            peer = peers.Peer(self.folder, program, role, files)
            if not os.path.exists(peer.service.pid_file):
                peer.write(**more).start()
            self._peers[key] = peer
        return self._peers[key]

    def certificate(self, host, kind="good"):
        return f"{self.folder}/ca/{kind}-{host}.pem", f"{self.folder}/ca/host.key"

    # ------------------------------------------------------------ routes

    def cut(self, address):
        """From now on that host of the internet is not there."""
        self._address("del", address)

    def mend(self, address):
        self._address("add", address)

    def _address(self, verb, address):
        words = [f"{address}/{128 if ':' in address else 32}", "dev", "net0"]
        if verb == "add" and ":" in address:
            words.append("nodad")
        subprocess.run([*in_internet(self.folder), "ip", "addr", verb, *words], check=True)
