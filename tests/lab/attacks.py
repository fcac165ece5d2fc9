"""What somebody on the path does to mail: a table, with the proof that each attack works.

Each is played on MX hosts of its own, to which four domains send (ATTACK stands for its name):

    ATTACK.sts.insecure.test        a policy that enforces
    ATTACK.plain.insecure.test      the same host, and no policy: what the attack is worth
    ATTACK.signed.test              no policy, but DNSSEC: mail that asks for REQUIRETLS may go there
    ATTACK.dane.test                DNSSEC and TLSA records (set by those who want them)

insecure.test is not signed, so whatever is forged there is believed; what is forged in the others does not validate.
"""
from dataclasses import dataclass, field

THIEF = "mx.thief.test"     # takes everything from everybody, with a good certificate of its own
EXTENSIONS = "PIPELINING\nSIZE 52428800\n8BITMIME\nENHANCEDSTATUSCODES\nREQUIRETLS"


@dataclass(frozen=True)
class Attack:
    name: str
    says: str
    robbed: str                 # how unguarded mail arrives: "clear", "TLS", "TLSv1"
    host: dict = field(default_factory=dict)    # what changes at the MX host (mx_host.py)
    swaps: str = ""             # the record that leads to the thief instead: "MX" or "AAAA"

    def domain(self, guard):
        return f"{self.name}.{guard}.{'insecure.test' if guard in ('sts', 'plain') else 'test'}"

    def mx(self, guard):
        return f"mx.{self.domain('sts' if guard == 'plain' else guard)}"


ATTACKS = [
    Attack("stripped", "STARTTLS is not offered", "clear", {"starttls": None}),
    Attack("refused", "STARTTLS is refused", "clear", {"starttls": "454 4.7.0 TLS not available"}),
    Attack("broken", "each handshake is broken off", "clear", {"handshake": "=garbage"}),
    Attack("selfmade", "a certificate for the right name that nobody signed", "TLS", {"certificate": "forged"}),
    Attack("othername", "a certificate that an authority signed for the thief's name", "TLS",
           {"certificate": "thief"}),
    Attack("downgraded", "TLS 1.0 and no later", "TLSv1", {"tls": "1.0"}),
    Attack("mxswapped", "the MX record names the thief's host", "TLS", swaps="MX"),
    Attack("addressswapped", "the MX host's address is the thief's", "TLS", swaps="AAAA"),
]
CALM = Attack("calm", "no attack: mail is to arrive", "TLS")
GUARDS = ("sts", "plain", "signed", "dane")
