#!/usr/bin/python3
"""check_report.py FILE: is FILE a TLS report as RFC 8460 wants it, by the eyes of others?

FILE is a whole mail, or what is posted: a gzip or plain JSON file.  Python's email takes a mail
apart, tlsrpt_schema.json (beside this file) judges the document.  Stories call check_mail and
check_document.
"""
import email
import email.policy
import gzip
import json
import sys
from pathlib import Path

import jsonschema

SCHEMA = json.loads((Path(__file__).parent / "tlsrpt_schema.json").read_text())
VALIDATOR = jsonschema.Draft7Validator(SCHEMA, format_checker=jsonschema.FormatChecker())


def no_duplicates(pairs):
    members = dict(pairs)
    assert len(members) == len(pairs), f"a key stands twice: {[key for key, _ in pairs]}"
    return members


def check_document(body):
    """Judges a packed or plain report; gives what is in it."""
    text = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
    report = json.loads(text.decode("utf-8"), object_pairs_hook=no_duplicates)
    VALIDATOR.validate(report)
    return report


def unfolded(message, name):
    """The only field of this name, in one line."""
    values = message.get_all(name)
    assert values and len(values) == 1, f"{name}: {values}"
    return " ".join(values[0].split())


def check_header(message, report):
    domain, submitter = unfolded(message, "TLS-Report-Domain"), unfolded(message, "TLS-Report-Submitter")
    assert submitter == report["contact-info"].rpartition("@")[2]
    assert unfolded(message, "Subject") == (f"Report Domain: {domain} Submitter: {submitter} "
                                            f"Report-ID: <{report['report-id']}>")
    assert unfolded(message, "TLS-Required") == "No"
    assert unfolded(message, "Auto-Submitted") == "auto-generated"
    assert unfolded(message, "From").rpartition("@")[2].rstrip(">") == submitter
    for name in ("Date", "To", "Message-ID", "MIME-Version"):
        assert unfolded(message, name), name


def check_parts(message):
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "tlsrpt"
    words, attached = message.get_payload()
    assert words.get_content_type() == "text/plain"
    assert attached.get_content_disposition() == "attachment"
    return words, attached


def check_file_name(message, attached, report):
    name = attached.get_filename()
    packed = attached.get_content_type() == "application/tlsrpt+gzip"
    assert packed or attached.get_content_type() == "application/tlsrpt+json"
    stem = name.removesuffix(".gz").removesuffix(".json")
    assert name == stem + (".json.gz" if packed else ".json")
    sender, domain, begin, end, *unique = stem.split("!")
    assert sender == unfolded(message, "TLS-Report-Submitter")
    assert domain == unfolded(message, "TLS-Report-Domain")
    assert int(end) - int(begin) == 86399 and int(begin) % 86400 == 0
    assert len(unique) <= 1 and all(text.isalnum() for text in unique)
    assert report["report-id"]


def check_mail(raw):
    """Judges a whole mail; gives the report in it."""
    message = email.message_from_bytes(raw, policy=email.policy.default.clone(raise_on_defect=True))
    words, attached = check_parts(message)
    report = check_document(attached.get_payload(decode=True))
    check_header(message, report)
    check_file_name(message, attached, report)
    text = words.get_content()
    assert unfolded(message, "TLS-Report-Domain") in text and report["report-id"] in text
    assert all(len(line) <= 998 for line in raw.split(b"\r\n")) and raw.isascii()
    return report


def main():
    raw = Path(sys.argv[1]).read_bytes()
    if raw[:1] in (b"{", b"\x1f"):
        check_document(raw)
    else:
        check_mail(raw)


if __name__ == "__main__":
    main()
