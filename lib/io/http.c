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
    URL_SIZE = 2048,
};

struct http {
    struct loop *loop;
    CURLM *multi;
    struct loop_timer *timer;
    struct list requests;
    X509_STORE *store;
};

struct socket_watch {
    struct http *http;
    struct loop_watch *watch;
    curl_socket_t fd;
};

struct http_request {
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
    uint16_t port;
    struct ip_address addresses[ADDRESSES_MAX];
    unsigned address_count;
    int64_t wait_ms;
    bool is_post;
    struct span posted;        /* lent */
    struct curl_slist *fields; /* of a POST's header */
    struct buf body;
    bool running; /* curl has it */
    bool overflowed;
    bool chunked;
    char blamed[TLS_CERTIFICATE_WORDS_SIZE]; /* the first certificate that does not hold */
    CURLcode code;
};

/* ---- the loop ----------------------------------------------------------------------------- */

/* Takes out what has ended; the owners hear of it at the end of the turn. */
static void drain(struct http *http)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(http->multi, &left))) {
        struct http_request *request = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result; /* the message dies with the handle's removal */
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&request);
        curl_multi_remove_handle(http->multi, request->easy);
        request->running = false;
        request->code = code;
        loop_defer(http->loop, &request->ending);
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

/* Judges nothing: keeps whose certificate OpenSSL finds a fault with. */
static int on_verified(int is_fine, X509_STORE_CTX *chain)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct http_request *request = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    X509 *certificate = X509_STORE_CTX_get_current_cert(chain);

    if (!is_fine && certificate && request->blamed[0] == '\0')
        tls_certificate_words(certificate, request->blamed);
    return is_fine;
}

/* libcurl would take a common name for the host; RFC 8461 s.3.3 wants a DNS-ID. */
static CURLcode on_tls_context(CURL *easy, void *ssl_ctx, void *ctx)
{
    struct http_request *request = ctx;
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ssl_ctx);
    (void)easy;
    SSL_CTX_set1_cert_store(ssl_ctx, request->store);
    SSL_CTX_set_security_level(ssl_ctx, SECURITY_LEVEL);
    SSL_CTX_set_app_data(ssl_ctx, request);
    SSL_CTX_set_verify(ssl_ctx, SSL_CTX_get_verify_mode(ssl_ctx), on_verified);
    request->blamed[0] = '\0';
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
                                               X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (X509_VERIFY_PARAM_set1_host(param, request->host, 0) != 1)
        return CURLE_OUT_OF_MEMORY;
    return CURLE_OK;
}

/* Connects to nothing but the addresses that were handed in. */
static curl_socket_t on_open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *remote)
{
    const struct http_request *request = ctx;
    struct endpoint endpoint;
    if (purpose != CURLSOCKTYPE_IPCXN || !endpoint_from_sockaddr(&remote->addr, &endpoint))
        return CURL_SOCKET_BAD;
    for (unsigned i = 0; i < request->address_count; i++)
        if (ip_address_equal(&endpoint.address, &request->addresses[i]))
            return socket(remote->family, remote->socktype | SOCK_CLOEXEC, remote->protocol);
    return CURL_SOCKET_BAD;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct http_request *request = ctx;
    if (buf_append(&request->body, (struct span){ bytes, size * count }))
        return size * count;
    request->overflowed = true;
    return 0;
}

