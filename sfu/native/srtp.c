#include "srtp.h"

#include <string.h>

#include "bytes.h"

enum {
    RTP_LABELS = 0, /* RFC 3711 section 4.3: encryption, authentication, salt follow each other */
    RTCP_LABELS = 3,
    RTCP_HEADER_BYTES = 8,
    MAC_KEY_BYTES = 20,
    MAC_BYTES = 20,
    CONTROL_GET_TAG = 0x10, /* EVP_CTRL_AEAD_GET_TAG and _SET_TAG, the same in every release */
    CONTROL_SET_TAG = 0x11,
};
static const uint32_t ENCRYPTED_FLAG = 0x80000000u;

static bool is_gcm(enum srtp_suite suite)
{
    return suite == SRTP_AES_128_GCM || suite == SRTP_AES_256_GCM;
}

static size_t cipher_key_bytes(enum srtp_suite suite)
{
    return suite == SRTP_PLAIN ? 0 : suite == SRTP_AES_256_GCM ? 32 : 16;
}

static size_t salt_bytes(enum srtp_suite suite)
{
    return suite == SRTP_PLAIN ? 0 : is_gcm(suite) ? 12 : 14;
}

size_t srtp_key_bytes(enum srtp_suite suite)
{
    return cipher_key_bytes(suite) + salt_bytes(suite);
}

size_t srtp_tag_bytes(enum srtp_suite suite)
{
    return suite == SRTP_PLAIN ? 0 : is_gcm(suite) ? 16 : 10;
}

/* The key derivation of RFC 3711 section 4.3.1: AES in counter mode over zeros, key derivation rate 0. */
static bool derive(const struct library *library, enum srtp_suite suite, const uint8_t *master,
                   unsigned label, uint8_t *out, size_t bytes)
{
    static const uint8_t zeros[32];
    uint8_t counter[16] = {0};
    memcpy(counter, master + cipher_key_bytes(suite), salt_bytes(suite));
    counter[7] ^= (uint8_t)label;
    cipher_context *context = library->cipher_new();
    const cipher_kind *kind = suite == SRTP_AES_256_GCM ? library->aes_256_ctr() : library->aes_128_ctr();
    int written = 0;
    bool ok = context != NULL && library->cipher_init(context, kind, NULL, master, counter, 1) == 1 &&
              library->cipher_update(context, out, &written, zeros, (int)bytes) == 1;
    if (context != NULL)
        library->cipher_free(context);
    return ok && written == (int)bytes;
}

static const cipher_kind *packet_cipher(const struct library *library, enum srtp_suite suite)
{
    if (suite == SRTP_AES_128_GCM)
        return library->aes_128_gcm();
    return suite == SRTP_AES_256_GCM ? library->aes_256_gcm() : library->aes_128_ctr();
}

static bool open_stream(struct srtp_stream *stream, const struct srtp_direction *direction,
                        const uint8_t *master, unsigned labels)
{
    const struct library *library = direction->library;
    enum srtp_suite suite = direction->suite;
    uint8_t key[32], mac_key[MAC_KEY_BYTES];
    bool ok = derive(library, suite, master, labels, key, cipher_key_bytes(suite)) &&
              derive(library, suite, master, labels + 1, mac_key, sizeof mac_key) &&
              derive(library, suite, master, labels + 2, stream->salt, salt_bytes(suite));
    /* counter mode encrypts in both directions */
    int encrypt = !(direction->inbound && is_gcm(suite));
    ok = ok && (stream->cipher = library->cipher_new()) != NULL &&
         library->cipher_init(stream->cipher, packet_cipher(library, suite), NULL, key, NULL, encrypt) == 1;
    if (!is_gcm(suite))
        ok = ok && (stream->mac = library->mac_new()) != NULL &&
             library->mac_init(stream->mac, mac_key, MAC_KEY_BYTES, library->sha1(), NULL) == 1;
    library->cleanse(key, sizeof key);
    library->cleanse(mac_key, sizeof mac_key);
    return ok;
}

bool srtp_open(struct srtp_direction *direction, const struct library *library, enum srtp_suite suite,
               const uint8_t *master, size_t master_bytes, bool inbound)
{
    memset(direction, 0, sizeof *direction);
    direction->library = library;
    direction->suite = suite;
    direction->inbound = inbound;
    if (master_bytes != srtp_key_bytes(suite))
        return false;
    if (suite != SRTP_PLAIN && !(open_stream(&direction->rtp, direction, master, RTP_LABELS) &&
                                 open_stream(&direction->rtcp, direction, master, RTCP_LABELS))) {
        srtp_close(direction);
        return false;
    }
    direction->ready = true;
    return true;
}

