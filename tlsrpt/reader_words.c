#include "tlsrpt/reader_words.h"

#include "lib/mail/domain.h"

#define SHOW_MX_CERTIFICATE                                                                        \
    "openssl s_client -starttls smtp -connect {mx}:25 -servername {mx} </dev/null"
#define NAME_OF_MX_CERTIFICATE                                                                     \
    "openssl s_client -starttls smtp -connect {mx}:25 -servername {mx} -verify_hostname {mx} "     \
    "</dev/null"
#define DATES_OF_MX_CERTIFICATE                                                                    \
    SHOW_MX_CERTIFICATE " 2>/dev/null | openssl x509 -noout -subject -enddate"
#define DIGEST_OF_MX_KEY                                                                           \
    SHOW_MX_CERTIFICATE " 2>/dev/null | openssl x509 -noout -pubkey | openssl pkey -pubin "        \
                        "-outform DER | openssl dgst -sha256"
#define SHOW_TLSA "dig +dnssec _25._tcp.{mx} TLSA"
#define SHOW_POLICY "curl -v https://mta-sts.{domain}/.well-known/mta-sts.txt"
#define SHOW_POLICY_CERTIFICATE                                                                    \
    "openssl s_client -connect mta-sts.{domain}:443 -servername mta-sts.{domain} "                 \
    "-verify_hostname mta-sts.{domain} </dev/null"

#define HOST_PEOPLE "whoever runs {mx}"
#define ZONE_PEOPLE "whoever keeps the DNS zone of {mx}"
#define WEB_PEOPLE "whoever runs mta-sts.{domain}"
#define ASK_SENDER "whoever runs {mx}, with the sender's help"

/* The first row that fits counts: NULL fits everything. */
struct row {
    const char *result;
    const char *policy_type;
    const char *reason; /* a part of it, or of several; case, "_" and "-" do not matter */
    const char *cause;
    const char *who;
    const char *mend;
    const char *check;
};

