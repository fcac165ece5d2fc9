#include "lib/io/http.h"

#include <curl/curl.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/list.h"
#include "lib/base/memory.h"
#include "lib/io/tls_openssl.h"

enum {
    HTTPS_PORT = 443,
    CONNECT_WAIT_MS = 20 * SECOND_MS,
    ADDRESSES_MAX = 16,
    SECURITY_LEVEL = 2, /* a policy host is held to the strict floor */
};

struct http {
    struct loop *loop;
    CURLM *multi;
    struct loop_timer *timer;
    struct list gets;
    X509_STORE *store;
};

struct socket_watch {
    struct http *http;
    struct loop_watch *watch;
    curl_socket_t fd;
};

struct http_get {
    struct list in_http;
    struct http *http;
    struct loop_task ending;
    http_done_fn *done;
    void *ctx;
    CURL *easy;
    CURLSH *names; /* its own name cache: the addresses die with the GET */
    struct curl_slist *resolve;
    X509_STORE *store;
    char *host;
    struct ip_address addresses[ADDRESSES_MAX];
    unsigned address_count;
    int64_t wait_ms;
    struct buf body;
    bool running; /* curl has it */
    bool overflowed;
    bool chunked;
    CURLcode code;
};

/* ---- the loop ----------------------------------------------------------------------------- */

/* Takes out what has ended; the owners hear of it at the end of the turn. */
static void drain(struct http *http)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(http->multi, &left))) {
        struct http_get *get = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result; /* the message dies with the handle's removal */
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&get);
        curl_multi_remove_handle(http->multi, get->easy);
        get->running = false;
        get->code = code;
        loop_defer(http->loop, &get->ending);
    }
}

static void on_time(void *ctx)
{
    struct http *http = ctx;
    int running;
    curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    drain(http);
}

static void on_socket(void *ctx, bool readable, bool writable)
{
    struct socket_watch *watch = ctx; /* may be gone when curl returns */
    struct http *http = watch->http;
    int running;
    curl_multi_socket_action(http->multi, watch->fd,
                             (readable ? CURL_CSELECT_IN : 0) | (writable ? CURL_CSELECT_OUT : 0),
                             &running);
    drain(http);
}

/* Only arms the timer: curl must not be called from here. */
static int on_wanted_time(CURLM *multi, long wait_ms, void *ctx)
{
    struct http *http = ctx;
    (void)multi;
    if (wait_ms < 0)
        loop_timer_cancel(http->timer);
    else
        loop_timer_start(http->timer, wait_ms);
    return 0;
}

static int on_wanted_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    struct http *http = ctx;
    struct socket_watch *watch = socket_ctx;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (watch)
            loop_watch_free(&watch->watch);
        free(watch);
        return 0;
    }
    if (!watch) {
        watch = memory_new(sizeof(*watch));
        watch->http = http;
        watch->fd = fd;
        watch->watch = loop_watch_new(http->loop, fd, on_socket, watch);
        curl_multi_assign(http->multi, fd, watch);
    }
    loop_watch_want(watch->watch, what & CURL_POLL_IN, what & CURL_POLL_OUT);
    return 0;
}

/* ---- what curl asks of us ----------------------------------------------------------------- */

/* libcurl would take a common name for the host; RFC 8461 s.3.3 wants a DNS-ID. */
static CURLcode on_tls_context(CURL *easy, void *ssl_ctx, void *ctx)
{
    struct http_get *get = ctx;
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ssl_ctx);
    (void)easy;
    SSL_CTX_set1_cert_store(ssl_ctx, get->store);
    SSL_CTX_set_security_level(ssl_ctx, SECURITY_LEVEL);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
                                               X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (X509_VERIFY_PARAM_set1_host(param, get->host, 0) != 1)
        return CURLE_OUT_OF_MEMORY;
    return CURLE_OK;
}

/* Connects to nothing but the addresses that were handed in. */
static curl_socket_t on_open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *remote)
{
    const struct http_get *get = ctx;
    struct endpoint endpoint;
    if (purpose != CURLSOCKTYPE_IPCXN || !endpoint_from_sockaddr(&remote->addr, &endpoint))
        return CURL_SOCKET_BAD;
    for (unsigned i = 0; i < get->address_count; i++)
        if (ip_address_equal(&endpoint.address, &get->addresses[i]))
            return socket(remote->family, remote->socktype | SOCK_CLOEXEC, remote->protocol);
    return CURL_SOCKET_BAD;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct http_get *get = ctx;
    if (buf_append(&get->body, (struct span){ bytes, size * count }))
        return size * count;
    get->overflowed = true;
    return 0;
}

/* "Transfer-Encoding: chunked" marks the end of a body as well as a length does. */
static size_t on_header(char *bytes, size_t size, size_t count, void *ctx)
{
    static const struct span name = { "transfer-encoding:", 18 };
    struct http_get *get = ctx;
    struct span line = { bytes, size * count };
    while (line.len > 0 && (line.data[line.len - 1] == '\n' || line.data[line.len - 1] == '\r'))
        line.len--;
    if (span_starts_with(line, SPAN("HTTP/")))
        get->chunked = false; /* a new header block */
    if (span_starts_with_nocase(line, name))
        get->chunked = span_equal_nocase(span_trim(span_from(line, name.len)), SPAN("chunked"));
    return size * count;
}

