"""The private internet as one table: who has which MX hosts, policy, policy host and DNS.

Everything else in this folder is derived from it: zones, certificates, nginx's servers, MX hosts.
A domain describes itself by its name, and `says` tells in half a sentence what is special.
"""
from dataclasses import dataclass, field

import attacks
import decisions
import hostile_mx

V4_MX = "198.51.100"        # MX hosts and the relay's clients
V4_WEB = "203.0.113"        # policy hosts, as far as there is room
V4_WEB_HOSTS = 200
V6 = "2001:db8:1"           # both, where they have IPv6
RELAY_ADDRESS = f"{V4_MX}.250"      # the relay's own address; it is in DNS as relay.test
CLIENT_ADDRESS = f"{V4_MX}.251"     # a client that is not on loopback
SILENT_ADDRESS = f"{V4_MX}.253"     # packets to it are dropped
UNREACHABLE_ADDRESS = f"{V4_MX}.254"    # no route to host
NAME_SERVER = f"{V4_WEB}.252"
REPORTS_ADDRESS = f"{V4_WEB}.250"    # report_hosts.py: where reports are posted to
FORGER = f"{V4_WEB}.251"     # forger.py: name servers that lie
SILENT_DNS_ADDRESS = f"{V4_WEB}.253"
UNREACHABLE_DNS_ADDRESS = f"{V4_WEB}.254"
SILENT = (SILENT_ADDRESS, SILENT_DNS_ADDRESS)
UNREACHABLE = (UNREACHABLE_ADDRESS, UNREACHABLE_DNS_ADDRESS)
OWN_ADDRESSES = (RELAY_ADDRESS, CLIENT_ADDRESS, f"{V6}::fa")     # those of the relay's machine
CLIENT_SERVERS = {"postfix": "127.0.0.9", "exim": "127.0.0.10"}  # whose smarthost is the relay
USER_SERVERS = {"postfix": "127.0.0.11", "exim": "127.0.0.12"}  # the same, who log in there
OWN_SERVERS = {"postfix": "127.0.0.13"}     # who deliver themselves, and only ask the relay for policies
USER, PASSWORD = "ada", "s3cret-word"       # as this user
RELAY_NAME = "relay.test"

DAY = 86400


@dataclass(frozen=True)
class Host:
    """An MX host: what it does at each stage of the dialogue (mx_host.py), and its certificate."""
    name: str
    certificate: str = "good"           # a kind of certificates.py
    script: dict = field(default_factory=dict)
    tls: str = ""                       # "1.0", "1.1", "1.2": the only version it speaks
    peer: str = ""                      # "postfix" or "exim": a real mail server (peers.py)
    families: str = "46"                # which addresses it has; "" for none
    address: str = ""                   # given instead of the next free one
    shares: str = ""                    # the host at whose addresses it is: another name for it
    tickets: bool = False               # notes in which session one that is resumed began
    refuses: bool = False               # nothing listens there
    hostile: str = ""                   # a case of hostile_mx.py, in place of a script


@dataclass(frozen=True)
class Domain:
    name: str
    says: str
    mode: str = ""                      # "" for no policy at all
    mx: tuple = ()                      # hosts by preference; () for the one host mx.NAME
    patterns: tuple = ()                # () for the names of all its MX hosts
    max_age: int = 7 * DAY
    txt: str = "v=STSv1; id=20260101T000000;"
    policy_host: str = "good"           # a kind of policy_hosts.py
    policy_text: str = ""               # instead of one made from mode, patterns and max_age
    tlsrpt: str = "v=TLSRPTv1; rua=mailto:reports@{name}"
    null_mx: bool = False
    no_mx: bool = False                 # no MX record; the hosts' addresses stand at the domain
    cname: str = ""                     # the domain itself is an alias
    records: tuple = ()                 # further records, as (name, type, data)

    def policy(self):
        if self.policy_text or not self.mode:
            return self.policy_text
        patterns = self.patterns or tuple(h.name for h in self.mx)
        lines = ["version: STSv1", f"mode: {self.mode}"]
        lines += [f"mx: {p}" for p in patterns] + [f"max_age: {self.max_age}"]
        return "".join(line + "\n" for line in lines)


