"""A real Postfix and a real Exim, as receiving MX hosts and as clients of the relay.

Their Debian packages conflict, so neither is installed: they are unpacked side by side below
build/peers, and each is laid over /usr and /etc in a mount namespace of its own.
`peers.py fetch FOLDER` downloads and unpacks them; it needs the network, the lab does not.
"""
import glob
import os
import shutil
import signal
import subprocess
import sys
import time

import table
from services import Service, answers, process_state, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.environ.get("WAXSEAL_PEERS", os.path.join(HERE, "../../build/peers"))
PACKAGES = {"postfix": ["postfix"], "exim": ["exim4-daemon-light", "exim4-base"]}
USERS_OF_POSTFIX = """
protocols =
base_dir = {folder}/dovecot
state_dir = {folder}/dovecot
log_path = {folder}/log/dovecot.log
ssl = no
default_internal_user = postfix
default_login_user = postfix
default_internal_group = postfix
auth_mechanisms = plain scram-sha-256
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid=postfix gid=postfix home=/nonexistent
}}
service auth {{
  unix_listener {folder}/spool/private/auth {{
    mode = 0600
    user = postfix
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""
# What a Postfix says of its ports for users (master.cf): TLS and a login, or nothing.
SUBMISSION = {
    587: " -o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes"
         " -o smtpd_client_restrictions=permit_sasl_authenticated,reject"
         " -o smtpd_relay_restrictions=permit_sasl_authenticated,reject",
    465: " -o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=yes -o smtpd_sasl_mechanism_filter=plain"
         " -o smtpd_client_restrictions=permit_sasl_authenticated,reject"
         " -o smtpd_relay_restrictions=permit_sasl_authenticated,reject",
}
USERS = {"postfix": 870, "postdrop": 871, "Debian-exim": 872}


def fetch(folder):
    """Unpacks each peer's packages, and those of their libraries that are not installed."""
    for name, packages in PACKAGES.items():
        if os.path.exists(f"{folder}/{name}/complete"):
            continue
        debs = f"{folder}/{name}.debs"
        os.makedirs(debs, exist_ok=True)
        os.chmod(debs, 0o777)           # apt downloads as a user of its own
        subprocess.run(["apt-get", "-q", "download", *packages, *_missing_libraries(packages)],
                       cwd=debs, check=True, stdout=subprocess.DEVNULL)
        for deb in sorted(glob.glob(f"{debs}/*.deb")):
            subprocess.run(["dpkg", "-x", deb, f"{folder}/{name}"], check=True)
        with open(f"{folder}/{name}/complete", "w", encoding="ascii") as f:
            f.write("unpacked\n")


def _missing_libraries(packages):
    """What apt would install with them that is a library (their conflicts are no matter here)."""
    plan = subprocess.run(["apt-get", "-s", "-q", "--no-install-recommends", "install", *packages],
                          capture_output=True, text=True, check=True).stdout
    wanted = [line.split()[1] for line in plan.split("\n") if line.startswith("Inst ")]
    return [p for p in wanted if p.startswith("lib")]


def missing():
    """The peers that were not fetched."""
    return [n for n in PACKAGES if not os.path.exists(f"{FOLDER}/{n}/complete")]