/* ---- what came of it ---------------------------------------------------------------------- */

static const struct {
    CURLcode code;
    enum http_outcome outcome;
} outcomes[] = {
    { CURLE_PEER_FAILED_VERIFICATION, HTTP_BAD_CERTIFICATE },
    { CURLE_SSL_CONNECT_ERROR, HTTP_BAD_TLS },
    { CURLE_WRITE_ERROR, HTTP_TOO_LARGE },
    { CURLE_FILESIZE_EXCEEDED, HTTP_TOO_LARGE },
    { CURLE_PARTIAL_FILE, HTTP_TRUNCATED },
    { CURLE_OUT_OF_MEMORY, HTTP_LOCAL },
    { CURLE_FAILED_INIT, HTTP_LOCAL },
    { CURLE_SSL_CACERT_BADFILE, HTTP_LOCAL },
    { CURLE_SSL_ENGINE_INITFAILED, HTTP_LOCAL },
    { CURLE_SSL_CERTPROBLEM, HTTP_LOCAL },
    { CURLE_SSL_CIPHER, HTTP_LOCAL },
};

static enum http_outcome outcome_of(CURLcode code)
{
    for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++)
        if (outcomes[i].code == code)
            return outcomes[i].outcome;
    return HTTP_UNREACHABLE;
}

