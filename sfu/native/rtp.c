#include "rtp.h"

#include <string.h>

#include "bytes.h"

enum { ONE_BYTE_PROFILE = 0xBEDE, TWO_BYTE_PROFILE = 0x1000 };

bool rtp_is_rtcp(const uint8_t *data)
{
    unsigned type = data[1] & 0x7f;
    return type >= 64 && type < 96;
}

bool rtp_parse(const uint8_t *data, size_t bytes, struct rtp_view *view)
{
    if (bytes < RTP_HEADER_BYTES || data[0] >> 6 != 2)
        return false;
    memset(view, 0, sizeof *view);
    view->padded = data[0] & 0x20;
    view->marker = data[1] & 0x80;
    view->payload_type = data[1] & 0x7f;
    view->sequence = (uint16_t)get16(data + 2);
    view->timestamp = get32(data + 4);
    view->ssrc = get32(data + 8);
    view->header_bytes = RTP_HEADER_BYTES + 4 * (size_t)(data[0] & 15);
    if (data[0] & 0x10) {
        if (view->header_bytes + 4 > bytes)
            return false;
        const uint8_t *block = data + view->header_bytes;
        view->extension_profile = (uint16_t)get16(block);
        view->extension_bytes = 4 * (size_t)get16(block + 2);
        view->extension_offset = view->header_bytes + 4;
        view->header_bytes = view->extension_offset + view->extension_bytes;
    }
    return view->header_bytes <= bytes;
}

/* One element at *p: its id and value; false at the end, and for a cut one, which *cut tells apart. */
static bool next_element(const uint8_t **p, const uint8_t *end, bool one_byte, bool *cut, unsigned *id,
                         const uint8_t **value, size_t *length)
{
    while (*p < end && **p == 0) /* padding between elements */
        *p += 1;
    if (*p == end)
        return false;
    *id = one_byte ? **p >> 4 : **p;
    if (one_byte && *id == 15) /* RFC 8285: stop reading */
        return false;
    if (!one_byte && end - *p < 2) {
        *cut = true;
        return false;
    }
    *length = one_byte ? (size_t)(**p & 15) + 1 : (*p)[1];
    *value = *p + (one_byte ? 1 : 2);
    *cut = *length > (size_t)(end - *value);
    *p = *value + *length;
    return !*cut;
}

int rtp_extension(const uint8_t *data, const struct rtp_view *view, unsigned id, const uint8_t **value)
{
    bool one_byte = view->extension_profile == ONE_BYTE_PROFILE, cut = false;
    if (!one_byte && (view->extension_profile & 0xfff0) != TWO_BYTE_PROFILE)
        return 0;
    const uint8_t *p = data + view->extension_offset, *end = p + view->extension_bytes, *found;
    unsigned found_id;
    size_t length;
    int result = 0;
    while (next_element(&p, end, one_byte, &cut, &found_id, &found, &length)) {
        if (id != 0 && found_id == id) {
            *value = found;
            result = (int)length;
        }
    }
    return cut ? -1 : result;
}

int rtp_strip_padding(const uint8_t *payload, size_t bytes, bool padded)
{
    if (!padded)
        return (int)bytes;
    if (bytes == 0 || payload[bytes - 1] == 0 || payload[bytes - 1] > bytes)
        return -1;
    return (int)(bytes - payload[bytes - 1]);
}

bool rtp_parse_red(const uint8_t *payload, size_t bytes, struct rtp_red *red)
{
    size_t position = 0, redundant = 0;
    red->blocks = 0;
    while (position < bytes && payload[position] & 0x80) {
        if (bytes - position < 4 || red->blocks == RTP_MAX_RED_BLOCKS - 1)
            return false;
        red->type_at[red->blocks++] = position;
        redundant += get16(payload + position + 2) & 0x3ff;
        position += 4;
    }
    if (position + 1 + redundant > bytes)
        return false;
    red->type_at[red->blocks++] = position;
    red->primary_at = position + 1 + redundant; /* the last block's header is one byte */
    red->primary_bytes = bytes - red->primary_at;
    return true;
}

bool rtp_prepare_extensions(struct rtp_extensions *out, unsigned level_id, unsigned mid_id,
                            const uint8_t *mid, size_t mid_bytes)
{
    memset(out, 0, sizeof *out);
    if (level_id > 255 || mid_id > 255 || mid_bytes > RTP_MAX_MID_BYTES || (level_id && level_id == mid_id))
        return false;
    bool has_mid = mid_id && mid_bytes,
         one_byte = level_id < 15 && (!has_mid || (mid_id < 15 && mid_bytes <= 16));
    uint8_t *p = out->block + 4;
    if (level_id) {
        *p++ = (uint8_t)(one_byte ? level_id << 4 : level_id);
        if (!one_byte)
            *p++ = 1;
        out->level_at = (uint8_t)(p++ - out->block);
    }
    if (has_mid) {
        *p++ = (uint8_t)(one_byte ? mid_id << 4 | (mid_bytes - 1) : mid_id);
        if (!one_byte)
            *p++ = (uint8_t)mid_bytes;
        memcpy(p, mid, mid_bytes);
        p += mid_bytes;
    }
    size_t used = (size_t)(p - out->block);
    if (used == 4)
        return true; /* no element, no block */
    used = (used + 3) / 4 * 4;
    put16(out->block, one_byte ? ONE_BYTE_PROFILE : TWO_BYTE_PROFILE);
    put16(out->block + 2, (uint32_t)(used - 4) / 4);
    out->bytes = (uint8_t)used;
    return true;
}

size_t rtp_write_header(uint8_t *out, const struct rtp_extensions *extensions,
                        const struct rtp_fields *fields)
{
    out[0] = extensions->bytes ? 0x90 : 0x80;
    out[1] = (uint8_t)(fields->payload_type | (fields->marker ? 0x80 : 0));
    put16(out + 2, fields->sequence);
    put32(out + 4, fields->timestamp);
    put32(out + 8, fields->ssrc);
    memcpy(out + RTP_HEADER_BYTES, extensions->block, extensions->bytes);
    if (extensions->level_at)
        out[RTP_HEADER_BYTES + extensions->level_at] = fields->level;
    return RTP_HEADER_BYTES + extensions->bytes;
}
