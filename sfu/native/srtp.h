/* SRTP and SRTCP of one direction of one transport (RFC 3711, RFC 7714), on the library's ciphers.
 *
 * The caller gives the packet index, so that this file has no state that could be out of step with the
 * replay window or with the continuity of a stream; it never checks a window itself. */
#ifndef FLYLIVE_SRTP_H
#define FLYLIVE_SRTP_H
#include "library.h"

enum srtp_suite { SRTP_PLAIN, SRTP_AES_128_GCM, SRTP_AES_256_GCM, SRTP_AES_128_SHA1_80 };

enum { SRTP_MAX_TRAILER_BYTES = 20 /* the SRTCP index and the longest tag */ };

struct srtp_stream { /* keys of RTP, or of RTCP */
    cipher_context *cipher;
    mac_context *mac;
    uint8_t salt[14];
};

struct srtp_direction {
    const struct library *library;
    enum srtp_suite suite;
    bool inbound, ready;
    struct srtp_stream rtp, rtcp;
};

size_t srtp_key_bytes(enum srtp_suite suite); /* master key and master salt */
size_t srtp_tag_bytes(enum srtp_suite suite);

/* master is key || salt as DTLS exports them. On failure nothing is left behind. */
bool srtp_open(struct srtp_direction *direction, const struct library *library, enum srtp_suite suite,
               const uint8_t *master, size_t master_bytes, bool inbound);
void srtp_close(struct srtp_direction *direction);

/* out holds the header; writes the encrypted payload and the tag behind it. Returns the packet's length or
 * -1. The payload may not overlap with out. */
int srtp_protect(struct srtp_direction *direction, uint8_t *out, size_t header_bytes, const uint8_t *payload,
                 size_t payload_bytes, uint32_t ssrc, uint64_t index);

/* In place; bytes is what follows the header. Returns the payload's length, or -1 when it is not authentic:
 * the payload is then rubbish. */
int srtp_unprotect(struct srtp_direction *direction, uint8_t *packet, size_t header_bytes, size_t bytes,
                   uint64_t index);

/* In place, with SRTP_MAX_TRAILER_BYTES of room behind. Returns the new length or -1. */
int srtcp_protect(struct srtp_direction *direction, uint8_t *packet, size_t bytes, uint32_t index);

/* The index that the packet claims, to be checked against a window before the cost of unprotecting. */
bool srtcp_index(const struct srtp_direction *direction, const uint8_t *packet, size_t bytes,
                 uint32_t *index);
int srtcp_unprotect(struct srtp_direction *direction, uint8_t *packet, size_t bytes);
#endif
