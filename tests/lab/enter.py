#!/usr/bin/python3
"""enter.py COMMAND... - starts the lab in namespaces of its own and runs the command inside.

As root: new network, mount and process-id namespaces.  As anybody else: a user namespace besides,
with mapped ids (/etc/subuid and newuidmap are needed, because the servers have users of their own).
Everything ends and is removed with the command, whose exit status is handed on.
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import table
from lab import VARIABLE, Lab
from services import in_internet, save_internet, wait_until

NEEDED = {"knotd": "knot", "unbound": "unbound", "nginx": "nginx-light", "ip": "iproute2",
          "unshare": "util-linux", "openssl": "openssl"}
UNSHARE = ["unshare", "--net", "--mount", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc"]


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    if sys.argv[1] == "--inside":
        sys.exit(inside(sys.argv[2:]))
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = sorted({package for program, package in NEEDED.items() if not shutil.which(program)})
    if missing:
        sys.exit(f"the lab needs Debian's {', '.join(missing)}: "
                 f"sudo apt-get install {' '.join(missing)}")
    argv = UNSHARE + user_namespace() + ["/usr/bin/python3", os.path.abspath(__file__), "--inside"]
    os.execvp(argv[0], argv + sys.argv[1:])


def user_namespace():
    """Further words for unshare where we are not root."""
    if os.geteuid() == 0:
        return []
    name = os.environ.get("USER", str(os.geteuid()))
    try:
        with open("/etc/subuid", encoding="utf-8") as f:
            mapped = any(line.split(":")[0] in (name, str(os.geteuid())) for line in f)
    except OSError:
        mapped = False
    if not mapped or not shutil.which("newuidmap"):
        sys.exit("the lab needs root, or mapped user ids for this user: Debian's uidmap package and "
                 f"lines for {name} in /etc/subuid and /etc/subgid")
    return ["--user", "--map-root-user", "--map-auto"]


def inside(command):
    """Process 1 of the namespaces: sets up, starts the lab and the command, reaps, cleans up."""
    folder = tempfile.mkdtemp(prefix="waxseal-lab-")
    os.chmod(folder, 0o755)
    status = 1
    try:
        set_up_network(folder)
        set_up_files(folder)
        Lab(folder).start()
        os.environ[VARIABLE] = folder
        status = run(command)
    finally:
        end_all()
        shutil.rmtree(folder, ignore_errors=True)
    return status


def set_up_network(folder):
    """Two networks joined by a cable: this machine's, and the internet with everybody else."""
    internet = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
    save_internet(folder, internet.pid)
    wait_until(lambda: os.readlink(f"/proc/{internet.pid}/ns/net") != os.readlink("/proc/1/ns/net"),
               5, "the internet's namespace")
    ours, theirs = table.OWN_ADDRESSES, table.internet_addresses()
    networks = (f"{table.V4_MX}.0/24", f"{table.V4_WEB}.0/24", f"{table.V6}::/64")
    batch([*link("lab0"), f"link set net0 netns {internet.pid}", "link set lo up",
           *(f"addr add {host_prefix(a)} dev lab0" for a in ours), *link_up("lab0", "fe80::1"),
           *(f"addr add {a}/32 dev lo" for a in (*table.CLIENT_SERVERS.values(), *table.USER_SERVERS.values(),
                                                 *table.OWN_SERVERS.values())),
           *(f"route add {n} dev lab0" for n in networks),
           *(f"neigh add {a} lladdr 02:00:00:00:00:99 dev lab0" for a in table.SILENT),
           *(f"route add unreachable {a}/32" for a in table.UNREACHABLE)])
    batch(["link set lo up", *(f"addr add {host_prefix(a)} dev net0" for a in theirs),
           *link_up("net0", "fe80::2"), *(f"route add {host_prefix(a).split()[0]} dev net0"
                                          for a in ours)], in_internet(folder))
    subprocess.run(["hostname", table.RELAY_NAME], check=True)


def link(name):
    return [f"link add {name} type veth peer name net0", f"link set {name} addrgenmode none",
            "link set net0 addrgenmode none"]


def link_up(name, link_local):
    """Without address generation there is no duplicate detection to wait for."""
    return [f"link set {name} up", f"addr add {link_local}/64 dev {name} nodad"]


def host_prefix(address):
    return f"{address}/128 nodad" if ":" in address else f"{address}/32"


def batch(lines, prefix=()):
    done = subprocess.run([*prefix, "ip", "-batch", "-"], input="\n".join(lines), text=True,
                          check=False)
    if done.returncode:
        sys.exit("the lab needs network namespaces and veth links in this kernel (see above)")


def set_up_files(folder):
    """This machine's name service is the lab's, whatever it is outside; so is its shared memory,
    where libfaketime has objects named by process ids, which would last beyond their process."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/dev/shm"], check=True)
    files = {
        "resolv.conf": "nameserver 127.0.0.1\noptions edns0 trust-ad\n",
        "hosts": f"127.0.0.1 localhost\n::1 localhost\n{table.OWN_ADDRESSES[0]} {table.RELAY_NAME}\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"
                         "services: files\nprotocols: files\n",
    }
    for name, text in files.items():
        path = f"{folder}/{name}"
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        target = os.path.realpath(f"/etc/{name}")
        subprocess.run(["mount", "--bind", path, target], check=True)


def run(command):
    """Runs the command in the terminal's foreground; reaps everybody's children until it ends."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        if os.isatty(0):
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            os.tcsetpgrp(0, os.getpgrp())
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        try:
            os.execvp(command[0], command)
        except OSError as e:
            print(f"{command[0]}: {e.strerror}", file=sys.stderr)
            os._exit(127)
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(sig, lambda number, _frame: os.kill(child, number))
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return 128 - code if code < 0 else code


def end_all():
    """Ends every other process of this namespace."""
    if os.getpid() != 1:
        return
    try:
        os.kill(-1, signal.SIGKILL)
        while True:
            os.wait()
    except (ProcessLookupError, ChildProcessError):
        pass


if __name__ == "__main__":
    main()
