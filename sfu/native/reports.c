#include <math.h>
#include <string.h>

#include "bytes.h"
#include "engine.h"

/* RTCP (RFC 3550, and the generic NACK of RFC 4585): what peers report to us, and we to them. */

enum {
    SENDER_REPORT = 200,
    RECEIVER_REPORT = 201,
    DESCRIPTION = 202,
    FEEDBACK = 205,
    GENERIC_NACK = 1,
    CNAME_ITEM = 1,
    BLOCK_BYTES = 24,
    SENDER_BYTES = 24, /* of a sender report without its first word */
    MAX_BLOCKS = 31,
    COMPOUND_BYTES = 1200,
    CLOCK_RATE = 48000,
    OWN_SSRC = 1, /* of receiver reports where we send no stream of our own */
    RESENT_PER_SECOND = 200,
};
const int64_t REPORT_INTERVAL_NS = 2000000000;
static const uint64_t NTP_EPOCH_SECONDS = 2208988800u;
static const char OWN_CNAME[] = "flylive";

static uint64_t ntp_time(const struct engine *engine, int64_t now_ns)
{
    uint64_t unix_ns = (uint64_t)(now_ns + engine->options.unix_offset_ns);
    uint64_t fraction = (unix_ns % 1000000000 << 32) / 1000000000;
    return (unix_ns / 1000000000 + NTP_EPOCH_SECONDS) << 32 | fraction;
}

static uint32_t middle(uint64_t ntp)
{
    return (uint32_t)(ntp >> 16);
}

/* --- what arrives on a stream --------------------------------------------------------------------------- */

void reception_packet(struct reception *reception, uint16_t sequence, uint32_t timestamp, int64_t now_ns)
{
    if (!reception->started) {
        reception->started = true;
        reception->base = reception->highest = sequence + 0x10000; /* earlier ones stay positive */
    }
    int16_t distance = (int16_t)(sequence - (uint16_t)reception->highest);
    if (distance > 0)
        reception->highest += distance;
    reception->received++;
    uint32_t transit = (uint32_t)(now_ns / 1000 * (CLOCK_RATE / 1000) / 1000) - timestamp;
    if (reception->has_transit) {
        int32_t step = (int32_t)(transit - reception->transit);
        reception->jitter += (fabs((double)step) - reception->jitter) / 16;
    }
    reception->has_transit = true;
    reception->transit = transit;
}

int64_t reception_lost(const struct reception *reception)
{
    return reception->started ? reception->highest - reception->base + 1 - (int64_t)reception->received : 0;
}

static void write_block(uint8_t *out, uint32_t ssrc, struct reception *reception, int64_t now_ns)
{
    uint64_t expected = (uint64_t)(reception->highest - reception->base + 1);
    int64_t expected_step = (int64_t)(expected - reception->expected_before);
    int64_t gone = expected_step - (int64_t)(reception->received - reception->received_before);
    int64_t fraction = gone > 0 && expected_step > 0 ? gone * 256 / expected_step : 0;
    int64_t lost = reception_lost(reception);
    lost = lost > 0x7fffff ? 0x7fffff : lost < -0x800000 ? -0x800000 : lost;
    int64_t delay = reception->report_ntp ? (now_ns - reception->report_ns) / 1000 * 65536 / 1000000 : 0;
    reception->expected_before = expected;
    reception->received_before = reception->received;
    put32(out, ssrc);
    put32(out + 4, (uint32_t)(fraction > 255 ? 255 : fraction) << 24 | ((uint32_t)lost & 0xffffff));
    put32(out + 8, (uint32_t)(reception->highest - 0x10000));
    put32(out + 12, (uint32_t)reception->jitter);
    put32(out + 16, reception->report_ntp);
    put32(out + 20, (uint32_t)delay);
}

/* --- reading -------------------------------------------------------------------------------------------- */

static void read_blocks(struct transport *transport, const uint8_t *blocks, size_t bytes, unsigned count,
                        uint64_t ntp)
{
    for (; count > 0 && bytes >= BLOCK_BYTES; count--, blocks += BLOCK_BYTES, bytes -= BLOCK_BYTES) {
        struct consumer *consumer = consumer_find(transport, get32(blocks));
        if (consumer == NULL)
            continue;
        uint32_t loss = get32(blocks + 4), last_report = get32(blocks + 16);
        consumer->fraction_lost = (loss >> 24) / 256.0;
        consumer->lost = (int64_t)(loss & 0xffffff) - (loss & 0x800000 ? 0x1000000 : 0);
        consumer->jitter_seconds = (double)get32(blocks + 12) / CLOCK_RATE;
        uint32_t waited = middle(ntp) - last_report - get32(blocks + 20);
        if (last_report && waited < 0x80000000u)
            consumer->round_trip_seconds = waited / 65536.0;
    }
}

