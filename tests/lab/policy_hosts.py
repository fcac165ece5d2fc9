"""Policy hosts of every kind: nginx for those a web server can play, our own for the others."""
import socket
import ssl
import threading
import time

import certificates

# What nginx does at /.well-known/mta-sts.txt.  Any other kind is one of ODD or of NO_HOST.
NGINX = {
    "good": 'alias {policy}; default_type text/plain; types {{ }}',
    "404": "return 404;",
    "301": "return 301 https://mta-sts.good.test/.well-known/mta-sts.txt;",
    "500": "return 500;",
    "204": "return 204;",
    "html": "alias {policy}; default_type text/html; types {{ }}",
    "closed": "return 444;",
    "toolarge": "alias {policy}; default_type text/plain; types {{ }}",
    "invalid": "alias {policy}; default_type text/plain; types {{ }}",
}
CERTIFICATES = ("wrongname", "expired", "selfsigned", "cnonly")     # "good" with that certificate
NO_HOST = ("nohost", "servfail", "refused", "internal")
WELL_KNOWN = "/.well-known/mta-sts.txt"


def body_of(domain):
    """What the policy file holds."""
    text = domain.policy()
    if domain.policy_host == "toolarge":
        return text + "".join(f"x-filler-{n}: {'x' * 60}\n" for n in range(1200))
    if domain.policy_host == "invalid":
        return "version: STSv2\nmode: always\n"
    return text


def listening(address):
    return f"[{address}]" if ":" in address else address


def nginx_configuration(domains, addresses, authority, folder):
    servers = []
    for d in domains:
        kind = d.policy_host
        certificate, key = authority.issue(f"mta-sts.{d.name}",
                                           kind if kind in CERTIFICATES else "good")
        action = NGINX["good" if kind in CERTIFICATES else kind].format(
            policy=f"{folder}/policies/{d.name}")
        servers.append(f"""
    server {{
        listen {listening(addresses[d.name])}:443 ssl;
        server_name mta-sts.{d.name};
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        location = {WELL_KNOWN} {{ {action} }}
        location / {{ return 404; }}
    }}""")
    return f"""
user root;
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 512; }}
http {{
    ssl_protocols TLSv1.2 TLSv1.3;
    log_format hosts '$host $request $status';
    access_log {folder}/nginx-access.log hosts;
    client_body_temp_path {folder}/tmp;
    proxy_temp_path {folder}/tmp;
    fastcgi_temp_path {folder}/tmp;
    uwsgi_temp_path {folder}/tmp;
    scgi_temp_path {folder}/tmp;
    server_names_hash_bucket_size 128;
{"".join(servers)}
}}
"""


def played_by_nginx(domain):
    return domain.mode and (domain.policy_host in NGINX or domain.policy_host in CERTIFICATES)


# ------------------------------------------------------------------ those no web server plays

def _head(length):
    return (f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n"
            "Connection: close\r\n\r\n").encode()


def truncated(stream, body):
    stream.sendall(_head(len(body)) + body[:len(body) // 2])


def slow(stream, body):
    stream.sendall(_head(100 * len(body)))
    for byte in body * 100:
        stream.sendall(bytes([byte]))
        time.sleep(1)


def silent(stream, _body):
    while stream.recv(4096):
        pass


def garbage(stream, _body):
    stream.sendall(b"\x00\xff220 this is no HTTP\r\n\r\n")


ODD = {"truncated": truncated, "slow": slow, "silent": silent, "garbage": garbage}


def _serve(connection, context, behave, body):
    try:
        connection.settimeout(300)
        with context.wrap_socket(connection, server_side=True) as stream:
            stream.recv(4096)
            behave(stream, body)
    except (OSError, ssl.SSLError):
        pass


def _accept(listener, context, behave, body):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve, args=(connection, context, behave, body),
                         daemon=True).start()


def start_odd(domains, addresses, authority):
    for d in domains:
        if d.mode and d.policy_host in ODD:
            context = certificates.server_context(*authority.issue(f"mta-sts.{d.name}"))
            family = socket.AF_INET6 if ":" in addresses[d.name] else socket.AF_INET
            listener = socket.create_server((addresses[d.name], 443), family=family, backlog=64)
            threading.Thread(target=_accept, args=(listener, context, ODD[d.policy_host],
                                                   body_of(d).encode()), daemon=True).start()
