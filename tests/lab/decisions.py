"""The rows of the decision tables (docs/policy.md) as domains of the lab: who says what, and what must become of mail.

Each case is a domain with an MX host of its own, NAME.rows.test, or NAME.rows.insecure.test where DNSSEC is to be
missing; its name is that of the rows that it plays.
"""
from dataclasses import dataclass, field

EXTENSIONS = "PIPELINING\nSIZE 52428800\n8BITMIME\nENHANCEDSTATUSCODES\nREQUIRETLS"
NO_TLS, REFUSED = {"starttls": None}, {"starttls": "454 4.7.0 TLS not available"}
BROKEN, OLD = {"handshake": "=garbage"}, {"tls": "1.0"}


@dataclass(frozen=True)
class Case:
    rows: str                   # of the tables, joined by "-"
    outcome: str                # "clear", "encrypted", "verified", "dane": the level; "waits"; or "back", a bounce
    counted: str = ""           # what the day's report counts: a result type, "success", or "" for nothing
    mode: str = ""              # of the policy; "" for none
    listed: bool = True         # names it the MX host?
    host: dict = field(default_factory=dict)    # how the MX host differs from a good one
    tlsa: str = ""              # "fits", "other" or "unusable" records
    route: str = ""             # tls of a route for the domain
    exception: str = ""         # what one of the administrator's allows
    mail: str = ""              # "required" (REQUIRETLS) or "lenient" (TLS-Required: No)
    secure: bool = True         # is its zone signed?

    @property
    def name(self):
        return f"{self.rows.lower()}.rows.{'test' if self.secure else 'insecure.test'}"

    @property
    def mx(self):
        return f"mx.{self.name}"


def bad(kind):
    return {"certificate": kind}


