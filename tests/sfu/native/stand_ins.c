#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bytes.h"
#include "fuzz.h"

/* --- numbers ------------------------------------------------------------------------------------------- */

static uint64_t state = 1, drawn, seeded;

void fuzz_seed(uint64_t seed)
{
    seeded = seed;
    drawn = 0;
    state = seed * 0x9e3779b97f4a7c15ULL | 1;
}

uint32_t any(void)
{
    drawn++;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

uint32_t below(uint32_t bound)
{
    return any() % bound;
}

bool one_in(uint32_t count)
{
    return below(count) == 0;
}

void fail(const char *what)
{
    fprintf(stderr, "%s (seed %llu, after %llu numbers)\n", what, (unsigned long long)seeded,
            (unsigned long long)drawn);
    abort();
}

/* --- the cipher ---------------------------------------------------------------------------------------- */

struct cipher_context {
    uint64_t key, sum;
    uint8_t iv[16], expected[TAG_BYTES];
    bool encrypt, gcm;
};

struct mac_context {
    uint64_t key, sum;
};

/* Vectors that were used for encryption, by key: an open-addressed set of hashes. */
enum { SEEN_SLOTS = 1 << 22 };
static uint64_t seen[SEEN_SLOTS];
static uint32_t seen_count;

void forget_vectors(void)
{
    memset(seen, 0, sizeof seen);
    seen_count = 0;
}

static uint64_t stir(uint64_t sum, const uint8_t *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        sum = (sum ^ data[i]) * 0x100000001b3ULL;
    return sum;
}

static void use_vector(uint64_t key, const uint8_t *iv)
{
    uint64_t hash = stir(key, iv, 16) | 1;
    uint32_t at = (uint32_t)(hash >> 20) % SEEN_SLOTS;
    for (; seen[at] != 0; at = (at + 1) % SEEN_SLOTS)
        if (seen[at] == hash)
            fail("one index was encrypted twice with one key");
    seen[at] = hash;
    if (++seen_count > SEEN_SLOTS / 2)
        fail("the set of vectors is too small for a round");
}

static cipher_context *cipher_new(void)
{
    return calloc(1, sizeof(cipher_context));
}

static void cipher_free(cipher_context *context)
{
    free(context);
}

static int init(cipher_context *context, const cipher_kind *kind, const uint8_t *key, const uint8_t *iv,
                int encrypt, bool strict)
{
    if (kind != NULL)
        context->gcm = kind == stand_in.aes_128_gcm() || kind == stand_in.aes_256_gcm();
    if (key != NULL)
        context->key = stir(0xcbf29ce484222325ULL, key, 16);
    if (encrypt >= 0)
        context->encrypt = encrypt;
    if (iv != NULL) {
        memcpy(context->iv, iv, 16);
        context->sum = stir(context->key, iv, 16);
        /* counter mode for key derivation comes with a key each time, packets do not */
        if (strict && context->encrypt && key == NULL)
            use_vector(context->key, iv);
    }
    return 1;
}

static int strict_init(cipher_context *context, const cipher_kind *kind, void *engine, const uint8_t *key,
                       const uint8_t *iv, int encrypt)
{
    (void)engine;
    return init(context, kind, key, iv, encrypt, true);
}

static int lax_init(cipher_context *context, const cipher_kind *kind, void *engine, const uint8_t *key,
                    const uint8_t *iv, int encrypt)
{
    (void)engine;
    return init(context, kind, key, iv, encrypt, false);
}

/* The payload stays in clear, so that it can be recognised; key derivation must not give zeros. */
static int update(cipher_context *context, uint8_t *out, int *written, const uint8_t *in, int bytes)
{
    *written = bytes;
    if (out != NULL)
        memmove(out, in, (size_t)bytes);
    if (!context->gcm && out != NULL && bytes <= 32 && in[0] == 0)
        for (int i = 0; i < bytes; i++)
            out[i] = (uint8_t)(context->sum >> (i % 8 * 8));
    const uint8_t *covered = out != NULL ? out : in;
    context->sum = stir(context->sum, covered, (size_t)bytes);
    return 1;
}

static int final(cipher_context *context, uint8_t *out, int *written)
{
    (void)out;
    *written = 0;
    return context->encrypt || memcmp(context->expected, &context->sum, 8) == 0;
}

static int control(cipher_context *context, int what, int bytes, void *data)
{
    if (what == 0x10) {
        memset(data, 0, (size_t)bytes);
        memcpy(data, &context->sum, 8);
    } else {
        memcpy(context->expected, data, (size_t)bytes);
    }
    return 1;
}

static const uint8_t kinds[4];
static const cipher_kind *gcm_128(void)
{
    return (const cipher_kind *)&kinds[0];
}
static const cipher_kind *gcm_256(void)
{
    return (const cipher_kind *)&kinds[1];
}
static const cipher_kind *ctr(void)
{
    return (const cipher_kind *)&kinds[2];
}
static const digest_kind *sha1(void)
{
    return (const digest_kind *)&kinds[3];
}

static mac_context *mac_new(void)
{
    return calloc(1, sizeof(mac_context));
}

static void mac_free(mac_context *context)
{
    free(context);
}

static int mac_init(mac_context *context, const void *key, int bytes, const digest_kind *kind, void *engine)
{
    (void)kind;
    (void)engine;
    if (key != NULL)
        context->key = stir(7, key, (size_t)bytes);
    context->sum = context->key;
    return 1;
}

static int mac_update(mac_context *context, const uint8_t *data, size_t bytes)
{
    context->sum = stir(context->sum, data, bytes);
    return 1;
}

static int mac_final(mac_context *context, uint8_t *out, unsigned *written)
{
    memset(out, 0, 20);
    memcpy(out, &context->sum, 8);
    *written = 20;
    return 1;
}

static void cleanse(void *data, size_t bytes)
{
    memset(data, 0, bytes);
}

#define CIPHERS(chosen_init)                                                                                 \
    {cipher_new, cipher_free, chosen_init, update,   final,      control,   gcm_128, gcm_256, ctr,           \
     ctr,        mac_new,     mac_free,    mac_init, mac_update, mac_final, sha1,    memcmp,  cleanse}
const struct library stand_in = CIPHERS(strict_init);
const struct library client_side = CIPHERS(lax_init);

/* --- the kernel ---------------------------------------------------------------------------------------- */

bool may_be_heard[CLIENTS];
struct address client_addresses[CLIENTS];
uint64_t datagrams_seen, segmented_seen;
static const uint8_t MARK[MARK_BYTES - 1] = {0xa5, 'm', 'a', 'r', 'k'};

void write_mark(uint8_t *payload, unsigned client)
{
    memcpy(payload, MARK, sizeof MARK);
    payload[sizeof MARK] = (uint8_t)client;
}

static void check_datagram(const uint8_t *data, size_t bytes, const struct sockaddr_in *to)
{
    struct rtp_view view;
    datagrams_seen++;
    if (bytes > RTP_MAX_BYTES + 100)
        fail("an oversized datagram left");
    if (rtp_is_rtcp(data))
        return;
    if (!rtp_parse(data, bytes, &view))
        fail("a malformed packet left");
    const uint8_t *payload = data + view.header_bytes;
    if (bytes - view.header_bytes < MARK_BYTES || memcmp(payload, MARK, sizeof MARK) != 0)
        return;
    unsigned speaker = payload[sizeof MARK];
    if (speaker >= CLIENTS)
        return;
    if (!may_be_heard[speaker])
        fail("somebody was heard who may not speak");
    if (to->sin_port == client_addresses[speaker].socket.v4.sin_port)
        fail("somebody heard itself");
}

static unsigned check_message(const struct msghdr *message)
{
    const uint8_t *data = message->msg_iov->iov_base;
    size_t left = message->msg_iov->iov_len, segment = left;
    if (message->msg_controllen) {
        uint16_t value;
        memcpy(&value, CMSG_DATA(CMSG_FIRSTHDR(message)), sizeof value);
        segment = value;
        segmented_seen++;
        if (segment == 0 || left > 65507 || (left + segment - 1) / segment > 64)
            fail("the kernel would not take this segmented send");
    }
    unsigned count = 0;
    for (; left > 0; count++) {
        size_t bytes = left < segment ? left : segment;
        check_datagram(data, bytes, message->msg_name);
        data += bytes;
        left -= bytes;
    }
    return count;
}

int sendmmsg(int descriptor, struct mmsghdr *messages, unsigned count, int flags)
{
    static const int errors[] = {EAGAIN, EINVAL, EPERM, EINTR, ENOBUFS, EIO};
    (void)descriptor;
    (void)flags;
    if (one_in(64)) {
        errno = errors[below(6)];
        return -1;
    }
    unsigned taken = one_in(8) ? 1 + below(count) : count;
    for (unsigned i = 0; i < taken; i++)
        check_message(&messages[i].msg_hdr);
    return (int)taken;
}

ssize_t sendto(int descriptor, const void *data, size_t bytes, int flags, const struct sockaddr *to,
               socklen_t to_bytes)
{
    (void)descriptor;
    (void)flags;
    (void)to_bytes;
    check_datagram(data, bytes, (const struct sockaddr_in *)(const void *)to);
    return one_in(4) ? -1 : (ssize_t)bytes;
}

static struct {
    uint8_t data[RECEIVE_BYTES];
    size_t bytes;
    struct address from;
} queued[MAX_QUEUED];
static unsigned queued_count;

void queue_datagram(const uint8_t *data, size_t bytes, const struct address *from)
{
    if (queued_count == MAX_QUEUED)
        return;
    memcpy(queued[queued_count].data, data, bytes);
    queued[queued_count].bytes = bytes;
    queued[queued_count++].from = *from;
}

int recvmmsg(int descriptor, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
    (void)descriptor;
    (void)flags;
    (void)timeout;
    unsigned taken = queued_count < count ? queued_count : count;
    for (unsigned i = 0; i < taken; i++) {
        struct msghdr *message = &messages[i].msg_hdr;
        memcpy(message->msg_iov->iov_base, queued[i].data, queued[i].bytes);
        memcpy(message->msg_name, &queued[i].from.socket, sizeof queued[i].from.socket);
        message->msg_namelen = queued[i].from.length;
        messages[i].msg_len = (unsigned)queued[i].bytes;
    }
    queued_count = 0;
    return taken ? (int)taken : -1;
}

int poll(struct pollfd *events, nfds_t count, int timeout)
{
    (void)events;
    (void)count;
    (void)timeout;
    return 0;
}