static const struct row rows[] = {
    { "starttls-not-supported", NULL, "refused",
      "{mx} offers STARTTLS and then refuses it. Mostly it cannot read its key or certificate.",
      HOST_PEOPLE,
      "Look into the log of {mx}, see that the server can read its key and certificate and that "
      "they belong together, and reload it.",
      SHOW_MX_CERTIFICATE },
    { "starttls-not-supported", NULL, NULL,
      "{mx} did not offer STARTTLS, or something between it and the sender took the offer out.",
      HOST_PEOPLE,
      "Switch STARTTLS on at {mx}, port 25, for every address it has. If it is on, look for a "
      "firewall or proxy that changes SMTP: a greeting full of asterisks is a sign.",
      SHOW_MX_CERTIFICATE },

    { "certificate-host-mismatch", "tlsa", NULL,
      "The TLSA record asks for a certification authority (usage 0, 1 or 2), so that names count, "
      "and the certificate does not bear the name of {mx}.",
      HOST_PEOPLE,
      "Get a certificate with the subject alternative name DNS:{mx}, or publish a TLSA record of "
      "the form 3 1 1, which asks for no name.",
      NAME_OF_MX_CERTIFICATE },
    { "certificate-host-mismatch", NULL, NULL,
      "The certificate that {mx} shows does not bear the name {mx}, by which mail finds it; only "
      "the subject alternative names count. Often it bears the name of another server behind the "
      "same address.",
      HOST_PEOPLE,
      "Get a certificate with the subject alternative name DNS:{mx} and let the mail server, port "
      "25, use it. If the host has another name by now, mend the MX record and the policy's mx "
      "lines instead.",
      NAME_OF_MX_CERTIFICATE },

    { "certificate-expired", NULL, "not yet valid",
      "The certificate of {mx} is not valid yet, or a clock is wrong.", HOST_PEOPLE,
      "Compare the certificate's dates with the clock of {mx}. If both are right, the sender's "
      "clock is wrong.",
      DATES_OF_MX_CERTIFICATE },
    { "certificate-expired", NULL, NULL,
      "The certificate that {mx} showed had expired. Often a new one lies on its disk, and the "
      "mail server has not been told to read it.",
      HOST_PEOPLE,
      "Renew the certificate, reload the mail server behind port 25, and let the renewal do that "
      "by itself from now on.",
      DATES_OF_MX_CERTIFICATE },

    { "certificate-not-trusted", NULL, "self signed",
      "{mx} shows a certificate that it has signed itself, or that an authority of your own has; "
      "strangers cannot know it.",
      HOST_PEOPLE,
      "Use a certificate of an authority that everybody knows. A self-signed one is good for DANE "
      "only: then publish TLSA records and sign the zone.",
      SHOW_MX_CERTIFICATE },
    { "certificate-not-trusted", NULL, "revoked",
      "The authority has revoked the certificate of {mx}.", HOST_PEOPLE,
      "Get a new certificate with a new key, and find out why the old one was revoked.",
      SHOW_MX_CERTIFICATE },
    { "certificate-not-trusted", NULL, "issuer|verify leaf|verify the first",
      "{mx} does not send the certificates between its own and the authority's. Browsers get over "
      "that; mail servers do not.",
      HOST_PEOPLE,
      "Give the mail server the whole chain, its own certificate first (often a file called "
      "fullchain.pem), and reload it.",
      SHOW_MX_CERTIFICATE },
    { "certificate-not-trusted", "tlsa", NULL,
      "The certificate of {mx} does not lead to what its TLSA records name.", HOST_PEOPLE,
      "Publish the record of the key that is in use, as _25._tcp.{mx}. IN TLSA 3 1 1 DIGEST; the "
      "command shows the digest. Of records with usage 2 the authority's certificate must be sent "
      "along.",
      DIGEST_OF_MX_KEY },
    { "certificate-not-trusted", NULL, NULL,
      "The certificate of {mx} does not lead to an authority that the sender trusts: the chain is "
      "incomplete, or the authority is not widely known.",
      HOST_PEOPLE,
      "Use a certificate of an authority that everybody knows, and let the mail server send the "
      "whole chain.",
      SHOW_MX_CERTIFICATE },

    { "validation-failure", "sts", "not in policy|not listed|mx name",
      "{mx} is an MX host of the domain in DNS, but no mx line of the domain's policy names it.",
      "whoever publishes the policy of {domain}",
      "If {mx} is right, add the line \"mx: {mx}\" to the policy file, then change the id in the "
      "record _mta-sts.{domain}. If nobody knows {mx}, somebody has tampered with the DNS answers.",
      "dig {domain} MX; " SHOW_POLICY },
    { "validation-failure", "sts", "mismatch",
      "{mx} is an MX host of the domain in DNS, but no mx line of the domain's policy names it; or "
      "its certificate bears another name.",
      "whoever publishes the policy of {domain}, and whoever runs {mx}",
      "If {mx} is right, see that an mx line of the policy names it, and that its certificate "
      "bears its name. After a change of the policy change the id in the record _mta-sts.{domain}, "
      "too.",
      "dig {domain} MX; " SHOW_POLICY },
    { "validation-failure", NULL, "not yet valid",
      "The certificate of {mx} is not valid yet, or a clock is wrong.", HOST_PEOPLE,
      "Compare the certificate's dates with the clock of {mx}. If both are right, the sender's "
      "clock is wrong.",
      DATES_OF_MX_CERTIFICATE },
    { "validation-failure", NULL, "too small",
      "The key of a certificate that {mx} shows is too small for the sender.", HOST_PEOPLE,
      "Get a certificate with a key of at least 2048 bits (RSA) or 256 bits (ECDSA).",
      SHOW_MX_CERTIFICATE },
    { "validation-failure", NULL, "too weak",
      "A certificate that {mx} shows is signed in a way that is no longer trusted, or its TLS is "
      "too old.",
      HOST_PEOPLE, "Renew the certificate, and switch TLS 1.2 and 1.3 on.", SHOW_MX_CERTIFICATE },
    { "validation-failure", NULL, "wrong version number|clear text|packet length",
      "{mx} said yes to STARTTLS, and then something that is no TLS: its TLS is not set up, or "
      "something on the way answers in its place.",
      HOST_PEOPLE,
      "Look into the log of {mx} for that day and the sender's address. If nothing is there, look "
      "for a firewall or proxy that takes mail in front of it.",
      SHOW_MX_CERTIFICATE },
    { "validation-failure", NULL, "version|cipher",
      "The sender and {mx} have no version of TLS, or no cipher, in common.", HOST_PEOPLE,
      "Switch TLS 1.2 and 1.3 on at {mx}, with the ciphers that its system has by default.",
      SHOW_MX_CERTIFICATE " -tls1_2" },
    { "validation-failure", NULL, "handshake|alert|no certificate",
      "TLS could not be set up: {mx} and the sender found no common ground, or {mx} has no "
      "certificate that it can use.",
      HOST_PEOPLE,
      "Look into the log of {mx} for that day and the sender's address. See that the server can "
      "read its key and certificate, that they belong together, and that TLS 1.2 and 1.3 are on.",
      SHOW_MX_CERTIFICATE },
    { "validation-failure", NULL, "timeout|timed out|silent",
      "{mx} fell silent while TLS was set up, or something on the way drops packets.", HOST_PEOPLE,
      "Look at the load of {mx} and at its limits of connections; if there is a firewall on the "
      "way, see that it lets large packets and their ICMP answers through.",
      SHOW_MX_CERTIFICATE },
    { "validation-failure", "tlsa", NULL,
      "What {mx} showed does not satisfy its TLSA records, or TLS could not be set up.",
      HOST_PEOPLE,
      "Compare the key in use with the TLSA records, and look into the log of {mx} for the "
      "sender's address.",
      DIGEST_OF_MX_KEY },
    { "validation-failure", NULL, NULL,
      "The sender found the session not good enough, for a reason that has no name of its own.",
      ASK_SENDER,
      "Look into the log of {mx} for that day and the sender's address; if nothing is there, ask "
      "the sender, whose address stands above.",
      SHOW_MX_CERTIFICATE },

    { "tlsa-invalid", NULL, "usable",
      "None of the TLSA records of {mx} can be used for mail: DANE for SMTP knows the usages 2 and "
      "3 only.",
      ZONE_PEOPLE,
      "Publish a record _25._tcp.{mx}. IN TLSA 3 1 1 DIGEST; the command shows the digest.",
      DIGEST_OF_MX_KEY },
    { "tlsa-invalid", NULL, NULL,
      "The certificate that {mx} showed fits none of its TLSA records. Often it was renewed with a "
      "new key, and the record is still the old one's.",
      "whoever runs {mx}, together with whoever keeps its DNS zone",
      "Publish the record of the key in use, _25._tcp.{mx}. IN TLSA 3 1 1 DIGEST; the command "
      "shows the digest. Before the next renewal publish the new key's record beside the old one "
      "and wait two TTLs; or keep the key.",
      DIGEST_OF_MX_KEY },

    { "dnssec-invalid", NULL, NULL,
      "The DNS answers for {mx} or its TLSA records do not pass DNSSEC (signatures that have "
      "expired, or a DS record that is not of the zone's key), or its name servers do not answer "
      "questions for TLSA records.",
      ZONE_PEOPLE,
      "See what the command says. Sign the zone anew, or compare the DS record at the parent with "
      "the zone's key; or have the name servers answer. Until then no mail comes from senders that "
      "look.",
      "delv _25._tcp.{mx} TLSA" },

    { "dane-required", NULL, NULL,
      "The sender wants DANE for this domain, and found no TLSA records at {mx} that it can trust.",
      ZONE_PEOPLE,
      "Publish TLSA records for every MX host of the domain and sign their zones with DNSSEC; or "
      "ask the sender not to demand it.",
      SHOW_TLSA },

    { "sts-policy-fetch-error", NULL, "404",
      "The web server behind mta-sts.{domain} has no file /.well-known/mta-sts.txt.", WEB_PEOPLE,
      "Put the policy file there, or, if there is to be none, take the TXT record "
      "_mta-sts.{domain} away after having published a policy with \"mode: none\" until the old "
      "one's max_age is over.",
      SHOW_POLICY },
    { "sts-policy-fetch-error", NULL, "status 3|redirect|301|302",
      "The web server behind mta-sts.{domain} redirects; senders must not follow (RFC 8461 s.3.3).",
      WEB_PEOPLE, "Serve the policy file at this very address, without a redirection.",
      SHOW_POLICY },
    { "sts-policy-fetch-error", NULL, "no address|internal address|addresses|resolve|nxdomain",
      "The name mta-sts.{domain} has no address, or none that can be reached from outside.",
      "whoever keeps the DNS zone of {domain}",
      "Publish A and AAAA records for mta-sts.{domain}; all of them must lead to the web server.",
      "dig mta-sts.{domain} A; dig mta-sts.{domain} AAAA" },
    { "sts-policy-fetch-error", NULL, "timeout|timed out|silent",
      "The web server behind mta-sts.{domain} did not answer within a minute, at one of its "
      "addresses at least.",
      WEB_PEOPLE,
      "See that port 443 answers at every address of mta-sts.{domain}, IPv6 included, and lets all "
      "senders in.",
      SHOW_POLICY },
    { "sts-policy-fetch-error", NULL, NULL,
      "The domain has the TXT record of a policy, but the policy file could not be fetched.",
      WEB_PEOPLE,
      "See that the file is there, answers with status 200 and no redirection, and that port 443 "
      "is open to everybody at every address of mta-sts.{domain}, IPv6 included.",
      SHOW_POLICY },

    { "sts-policy-invalid", NULL, "content type",
      "The policy file of {domain} is served as another media type than text/plain.", WEB_PEOPLE,
      "Let the web server send \"Content-Type: text/plain\" with it.", SHOW_POLICY },
    { "sts-policy-invalid", NULL, "version",
      "The first line of the policy file of {domain} is not \"version: STSv1\".", WEB_PEOPLE,
      "Write that line, with these capitals. If the file is a web page, the server answers with "
      "its page for errors.",
      SHOW_POLICY },
    { "sts-policy-invalid", NULL, "max age",
      "The policy file of {domain} has no \"max_age:\" line with seconds up to 31557600.",
      WEB_PEOPLE, "Write such a line; 604800, a week, is usual.", SHOW_POLICY },
    { "sts-policy-invalid", NULL, "mode",
      "The policy file of {domain} has no \"mode:\" line with enforce, testing or none.",
      WEB_PEOPLE, "Write such a line.", SHOW_POLICY },
    { "sts-policy-invalid", NULL, " mx",
      "The policy file of {domain} has no \"mx:\" line, or one with something that is no host name "
      "or pattern.",
      WEB_PEOPLE,
      "Write one \"mx:\" line for each MX host, or a pattern such as \"mx: *.{domain}\", which "
      "stands for one label.",
      SHOW_POLICY },
    { "sts-policy-invalid", NULL, NULL,
      "The policy file of {domain} was fetched, but is not valid.", WEB_PEOPLE,
      "It must be text/plain with the lines \"version: STSv1\", \"mode: enforce\" (or testing, "
      "none), one \"mx:\" line for each MX host or pattern, and \"max_age:\" with seconds up to "
      "31557600.",
      SHOW_POLICY },

    { "sts-webpki-invalid", NULL, "expired",
      "The certificate of the web server behind mta-sts.{domain} has expired.", WEB_PEOPLE,
      "Renew it and reload the web server.", SHOW_POLICY_CERTIFICATE },
    { "sts-webpki-invalid", NULL, "mismatch|another name",
      "The certificate of the web server behind mta-sts.{domain} does not bear that name.",
      WEB_PEOPLE,
      "Get a certificate with the subject alternative name DNS:mta-sts.{domain} for it.",
      SHOW_POLICY_CERTIFICATE },
    { "sts-webpki-invalid", NULL, NULL,
      "The certificate of the web server behind mta-sts.{domain} is not valid for that name, "
      "expired, or without its chain.",
      WEB_PEOPLE,
      "Give the web server a valid certificate for mta-sts.{domain} of an authority that everybody "
      "knows, with its whole chain.",
      SHOW_POLICY_CERTIFICATE },

    { "", NULL, NULL, "The report counts failed sessions, but does not say what failed.",
      "you, with the sender's help",
      "Ask the sender, whose address stands above, for the details; look into your own mail "
      "servers' logs for that day meanwhile.",
      NULL },
    { NULL, NULL, NULL, "The report names a failure that RFC 8460 does not know.",
      "you, with the sender's help", "Ask the sender, whose address stands above, what it means.",
      NULL },
};