static void resend(struct engine *engine, struct consumer *consumer, uint16_t sequence, int64_t now_ns)
{
    const struct kept_packet *kept = &consumer->kept[sequence % RETRANSMIT_PACKETS];
    struct transport *transport = consumer->transport;
    const struct producer *voice = table_get(&engine->table, OBJECT_PRODUCER, kept->voice);
    if (voice == NULL || !voice->allowed || kept->bytes == 0 || kept->sequence != sequence || !transport->has_address ||
        !bucket_take(&transport->bucket, now_ns, RESENT_PER_SECOND))
        return;
    consumer->retransmitted++;
    egress_send(engine, transport, kept->data, kept->bytes);
}

static void read_nack(struct engine *engine, struct transport *transport, const uint8_t *body, size_t bytes,
                      int64_t now_ns)
{
    struct consumer *consumer = consumer_find(transport, get32(body + 4));
    if (consumer == NULL || consumer->kept == NULL)
        return;
    for (size_t at = 8; at + 4 <= bytes; at += 4) {
        uint16_t sequence = (uint16_t)get16(body + at);
        uint32_t others = get16(body + at + 2);
        resend(engine, consumer, sequence, now_ns);
        for (unsigned bit = 0; bit < 16; bit++)
            if (others >> bit & 1)
                resend(engine, consumer, (uint16_t)(sequence + bit + 1), now_ns);
    }
}

static void read_one(struct engine *engine, struct transport *transport, unsigned type, unsigned count,
                     const uint8_t *body, size_t bytes, int64_t now_ns)
{
    uint64_t ntp = ntp_time(engine, now_ns);
    if (type == SENDER_REPORT && bytes >= SENDER_BYTES) {
        struct producer *producer = producer_find(transport, get32(body));
        if (producer != NULL) {
            producer->reception.report_ntp = get16(body + 6) << 16 | get16(body + 8);
            producer->reception.report_ns = now_ns;
        }
        read_blocks(transport, body + SENDER_BYTES, bytes - SENDER_BYTES, count, ntp);
    } else if (type == RECEIVER_REPORT && bytes >= 4) {
        read_blocks(transport, body + 4, bytes - 4, count, ntp);
    } else if (type == FEEDBACK && count == GENERIC_NACK && bytes >= 8) {
        read_nack(engine, transport, body, bytes, now_ns);
    }
}

void reports_read(struct engine *engine, struct transport *transport, const uint8_t *data, size_t bytes,
                  int64_t now_ns)
{
    while (bytes >= 4) {
        size_t size = 4 + 4 * (size_t)get16(data + 2), body_bytes = size - 4;
        if (data[0] >> 6 != 2 || size > bytes)
            return;
        if (data[0] & 0x20) {
            uint8_t padding = body_bytes ? data[size - 1] : 0;
            if (padding == 0 || padding > body_bytes)
                return;
            body_bytes -= padding;
        }
        read_one(engine, transport, data[1], data[0] & 31, data + 4, body_bytes, now_ns);
        data += size;
        bytes -= size;
    }
}

/* --- writing -------------------------------------------------------------------------------------------- */

static size_t write_description(uint8_t *out, uint32_t ssrc, const uint8_t *cname, size_t cname_bytes)
{
    size_t chunk = 4 + 2 + cname_bytes + 1, padded = (chunk + 3) / 4 * 4;
    memset(out, 0, 4 + padded);
    out[0] = 0x81;
    out[1] = DESCRIPTION;
    put16(out + 2, (uint32_t)padded / 4);
    put32(out + 4, ssrc);
    out[8] = CNAME_ITEM;
    out[9] = (uint8_t)cname_bytes;
    memcpy(out + 10, cname, cname_bytes);
    return 4 + padded;
}