def domain(name, says, mode="", mx=None, **more):
    """One row; `mx` is one Host's keywords, or a list of Hosts, or None for a flawless host."""
    if mx is None or isinstance(mx, dict):
        keywords = {"name": name if more.get("no_mx") else f"mx.{name}", **(mx or {})}
        mx = [Host(**keywords)]
    return Domain(name, says, mode, tuple(mx), **more)


def failing(stage, reply):
    """A domain without policy whose MX answers one stage badly, named after both."""
    word = reply.split()[0].lower()
    return domain(f"{stage}-{word}.test", f"its MX answers {stage} with: {reply}",
                  mx={"script": {stage: reply}})


SECURITY = [
    domain("good.test", "all is well", "enforce"),
    domain("also-good.test", "all is well here too", "enforce"),
    domain("wildcard.test", "the policy names *.wildcard.test", "enforce",
           patterns=("*.wildcard.test",)),
    domain("wildcard-cert.test", "its MX shows a wildcard certificate", "enforce",
           {"certificate": "wildcard"}),
    domain("expired.test", "its MX shows an expired certificate", "enforce",
           {"certificate": "expired"}),
    domain("notyet.test", "its MX shows a certificate of tomorrow", "enforce",
           {"certificate": "notyet"}),
    domain("wrongname.test", "its MX shows another host's certificate", "enforce",
           {"certificate": "wrongname"}),
    domain("cnonly.test", "the MX's name is in the certificate's CN only", "enforce",
           {"certificate": "cnonly"}),
    domain("selfsigned.test", "its MX shows a self-signed certificate", "enforce",
           {"certificate": "selfsigned"}),
    domain("unknownca.test", "its MX shows a certificate of a CA nobody knows", "enforce",
           {"certificate": "unknownca"}),
    domain("notls.test", "its MX offers no STARTTLS", "enforce", {"script": {"starttls": None}}),
    domain("tlsrefused.test", "its MX offers STARTTLS and refuses it", "enforce",
           {"script": {"starttls": "454 4.7.0 TLS not available"}}),
    domain("tls10.test", "its MX speaks TLS 1.0 only", "enforce", {"tls": "1.0"}),
    domain("tls12.test", "its MX speaks TLS 1.2 only", "enforce", {"tls": "1.2"}),
    domain("inject.test", "its MX puts bytes behind the 220 of STARTTLS", "enforce",
           {"script": {"starttls": "220 go ahead\n=inject 250 mx.inject.test"}}),
    domain("handshake-garbage.test", "its MX answers the TLS handshake with garbage", "enforce",
           {"script": {"handshake": "=garbage"}}),
    domain("unlisted.test", "its policy does not list its MX", "enforce",
           patterns=("mail.unlisted.test",)),
    domain("secondmx.test", "the first MX has an expired certificate, the second is good",
           "enforce", [Host("mx1.secondmx.test", certificate="expired"), Host("mx2.secondmx.test")]),
    domain("listedsecond.test", "the policy lists the second MX only", "enforce",
           [Host("mx1.listedsecond.test"), Host("mx2.listedsecond.test")],
           patterns=("mx2.listedsecond.test",)),
    domain("testing.test", "a policy under test; the MX shows an expired certificate", "testing",
           {"certificate": "expired"}),
    domain("testing-unlisted.test", "a policy under test that does not list the MX", "testing",
           patterns=("mail.testing-unlisted.test",)),
    domain("testing-notls.test", "a policy under test; the MX offers no STARTTLS", "testing",
           {"script": {"starttls": None}}),
    domain("none.test", "a policy of mode none; the MX shows an expired certificate", "none",
           {"certificate": "expired"}),
    domain("nopolicy.test", "no policy", txt=""),
    domain("nopolicy-selfsigned.test", "no policy, a self-signed certificate", txt="",
           mx={"certificate": "selfsigned"}),
    domain("nopolicy-notls.test", "no policy, no STARTTLS", txt="",
           mx={"script": {"starttls": None}}),
    domain("nopolicy-tlsrefused.test", "no policy, STARTTLS refused", txt="",
           mx={"script": {"starttls": "454 4.7.0 TLS not available"}}),
    domain("nopolicy-tls10.test", "no policy, TLS 1.0 only", txt="", mx={"tls": "1.0"}),
    domain("nopolicy-handshake.test", "no policy, a handshake that fails", txt="",
           mx={"script": {"handshake": "=garbage"}}),
]