static void close_stream(const struct library *library, struct srtp_stream *stream)
{
    if (stream->cipher != NULL)
        library->cipher_free(stream->cipher);
    if (stream->mac != NULL)
        library->mac_free(stream->mac);
    memset(stream, 0, sizeof *stream);
}

void srtp_close(struct srtp_direction *direction)
{
    close_stream(direction->library, &direction->rtp);
    close_stream(direction->library, &direction->rtcp);
    direction->ready = false;
}

/* GCM: two zero bytes, SSRC, 48-bit index. Counter mode: the same two bytes later, then a block counter. */
static void make_iv(const struct srtp_direction *direction, const struct srtp_stream *stream, uint32_t ssrc,
                    uint64_t index, uint8_t iv[16])
{
    size_t start = is_gcm(direction->suite) ? 2 : 4;
    memset(iv, 0, 16);
    put32(iv + start, ssrc);
    put16(iv + start + 4, (uint32_t)(index >> 32));
    put32(iv + start + 6, (uint32_t)index);
    for (size_t i = 0; i < start + 10; i++)
        iv[i] ^= stream->salt[i];
}

static bool authenticate(const struct srtp_direction *direction, struct srtp_stream *stream,
                         const uint8_t *data, size_t bytes, const uint8_t *extra, size_t extra_bytes,
                         uint8_t mac[MAC_BYTES])
{
    const struct library *library = direction->library;
    unsigned written = 0;
    return library->mac_init(stream->mac, NULL, 0, NULL, NULL) == 1 &&
           library->mac_update(stream->mac, data, bytes) == 1 &&
           library->mac_update(stream->mac, extra, extra_bytes) == 1 &&
           library->mac_final(stream->mac, mac, &written) == 1 && written == MAC_BYTES;
}

/* One GCM operation: the tag stands behind the output when encrypting, behind the input when decrypting. */
static bool gcm(const struct srtp_direction *direction, struct srtp_stream *stream, const uint8_t iv[16],
                const uint8_t *header, size_t header_bytes, const uint8_t *extra, size_t extra_bytes,
                const uint8_t *in, uint8_t *out, size_t bytes)
{
    const struct library *library = direction->library;
    cipher_context *cipher = stream->cipher;
    int written;
    if (library->cipher_init(cipher, NULL, NULL, NULL, iv, -1) != 1)
        return false;
    if (direction->inbound && library->cipher_control(cipher, CONTROL_SET_TAG, 16, (void *)(in + bytes)) != 1)
        return false;
    if (library->cipher_update(cipher, NULL, &written, header, (int)header_bytes) != 1 ||
        (extra_bytes && library->cipher_update(cipher, NULL, &written, extra, (int)extra_bytes) != 1) ||
        (bytes && library->cipher_update(cipher, out, &written, in, (int)bytes) != 1) ||
        library->cipher_final(cipher, out + bytes, &written) != 1)
        return false;
    return direction->inbound || library->cipher_control(cipher, CONTROL_GET_TAG, 16, out + bytes) == 1;
}

static bool counter_mode(const struct srtp_direction *direction, struct srtp_stream *stream,
                         const uint8_t iv[16], const uint8_t *in, uint8_t *out, size_t bytes)
{
    int written;
    return direction->library->cipher_init(stream->cipher, NULL, NULL, NULL, iv, -1) == 1 &&
           (bytes == 0 ||
            direction->library->cipher_update(stream->cipher, out, &written, in, (int)bytes) == 1);
}

int srtp_protect(struct srtp_direction *direction, uint8_t *out, size_t header_bytes, const uint8_t *payload,
                 size_t payload_bytes, uint32_t ssrc, uint64_t index)
{
    uint8_t *body = out + header_bytes, *trailer = body + payload_bytes, iv[16];
    struct srtp_stream *stream = &direction->rtp;
    if (direction->suite == SRTP_PLAIN) {
        memcpy(body, payload, payload_bytes);
        return (int)(header_bytes + payload_bytes);
    }
    make_iv(direction, stream, ssrc, index, iv);
    if (is_gcm(direction->suite)) {
        if (!gcm(direction, stream, iv, out, header_bytes, NULL, 0, payload, body, payload_bytes))
            return -1;
    } else {
        uint8_t roll_over[4], mac[MAC_BYTES];
        put32(roll_over, (uint32_t)(index >> 16));
        if (!counter_mode(direction, stream, iv, payload, body, payload_bytes) ||
            !authenticate(direction, stream, out, header_bytes + payload_bytes, roll_over, 4, mac))
            return -1;
        memcpy(trailer, mac, srtp_tag_bytes(direction->suite));
    }
    return (int)(header_bytes + payload_bytes + srtp_tag_bytes(direction->suite));
}

