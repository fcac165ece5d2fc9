"""The lab's DNS: knot serves signed zones of the table, unbound validates on 127.0.0.1.

The tree is `.`, `test.` (both signed, chained by DS), `insecure.test.` (not signed) and `bogus.test.`
(its DS fits no key).  `dead.test`'s name server has no route, `silentdns.test`'s never answers.
"""
import ipaddress
import json
import os
import socket
import struct
import subprocess
import sys

import report_hosts
import table
from services import Service, wait_until

SERVER = table.NAME_SERVER
TTL = 1
DEAD = {"servfail.test": "ns.dead.test.", "silentdns.test": "ns.silent.test."}
OWN_ZONES = ("insecure.test", "bogus.test")
SIGNED = (".", "test.", "bogus.test.")
FORGED_ZONES = ("test", "insecure.test")


def _record(owner, kind, data):
    return f"{owner.rstrip('.')}. {TTL} {kind} {data}"


def _addresses_of(owner, addresses):
    return [_record(owner, "AAAA" if ":" in a else "A", a) for a in addresses]


def _policy_host_records(d):
    host = f"mta-sts.{d.name}"
    if d.policy_host == "nohost":
        return []
    if d.policy_host == "servfail":
        return [_record(host, "NS", "ns.dead.test.")]
    return _addresses_of(host, ["10.9.8.7" if d.policy_host == "internal"
                                else table.POLICY_ADDRESSES[d.name]])


def _route_records(d):
    if d.null_mx:
        return [_record(d.name, "MX", "0 .")]
    if d.cname:
        return [_record(d.name, "CNAME", d.cname + ".")]
    if d.no_mx:
        return []
    return [_record(d.name, "MX", f"{10 * n} {h.name}.") for n, h in enumerate(d.mx, 1)]


def _domain_records(d):
    records = _route_records(d)
    if d.mode:
        records += _policy_host_records(d)
    if d.mode and d.txt:
        records.append(_record(f"_mta-sts.{d.name}", "TXT", f'"{d.txt}"'))
    if d.mode and d.tlsrpt:
        text = d.tlsrpt.format(name=d.name)
        records.append(_record(f"_smtp._tls.{d.name}", "TXT", f'"{text}"'))
    for name, kind, data in d.records:
        records.append(_record(d.name if name == "@" else f"{name}.{d.name}", kind, data))
    return records


def _zone_of(name):
    """The zone of its own in which a name is; None for those in test."""
    return next((z for z in OWN_ZONES if name == z or name.endswith("." + z)), None)


def _zone(apex, records):
    return "\n".join([
        f"{apex} {TTL} SOA ns.lab-root. hostmaster.test. 1 3600 600 86400 {TTL}",
        f"{apex} 3600 NS ns.lab-root.", *dict.fromkeys(records)]) + "\n"


def _reverse(address):
    return ipaddress.ip_address(address).reverse_pointer


def zones(ds_of):
    """The text of each zone; `ds_of` gives a signed zone's DS record data."""
    root = [f"ns.lab-root. 3600 A {SERVER}", "test. 3600 NS ns.lab-root.",
            f"test. 3600 DS {ds_of('test.')}"]
    test = [f"ns.dead.test. 3600 A {table.UNREACHABLE_DNS_ADDRESS}",
            f"ns.silent.test. 3600 A {table.SILENT_DNS_ADDRESS}"]
    own = {name: [] for name in OWN_ZONES}
    for d in table.DOMAINS.values():
        if d.name in DEAD:
            test.append(_record(d.name, "NS", DEAD[d.name]))
        else:
            own.get(_zone_of(d.name), test).extend(_domain_records(d))
    for name in OWN_ZONES:
        test.append(f"{name}. 3600 NS ns.lab-root.")
    broken = ds_of("bogus.test.").split()
    broken[-1] = broken[-1][::-1]
    test.append(f"bogus.test. 3600 DS {' '.join(broken)}")
    for name, addresses in table.MX_ADDRESSES.items():
        own.get(_zone_of(name), test).extend(_addresses_of(name, addresses))
        root += [_record(_reverse(a), "PTR", name + ".") for a in addresses]
    if table.RELAY_NAME not in table.MX_ADDRESSES:
        test += _addresses_of(table.RELAY_NAME, [table.RELAY_ADDRESS])
    root.append(_record(_reverse(table.CLIENT_ADDRESS), "PTR", "client.sender.test."))
    test += _addresses_of("client.sender.test", [table.CLIENT_ADDRESS])
    test += _addresses_of(report_hosts.NAME, [table.REPORTS_ADDRESS])
    texts = {".": _zone(".", root), "test.": _zone("test.", test)}
    texts.update({f"{z}.": _zone(f"{z}.", records) for z, records in own.items()})
    return texts


def _knot_configuration(folder):
    zone_rows = "".join(f"""
  - domain: "{z}"
    file: "{folder}/{z}zone"
    dnssec-signing: {"on" if z in SIGNED else "off"}
    dnssec-policy: lab
""" for z in (".", "test.", "insecure.test.", "bogus.test."))
    return f"""
server:
  listen: {SERVER}@53
  rundir: {folder}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 2
database:
  storage: {folder}
log:
  - target: stderr
    any: warning
policy:
  - id: lab
    algorithm: ecdsap256sha256
    single-type-signing: on
    manual: on
template:
  - id: default
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
    semantic-checks: off
zone:{zone_rows}"""