# Whose policy cannot be had, though its TXT record says there is one; the MX is good.
POLICY_HOSTS = [
    domain(f"policy-{kind}.test", f"its policy host: {says}", "enforce", policy_host=kind,
           mx={"script": {"starttls": None}})
    for kind, says in {
        "404": "answers 404", "301": "redirects to a good policy", "500": "answers 500",
        "204": "answers 204", "html": "sends text/html", "wrongname": "another host's certificate",
        "expired": "an expired certificate", "selfsigned": "a self-signed certificate",
        "cnonly": "its name is in the CN only", "toolarge": "a policy of 65 KiB and more",
        "truncated": "ends before its Content-Length", "closed": "closes without an answer",
        "refused": "nothing listens", "silent": "never answers", "slow": "a byte a second",
        "nohost": "has no address", "servfail": "its address cannot be looked up",
        "garbage": "answers no HTTP", "invalid": "a policy that makes no sense",
        "internal": "its address is a private one",
    }.items()
] + [
    domain("txt-twice.test", "has two STS records", "enforce",
           {"script": {"starttls": None}},
           records=(("_mta-sts", "TXT", '"v=STSv1; id=second;"'),)),
    domain("txt-invalid.test", "its STS record has no id", "enforce", {"script": {"starttls": None}},
           txt="v=STSv1; ident=1;"),
    domain("txt-servfail.test", "its STS record cannot be looked up", txt="",
           records=(("_mta-sts", "NS", "ns.dead.test."),)),
    domain("txt-cname.test", "delegates its STS record by CNAME", "enforce", txt="",
           records=(("_mta-sts", "CNAME", "_mta-sts.good.test."),)),
]

ROUTES = [
    domain("nullmx.test", "takes no mail (null MX)", txt="", null_mx=True),
    domain("implicit.test", "has no MX record but an address", "enforce", no_mx=True),
    domain("implicit-nopolicy.test", "has no MX record but an address", txt="", no_mx=True),
    domain("alias.test", "is an alias of good.test", txt="", cname="good.test", mx=[]),
    domain("nodata.test", "exists, but has neither MX nor address", txt="", no_mx=True, mx=[],
           records=(("@", "TXT", '"nothing here"'),)),
    domain("mx-nowhere.test", "its MX host does not exist", txt="", mx={"families": ""}),
    domain("mx-internal.test", "its MX has a private address", txt="", mx={"address": "10.1.2.3"}),
    domain("mx-loopback.test", "its MX is on loopback", txt="", mx={"address": "127.0.0.1"}),
    domain("mx-self.test", "its MX is the relay itself", txt="",
           mx={"name": RELAY_NAME, "address": RELAY_ADDRESS}),
    domain("mx-unreachable.test", "no route to its MX", txt="", mx={"address": UNREACHABLE_ADDRESS}),
    domain("mx-dropped.test", "its MX never answers a connect", txt="",
           mx={"address": SILENT_ADDRESS}),
    domain("mx-refused.test", "nothing listens at its MX", txt="", mx={"refuses": True}),
    domain("backup.test", "the first MX refuses connections, the second is good", txt="",
           mx=[Host("mx1.backup.test", refuses=True), Host("mx2.backup.test")]),
    domain("backup-4xx.test", "the first MX greets with 421, the second is good", txt="",
           mx=[Host("mx1.backup-4xx.test", script={"greeting": "421 4.3.2 busy"}),
               Host("mx2.backup-4xx.test")]),
    domain("v4only.test", "its MX has IPv4 only", txt="", mx={"families": "4"}),
    domain("v6only.test", "its MX has IPv6 only", txt="", mx={"families": "6"}),
    domain("servfail.test", "its name servers are dead", txt="", mx=[]),
    domain("bogus.test", "its signatures do not fit", txt="", mx={"name": "mx.nopolicy.test"}),
    domain("insecure.test", "is not signed", "enforce"),
    domain("silentdns.test", "its name servers never answer", txt="", mx=[]),
    domain("xn--bcher-kva.test", "has a name outside ASCII, b\u00fccher.test", txt=""),
]