class Peer:
    """One instance of one program: an mx, a client with the relay as its smarthost, or a user of it.

    A user logs in on the relay's port 587, after STARTTLS, and verifies its certificate.  One that is
    its "own" master delivers mail itself and asks the relay for nothing but policies, by a socketmap.
    """

    def __init__(self, lab_folder, program, role, authority_files=None):
        self.program, self.role = program, role
        self.name = f"{program}-{role}"
        self.folder = f"{lab_folder}/{self.name}"
        self.lab_folder = lab_folder
        self.domain = f"{program}.test"
        self.host = f"mx.{self.domain}" if role == "mx" else f"{program}.sender.test"
        self.files = authority_files
        self.addresses = table.MX_ADDRESSES[f"mx.{self.domain}"] if role == "mx" \
            else [{"user": table.USER_SERVERS, "own": table.OWN_SERVERS}.get(role, table.CLIENT_SERVERS)[program]]
        self.service = Service(lab_folder, self.name, ["sh", f"{self.folder}/start.sh"],
                               answers(self.addresses[0], 25), internet=role == "mx")

    # ------------------------------------------------------------ start

    def write(self, relayhost=None):
        for d in ("etc", "spool", "log", "run", "data", "mail", "var"):
            os.makedirs(f"{self.folder}/{d}", exist_ok=True)
        os.chmod(self.folder, 0o755)
        self._write_etc()
        host, port = relayhost or (("127.0.0.1", 25) if self.role != "user" else (table.RELAY_NAME, 587))
        if self.program == "postfix":
            self._write_postfix(host, port)
            command = "exec /usr/lib/postfix/sbin/master -c /etc/postfix -d"
            if self.role == "mx":
                command = f"/usr/sbin/dovecot -c {self._write_dovecot()}\n{command}"
        else:
            self._write_exim(host, port)
            command = "exec /usr/sbin/exim4 -bdf -q1s"
        self._put("inside.sh", self._mounts() + command + "\n")
        self._put("start.sh", f"exec unshare -m sh {self.folder}/inside.sh\n")
        return self

    def start(self):
        self.service.start()
        return self

    def _put(self, name, text):
        path = f"{self.folder}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def _mounts(self):
        package = os.path.abspath(f"{FOLDER}/{self.program}")
        lower = f"{self.folder}/etc:" + (f"{package}/etc:" if os.path.isdir(f"{package}/etc") else "")
        return f"""set -e
mount --make-rprivate /
mount -t overlay overlay -o lowerdir={package}/usr:/usr /usr
mount -t overlay overlay -o lowerdir={lower}/etc /etc
mount --bind {self.folder}/run /run
mkdir -p {self.folder}/var/spool {self.folder}/var/tmp {self.folder}/var/lib {self.folder}/var/log
ln -sfn /run {self.folder}/var/run
mount --bind {self.folder}/var /var
"""

    def _write_etc(self):
        with open("/etc/passwd", encoding="utf-8") as f:
            passwd = f.read()
        with open("/etc/group", encoding="utf-8") as f:
            group = f.read()
        for name, number in USERS.items():
            passwd += f"{name}:x:{number}:{number}::/nonexistent:/usr/sbin/nologin\n"
            group += f"{name}:x:{number}:\n"
        self._put("etc/passwd", passwd)
        self._put("etc/group", group)
        self._put("etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        self._put("etc/hosts", "127.0.0.1 localhost\n")
        self._put("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
        self._put("etc/mailname", self.host + "\n")
        self._put("etc/aliases", "postmaster: root\n")

    # ------------------------------------------------------------ configurations

    def _write_postfix(self, host, port):
        mx = self.role == "mx"
        listen = self.addresses
        roles = f"""
virtual_mailbox_domains = {self.domain}
virtual_mailbox_base = {self.folder}/mail
virtual_mailbox_maps = static:inbox/
virtual_uid_maps = static:870
virtual_gid_maps = static:870
smtpd_tls_security_level = may
smtpd_tls_cert_file = {self.files[0]}
smtpd_tls_key_file = {self.files[1]}
smtpd_tls_received_header = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
default_transport = virtual
relayhost =
""" if mx else f"""
{self._postfix_way(host, port)}
minimal_backoff_time = 2s
maximal_backoff_time = 4s
queue_run_delay = 2s
"""
        self._put("etc/postfix/main.cf", f"""
compatibility_level = 3.6
queue_directory = {self.folder}/spool
data_directory = {self.folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = {self.host}
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
mynetworks = 127.0.0.0/8 {table.V4_MX}.0/24
inet_interfaces = {", ".join(listen)}
inet_protocols = all
smtp_bind_address_enforce = no
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_client_connection_count_limit = 0
maillog_file = {self.folder}/log/mail.log
maillog_file_prefixes = {self.folder}/log
in_flow_delay = 0
message_size_limit = 104857600
mailbox_size_limit = 0
virtual_mailbox_limit = 0
{roles}""")
        ports = {25: "", **SUBMISSION} if mx else {25: ""}
        services = [(f"[{a}]:{port}" if ":" in a else f"{a}:{port}", options)
                    for a in listen for port, options in ports.items()]
        self._put("etc/postfix/master.cf", "".join(f"{s} inet n - n - - smtpd{o}\n" for s, o in services)
                  + """
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
""")
        os.chown(f"{self.folder}/data", 870, 870)
        os.chown(f"{self.folder}/mail", 870, 870)
        source = f"{FOLDER}/postfix/etc/postfix"
        for name in ("postfix-files", "post-install", "postfix-script", "dynamicmaps.cf"):
            if os.path.exists(f"{source}/{name}"):
                shutil.copy(f"{source}/{name}", f"{self.folder}/etc/postfix/{name}")
        for d in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming",
                  "private", "saved", "trace", "maildrop", "public", "pid"):
            path = f"{self.folder}/spool/{d}"
            os.makedirs(path, exist_ok=True)
            os.chown(path, 0 if d == "pid" else 870, 871 if d in ("maildrop", "public") else -1)
            os.chmod(path, {"maildrop": 0o1730, "public": 0o2710, "pid": 0o755}.get(d, 0o700))

    def _write_dovecot(self):
        """Whoever knows the password may log in at 587 by PLAIN or SCRAM, at 465 by PLAIN alone."""
        return self._put("etc/dovecot.conf", USERS_OF_POSTFIX.format(folder=self.folder, password=table.PASSWORD))

    def _postfix_way(self, host, port):
        """Where mail leaves to, and how sure that is: what docs/socketmap.md tells for role "own"."""
        if self.role == "own":
            return f"""relayhost =
smtp_tls_security_level = may
smtp_dns_support_level = dnssec
smtp_tls_CAfile = {self.lab_folder}/ca/ca.pem
smtp_tls_policy_maps = socketmap:inet:127.0.0.1:8461:QUERY
smtp_tls_loglevel = 1"""
        tls = self._postfix_login() if self.role == "user" else "smtp_tls_security_level = none"
        return f"relayhost = [{host}]:{port}\n{tls}"

    def _postfix_login(self):
        self._put("etc/postfix/passwords", f"[{table.RELAY_NAME}]:587 {table.USER}:{table.PASSWORD}\n")
        return f"""smtp_tls_security_level = secure
smtp_tls_CAfile = {self.lab_folder}/ca/ca.pem
smtp_sasl_auth_enable = yes
smtp_sasl_security_options = noanonymous
smtp_sasl_password_maps = texthash:/etc/postfix/passwords"""

    def _write_exim(self, host, port):
        listen = " : ".join(a.replace(":", "::") for a in self.addresses)
        tls, router = (f"""
tls_advertise_hosts = *
tls_certificate = {self.folder}/host.pem
tls_privatekey = {self.folder}/host.key
tls_on_connect_ports = 465
auth_advertise_hosts = ${{if def:tls_in_cipher {{*}}}}
""", f"""
inbox:
  driver = accept
  domains = {self.domain}
  transport = maildir
of_users:
  driver = accept
  condition = ${{if def:sender_host_authenticated}}
  transport = maildir
""") if self.role == "mx" else ("tls_advertise_hosts =\n", f"""
smarthost:
  driver = manualroute
  domains = *
  transport = out
  route_list = * {host}::{port}
  self = send
  no_more
""")
        if self.role == "mx":
            for source, name in zip(self.files, ("host.pem", "host.key")):
                shutil.copy(source, f"{self.folder}/{name}")
                os.chown(f"{self.folder}/{name}", 0, 872)
                os.chmod(f"{self.folder}/{name}", 0o640)
        tls_out = "  hosts_avoid_tls = *" if self.role != "user" else f"""  hosts_require_auth = *
  hosts_require_tls = *
  tls_verify_certificates = {self.lab_folder}/ca/ca.pem
  tls_verify_hosts = *"""
        self._put("etc/exim4/exim4.conf", f"""
primary_hostname = {self.host}
spool_directory = {self.folder}/spool
log_file_path = {self.folder}/log/%slog
exim_user = Debian-exim
exim_group = Debian-exim
exim_path = /usr/sbin/exim4
never_users =
daemon_smtp_ports = {'25 : 465 : 587' if self.role == 'mx' else '25'}
local_interfaces = {listen}
domainlist local_domains = {self.domain}
hostlist relay_from = 127.0.0.0/8
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = acl_ok
{tls}
host_lookup =
rfc1413_hosts =
rfc1413_query_timeout = 0s
message_size_limit = 100M
keep_environment =
begin acl
acl_rcpt:
  accept hosts = +relay_from
  accept authenticated = *
  accept domains = +local_domains
  deny message = relay not permitted
acl_ok:
  accept
begin routers
{router}
begin transports
out:
  driver = smtp
{tls_out}
  hosts_try_fastopen =
  allow_localhost = true
maildir:
  driver = appendfile
  directory = {self.folder}/mail/inbox
  maildir_format
  create_directory
  user = Debian-exim
  group = Debian-exim
begin retry
* * F,1h,2s
begin rewrite
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^{table.USER}^{table.PASSWORD}
{self._exim_users() if self.role == "mx" else ""}""")
        os.chmod(f"{self.folder}/etc/exim4/exim4.conf", 0o640)
        os.chown(f"{self.folder}/etc/exim4/exim4.conf", 0, 872)
        for d in ("spool", "log", "mail"):
            os.chown(f"{self.folder}/{d}", 872, 872)

    def _exim_users(self):
        """Whoever knows the password may log in at an MX, at 587 by PLAIN and at 465 by LOGIN alone."""
        return f"""
  server_advertise_condition = ${{if eq{{$received_port}}{{587}}}}
  server_prompts = :
  server_condition = ${{if eq{{$auth3}}{{{table.PASSWORD}}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_advertise_condition = ${{if eq{{$received_port}}{{465}}}}
  server_prompts = Username:: : Password::
  server_condition = ${{if eq{{$auth2}}{{{table.PASSWORD}}}}}
  server_set_id = $auth1
"""

    # ------------------------------------------------------------ what tests ask

    def log(self):
        """What a Postfix has logged."""
        with open(f"{self.folder}/log/mail.log", encoding="utf-8", errors="replace") as f:
            return f.read()

    def run(self, *words):
        """One of its commands, in its own mount namespace; the finished process."""
        argv = ["unshare", "-m", "sh", "-c", self._mounts() + 'exec "$@"', "sh", *words]
        return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)

    def inbox(self):
        """The messages that arrived, as bytes, oldest first."""
        found = []
        for path in sorted(glob.glob(f"{self.folder}/mail/inbox/new/*"), key=os.path.getmtime):
            with open(path, "rb") as f:
                found.append(f.read())
        return found

    def wait_for(self, text, seconds=20):
        """The message in the inbox that holds the text (bytes)."""
        def found():
            return next((m for m in self.inbox() if text in m), None)
        return wait_until(found, seconds, f"{text!r} in {self.name}'s inbox", every=0.1)

    def log(self):
        text = ""
        for path in glob.glob(f"{self.folder}/log/*"):
            with open(path, encoding="utf-8", errors="replace") as f:
                text += f.read()
        return text

    def stop(self):
        if os.path.exists(f"{self.folder}/dovecot/master.pid"):
            with open(f"{self.folder}/dovecot/master.pid", encoding="ascii") as f:
                os.kill(int(f.read()), signal.SIGTERM)
        pid = self.service.pid()
        self.service.stop()
        time.sleep(0.05)
        return process_state(pid)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] != "fetch":
        sys.exit("usage: peers.py fetch FOLDER")
    fetch(os.path.abspath(sys.argv[2]))