/* --- which row ------------------------------------------------------------------------------- */

/* OpenSSL's names and its sentences are alike then. */
static char plain(char c)
{
    return c == '_' || c == '-' ? ' ' : ascii_lower(c);
}

/* `text` is no shorter than `part`. */
static bool begins_with(struct span text, struct span part)
{
    size_t len = 0;

    while (len < part.len && plain(text.data[len]) == part.data[len])
        len++;
    return len == part.len;
}

static bool contains(struct span text, struct span part)
{
    for (; text.len >= part.len; text = span_from(text, 1))
        if (begins_with(text, part))
            return true;
    return false;
}

/* Parts are separated by "|". */
static bool contains_one(struct span text, struct span parts)
{
    struct span part;

    while (span_cut(&parts, '|', &part))
        if (contains(text, part))
            return true;
    return false;
}

static bool fits(const struct row *row, const struct reader_failure *failure)
{
    return (!row->result || span_equal(failure->result, span_of(row->result))) &&
           (!row->policy_type || span_equal(failure->policy_type, span_of(row->policy_type))) &&
           (!row->reason || contains_one(failure->reason, span_of(row->reason)));
}

static const struct row *row_for(const struct reader_failure *failure)
{
    const struct row *row = rows;

    while (!fits(row, failure)) /* the last one fits everything */
        row++;
    return row;
}