def _unbound_configuration(folder, anchor, address="127.0.0.1", port=53, name="unbound"):
    """Without an anchor it does not validate."""
    open_zones = ("test.", "100.51.198.in-addr.arpa.", "113.0.203.in-addr.arpa.",
                  "8.b.d.0.1.0.0.2.ip6.arpa.")
    nodefault = "".join(f'    local-zone: "{z}" nodefault\n' for z in open_zones)
    return f"""
server:
    directory: "{folder}"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    logfile: ""
    interface: {address}
    port: {port}
    do-ip6: no
    num-threads: 1
    module-config: "{"validator " if anchor else ""}iterator"
    root-hints: "{folder}/root.hints"
    {f'trust-anchor: ". DS {anchor}"' if anchor else ""}
    infra-host-ttl: 2
    edns-buffer-size: 1232
{nodefault}
remote-control:
    control-enable: yes
    control-interface: "{folder}/{name}.sock"
    control-use-cert: no
"""


def _run(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stdout}{done.stderr}")
    return done.stdout


def _is_answered(server, name, port=53):
    """Whether the server gives an answer to an A question (a hand-made query)."""
    query = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0)
    for label in name.split("."):
        query += bytes([len(label)]) + label.encode()
    query += b"\0" + struct.pack(">HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(0.1)
        try:
            s.connect((server, port))
            s.send(query)
            reply = s.recv(512)
        except OSError:
            return False
    return reply[3] & 15 == 0 and struct.unpack(">H", reply[6:8])[0] > 0


class Dns:
    """Both servers; made by the lab, or taken up again by any process inside it."""

    def __init__(self, lab_folder):
        self.folder = f"{lab_folder}/dns"
        self.configuration = f"{self.folder}/knot.conf"
        self.knot = Service(lab_folder, "knot", ["knotd", "-c", self.configuration],
                            lambda: _is_answered(SERVER, "relay.test"), internet=True)
        self.forgeries = f"{self.folder}/forged.json"
        forger = os.path.join(os.path.dirname(os.path.abspath(__file__)), "forger.py")
        self.forger = Service(lab_folder, "forger", [sys.executable, forger, self.forgeries],
                              lambda: _is_answered(table.FORGER, "relay.test"), internet=True)
        self.unbound = Service(lab_folder, "unbound",
                               ["unbound", "-d", "-p", "-c", f"{self.folder}/unbound.conf"],
                               lambda: _is_answered("127.0.0.1", "relay.test"))

    def write(self):
        os.makedirs(self.folder, exist_ok=True)
        self._put("knot.conf", _knot_configuration(self.folder))
        anchors = {}
        for zone in SIGNED:
            self._keymgr(zone, "generate", "algorithm=ecdsap256sha256", "ksk=yes", "zsk=yes")
            lines = self._keymgr(zone, "ds").strip().split("\n")
            anchors[zone] = next(x for x in lines if x.split()[-2] == "2").split(" DS ")[1]
        for zone, text in zones(anchors.get).items():
            self._put(f"{zone}zone", text)
        self._put("root.hints", f". 3600 NS ns.lab-root.\nns.lab-root. 3600 A {SERVER}\n")
        self._put("unbound.conf", _unbound_configuration(self.folder, anchors["."]))

    def start_blind(self, address, port):
        """One more resolver, which does not validate; the caller stops it."""
        self._put("blind.conf", _unbound_configuration(self.folder, "", address, port, "blind"))
        blind = Service(os.path.dirname(self.folder), "blind",
                        ["unbound", "-d", "-p", "-c", f"{self.folder}/blind.conf"],
                        lambda: _is_answered(address, "relay.test", port))
        return blind.start()

    def _put(self, name, text):
        with open(f"{self.folder}/{name}", "w", encoding="utf-8") as f:
            f.write(text)

    def _keymgr(self, zone, *words):
        return _run("keymgr", "-c", self.configuration, zone, *words)

    def start(self):
        self.knot.launch()
        self.unbound.launch()
        self.knot.wait_ready()
        self.unbound.wait_ready()

    # ------------------------------------------------------------ changes while the lab runs

    def set(self, name, kind, *data, zone="test."):
        """Replaces the record set of that name and type; no data removes it."""
        self._knotc("zone-begin", zone)
        try:
            self._knotc("zone-unset", zone, f"{name}.", kind)
        except RuntimeError as e:
            if "no such" not in str(e) and "not exists" not in str(e):
                raise
        for value in data:
            self._knotc("zone-set", zone, f"{name}.", str(TTL), kind, value)
        self._knotc("zone-commit", zone)
        self.flush()

    def _knotc(self, *words):
        return _run("knotc", "-b", "-s", f"{self.folder}/knot.sock", *words)

    def set_policy_id(self, domain, sts_id):
        self.set(f"_mta-sts.{domain}", "TXT", *([f'"v=STSv1; id={sts_id};"'] if sts_id else []))

    def flush(self):
        self._control("flush_zone", ".")

    def _control(self, *words):
        _run("unbound-control", "-c", f"{self.folder}/unbound.conf", *words)

    # ------------------------------------------------------------ somebody on the path (forger.py)

    def forge(self, forgeries):
        """From now on the resolver hears these instead of what the name servers say."""
        self._put("forged.json", json.dumps(forgeries))
        if not self.forger.started():
            self.forger.start()
        for zone in FORGED_ZONES:
            self._control("stub_add", zone, table.FORGER)
        self.flush()

    def truth(self):
        for zone in FORGED_ZONES:
            self._control("stub_remove", zone)
        self.flush()

    def down(self):
        """From now on the resolver is not there (its port is closed)."""
        self.unbound.stop()

    def up(self):
        self.unbound.start()
        wait_until(lambda: _is_answered("127.0.0.1", "mx.good.test"), 10, "the resolver")
