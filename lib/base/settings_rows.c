/* The table of all settings: name, type, default, range, and a sentence; see settings_table.h. */
#include "lib/base/settings_table.h"

/* Where a setting is kept, in the settings or in an entry of theirs. */
#define AT(field) offsetof(struct settings, field), sizeof(((struct settings *)NULL)->field)
#define IN(field)                                                                                  \
    offsetof(struct listener_settings, field), sizeof(((struct listener_settings *)NULL)->field)

#define OF(field)                                                                                  \
    offsetof(struct route_settings, field), sizeof(((struct route_settings *)NULL)->field)

#define EXCEPTION(field)                                                                           \
    offsetof(struct exception_settings, field), sizeof(((struct exception_settings *)NULL)->field)

#define DKIM(field)                                                                                \
    offsetof(struct dkim_settings, field), sizeof(((struct dkim_settings *)NULL)->field)

#define LOOPBACK "[ \"127.0.0.0/8\", \"::1/128\" ]"

/* clang-format off */
const struct setting settings_table[] = {
    { NULL, "hostname", &setting_host, "\"\"", "", AT(hostname),
      "The name this relay says in its greeting and in EHLO. Empty: the machine's own name." },
    { NULL, "user", &setting_user, "\"waxseal\"", "", AT(user),
      "The user the roles run as when the relay is started as root." },
    { NULL, "state-dir", &setting_path, "\"/var/lib/waxseal\"", "", AT(state_dir),
      "The directory of the queue, the policies and the reports." },
    { NULL, "run-dir", &setting_path, "\"/run/waxseal\"", "", AT(run_dir),
      "The directory of the sockets of this machine: for the commands, and for sendmail(1)." },
    { NULL, "ca-file", &setting_path, "\"/etc/ssl/certs/ca-certificates.crt\"", "", AT(ca_file),
      "The certificate authorities that are trusted, in PEM form." },
    { NULL, "log-level", &setting_word, "\"info\"", "debug, info, warning, error", AT(log_level),
      "The least level of the events that are logged." },
    { NULL, "postmaster", &setting_mailbox, "\"\"", "", AT(postmaster),
      "The mailbox of the human behind our notifications. Empty: postmaster at the hostname." },
    { NULL, "origin", &setting_host, "\"\"", "", AT(origin),
      "The domain of bare names, where they are completed. Empty: what /etc/mailname says, else the"
      " hostname." },
    { NULL, "aliases-file", &setting_optional_path, "\"/etc/aliases\"", "", AT(aliases_file),
      "Who gets the mail of this host's names, such as root and postmaster: addresses only. It may be"
      " missing. Empty: none." },
    { NULL, "rewrite", &setting_rewrites, "[ ]", "", AT(rewrites),
      "Addresses and domains that others take the place of, in the envelope and in From, Sender and"
      " Reply-To." },
    { NULL, "users-file", &setting_path, "\"\"", "", AT(users_file),
      "The users who may log in, and their password hashes, not readable by others. Empty: nobody." },
    { NULL, "dovecot-socket", &setting_path, "\"\"", "", AT(dovecot_socket),
      "The socket of a Dovecot auth server that knows the users, instead of users-file." },
    { NULL, "sender-rules", &setting_client_rules, "[ ]", "", AT(sender_rules),
      "The senders that some users and networks may use and no others, in the envelope and in From;"
      " the first rule about a client counts. Whom none is about may use all." },
    { NULL, "recipient-rules", &setting_client_rules, "[ ]", "", AT(recipient_rules),
      "The recipients that some users and networks may send to and no others, in the same form." },
    { NULL, "listeners", &setting_listeners,
      "( { address = \"127.0.0.1:25\"; relay-from = " LOOPBACK "; },"
      " { address = \"[::1]:25\"; relay-from = " LOOPBACK "; } )", "", AT(listeners),
      "Where clients connect, and who may relay there." },
    { "listeners", "name", &setting_label, "\"\"", "", IN(name),
      "What this listener is called in the log. Empty: its address." },
    { "listeners", "preset", &setting_word, "\"relay\"", "relay, submission, submissions, edge",
      IN(preset),
      "What the other members are when they are not written: for the hosts of one's own networks,"
      " for mail programs with STARTTLS required (RFC 6409) or with TLS from the first byte on"
      " (RFC 8314), or for the internet with mail to one's own domains." },
    { "listeners", "address", &setting_listen_addresses, "", "", IN(addresses),
      "The address and port to listen on, or a Unix socket as unix:/path, or a list of such; every"
      " entry needs one." },
    { "listeners", "relay-from", &setting_relay_networks, LOOPBACK, "", IN(relay_from),
      "The networks whose clients may relay here; none wider than /8 (IPv4) or /32 (IPv6)." },
    { "listeners", "relay-to", &setting_domains, "[ ]", "", IN(relay_to),
      "Our own domains, to which anybody may send here; a route or the relayhost takes that mail." },
    { "listeners", "recipients", &setting_path, "\"\"", "", IN(recipients),
      "The file of the mailboxes that the domains of relay-to have; mail to others there is"
      " refused." },
    { "listeners", "verify-recipients", &setting_word, "\"none\"", "none, next-hop",
      IN(verify_recipients),
      "Instead of recipients: the next hop is asked with RCPT, while the client waits." },
    { "listeners", "proxy-from", &setting_relay_networks, "[ ]", "", IN(proxy_from),
      "The proxies in front of this listener, which begin every connection with a header of the PROXY"
      " protocol, version 1 or 2. Empty: none." },
    { "listeners", "xclient-from", &setting_relay_networks, "[ ]", "", IN(xclient_from),
      "The hosts that may say with XCLIENT for whom they speak, who then counts as the client and,"
      " when they name one, as the user." },
    { "listeners", "tls", &setting_word, "\"optional\"", "none, optional, required, implicit",
      IN(tls),
      "TLS with clients: never, where they ask for it, before anything else, or from the first byte"
      " on." },
    { "listeners", "tls-minimum", &setting_word, "\"1.2\"", "1.2, 1.3", IN(tls_minimum),
      "The least version of TLS that clients must speak." },
    { "listeners", "tls-certificate", &setting_paths, "\"\"", "", IN(tls_certificate),
      "The certificate chain, in PEM form, or a list of such, of which a client is shown the one for"
      " the name it asks for, or the first. Empty: STARTTLS is not offered." },
    { "listeners", "tls-key", &setting_paths, "\"\"", "", IN(tls_key),
      "The private key of that certificate, in PEM form, not readable by others; or a list of as"
      " many." },
    { "listeners", "tls-client-certificates", &setting_word, "\"none\"", "none, request, require",
      IN(tls_client_certificates),
      "Whether clients are asked for a certificate inside TLS, or must show one." },
    { "listeners", "tls-client-ca", &setting_path, "\"\"", "", IN(tls_client_ca),
      "The authorities that vouch for certificates of clients, in PEM form. Empty: none; only their"
      " fingerprints count." },
    { "listeners", "relay-certificates", &setting_certificates, "[ ]", "", IN(relay_certificates),
      "The certificates whose clients may relay here, by fingerprint, or by name when tls-client-ca"
      " vouches for them." },
    { "listeners", "certificate-users", &setting_certificate_users, "[ ]", "",
      IN(certificate_users),
      "The certificates whose clients may log in here as a user, with AUTH EXTERNAL." },
    { "listeners", "auth", &setting_word, "\"optional\"", "off, optional, required", IN(auth),
      "Whether clients may log in, or must; only inside TLS, and not without users-file or"
      " dovecot-socket." },
    { "listeners", "banner", &setting_banner, "\"ESMTP waxseal\"", "", IN(banner),
      "The text behind our name in the greeting." },
    { "listeners", "submission-fixes", &setting_word, "\"off\"", "off, on", IN(submission_fixes),
      "Whether messages get the Date and Message-ID that they lack, and lose Bcc and Return-Path"
      " (RFC 6409)." },
    { "listeners", "complete-addresses", &setting_word, "\"off\"", "off, on",
      IN(complete_addresses),
      "Whether names without a domain get that of origin, in the envelope and in the header." },
    { "listeners", "remove-headers", &setting_field_names, "[ ]", "", IN(remove_headers),
      "The header fields that are taken out of messages." },
    { "listeners", "copy-to", &setting_mailbox, "\"\"", "", IN(copy_to),
      "A mailbox that gets a copy of every message taken here. Empty: none." },
    { "listeners", "received-from", &setting_word, "\"client\"", "client, user, hidden",
      IN(received_from),
      "What the Received field tells of who handed a message in: the client's name and address, the"
      " login of its user, too, or nothing of clients that have logged in." },
    { "listeners", "normalise-from", &setting_networks, "[ ]", "", IN(normalise_from),
      "Internal networks whose old devices end lines with LF alone: it becomes CRLF. From all others"
      " such messages are refused." },
    { "listeners", "max-message-size", &setting_size, "0", "0 to 2G", IN(max_message_bytes),
      "The largest message here. 0: max-message-size of all listeners." },
    { "listeners", "max-recipients", &setting_number, "0", "0 to 50000", IN(max_recipients),
      "The most recipients of one transaction here. 0: max-recipients of all listeners." },
    { "listeners", "max-connections-per-client", &setting_number, "0", "0 to 100000",
      IN(max_connections_per_client),
      "The most connections of one client that comes here. 0: max-connections-per-client of all"
      " listeners." },
    { "listeners", "max-messages-per-client", &setting_number, "0", "0 to 1000000",
      IN(max_messages_per_client),
      "The most messages of one client here, in rate-time. 0: max-messages-per-client of all"
      " listeners." },
    { "listeners", "max-recipients-per-client", &setting_number, "0", "0 to 1000000",
      IN(max_recipients_per_client),
      "The most recipients of one client here, in rate-time. 0: max-recipients-per-client of all"
      " listeners." },

    { NULL, "local-submission", &setting_word, "\"on\"", "on, off", AT(local_submission),
      "Whether users of this machine may hand in mail with sendmail(1): through a socket in run-dir,"
      " and through a folder in state-dir while the relay is down." },

    { NULL, "relayhost", &setting_relayhost, "\"\"", "", AT(relayhost),
      "Hands all mail to this host; in brackets without an MX lookup. Empty: each domain's own MX." },
    { NULL, "tls-floor", &setting_word, "\"may\"", "may, encrypt, verify", AT(tls_floor),
      "The least TLS of all mail: where it is offered, always, or with a good certificate. Only"
      " \"none\" of a route or of tls-level goes below it." },
    { NULL, "tls-level", &setting_word, "\"may\"", "none, may, encrypt", AT(tls_level),
      "TLS towards the relayhost: never, where it is offered, or always. Ignored without one." },
    { NULL, "routes", &setting_routes, "( )", "", AT(routes),
      "Which mail goes where and how, other than to the relayhost or to its domain's MX: the first"
      " entry of which all conditions hold counts." },
    { "routes", "name", &setting_route_name, "", "", OF(name),
      "What this route is called in the log and by commands; every entry needs one, and no two have"
      " the same." },
    { "routes", "recipients", &setting_domains, "[ ]", "", OF(recipients),
      "Only mail to these domains. Empty: to any." },
    { "routes", "senders", &setting_senders, "[ ]", "", OF(senders),
      "Only mail from these domains, by the sender in the envelope. Empty: from any." },
    { "routes", "listeners", &setting_names, "[ ]", "", OF(listeners),
      "Only mail that came in at these listeners, by name or, without one, by address; local is that"
      " of this machine's users. Empty: at any." },
    { "routes", "users", &setting_names, "[ ]", "", OF(users),
      "Only mail of these users, who logged in; * stands for whoever logged in. Empty: of anybody." },
    { "routes", "next-hop", &setting_route_to, "", "", OF(to),
      "Where this mail goes: to the MX of its domain, to named hosts in the forms of relayhost,"
      " those of the least priority first and in shares by weight, nowhere (discard), or back with"
      " an error; every entry needs one." },
    { "routes", "tls", &setting_word, "\"may\"", "none, may, encrypt, verify, dane, fingerprint",
      OF(tls),
      "The least TLS towards these hosts: never, where it is offered, always, with a good"
      " certificate, with DANE, or with a certificate of tls-fingerprints." },
    { "routes", "tls-fingerprints", &setting_fingerprints, "[ ]", "", OF(tls_fingerprints),
      "The certificates that count with tls = \"fingerprint\"." },
    { "routes", "implicit-tls", &setting_word, "\"off\"", "off, on", OF(implicit_tls),
      "Whether TLS begins with the first byte, as on port 465." },
    { "routes", "credentials", &setting_path, "\"\"", "", OF(credentials),
      "The file with USER:PASSWORD to log in with at these hosts, of mode 0600; it needs"
      " tls = \"encrypt\" or higher. Empty: no login." },
    { "routes", "source-address", &setting_ip_addresses, "[ ]", "", OF(source_addresses),
      "Our addresses from which these hosts are connected to. Empty: as the machine chooses." },
    { "routes", "hostname", &setting_host, "\"\"", "", OF(hostname),
      "The name said in EHLO there. Empty: hostname of the relay." },
    { "routes", "port", &setting_number, "0", "0 to 65535", OF(port),
      "The port of hosts that name none. 0: 25, or 465 with implicit-tls." },
    { "routes", "connections", &setting_number, "0", "0 to 1000", OF(connections),
      "The most connections to one next hop of this route at a time. 0: hop-connections." },
    { "routes", "rate", &setting_rate, "\"\"", "", OF(rate),
      "The most messages in a time to one next hop of this route. Empty: any number." },
    { "routes", "retry-first", &setting_duration, "\"0s\"", "0s to 1d", OF(retry_first_s),
      "The wait after the first failed attempt. 0s: retry-first of all mail." },
    { "routes", "retry-max", &setting_duration, "\"0s\"", "0s to 7d", OF(retry_max_s),
      "The longest wait between two attempts. 0s: retry-max of all mail." },
    { "routes", "queue-lifetime", &setting_duration, "\"0s\"", "0s to 30d", OF(queue_lifetime_s),
      "After that long mail of this route is returned. 0s: queue-lifetime of all mail." },
    { "routes", "delay-notice-after", &setting_duration, "\"0s\"", "0s to 30d",
      OF(delay_notice_after_s),
      "After that long the sender is told of a delay. 0s: delay-notice-after of all mail." },
    { "routes", "families", &setting_word, "\"both\"", "both, ipv4, ipv6", OF(families),
      "The addresses of these hosts that are used." },
    { "routes", "mx-allow", &setting_networks, "[ ]", "", OF(mx_allow),
      "Internal networks in which an MX of this route may be, besides those of mx-allow." },
    { NULL, "delivery", &setting_word, "\"on\"", "on, hold", AT(delivery),
      "Whether mail leaves, or is taken in and held." },
    { NULL, "mx-allow", &setting_networks, "[ ]", "", AT(mx_allow),
      "Internal networks in which an MX, a policy host or one that reports are posted to may be; "
      "all others are refused." },
    { NULL, "resolvers", &setting_resolvers, "[ ]", "", AT(resolvers),
      "The DNS servers to ask. Empty: those of /etc/resolv.conf." },
    { NULL, "dnssec-bogus-name", &setting_host, "\"\"", "", AT(dnssec_bogus_name),
      "A name whose DNSSEC is broken on purpose: where it resolves, DNSSEC does not count and DANE is"
      " off. Empty: none." },

    { NULL, "smtpd-processes", &setting_number, "0", "0 to 64", AT(smtpd_processes),
      "Processes that serve clients. 0: half the cores, at least one." },
    { NULL, "deliver-processes", &setting_number, "0", "0 to 64", AT(deliver_processes),
      "Processes that deliver mail. 0: half the cores, at least one." },

    { NULL, "max-message-size", &setting_size, "\"25M\"", "64K to 2G", AT(max_message_bytes),
      "The largest message that is accepted." },
    { NULL, "max-recipients", &setting_number, "1000", "100 to 50000", AT(max_recipients),
      "The most recipients of one transaction (RFC 5321 section 4.5.3.1.8 asks for 100). An envelope "
      "holds about 1800 of the longest paths or 16000 short ones, whatever is set here." },
    { NULL, "max-connections", &setting_number, "1000", "1 to 100000", AT(max_connections),
      "The most connections of all clients together." },
    { NULL, "max-connections-per-client", &setting_number, "50", "1 to 100000",
      AT(max_connections_per_client),
      "The most connections of one IPv4 address or IPv6 /64; loopback is excepted." },
    { NULL, "max-connections-per-network", &setting_number, "500", "1 to 100000",
      AT(max_connections_per_network),
      "The most connections of one IPv4 /24 or IPv6 /48; loopback is excepted." },
    { NULL, "rate-time", &setting_duration, "\"1h\"", "1m to 1d", AT(rate_time_s),
      "The time of the next six limits; what is used up comes back little by little." },
    { NULL, "max-messages-per-client", &setting_number, "0", "0 to 1000000",
      AT(max_messages_per_client),
      "The most messages of one IPv4 address or IPv6 /64 in that time; loopback is excepted."
      " 0: any number." },
    { NULL, "max-recipients-per-client", &setting_number, "0", "0 to 1000000",
      AT(max_recipients_per_client),
      "The most recipients of one IPv4 address or IPv6 /64 in that time; loopback is excepted."
      " 0: any number." },
    { NULL, "max-messages-per-user", &setting_number, "1000", "0 to 1000000",
      AT(max_messages_per_user),
      "The most messages of one user who has logged in, in that time. 0: any number." },
    { NULL, "max-recipients-per-user", &setting_number, "10000", "0 to 1000000",
      AT(max_recipients_per_user),
      "The most recipients of one user who has logged in, in that time. 0: any number." },
    { NULL, "max-messages-per-sender", &setting_number, "0", "0 to 1000000",
      AT(max_messages_per_sender),
      "The most messages of one sender address in that time. 0: any number." },
    { NULL, "max-recipients-per-sender", &setting_number, "0", "0 to 1000000",
      AT(max_recipients_per_sender),
      "The most recipients of one sender address in that time. 0: any number." },
    { NULL, "max-envelope-memory", &setting_size, "\"128M\"", "1M to 16G", AT(max_envelope_bytes),
      "The memory that one smtpd process may take for recipients of messages that are not whole yet." },
    { NULL, "max-errors", &setting_number, "20", "2 to 1000", AT(max_errors),
      "Refused commands until a client hears 421; beyond half of them replies come slowly." },
    { NULL, "max-idle-commands", &setting_number, "100", "10 to 10000", AT(max_idle_commands),
      "Commands that do nothing for mail, such as NOOP, RSET and VRFY, between two messages; then"
      " 421." },
    { NULL, "queue-size-max", &setting_size, "\"8G\"", "1M to 16T", AT(queue_bytes_max),
      "The most the queue may hold; beyond it new mail gets 452." },
    { NULL, "queue-messages-max", &setting_number, "10000000", "100 to 1000000000",
      AT(queue_messages_max), "The same in messages." },
    { NULL, "history-days", &setting_number, "7", "1 to 3650", AT(history_days),
      "Days for which \"waxseal trace\" knows what became of a message." },
    { NULL, "history-size", &setting_size, "\"1G\"", "1M to 1T", AT(history_bytes_max),
      "The most that may take on disk; beyond it the oldest goes." },
    { NULL, "hop-connections", &setting_number, "20", "1 to 1000", AT(hop_connections),
      "The most connections to one next hop at a time." },
    { NULL, "host-connections", &setting_number, "100", "1 to 1000", AT(host_connections),
      "The most connections to one MX host at a time, for all next hops together." },
    { NULL, "hop-rate", &setting_rate, "\"\"", "", AT(hop_rate),
      "The most messages to one next hop in a time, such as \"100/1m\", handed out evenly; \"\": any"
      " number." },
    { NULL, "deliver-connections", &setting_number, "500", "1 to 10000", AT(deliver_connections),
      "The most connections of one delivery process, besides those that wait for a silent host." },
    { NULL, "connection-messages", &setting_number, "100", "1 to 10000", AT(connection_messages),
      "The most messages over one connection to a host; it may want fewer." },
    { NULL, "connection-age", &setting_duration, "\"5m\"", "1s to 1h", AT(connection_age_s),
      "How old a connection may be when a message begins to go over it." },
    { NULL, "connection-idle", &setting_duration, "\"5s\"", "1s to 5m", AT(connection_idle_s),
      "How long a connection with nothing to send is kept open for more mail." },
    { NULL, "received-hops-max", &setting_number, "100", "30 to 100", AT(received_hops_max),
      "A message with more Received fields is refused as looping (RFC 5321 section 6.3)." },
    { NULL, "max-header-size", &setting_size, "\"256K\"", "16K to 256K", AT(header_bytes_max),
      "The largest header of a message that is accepted." },
    { NULL, "max-line-length", &setting_number, "0", "0 to 1000000", AT(line_octets_max),
      "The longest line of a message that is accepted, in octets without CRLF. 0: any." },

    { NULL, "smtpd-timeout", &setting_duration, "\"5m\"", "1s to 1h", AT(smtpd_timeout_s),
      "How long a client may take for its next command (RFC 5321 section 4.5.3.2.7)." },
    { NULL, "data-timeout", &setting_duration, "\"1h\"", "5m to 1d", AT(data_timeout_s),
      "How long a client may take for the content of a message." },
    { NULL, "min-data-rate", &setting_size, "\"1K\"", "1 to 1M", AT(min_data_rate),
      "The octets a second that content must come at, after its first three minutes." },
    { NULL, "deliver-connect-timeout", &setting_duration, "\"30s\"", "1s to 5m", AT(deliver_connect_s),
      "How long a connection to a host may take to come about." },
    { NULL, "deliver-command-timeout", &setting_duration, "\"5m\"", "1s to 1h", AT(deliver_command_s),
      "How long a host may take for its greeting and for its answers to EHLO, AUTH, MAIL, "
      "RCPT and RSET (RFC 5321 section 4.5.3.2 asks for 5m)." },
    { NULL, "deliver-data-timeout", &setting_duration, "\"2m\"", "1s to 1h", AT(deliver_data_s),
      "The same for DATA and STARTTLS (RFC 5321: 2m)." },
    { NULL, "deliver-block-timeout", &setting_duration, "\"3m\"", "1s to 1h", AT(deliver_block_s),
      "How long a block of a message, 128 KiB at most, may take to leave (RFC 5321: 3m)." },
    { NULL, "deliver-end-timeout", &setting_duration, "\"10m\"", "1s to 1h", AT(deliver_end_s),
      "How long a host may take for its answer to the end of a message (RFC 5321: 10m); "
      "with less, mail arrives twice more often." },
    { NULL, "deliver-message-timeout", &setting_duration, "\"1h\"", "1m to 1d", AT(deliver_message_s),
      "How long a message may take in all till its end has left; a second more for every 4 "
      "KiB of it." },
    { NULL, "retry-first", &setting_duration, "\"5m\"", "1s to 1d", AT(retry_first_s),
      "The wait after the first failed attempt; it doubles with each further one." },
    { NULL, "retry-max", &setting_duration, "\"4h\"", "1s to 7d", AT(retry_max_s),
      "The longest wait between two attempts." },
    { NULL, "queue-lifetime", &setting_duration, "\"5d\"", "1s to 30d", AT(queue_lifetime_s),
      "After that long a message that cannot be delivered is returned to its sender." },
    { NULL, "delay-notice-after", &setting_duration, "\"4h\"", "0s to 30d", AT(delay_notice_after_s),
      "After that long the sender is told once that a message still waits. 0s: never." },
    { NULL, "notices-per-sender", &setting_number, "50", "0 to 100000", AT(notices_per_sender),
      "The most notifications that one address gets in an hour; the last of them says so. 0: any"
      " number." },
    { NULL, "postmaster-copies", &setting_words, "[ ]",
      "policy, resource, protocol, bounce, 2bounce, delay", AT(postmaster_copies),
      "The notifications that the postmaster gets copies of, by what they are about." },
    { NULL, "policy-unknown-wait", &setting_duration, "\"1h\"", "0s to 1d", AT(policy_unknown_wait_s),
      "How long a message waits while its domain's policy cannot be found out." },
    { NULL, "exception", &setting_exceptions, "( )", "", AT(exceptions),
      "Domains whose policy (MTA-STS or DANE) need not be met for a while, and why." },
    { "exception", "domain", &setting_host, "", "", EXCEPTION(domain),
      "The domain whose policy it is; those below it are others. Every entry needs all four"
      " members." },
    { "exception", "allow", &setting_word, "", "unverified, clear", EXCEPTION(allow),
      "What the policy need not keep from happening: TLS 1.2 or later with any certificate, or also"
      " no TLS. It is tried all the same." },
    { "exception", "reason", &setting_text, "", "", EXCEPTION(reason),
      "Why; it stands in the log and the trace of every message that the exception is for." },
    { "exception", "until", &setting_day, "", "", EXCEPTION(last_day_utc_ms),
      "The last day, in UTC, on which it holds." },

    { NULL, "dkim", &setting_dkim, "( )", "", AT(dkim),
      "Whose mail is signed with DKIM (RFC 6376), and with which keys: all entries that fit a message"
      " best sign it." },
    { "dkim", "senders", &setting_dkim_senders, "", "", DKIM(senders),
      "The domain of the From field, .example.net for all below one, * for any, or a list of such. A"
      " domain itself fits better than what is above it, and * least. Every entry needs this, a"
      " selector and a key." },
    { "dkim", "domain", &setting_host, "\"\"", "", DKIM(domain),
      "The domain that signs (d=). Empty: that of the From field, as DMARC wants it." },
    { "dkim", "selector", &setting_dkim_selector, "", "", DKIM(selector),
      "The selector (s=): receivers look for the public key in SELECTOR._domainkey.DOMAIN. Each key"
      " has its own." },
    { "dkim", "key", &setting_path, "", "", DKIM(key),
      "The private key, Ed25519 or RSA, in PEM form, not readable by others; waxseal dkim new makes"
      " one." },
    { "dkim", "canonicalization", &setting_word, "\"relaxed/relaxed\"",
      "relaxed/relaxed, relaxed/simple, simple/relaxed, simple/simple", DKIM(forms),
      "Which changes on the way header and body are to bear: in blanks and line ends, or none." },
    { "dkim", "sign-signed", &setting_word, "\"off\"", "off, on", DKIM(sign_signed),
      "Whether a message is signed that came with a signature of the same domain." },
    { "dkim", "allow-short-key", &setting_word, "\"off\"", "off, on", DKIM(allow_short_key),
      "Whether an RSA key of less than 2048 bits may sign, which many receivers do not count; of less"
      " than 1024 none may." },

    { NULL, "socketmap", &setting_socket, "\"127.0.0.1:8461\"", "", AT(socketmap),
      "Where other mail systems of this machine or network ask for the policies of domains: an"
      " address and port, or a Unix socket as unix:/path. Empty: nowhere." },
    { NULL, "socketmap-dane", &setting_word, "\"dane\"", "dane, dane-only, off",
      AT(socketmap_dane),
      "What they are told where all MX of a domain have DANE: to use it, to use nothing less (so it"
      " is always where the policy of a domain would hold mail, too), or nothing of DANE." },

    { NULL, "tlsrpt-reports", &setting_word, "\"on\"", "off, on", AT(tlsrpt_reports),
      "Whether domains that wish for TLS reports (RFC 8460) get them, once a day: by HTTPS, and by"
      " mail where dkim has an entry for tlsrpt-sender, for reports without a signature do not"
      " count." },
    { NULL, "tlsrpt-organization", &setting_text, "\"\"", "", AT(tlsrpt_organization),
      "The organization named in TLS reports (RFC 8460 section 4.4). Empty: the hostname." },
    { NULL, "tlsrpt-contact", &setting_mailbox, "\"\"", "", AT(tlsrpt_contact),
      "The mailbox named in TLS reports for questions about them. Empty: tlsrpt-sender, else"
      " postmaster at the hostname." },
    { NULL, "tlsrpt-sender", &setting_mailbox, "\"\"", "", AT(tlsrpt_sender),
      "The sender of TLS reports by mail, in the envelope and in From, of the same domain as"
      " tlsrpt-contact. Empty: tlsrpt-contact." },
    { NULL, "tlsrpt-spread", &setting_duration, "\"4h\"", "0s to 20h", AT(tlsrpt_spread_s),
      "Each TLS report is sent at a random moment within that long after the end of its day, which"
      " is a day in UTC." },
    { NULL, "tlsrpt-exclude", &setting_domains, "[ ]", "", AT(tlsrpt_exclude),
      "Domains, and .example.net for all below one, about which no TLS report is sent." },
    { NULL, "tlsrpt-socket", &setting_optional_path, "\"\"", "", AT(tlsrpt_socket),
      "Where a Postfix 3.10 or later of this machine tells of its TLS sessions (its"
      " smtp_tlsrpt_socket_name), for the same reports: the path of a Unix socket. Empty: nowhere." },
    { NULL, "tlsrpt-socket-group", &setting_group, "\"\"", "", AT(tlsrpt_socket_group),
      "The group whose programs may do so. Empty: the one that the relay is started with." },
};
/* clang-format on */
const size_t settings_table_count = sizeof(settings_table) / sizeof(settings_table[0]);