static size_t write_sender_report(uint8_t *out, const struct consumer *consumer, uint64_t ntp, int64_t now_ns)
{
    const struct continuity *continuity = &consumer->continuity;
    int64_t ticks = (now_ns - continuity->last_ns) / 1000 * (CLOCK_RATE / 1000) / 1000;
    out[0] = 0x80;
    out[1] = SENDER_REPORT;
    put16(out + 2, 6);
    put32(out + 4, consumer->ssrc);
    put32(out + 8, (uint32_t)(ntp >> 32));
    put32(out + 12, (uint32_t)ntp);
    put32(out + 16, continuity->last_timestamp + (uint32_t)ticks);
    put32(out + 20, (uint32_t)consumer->packets);
    put32(out + 24, (uint32_t)consumer->octets);
    return 28 + write_description(out + 28, consumer->ssrc, consumer->cname, consumer->cname_bytes);
}

static uint32_t own_ssrc(const struct transport *transport)
{
    return transport->consumers != NULL ? transport->consumers->ssrc : OWN_SSRC;
}

static size_t write_receiver_report(uint8_t *out, struct transport *transport, int64_t now_ns)
{
    unsigned count = 0;
    for (struct producer *producer = transport->producers; producer && count < MAX_BLOCKS;
         producer = producer->next)
        if (producer->reception.started)
            write_block(out + 8 + BLOCK_BYTES * count++, producer->ssrc, &producer->reception, now_ns);
    if (count == 0)
        return 0;
    uint32_t own = own_ssrc(transport);
    out[0] = (uint8_t)(0x80 | count);
    out[1] = RECEIVER_REPORT;
    put16(out + 2, 1 + 6 * count);
    put32(out + 4, own);
    size_t bytes = 8 + BLOCK_BYTES * count;
    return bytes + write_description(out + bytes, own, (const uint8_t *)OWN_CNAME, sizeof OWN_CNAME - 1);
}

static void send_compound(struct engine *engine, struct transport *transport, uint8_t *compound,
                          size_t *bytes)
{
    if (*bytes) {
        int protected =
            srtcp_protect(&transport->send, compound, *bytes, ++transport->report_index & 0x7fffffff);
        if (protected > 0)
            egress_send(engine, transport, compound, (size_t)protected);
    }
    *bytes = 0;
}

void reports_ask(struct engine *engine, struct transport *transport, uint32_t ssrc,
                 const uint16_t *sequences, unsigned count)
{
    enum { HEAD_BYTES = 12 };
    uint8_t compound[HEAD_BYTES + 4 * WANTED_PACKETS + SRTP_MAX_TRAILER_BYTES];
    size_t bytes = HEAD_BYTES + 4 * (size_t)count;
    compound[0] = 0x80 | GENERIC_NACK;
    compound[1] = FEEDBACK;
    put16(compound + 2, 2 + count);
    put32(compound + 4, own_ssrc(transport));
    put32(compound + 8, ssrc);
    for (unsigned i = 0; i < count; i++)
        put32(compound + HEAD_BYTES + 4 * (size_t)i, (uint32_t)sequences[i] << 16);
    send_compound(engine, transport, compound, &bytes);
}

static void report_to(struct engine *engine, struct transport *transport, int64_t now_ns)
{
    enum { PIECE_BYTES = 8 + MAX_BLOCKS * BLOCK_BYTES + 12 + MAX_CNAME_BYTES + 4 };
    uint8_t compound[COMPOUND_BYTES + PIECE_BYTES + SRTP_MAX_TRAILER_BYTES], piece[PIECE_BYTES];
    uint64_t ntp = ntp_time(engine, now_ns);
    const struct consumer *consumer = transport->consumers;
    size_t bytes = 0;
    for (bool last = false; !last;) {
        last = consumer == NULL;
        size_t piece_bytes = 0;
        if (last)
            piece_bytes = write_receiver_report(piece, transport, now_ns);
        else if (consumer->packets)
            piece_bytes = write_sender_report(piece, consumer, ntp, now_ns);
        if (bytes + piece_bytes > COMPOUND_BYTES)
            send_compound(engine, transport, compound, &bytes);
        memcpy(compound + bytes, piece, piece_bytes);
        bytes += piece_bytes;
        if (!last)
            consumer = consumer->next;
    }
    send_compound(engine, transport, compound, &bytes);
}

void reports_send(struct engine *engine, int64_t now_ns)
{
    for (struct transport *transport = engine->transports; transport != NULL; transport = transport->next) {
        if (!transport->has_keys || transport->report_due_ns > now_ns)
            continue;
        transport->report_due_ns += REPORT_INTERVAL_NS;
        if (transport->report_due_ns <= now_ns) /* after a standstill: no burst */
            transport->report_due_ns = now_ns + REPORT_INTERVAL_NS;
        if (transport->has_address)
            report_to(engine, transport, now_ns);
    }
    egress_flush(engine);
}