/* "Transfer-Encoding: chunked" marks the end of a body as well as a length does. */
static size_t on_header(char *bytes, size_t size, size_t count, void *ctx)
{
    static const struct span name = { "transfer-encoding:", 18 };
    struct http_request *request = ctx;
    struct span line = { bytes, size * count };
    while (line.len > 0 && (line.data[line.len - 1] == '\n' || line.data[line.len - 1] == '\r'))
        line.len--;
    if (span_starts_with(line, SPAN("HTTP/")))
        request->chunked = false; /* a new header block */
    if (span_starts_with_nocase(line, name))
        request->chunked = span_equal_nocase(span_trim(span_from(line, name.len)), SPAN("chunked"));
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

/* libcurl calls a line of more than 100 KB "out of memory"; before the handshake it is just that.
 */
static bool is_header_too_long(const struct http_request *request)
{
    curl_off_t shaken_us = 0;

    curl_easy_getinfo(request->easy, CURLINFO_APPCONNECT_TIME_T, &shaken_us);
    return request->code == CURLE_OUT_OF_MEMORY && shaken_us > 0;
}

static enum http_outcome outcome_of(CURLcode code)
{
    for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++)
        if (outcomes[i].code == code)
            return outcomes[i].outcome;
    return HTTP_UNREACHABLE;
}