CASES = [
    # no policy
    Case("C1-N1", "encrypted", "success", host=bad("selfsigned")),
    Case("N2", "clear", "starttls-not-supported", host=NO_TLS),
    Case("N3", "clear", "starttls-not-supported", host=REFUSED),
    Case("N4-N6", "clear", "validation-failure", host=BROKEN),
    Case("N4-N5", "encrypted", "validation-failure", host=OLD),
    Case("C8-N7", "clear", route="none"),
    Case("N8", "waits", "starttls-not-supported", route="encrypt", host=NO_TLS),
    Case("C7-N9", "encrypted", "success", route="encrypt", host=bad("selfsigned")),
    # mode none, testing
    Case("C2-O1", "encrypted", "success", "none", host=bad("expired")),
    Case("O2", "clear", "", "none", host=NO_TLS),
    Case("C3-T1", "verified", "success", "testing"),
    Case("T2", "encrypted", "certificate-expired", "testing", host=bad("expired")),
    Case("T3", "clear", "starttls-not-supported", "testing", host=NO_TLS),
    Case("T4", "clear", "starttls-not-supported", "testing", host=REFUSED),
    Case("T5-T7", "clear", "validation-failure", "testing", host=BROKEN),
    Case("T5-T6", "encrypted", "validation-failure", "testing", host=OLD),
    Case("C4-T8", "verified", "validation-failure", "testing", False),
    # enforce
    Case("C5-E1", "verified", "success", "enforce"),
    Case("C9", "verified", "success", "enforce", route="none"),
    Case("E2", "waits", "certificate-expired", "enforce", host=bad("expired")),
    Case("E3", "waits", "certificate-host-mismatch", "enforce", host=bad("wrongname")),
    Case("E4", "waits", "certificate-not-trusted", "enforce", host=bad("unknownca")),
    Case("E5", "waits", "validation-failure", "enforce", host=bad("notyet")),
    Case("E6", "waits", "starttls-not-supported", "enforce", host=NO_TLS),
    Case("E7", "waits", "starttls-not-supported", "enforce", host=REFUSED),
    Case("E8", "waits", "validation-failure", "enforce", host=BROKEN),
    Case("E9", "waits", "validation-failure", "enforce", host=OLD),
    Case("C6-E10", "waits", "validation-failure", "enforce", False),
    # routes
    Case("V1", "verified", "success", route="verify"),
    Case("C10-V2", "waits", "success", route="verify", host=bad("wrongname")),
    Case("V3", "waits", "starttls-not-supported", route="verify", host=NO_TLS),
    Case("V4", "waits", "certificate-expired", "enforce", route="verify", host=bad("expired")),
    Case("F1", "verified", "success", route="fingerprint", host=bad("selfsigned")),
    Case("F2", "waits", "success", route="fingerprint", host=bad("otherkey")),
    Case("F3", "waits", "starttls-not-supported", route="fingerprint", host=NO_TLS),
    Case("F4", "waits", "certificate-host-mismatch", "enforce", route="fingerprint", host=bad("wrongname")),
    Case("C12-D1", "dane", "success", route="dane", tlsa="fits", host=bad("selfsigned")),
    Case("D2", "waits", "tlsa-invalid", route="dane", tlsa="other"),
    Case("C11-D3", "waits", "dane-required", route="dane"),
    # REQUIRETLS
    Case("Q1", "back", mail="required", secure=False),
    Case("Q2", "back", "", "none", mail="required", secure=False),
    Case("Q3", "back", "validation-failure", "testing", False, mail="required", secure=False),
    Case("Q4", "back", "validation-failure", "enforce", False, mail="required"),
    Case("Q5", "back", route="none", mail="required"),
    Case("Q6-R1", "verified", "success", "enforce", mail="required", secure=False),
    Case("R2", "back", "success", mail="required", host=bad("expired")),
    Case("R3", "back", "starttls-not-supported", mail="required", host=NO_TLS),
    Case("R4", "back", "validation-failure", mail="required", host=BROKEN),
    Case("R5", "back", "validation-failure", mail="required", host=OLD),
    # DANE and MTA-STS
    Case("P1-P6", "dane", "success", tlsa="fits", host=bad("selfsigned")),
    Case("P2-P9", "dane", "success", "enforce", False, tlsa="fits"),
    Case("P3", "waits", "validation-failure", "enforce", False, tlsa="unusable"),
    Case("P4-P10", "encrypted", "tlsa-invalid", tlsa="unusable", host=bad("selfsigned")),
    Case("P5", "encrypted", "tlsa-invalid", "none", tlsa="unusable", host=bad("selfsigned")),
    Case("P7", "waits", "starttls-not-supported", tlsa="fits", host=NO_TLS),
    Case("P8", "waits", "tlsa-invalid", "enforce", tlsa="other"),
    Case("P11", "waits", "starttls-not-supported", tlsa="unusable", host=NO_TLS),
    Case("P12", "waits", "certificate-expired", "enforce", tlsa="unusable", host=bad("expired")),
    Case("P13", "encrypted", "certificate-expired", "testing", tlsa="unusable", host=bad("expired")),
    # exceptions
    Case("X1", "encrypted", "validation-failure", "enforce", False, exception="unverified", host=bad("selfsigned")),
    Case("X2", "encrypted", "validation-failure", "enforce", False, mail="lenient", host=bad("selfsigned")),
    Case("X3", "back", "validation-failure", "enforce", False, exception="clear", mail="required"),
    Case("X4", "waits", "dane-required", exception="clear", route="dane"),
    Case("X5", "encrypted", "certificate-expired", "enforce", exception="unverified", host=bad("expired")),
    Case("X6", "waits", "starttls-not-supported", "enforce", exception="unverified", host=NO_TLS),
    Case("X7", "clear", "starttls-not-supported", "enforce", exception="clear", host=NO_TLS),
    Case("X8", "back", "starttls-not-supported", "enforce", exception="clear", mail="required", host=NO_TLS),
    Case("X9", "waits", "certificate-expired", "enforce", exception="clear", route="verify", host=bad("expired")),
]

# Rows that no mail comes to: TLS is always tried where a policy enforces it.
NEVER = ("E11",)
