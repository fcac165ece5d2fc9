#!/usr/bin/python3
"""arrows.py: every include is an arrow between folders; only those drawn in docs/style.md are allowed.

Also: which library's headers may be included where, and that a header compiles alone.
"""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("lib/base", "lib/mail", "lib/io", "lib/ipc", "policy", "tlsrpt", "queue", "queue/deliver", "queue/sign", "smtpd",
           "smtpd/auth", "smtpd/pickup", "sendmail", "supervisor")

# From a folder to the folders it may include; lib/base is open to all.
ARROWS = {
    "lib/base": (),
    "lib/mail": (),
    "lib/io": ("lib/mail",),                    # the resolver gives parsed answers
    "lib/ipc": ("lib/io", "lib/mail"),
    "policy": ("lib/ipc", "lib/io", "lib/mail"),
    "tlsrpt": ("lib/ipc", "lib/io", "lib/mail"),
    "queue": ("lib/ipc", "lib/io", "lib/mail"),
    "queue/deliver": ("lib/ipc", "lib/io", "lib/mail"),
    "queue/sign": ("lib/ipc", "lib/io", "lib/mail"),
    "smtpd": ("lib/ipc", "lib/io", "lib/mail"),
    "smtpd/auth": ("lib/ipc", "lib/io"),
    "smtpd/pickup": ("smtpd", "lib/ipc", "lib/io", "lib/mail"),   # hands in through sessions of its own
    "sendmail": ("lib/io", "lib/mail"),
    "supervisor": ("lib/ipc", "lib/io"),
}
# Single headers that may be included besides.
HEADERS = {
    "queue/deliver": {"policy/decide.h", "policy/mx_match.h", "policy/sts_policy.h"},
    "sendmail": {"smtpd/pickup/drop_file.h"},
    "supervisor": {"sendmail/sendmail.h", "smtpd/pickup/pickup.h", "smtpd/smtpd.h", "smtpd/auth/auth.h", "smtpd/auth/users.h",
                   "smtpd/auth/password.h", "queue/queue.h", "queue/tools.h", "queue/deliver/deliver.h", "queue/sign/sign.h",
                   "policy/policy.h", "tlsrpt/tlsrpt.h", "tlsrpt/reader.h", "lib/mail/aliases.h", "lib/mail/mailbox_set.h",
                   "lib/mail/credentials.h", "lib/mail/dkim_published.h", "lib/mail/dkim_record.h",
                   "lib/mail/domain.h"},
}
# Which files may include a library's headers.
LIBRARIES = {
    r"event2?/.*|event2/.*": r"lib/io/.*",
    r"openssl/.*": r"lib/io/.*",
    r"ares.*\.h": r"lib/io/resolver.*",
    r"curl/.*": r"lib/io/http.*",
    r"lmdb\.h": r"lib/io/kv.*",
    r"libconfig\.h": r"lib/base/settings.*",
    r"jansson\.h": r"lib/base/json.*",
    r"zlib\.h": r"lib/io/gzip.*",
    r"sodium\.h": r"lib/io/ed25519\.c",
    r"idn2\.h": r"lib/mail/domain\.c",
    r"crypt\.h": r"smtpd/auth/password\.c",
    r"stringprep\.h": r"lib/base/saslprep\.c",
    r"seccomp\.h": r"supervisor/sandbox.*",
}
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.M)


def sources():
    for folder in FOLDERS:
        yield from ((folder, path) for path in sorted((ROOT / folder).glob("*.[ch]")))


def wrong_arrow(folder, ours):
    target = str(Path(ours).parent)
    if target == folder or target == "lib/base" or ours in HEADERS.get(folder, ()):
        return False
    return target not in ARROWS[folder]


def check(folder, path):
    name = str(path.relative_to(ROOT))
    for ours, theirs in INCLUDE.findall(path.read_text()):
        if ours and wrong_arrow(folder, ours):
            yield f"{name}: includes {ours}: no arrow leads from {folder} to there (docs/style.md section 1)"
        for header, allowed in LIBRARIES.items():
            if theirs and re.fullmatch(header, theirs) and not re.fullmatch(allowed, name):
                yield f"{name}: includes <{theirs}>, which only {allowed} may (docs/style.md section 1)"


def stands_alone(path, generated):
    done = subprocess.run(["gcc", "-std=c17", "-D_GNU_SOURCE", "-fsyntax-only", "-x", "c", f"-I{ROOT}",
                           f"-I{generated}", str(path)], capture_output=True, text=True, check=False)
    return [] if done.returncode == 0 else [f"{path.relative_to(ROOT)} does not compile alone: "
                                            + done.stderr.splitlines()[0]]


def main():
    wrong = [line for folder, path in sources() for line in check(folder, path)]
    for _, path in sources():
        if path.suffix == ".h":
            wrong += stands_alone(path, sys.argv[1])
    if wrong:
        print("\n".join(wrong))
    return 1 if wrong else 0


sys.exit(main())