/* Has the host said what became of a POST?  Not before it had all of it. */
static bool post_is_answered(const struct http_request *request)
{
    curl_off_t sent = 0;
    long status = 0;

    if (!request->is_post)
        return false;
    curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(request->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    return status >= 200 && (size_t)sent == request->posted.len;
}

/* What is wrong with the certificate, where that did not end it. */
static void settle_certificate(const struct http_request *request, struct http_answer *answer)
{
    long verified = 0;

    curl_easy_getinfo(request->easy, CURLINFO_SSL_VERIFYRESULT, &verified);
    if (verified == 0)
        return;
    answer->cert = tls_verdict_of(verified);
    snprintf(answer->reason, sizeof(answer->reason), "%s", tls_reason_of(verified));
}

/* The answer is whole only when something other than the connection's end marked its end. */
static void settle_got(const struct http_request *request, struct http_answer *answer)
{
    curl_off_t length = -1;
    long status = 0;
    const char *type = NULL;
    curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(request->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    curl_easy_getinfo(request->easy, CURLINFO_CONTENT_TYPE, &type);
    answer->status = (int)status;
    answer->content_type = span_of(type ? type : "");
    answer->body = buf_span(&request->body);
    answer->outcome = HTTP_GOT;
    if (request->is_post) {
        settle_certificate(request, answer);
    } else if (status == 200 && length < 0 && !request->chunked) {
        answer->outcome = HTTP_TRUNCATED;
        snprintf(answer->reason, sizeof(answer->reason), "the end of the answer is not marked");
    }
}

static void settle_failed(const struct http_request *request, struct http_answer *answer)
{
    long verified = 0;
    curl_easy_getinfo(request->easy, CURLINFO_SSL_VERIFYRESULT, &verified);
    answer->outcome = request->overflowed ? HTTP_TOO_LARGE : outcome_of(request->code);
    if (answer->outcome == HTTP_BAD_CERTIFICATE) {
        answer->cert = verified ? tls_verdict_of(verified) : CERT_HOST_MISMATCH;
        snprintf(answer->reason, sizeof(answer->reason), "certificate: %s%s%s",
                 verified ? tls_reason_of(verified) : "X509_V_ERR_HOSTNAME_MISMATCH",
                 request->blamed[0] ? ", " : "", request->blamed);
    } else if (is_header_too_long(request)) {
        answer->outcome = HTTP_TOO_LARGE;
        snprintf(answer->reason, sizeof(answer->reason), "the answer's header is too long");
    } else if (request->code == CURLE_OK) {
        snprintf(answer->reason, sizeof(answer->reason), "it answered before it had all");
    } else if (answer->outcome == HTTP_TOO_LARGE) {
        snprintf(answer->reason, sizeof(answer->reason), "more than %zu bytes", request->body.cap);
    } else if (request->code == CURLE_OPERATION_TIMEDOUT) {
        snprintf(answer->reason, sizeof(answer->reason), "timed out after at most %lld s",
                 (long long)(request->wait_ms / SECOND_MS));
    } else {
        snprintf(answer->reason, sizeof(answer->reason), "%s", curl_easy_strerror(request->code));
    }
}

static void request_free(struct http_request *request)
{
    list_remove(&request->in_http);
    loop_task_cancel(&request->ending);
    if (request->running)
        curl_multi_remove_handle(request->http->multi, request->easy);
    curl_easy_cleanup(request->easy);
    curl_share_cleanup(request->names);
    curl_slist_free_all(request->resolve);
    curl_slist_free_all(request->fields);
    X509_STORE_free(request->store);
    buf_clear(&request->body);
    free(request->host);
    free(request);
}

static void on_ending(void *ctx)
{
    struct http_request *request = ctx;
    struct http_answer answer = { .outcome = HTTP_LOCAL };
    list_remove(&request->in_http); /* no longer to be cancelled */
    if (request->is_post ? post_is_answered(request) : request->code == CURLE_OK)
        settle_got(request, &answer);
    else
        settle_failed(request, &answer);
    request->done(request->ctx, &answer);
    request_free(request);
}

/* ---- beginning ---------------------------------------------------------------------------- */

/* "host:port:address,[address]": no resolver of libcurl's is ever asked. */
static void set_addresses(struct http_request *request)
{
    struct buf line;
    char text[NETWORK_TEXT_SIZE];
    buf_init(&line, 4096);
    ensure(buf_printf(&line, "%s:%u:", request->host, request->port));
    for (unsigned i = 0; i < request->address_count; i++) {
        bool v6 = request->addresses[i].family == ADDRESS_V6;
        ip_address_format(&request->addresses[i], text);
        ensure(buf_printf(&line, v6 ? "%s[%s]" : "%s%s", i ? "," : "", text));
    }
    ensure(buf_append(&line, (struct span){ "", 1 }));
    request->resolve = curl_slist_append(NULL, buf_span(&line).data);
    buf_clear(&line);
    request->names = curl_share_init();
    ensure(request->resolve && request->names);
    curl_share_setopt(request->names, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
}

static void set_bounds(struct http_request *request)
{
    int64_t connect_ms = request->wait_ms < CONNECT_WAIT_MS ? request->wait_ms : CONNECT_WAIT_MS;
    curl_easy_setopt(request->easy, CURLOPT_TIMEOUT_MS, (long)request->wait_ms);
    curl_easy_setopt(request->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    if (!request->is_post)
        curl_easy_setopt(request->easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)request->body.cap);
    curl_easy_setopt(request->easy, CURLOPT_NOSIGNAL, 1L);
}

/* Everything libcurl would do of its own accord is said no to (pitfalls.md section 4). */
static void set_request(struct http_request *request, const char *path)
{
    char url[URL_SIZE];
    snprintf(url, sizeof(url), "https://%s:%u%s", request->host, request->port, path);
    curl_easy_setopt(request->easy, CURLOPT_URL, url);
    curl_easy_setopt(request->easy, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(request->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(request->easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(request->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(request->easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(request->easy, CURLOPT_USERAGENT, "waxseal/" WAXSEAL_VERSION);
    curl_easy_setopt(request->easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(request->easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(request->easy, CURLOPT_SHARE, request->names);
    curl_easy_setopt(request->easy, CURLOPT_RESOLVE, request->resolve);
    curl_easy_setopt(request->easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    curl_easy_setopt(request->easy, CURLOPT_OPENSOCKETDATA, request);
    curl_easy_setopt(request->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(request->easy, CURLOPT_WRITEDATA, request);
    curl_easy_setopt(request->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(request->easy, CURLOPT_HEADERDATA, request);
    curl_easy_setopt(request->easy, CURLOPT_PRIVATE, request);
}

static void set_tls(struct http_request *request)
{
    /* 0: OpenSSL verifies nevertheless, and nothing comes of it but the result */
    curl_easy_setopt(request->easy, CURLOPT_SSL_VERIFYPEER, request->is_post ? 0L : 1L);
    curl_easy_setopt(request->easy, CURLOPT_SSL_VERIFYHOST, request->is_post ? 0L : 2L);
    curl_easy_setopt(request->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(request->easy, CURLOPT_CAINFO, NULL);
    curl_easy_setopt(request->easy, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(request->easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
    curl_easy_setopt(request->easy, CURLOPT_SSL_CTX_FUNCTION, on_tls_context);
    curl_easy_setopt(request->easy, CURLOPT_SSL_CTX_DATA, request);
}

static void add_field(struct http_request *request, const char *name, const char *value)
{
    char line[128];
    ensure((size_t)snprintf(line, sizeof(line), "%s:%s%s", name, *value ? " " : "", value) <
           sizeof(line));
    request->fields = curl_slist_append(request->fields, line);
    ensure(request->fields);
}

static void set_post(struct http_request *request)
{
    curl_easy_setopt(request->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(request->easy, CURLOPT_POSTFIELDS, request->posted.data);
    curl_easy_setopt(request->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->posted.len);
    curl_easy_setopt(request->easy, CURLOPT_HTTPHEADER, request->fields);
}

static struct http_request *request_new(struct http *http, const char *host,
                                        const struct ip_address *addresses, unsigned address_count)
{
    struct http_request *request = memory_new(sizeof(*request));
    request->http = http;
    request->host = memory_copy_text(host);
    request->address_count = address_count < ADDRESSES_MAX ? address_count : ADDRESSES_MAX;
    memcpy(request->addresses, addresses, request->address_count * sizeof(addresses[0]));
    X509_STORE_up_ref(http->store);
    request->store = http->store;
    request->easy = curl_easy_init();
    ensure(request->easy);
    loop_task_init(&request->ending, on_ending, request);
    list_append(&http->requests, &request->in_http);
    return request;
}

/* Hands it to curl. */
static void begin(struct http_request *request, const char *path)
{
    struct http *http = request->http;
    set_addresses(request);
    set_request(request, path);
    set_bounds(request);
    set_tls(request);
    if (request->is_post)
        set_post(request);
    request->running = curl_multi_add_handle(http->multi, request->easy) == CURLM_OK;
    if (!request->running) {
        request->code = CURLE_FAILED_INIT;
        loop_defer(http->loop, &request->ending);
    }
}

struct http_request *http_get_start(struct http *http, const char *host, const char *path,
                                    const struct ip_address *addresses, unsigned address_count,
                                    size_t limit_bytes, int64_t wait_ms, http_done_fn *done,
                                    void *ctx)
{
    ensure(address_count > 0);
    struct http_request *request = request_new(http, host, addresses, address_count);
    request->done = done;
    request->ctx = ctx;
    request->port = HTTPS_PORT;
    request->wait_ms = wait_ms;
    buf_init(&request->body, limit_bytes);
    begin(request, path);
    return request;
}

struct http_request *http_post_start(struct http *http, const struct http_post *post,
                                     http_done_fn *done, void *ctx)
{
    ensure(post->address_count > 0);
    struct http_request *request =
        request_new(http, post->host, post->addresses, post->address_count);
    request->done = done;
    request->ctx = ctx;
    request->port = post->port;
    request->wait_ms = post->wait_ms;
    request->is_post = true;
    request->posted = post->body;
    add_field(request, "Content-Type", post->content_type);
    add_field(request, "Expect", ""); /* none: nobody has to allow it first */
    buf_init(&request->body, post->limit_bytes);
    begin(request, post->path);
    return request;
}

void http_cancel(struct http_request **request)
{
    struct http_request *r = *request;
    *request = NULL;
    if (r)
        request_free(r);
}

struct error *http_new(struct loop *loop, struct tls_trust *trust, struct http **out_http)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return error_new(ERROR_LOCAL, "HTTPS: libcurl does not start");
    struct http *http = memory_new(sizeof(*http));
    http->loop = loop;
    http->timer = loop_timer_new(loop, on_time, http);
    http->multi = curl_multi_init();
    list_init(&http->requests);
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
    while (!list_empty(&h->requests))
        request_free(LIST_FIRST(&h->requests, struct http_request, in_http));
    curl_multi_cleanup(h->multi);
    loop_timer_free(&h->timer);
    X509_STORE_free(h->store);
    free(h);
}
