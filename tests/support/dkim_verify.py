"""dkim_verify.py FOLDER: dkimpy's word on each message there; NAME.good must be, NAME.bad must not.

The public keys are in FOLDER/keys, "NAME RECORD" a line.  The exit status tells whether all are as they should be.
"""
import pathlib
import sys

import dkim


def main():
    folder = pathlib.Path(sys.argv[1])
    records = dict(line.split(b" ", 1) for line in (folder / "keys").read_bytes().splitlines())

    def look_up(name, **_):
        return records.get(name.rstrip(b".") if isinstance(name, bytes) else name.encode().rstrip(b"."))

    wrong = seen = 0
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".good", ".bad") or "obsolete" in path.name:
            continue   # dkimpy takes no blank in front of a colon (RFC 5322 s.4.5)
        seen += 1
        try:
            is_good = dkim.DKIM(path.read_bytes(), minkey=1024).verify(dnsfunc=look_up)
        except dkim.DKIMException as e:
            is_good = False
            if path.suffix == ".good":
                print(f"{path.name}: {e}")
        if is_good != (path.suffix == ".good"):
            wrong += 1
            print(f"dkimpy: {path.name} is {'good' if is_good else 'not good'}")
    return 0 if seen and not wrong else 1


sys.exit(main())