/* The answer is whole only when something other than the connection's end marked its end. */
static void settle_got(const struct http_get *get, struct http_answer *answer)
{
    curl_off_t length = -1;
    long status = 0;
    const char *type = NULL;
    curl_easy_getinfo(get->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(get->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    curl_easy_getinfo(get->easy, CURLINFO_CONTENT_TYPE, &type);
    answer->status = (int)status;
    answer->content_type = span_of(type ? type : "");
    answer->body = buf_span(&get->body);
    answer->outcome = HTTP_GOT;
    if (status == 200 && length < 0 && !get->chunked) {
        answer->outcome = HTTP_TRUNCATED;
        snprintf(answer->reason, sizeof(answer->reason), "the end of the answer is not marked");
    }
}

static void settle_failed(const struct http_get *get, struct http_answer *answer)
{
    long verified = 0;
    curl_easy_getinfo(get->easy, CURLINFO_SSL_VERIFYRESULT, &verified);
    answer->outcome = get->overflowed ? HTTP_TOO_LARGE : outcome_of(get->code);
    if (answer->outcome == HTTP_BAD_CERTIFICATE) {
        answer->cert = verified ? tls_verdict_of(verified) : CERT_HOST_MISMATCH;
        snprintf(answer->reason, sizeof(answer->reason), "certificate: %s",
                 verified ? tls_reason_of(verified) : "X509_V_ERR_HOSTNAME_MISMATCH");
    } else if (answer->outcome == HTTP_TOO_LARGE) {
        snprintf(answer->reason, sizeof(answer->reason), "more than %zu bytes", get->body.cap);
    } else if (get->code == CURLE_OPERATION_TIMEDOUT) {
        snprintf(answer->reason, sizeof(answer->reason), "timed out after at most %lld s",
                 (long long)(get->wait_ms / SECOND_MS));
    } else {
        snprintf(answer->reason, sizeof(answer->reason), "%s", curl_easy_strerror(get->code));
    }
}

static void get_free(struct http_get *get)
{
    list_remove(&get->in_http);
    loop_task_cancel(&get->ending);
    if (get->running)
        curl_multi_remove_handle(get->http->multi, get->easy);
    curl_easy_cleanup(get->easy);
    curl_share_cleanup(get->names);
    curl_slist_free_all(get->resolve);
    X509_STORE_free(get->store);
    buf_clear(&get->body);
    free(get->host);
    free(get);
}

static void on_ending(void *ctx)
{
    struct http_get *get = ctx;
    struct http_answer answer = { .outcome = HTTP_LOCAL };
    list_remove(&get->in_http); /* no longer to be cancelled */
    if (get->code == CURLE_OK)
        settle_got(get, &answer);
    else
        settle_failed(get, &answer);
    get->done(get->ctx, &answer);
    get_free(get);
}

/* ---- beginning ---------------------------------------------------------------------------- */

/* "host:443:address,[address]": no resolver of libcurl's is ever asked. */
static void set_addresses(struct http_get *get)
{
    struct buf line;
    char text[NETWORK_TEXT_SIZE];
    buf_init(&line, 4096);
    ensure(buf_printf(&line, "%s:%d:", get->host, HTTPS_PORT));
    for (unsigned i = 0; i < get->address_count; i++) {
        bool v6 = get->addresses[i].family == ADDRESS_V6;
        ip_address_format(&get->addresses[i], text);
        ensure(buf_printf(&line, v6 ? "%s[%s]" : "%s%s", i ? "," : "", text));
    }
    ensure(buf_append(&line, (struct span){ "", 1 }));
    get->resolve = curl_slist_append(NULL, buf_span(&line).data);
    buf_clear(&line);
    get->names = curl_share_init();
    ensure(get->resolve && get->names);
    curl_share_setopt(get->names, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
}

static void set_bounds(struct http_get *get)
{
    int64_t connect_ms = get->wait_ms < CONNECT_WAIT_MS ? get->wait_ms : CONNECT_WAIT_MS;
    curl_easy_setopt(get->easy, CURLOPT_TIMEOUT_MS, (long)get->wait_ms);
    curl_easy_setopt(get->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    curl_easy_setopt(get->easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)get->body.cap);
    curl_easy_setopt(get->easy, CURLOPT_NOSIGNAL, 1L);
}

/* Everything libcurl would do of its own accord is said no to (pitfalls.md section 4). */
static void set_request(struct http_get *get, const char *path)
{
    char url[1024];
    snprintf(url, sizeof(url), "https://%s%s", get->host, path);
    curl_easy_setopt(get->easy, CURLOPT_URL, url);
    curl_easy_setopt(get->easy, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(get->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(get->easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(get->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(get->easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(get->easy, CURLOPT_USERAGENT, "waxseal/" WAXSEAL_VERSION);
    curl_easy_setopt(get->easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(get->easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(get->easy, CURLOPT_SHARE, get->names);
    curl_easy_setopt(get->easy, CURLOPT_RESOLVE, get->resolve);
    curl_easy_setopt(get->easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    curl_easy_setopt(get->easy, CURLOPT_OPENSOCKETDATA, get);
    curl_easy_setopt(get->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(get->easy, CURLOPT_WRITEDATA, get);
    curl_easy_setopt(get->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(get->easy, CURLOPT_HEADERDATA, get);
    curl_easy_setopt(get->easy, CURLOPT_PRIVATE, get);
}

static void set_tls(struct http_get *get)
{
    curl_easy_setopt(get->easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(get->easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(get->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(get->easy, CURLOPT_CAINFO, NULL);
    curl_easy_setopt(get->easy, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(get->easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
    curl_easy_setopt(get->easy, CURLOPT_SSL_CTX_FUNCTION, on_tls_context);
    curl_easy_setopt(get->easy, CURLOPT_SSL_CTX_DATA, get);
}

static struct http_get *get_new(struct http *http, const char *host,
                                const struct ip_address *addresses, unsigned address_count)
{
    struct http_get *get = memory_new(sizeof(*get));
    get->http = http;
    get->host = memory_copy_text(host);
    get->address_count = address_count < ADDRESSES_MAX ? address_count : ADDRESSES_MAX;
    memcpy(get->addresses, addresses, get->address_count * sizeof(addresses[0]));
    X509_STORE_up_ref(http->store);
    get->store = http->store;
    get->easy = curl_easy_init();
    ensure(get->easy);
    loop_task_init(&get->ending, on_ending, get);
    list_append(&http->gets, &get->in_http);
    return get;
}

struct http_get *http_get_start(struct http *http, const char *host, const char *path,
                                const struct ip_address *addresses, unsigned address_count,
                                size_t limit_bytes, int64_t wait_ms, http_done_fn *done, void *ctx)
{
    ensure(address_count > 0);
    struct http_get *get = get_new(http, host, addresses, address_count);
    get->done = done;
    get->ctx = ctx;
    get->wait_ms = wait_ms;
    buf_init(&get->body, limit_bytes);
    set_addresses(get);
    set_request(get, path);
    set_bounds(get);
    set_tls(get);
    get->running = curl_multi_add_handle(http->multi, get->easy) == CURLM_OK;
    if (!get->running) {
        get->code = CURLE_FAILED_INIT;
        loop_defer(http->loop, &get->ending);
    }
    return get;
}

void http_get_cancel(struct http_get **get)
{
    struct http_get *g = *get;
    *get = NULL;
    if (g)
        get_free(g);
}

struct error *http_new(struct loop *loop, struct tls_trust *trust, struct http **out_http)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return error_new(ERROR_LOCAL, "HTTPS: libcurl does not start");
    struct http *http = memory_new(sizeof(*http));
    http->loop = loop;
    http->timer = loop_timer_new(loop, on_time, http);
    http->multi = curl_multi_init();
    list_init(&http->gets);
    ensure(http->multi);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_wanted_socket);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_wanted_time);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    http_trust(http, trust);
    *out_http = http;
    return NULL;
}

void http_trust(struct http *http, struct tls_trust *trust)
{
    X509_STORE *store = tls_trust_store(trust);
    X509_STORE_up_ref(store);
    X509_STORE_free(http->store);
    http->store = store;
}

void http_free(struct http **http)
{
    struct http *h = *http;
    *http = NULL;
    if (!h)
        return;
    while (!list_empty(&h->gets))
        get_free(LIST_FIRST(&h->gets, struct http_get, in_http));
    curl_multi_cleanup(h->multi);
    loop_timer_free(&h->timer);
    X509_STORE_free(h->store);
    free(h);
}
