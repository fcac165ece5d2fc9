"""Where reports are posted to: nginx answers by the path, and keeps every body it was sent.

    https://reports.post.test/201       takes it             /500, /404     refuse it
                             /redirect  sends us elsewhere   /large         takes it, with 10 MB of reply
    https://mta-sts.policy-silent.test/ never answers (policy_hosts.py)
"""
import os
from dataclasses import dataclass

import table
from services import Service, answers, tail

NAME = "reports.post.test"
LARGE = 10 << 20
# What the server behind says, by path; it is reached when the whole body is on disk.
PATHS = {
    "/201": 'return 201 "taken\\n";',
    "/500": 'return 500 "not now\\n";',
    "/404": 'return 404 "what report?\\n";',
    "/redirect": f"return 302 https://{NAME}/201;",
    "/large": "error_page 405 =200 $uri; try_files /large =404;",
}


@dataclass(frozen=True)
class Post:
    path: str
    status: int
    content_type: str
    user_agent: str
    body: bytes


def configuration(folder, certificate, key):
    locations = "".join(f"        location = {path} {{ {action} }}\n" for path, action in PATHS.items())
    return f"""
user root;
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 64; }}
http {{
    log_format posts '$status\\t$request_method\\t$uri\\t$content_type\\t$http_user_agent\\t$request_body_file';
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/tmp;
    fastcgi_temp_path {folder}/tmp;
    uwsgi_temp_path {folder}/tmp;
    scgi_temp_path {folder}/tmp;
    client_max_body_size 64m;
    server {{
        listen {table.REPORTS_ADDRESS}:443 ssl;
        server_name {NAME};
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        access_log {folder}/posts.log posts;
        client_body_in_file_only on;
        location / {{ proxy_pass http://unix:{folder}/behind:; }}
    }}
    server {{
        listen unix:{folder}/behind;
        access_log off;
        root {folder};
        default_type text/plain;
{locations}        location / {{ return 404; }}
    }}
}}
"""


class ReportHost:
    """Started at the first call of `start`; the same for all who ask."""

    def __init__(self, lab_folder):
        self.folder = f"{lab_folder}/reports"
        self.files = (f"{lab_folder}/ca/good-{NAME}.pem", f"{lab_folder}/ca/host.key")
        self.service = Service(
            lab_folder, "reports",
            ["nginx", "-c", f"{self.folder}/nginx.conf", "-p", self.folder, "-e", f"{self.folder}/nginx.log"],
            answers(table.REPORTS_ADDRESS, 443), internet=True)

    def start(self):
        if self.service.started():
            return self
        for d in ("bodies", "tmp"):
            os.makedirs(f"{self.folder}/{d}", exist_ok=True)
        with open(f"{self.folder}/large", "wb") as f:
            f.write(b"x" * LARGE)
        with open(f"{self.folder}/nginx.conf", "w", encoding="utf-8") as f:
            f.write(configuration(self.folder, *self.files))
        if os.path.exists(f"{self.folder}/behind"):
            os.unlink(f"{self.folder}/behind")
        self.service.start()
        return self

    def forget(self):
        """What was posted so far is no matter any more."""
        if os.path.exists(f"{self.folder}/posts.log"):
            os.truncate(f"{self.folder}/posts.log", 0)      # nginx appends

    def posts(self, path=None):
        """What was posted there and answered, oldest first."""
        found = []
        for line in tail(f"{self.folder}/posts.log", 1 << 24).split("\n"):
            if not line:
                continue
            status, method, at, content_type, agent, body = line.split("\t")
            if method != "POST" or path not in (None, at):
                continue
            with open(body, "rb") as f:
                found.append(Post(at, int(status), content_type, agent, f.read()))
        return found