REPLIES = [
    failing("greeting", "421 4.3.2 busy"), failing("greeting", "554 5.3.2 no mail here"),
    failing("ehlo", "421 4.3.2 busy"), failing("ehlo", "502 5.5.1 HELO only"),
    failing("mail", "451 4.3.0 not now"), failing("mail", "550 5.7.1 not from you"),
    failing("rcpt", "450 4.2.0 not now"), failing("rcpt", "550 5.1.1 no such user"),
    failing("rcpt", "452 4.2.2 mailbox full"), failing("data", "451 4.3.0 not now"),
    failing("data", "554 5.5.1 no data"), failing("dot", "451 4.3.0 not now"),
    failing("dot", "554 5.6.0 content refused"), failing("quit", "500 5.5.1 what"),
] + [
    domain(f"{stage}-{what}.test", f"its MX at {stage}: {says}", txt="",
           mx={"script": {stage: f"={what}"}})
    for stage in ("greeting", "ehlo", "mail", "rcpt", "data", "dot")
    for what, says in {"close": "closes", "silence": "never answers"}.items()
] + [
    domain("endless.test", "its MX never ends its EHLO reply", txt="",
           mx={"script": {"ehlo": "=endless"}}),
    domain("longline.test", "its MX sends a line without end", txt="",
           mx={"script": {"mail": "=longline"}}),
    domain("garbage.test", "its MX sends garbage", txt="", mx={"script": {"greeting": "=garbage"}}),
    domain("early.test", "its MX answers before it is asked", txt="",
           mx={"script": {"greeting": "220 hello\n250 early\n250 early\n354 early\n250 early",
                          "mail": "=close"}}),
    domain("trickle.test", "its MX sends its replies a byte a second", txt="",
           mx={"script": {"mail": "=trickle"}}),
    domain("slow.test", "its MX takes five seconds for the final dot", txt="",
           mx={"script": {"dot": "=wait 5\n250 2.0.0 taken at last"}}),
    domain("multiline.test", "its MX answers in many lines", txt="",
           mx={"script": {"dot": "250-2.0.0 taken\n250-2.0.0 with pleasure\n250 2.0.0 done"}}),
    domain("multiline-550.test", "its MX refuses in many lines", txt="",
           mx={"script": {"rcpt": "550-5.1.1 no such user\n550 5.1.1 see the policy page"}}),
    domain("greylist.test", "its MX says 451 at the first try", txt="",
           mx={"script": {"rcpt": "=greylist"}}),
]

PEERS = [
    domain("postfix.test", "a real Postfix", "enforce", {"peer": "postfix"}),
    domain("exim.test", "a real Exim", "enforce", {"peer": "exim"}),
    domain("sender.test", "where bounces go", txt=""),
]

# Two domains for each case, one without a policy, one that enforces it, and one host for both.
HOSTILE = [
    domain(f"{letter}-{case.name}.test", f"its MX: {case.says}", mode, txt=txt, tlsrpt="",
           mx={"name": f"mx.h-{case.name}.test", "families": "6", "hostile": case.name})
    for case in hostile_mx.CASES
    for letter, mode, txt in (("h", "", ""), ("e", "enforce", "v=STSv1; id=hostile;"))
]