/* --- names ----------------------------------------------------------------------------------- */

/* Some write the root's dot behind names. */
static struct span without_dot(struct span name)
{
    return span_ends_with_nocase(name, SPAN(".")) ? span_first(name, name.len - 1) : name;
}

/* DANE's policy domain is the host itself (RFC 8460 s.4.2). */
static struct span host_name(const struct reader_failure *failure)
{
    struct span host = without_dot(failure->host);
    struct span domain = without_dot(failure->domain);

    if (domain_is_host(host))
        return host;
    if (span_equal(failure->policy_type, SPAN("tlsa")) && domain_is_host(domain))
        return domain;
    return SPAN("YOUR-MX-HOST");
}

static struct span domain_name(const struct reader_failure *failure)
{
    struct span domain = without_dot(failure->domain);

    return domain_is_host(domain) ? domain : SPAN("YOUR-DOMAIN");
}

enum { SENTENCES_MAX = 4096 };

/* A row's text with the names put in. */
static void add_filled(struct json *to, const char *key, const char *text,
                       const struct reader_failure *failure)
{
    struct span rest = span_of(text);
    struct buf filled;
    bool room = true;

    buf_init(&filled, SENTENCES_MAX);
    while (rest.len > 0 && room) {
        struct span name = SPAN("");
        size_t plain = span_find(rest, '{');
        room = buf_append(&filled, span_first(rest, plain));
        rest = span_from(rest, plain);
        if (span_starts_with(rest, SPAN("{mx}")))
            name = host_name(failure);
        else if (rest.len > 0)
            name = domain_name(failure);
        room = room && buf_append(&filled, name);
        rest = span_from(rest, rest.len > 0 ? span_find(rest, '}') + 1 : 0);
    }
    ensure(room);
    json_add_text(to, key, buf_span(&filled));
    buf_clear(&filled);
}

