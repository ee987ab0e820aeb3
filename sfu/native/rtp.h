/* What forwarding has to know of an RTP packet: where its header ends, its audio level, its payload.
 * Nothing here allocates, and every length is checked before the byte behind it is read. */
#ifndef FLYLIVE_RTP_H
#define FLYLIVE_RTP_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RTP_HEADER_BYTES = 12,
    RTP_MAX_BYTES = 1500, /* one Ethernet frame: audio never needs more */
    RTP_MAX_MID_BYTES = 64,
    RTP_MAX_EXTENSION_BYTES = 76, /* block header, level and MID in the two-byte form, padding */
    RTP_MAX_RED_BLOCKS = 8,
};

struct rtp_view {
    uint32_t ssrc, timestamp;
    uint16_t sequence;
    uint8_t payload_type;
    bool marker, padded;
    size_t header_bytes;                      /* fixed header, CSRCs and extension block */
    size_t extension_offset, extension_bytes; /* the elements, behind the block's own header */
    uint16_t extension_profile;
};

/* The extension block of one listener, made once; only the level byte changes from packet to packet. */
struct rtp_extensions {
    uint8_t bytes, level_at; /* level_at 0: not negotiated */
    uint8_t block[RTP_MAX_EXTENSION_BYTES];
};

bool rtp_parse(const uint8_t *data, size_t bytes, struct rtp_view *view);

/* True for what RFC 5761 calls RTCP on a shared port. */
bool rtp_is_rtcp(const uint8_t *data);

/* Length of the element and its place in *value; 0 when the packet does not carry it, -1 when an element
 * is cut off by the end of the block. */
int rtp_extension(const uint8_t *data, const struct rtp_view *view, unsigned id, const uint8_t **value);

/* Payload length without RFC 3550 padding; -1 when the padding claims more than there is. */
int rtp_strip_padding(const uint8_t *payload, size_t bytes, bool padded);

/* RFC 2198: places of the payload type bytes and of the primary block, the newest frame. */
struct rtp_red {
    size_t type_at[RTP_MAX_RED_BLOCKS], blocks; /* the primary's is the last */
    size_t primary_at, primary_bytes;
};

bool rtp_parse_red(const uint8_t *payload, size_t bytes, struct rtp_red *red);

/* Ids of 0 leave the element out; the two-byte form is taken only when the other does not fit. */
bool rtp_prepare_extensions(struct rtp_extensions *out, unsigned level_id, unsigned mid_id,
                            const uint8_t *mid, size_t mid_bytes);

struct rtp_fields {
    bool marker;
    uint8_t payload_type, level;
    uint16_t sequence;
    uint32_t timestamp, ssrc;
};

/* Returns the length of the header. */
size_t rtp_write_header(uint8_t *out, const struct rtp_extensions *extensions,
                        const struct rtp_fields *fields);
#endif