def attacked(attack, guard):
    mx = {"name": attack.mx(guard), "families": "6", "script": {"extensions": attacks.EXTENSIONS}}
    more = {} if guard == "sts" else {"txt": ""}
    return domain(attack.domain(guard), f"{attack.says} ({guard})", "enforce" if guard == "sts" else "", mx,
                  tlsrpt="", **more)


ATTACKED = [attacked(a, g) for a in (*attacks.ATTACKS, attacks.CALM) for g in attacks.GUARDS] + [
    domain("thief.test", "whose host takes all mail", "enforce",
           {"families": "6", "certificate": "otherkey", "script": {"extensions": attacks.EXTENSIONS}},
           policy_text="version: STSv1\nmode: none\nmax_age: 31557600\n"),
]

def decided(case):
    """A row of the decision tables."""
    host = dict(case.host)
    script = {k: host.pop(k) for k in ("starttls", "handshake") if k in host}
    mx = {"name": case.mx, "families": "6", "script": {"extensions": decisions.EXTENSIONS, **script}, **host}
    return domain(case.name, f"plays {case.rows} of the decision tables", case.mode, mx,
                  patterns=() if case.listed else (f"mail.{case.name}",),
                  txt="v=STSv1; id=rows;" if case.mode else "")


DECIDED = [decided(case) for case in decisions.CASES]

# Four names of one host with one certificate, which is good for the first two of them.
LEVELS = ("plain", "none", "testing", "enforce")
SHARED = [
    domain(f"{level}{n}.shared.test", f"level {level} at the host's name mx{n}", "" if level == "plain" else level,
           {"name": f"mx{n}.shared.test", "families": "6", "shares": "" if n == 1 else "mx1.shared.test",
            "certificate": "pair", "tickets": True, "script": {"extensions": attacks.EXTENSIONS}},
           txt="v=STSv1; id=shared;" if level != "plain" else "", tlsrpt="")
    for n in (1, 2, 3, 4) for level in LEVELS
] + [
    domain(f"unsure-{level}4.insecure.test", "is not signed; its MX is the fourth of those names", mode,
           {"name": "mx4.shared.test", "families": "6", "shares": "mx1.shared.test"}, txt=txt, tlsrpt="")
    for level, mode, txt in (("plain", "", ""), ("enforce", "enforce", "v=STSv1; id=unsure;"))
]

DOMAINS = {d.name: d for d in SECURITY + POLICY_HOSTS + ROUTES + REPLIES + PEERS + HOSTILE + ATTACKED + DECIDED + SHARED}


def _addresses():
    """Gives each MX host and each policy host its addresses, in the table's order."""
    hosts, number = {}, 0
    for d in DOMAINS.values():
        for h in d.mx:
            if h.name in hosts or d.name == "bogus.test":
                continue
            if h.address or h.shares:
                hosts[h.name] = [h.address] if h.address else hosts[h.shares]
                continue
            number = 256 if number == 249 else number + 1    # what is between is not theirs
            hosts[h.name] = ([f"{V4_MX}.{number}"] if "4" in h.families else []) + \
                            ([f"{V6}::{number:x}"] if "6" in h.families else [])
    web = {}
    for number, d in enumerate([d for d in DOMAINS.values() if d.mode], 1):
        web[d.name] = f"{V4_WEB}.{number}" if number <= V4_WEB_HOSTS else f"{V6}::1:{number:x}"
    return hosts, web


MX_ADDRESSES, POLICY_ADDRESSES = _addresses()
HOSTS = {h.name: h for d in DOMAINS.values() for h in d.mx
         if MX_ADDRESSES.get(h.name) and not h.address and not h.shares}


def internet_addresses():
    """Every address that is on the other side of the cable."""
    hosts = [a for name in HOSTS for a in MX_ADDRESSES[name]]
    return hosts + list(POLICY_ADDRESSES.values()) + [NAME_SERVER, FORGER, REPORTS_ADDRESS]