/* --- all of it ------------------------------------------------------------------------------- */

/* What a failed session meant for the mail. */
static const char *effect_of(const struct reader_failure *failure)
{
    if (span_starts_with(failure->result, SPAN("sts-")))
        return "Senders that had no older policy of the domain sent mail without its protection; "
               "others went on with what they had.";
    if (span_equal(failure->result, SPAN("dane-required")))
        return "No mail went over these sessions, for the sender sends to this domain with DANE "
               "alone.";
    if (span_equal(failure->result, SPAN("tlsa-invalid")) &&
        contains(failure->reason, SPAN("usable"))) /* RFC 7672 s.2.2 */
        return "Mail went all the same, encrypted, to a host that nothing vouched for, unless "
               "another policy forbade it.";
    if (span_equal(failure->policy_type, SPAN("tlsa")))
        return "No mail went over these sessions: it waited, or took another MX host.";
    if (!span_equal(failure->policy_type, SPAN("sts")))
        return "Mail went all the same, perhaps in clear: no policy forbids it.";
    if (span_equal_nocase(failure->mode, SPAN("enforce")))
        return "No mail went over these sessions: it waited, or took another MX host.";
    if (failure->mode.len > 0)
        return "Mail went all the same, for the policy is not enforced; if it were, it would not "
               "have.";
    return "If the policy is enforced, no mail went over these sessions.";
}

void reader_words_add(const struct reader_failure *failure, struct json *to)
{
    const struct row *row = row_for(failure);

    add_filled(to, "cause", row->cause, failure);
    json_add_string(to, "effect", effect_of(failure));
    add_filled(to, "who", row->who, failure);
    add_filled(to, "mend", row->mend, failure);
    if (row->check)
        add_filled(to, "check", row->check, failure);
}

const char *reader_words_hint(struct span policy_type, struct span mode, bool has_failures)
{
    if (span_equal(policy_type, SPAN("no-policy-found")))
        return "The sender found no policy that it could use, so that nothing keeps an attacker "
               "from "
               "reading along: publish an MTA-STS policy, or TLSA records in a signed zone; or "
               "mend "
               "what keeps yours from being found.";
    if (span_equal(policy_type, SPAN("sts")) && span_equal_nocase(mode, SPAN("testing")) &&
        !has_failures)
        return "Nothing failed, and the policy is still in testing: when weeks of reports look "
               "like this, \"mode: enforce\" is safe.";
    return NULL;
}