int srtp_unprotect(struct srtp_direction *direction, uint8_t *packet, size_t header_bytes, size_t bytes,
                   uint64_t index)
{
    struct srtp_stream *stream = &direction->rtp;
    size_t tag_bytes = srtp_tag_bytes(direction->suite);
    uint8_t *body = packet + header_bytes, iv[16];
    if (bytes < tag_bytes)
        return -1;
    if (direction->suite == SRTP_PLAIN)
        return (int)bytes;
    bytes -= tag_bytes;
    make_iv(direction, stream, get32(packet + 8), index, iv);
    if (is_gcm(direction->suite))
        return gcm(direction, stream, iv, packet, header_bytes, NULL, 0, body, body, bytes) ? (int)bytes : -1;
    uint8_t roll_over[4], mac[MAC_BYTES];
    put32(roll_over, (uint32_t)(index >> 16));
    if (!authenticate(direction, stream, packet, header_bytes + bytes, roll_over, 4, mac) ||
        direction->library->equal(mac, body + bytes, tag_bytes) != 0 ||
        !counter_mode(direction, stream, iv, body, body, bytes))
        return -1;
    return (int)bytes;
}

int srtcp_protect(struct srtp_direction *direction, uint8_t *packet, size_t bytes, uint32_t index)
{
    struct srtp_stream *stream = &direction->rtcp;
    uint8_t *body = packet + RTCP_HEADER_BYTES, iv[16], word[4];
    if (direction->suite == SRTP_PLAIN)
        return (int)bytes;
    if (bytes < RTCP_HEADER_BYTES)
        return -1;
    size_t body_bytes = bytes - RTCP_HEADER_BYTES;
    make_iv(direction, stream, get32(packet + 4), index, iv);
    put32(word, index | ENCRYPTED_FLAG);
    if (is_gcm(direction->suite)) { /* tag, then index */
        if (!gcm(direction, stream, iv, packet, RTCP_HEADER_BYTES, word, 4, body, body, body_bytes))
            return -1;
        memcpy(packet + bytes + 16, word, 4);
    } else { /* index, then tag */
        uint8_t mac[MAC_BYTES];
        if (!counter_mode(direction, stream, iv, body, body, body_bytes) ||
            !authenticate(direction, stream, packet, bytes, word, 4, mac))
            return -1;
        memcpy(packet + bytes, word, 4);
        memcpy(packet + bytes + 4, mac, srtp_tag_bytes(direction->suite));
    }
    return (int)(bytes + 4 + srtp_tag_bytes(direction->suite));
}

bool srtcp_index(const struct srtp_direction *direction, const uint8_t *packet, size_t bytes, uint32_t *index)
{
    if (direction->suite == SRTP_PLAIN)
        return false;
    size_t behind = is_gcm(direction->suite) ? 4 : 4 + srtp_tag_bytes(direction->suite);
    if (bytes < RTCP_HEADER_BYTES + 4 + srtp_tag_bytes(direction->suite))
        return false;
    uint32_t word = get32(packet + bytes - behind);
    *index = word & ~ENCRYPTED_FLAG;
    return word & ENCRYPTED_FLAG; /* unencrypted SRTCP is legal, but no WebRTC peer may send it (RFC 8827) */
}

int srtcp_unprotect(struct srtp_direction *direction, uint8_t *packet, size_t bytes)
{
    struct srtp_stream *stream = &direction->rtcp;
    uint8_t *body = packet + RTCP_HEADER_BYTES, iv[16];
    uint32_t index;
    size_t tag_bytes = srtp_tag_bytes(direction->suite);
    if (direction->suite == SRTP_PLAIN)
        return (int)bytes;
    if (!srtcp_index(direction, packet, bytes, &index))
        return -1;
    size_t body_bytes = bytes - RTCP_HEADER_BYTES - 4 - tag_bytes;
    make_iv(direction, stream, get32(packet + 4), index, iv);
    if (is_gcm(direction->suite)) {
        const uint8_t *word = packet + bytes - 4;
        if (!gcm(direction, stream, iv, packet, RTCP_HEADER_BYTES, word, 4, body, body, body_bytes))
            return -1;
    } else {
        const uint8_t *word = body + body_bytes;
        uint8_t mac[MAC_BYTES];
        if (!authenticate(direction, stream, packet, RTCP_HEADER_BYTES + body_bytes, word, 4, mac) ||
            direction->library->equal(mac, word + 4, tag_bytes) != 0 ||
            !counter_mode(direction, stream, iv, body, body, body_bytes))
            return -1;
    }
    return (int)(RTCP_HEADER_BYTES + body_bytes);
}
