/* Hostile and honest packets in any order into the C core, with every call of its interface between them.
 *
 *   fuzz INPUTS SEED
 *
 * Built with AddressSanitizer and UBSan. Beyond "no crash" it checks, on everything that leaves: no index is
 * encrypted twice with one key, nobody is heard who may not speak, nobody hears itself, every datagram is
 * well formed, every segmented send is one that a kernel takes. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "fuzz.h"

enum { ROUND_INPUTS = 50000, SLOTS = 3, CONSUMERS = 18, STREAM = 5 };
enum { OPUS = 111, RED = 63, KEY_BYTES = 64, MAX_PADDING = 12 };

static struct engine *engine;
static struct transport *transports[CLIENTS];
static struct producer *producers[CLIENTS];
static struct consumer *consumers[CONSUMERS];
static struct slot *slots[SLOTS];
static struct srtp_direction senders[CLIENTS];
static uint32_t next_ssrc[CLIENTS], sequences[CLIENTS], report_indexes[CLIENTS];
static int64_t now_ns;

/* --- the world ----------------------------------------------------------------------------------------- */

static struct source *any_source(void)
{
    unsigned choice = below(CLIENTS + SLOTS + 1);
    if (choice < CLIENTS)
        return producers[choice] != NULL ? &producers[choice]->source : NULL;
    return choice < CLIENTS + SLOTS ? &slots[choice - CLIENTS]->source : NULL;
}

static void add_producer(unsigned client)
{
    uint8_t mid[2] = {'m', (uint8_t)('0' + client)};
    struct producer_spec spec = {
        .has_ssrc = !one_in(4),
        .ssrc = 1000 + client,
        .payload_type = OPUS,
        .red_payload_type = one_in(2) ? RED : 0,
        .level_id = 1 + below(20),
        .mid_id = 4,
        .mid = mid,
        .mid_bytes = sizeof mid,
        .packets_per_second = one_in(4) ? 50 : 1000000,
        .payload_bytes = 1276,
        .takes_nack = one_in(2),
    };
    producers[client] = producer_add(engine, transports[client], &spec);
    may_be_heard[client] = producers[client] != NULL && !one_in(4);
    if (may_be_heard[client])
        producer_allow(engine, producers[client], true, now_ns);
}

static void add_consumer(unsigned at)
{
    unsigned client = at % CLIENTS;
    struct consumer_spec spec = {
        .ssrc = 5000 + (one_in(4) ? below(next_ssrc[client] + 1) : next_ssrc[client]++),
        .first_timestamp = any(),
        .first_sequence = (uint16_t)below(0x8000),
        .payload_type = 100,
        .red_payload_type = one_in(3) ? 101 : 0,
        .level_id = below(20),
        .mid_id = below(18) == 0 ? 0 : 16 + below(3),
        .mid = (const uint8_t *)"0123456789012345678901234567890123456789",
        .cname = (const uint8_t *)"cname",
        .mid_bytes = below(40),
        .cname_bytes = below(6),
        .nack = one_in(3),
        .paused = one_in(8),
    };
    consumers[at] = consumer_add(engine, transports[client], any_source(), &spec);
}

static void add_client(unsigned client)
{
    static const enum srtp_suite suites[] = {SRTP_AES_128_GCM, SRTP_AES_256_GCM,     SRTP_AES_128_SHA1_80,
                                             SRTP_AES_128_GCM, SRTP_AES_128_SHA1_80, SRTP_AES_128_GCM};
    uint8_t receive_key[KEY_BYTES], send_key[KEY_BYTES];
    for (unsigned i = 0; i < KEY_BYTES; i++) {
        receive_key[i] = (uint8_t)any();
        send_key[i] = (uint8_t)any();
    }
    enum srtp_suite suite = suites[client];
    size_t bytes = srtp_key_bytes(suite);
    transports[client] = transport_add(engine);
    srtp_open(&senders[client], &client_side, suite, receive_key, bytes, false);
    transport_set_keys(engine, transports[client], suite, receive_key, bytes, send_key, bytes, now_ns);
    transport_claim(engine, transports[client], &client_addresses[client]);
    transport_select(transports[client], &client_addresses[client]);
    next_ssrc[client] = 0;
    sequences[client] = any() & 0xffff;
    add_producer(client);
}

static void remove_client(unsigned client)
{
    transport_remove(engine, transports[client]);
    srtp_close(&senders[client]);
    producers[client] = NULL;
    for (unsigned at = client; at < CONSUMERS; at += CLIENTS)
        consumers[at] = NULL;
}

static void open_world(void)
{
    struct engine_options options = {
        .batch_packets = 1 + below(40), .control_backlog = 50, .segmentation = !one_in(4), .seed = any()};
    forget_vectors();
    engine = engine_open(-1, &stand_in, &options);
    for (unsigned i = 0; i < SLOTS; i++)
        slots[i] = slot_add(engine);
    for (unsigned client = 0; client < CLIENTS; client++) {
        address_parse(&client_addresses[client], "127.0.0.1", 20000 + client);
        add_client(client);
    }
    for (unsigned at = 0; at < CONSUMERS; at++)
        add_consumer(at);
}

static void close_world(void)
{
    for (unsigned client = 0; client < CLIENTS; client++)
        remove_client(client);
    engine_close(engine);
}

/* --- calls --------------------------------------------------------------------------------------------- */

static void call_about_consumer(void)
{
    unsigned at = below(CONSUMERS);
    if (consumers[at] == NULL) {
        add_consumer(at);
        return;
    }
    struct source *source = any_source();
    switch (below(4)) {
    case 0:
        consumer_remove(engine, consumers[at]);
        consumers[at] = NULL;
        break;
    case 1:
        consumers[at]->paused = !consumers[at]->paused;
        consumers[at]->continuity.synced = false;
        break;
    default:
        if (source == consumers[at]->source || !consumer_follow(consumers[at], source) || source == NULL)
            break;
        if (!source->is_slot)
            preroll_consumer(engine, consumers[at], (struct producer *)source, now_ns);
    }
}

static void call_about_client(void)
{
    unsigned client = below(CLIENTS);
    switch (one_in(10) ? below(5) : 5) {
    case 0:
        remove_client(client);
        add_client(client);
        break;
    case 1:
        if (producers[client] != NULL)
            producer_remove(engine, producers[client]);
        add_producer(client);
        break;
    case 2:
        transport_claim(engine, transports[client], &client_addresses[below(CLIENTS)]);
        break;
    case 3:
        transport_release(engine, transports[client], &client_addresses[client]);
        break;
    case 4: {
        struct address stream = {.stream = STREAM};
        transport_select(transports[client], one_in(2) ? &stream : NULL);
        break;
    }
    default:
        transport_claim(engine, transports[client], &client_addresses[client]);
        transport_select(transports[client], &client_addresses[client]);
    }
}

static void call_about_speaking(void)
{
    unsigned client = below(CLIENTS);
    if (producers[client] == NULL)
        return;
    bool allowed = !one_in(6);
    may_be_heard[client] = allowed;
    producer_allow(engine, producers[client], allowed, now_ns);
}

static void call_about_slot(void)
{
    unsigned at = below(SLOTS);
    struct producer *producer = producers[below(CLIENTS)];
    if (one_in(20)) {
        slot_remove(engine, slots[at]);
        slots[at] = slot_add(engine);
        return;
    }
    bool changes = slots[at]->occupant != producer;
    slot_occupy(slots[at], producer);
    if (changes && producer != NULL)
        preroll_slot(engine, slots[at], now_ns);
}

static void call(void)
{
    switch (below(8)) {
    case 0:
        call_about_client();
        break;
    case 1:
    case 2:
        call_about_speaking();
        break;
    case 3:
    case 4:
        call_about_slot();
        break;
    case 5:
        reports_send(engine, now_ns);
        break;
    default:
        call_about_consumer();
    }
}

/* --- inputs -------------------------------------------------------------------------------------------- */

static size_t random_bytes(uint8_t *out)
{
    size_t bytes = below(one_in(8) ? 1600 : 120);
    for (size_t i = 0; i < bytes; i++)
        out[i] = (uint8_t)any();
    if (bytes > 0 && !one_in(4))
        out[0] = 0x80 | (out[0] & 0x3f);
    return bytes;
}

/* A packet that is nearly right: extensions, CSRCs and RED of any shape in front of a marked payload. */
static size_t speech(uint8_t *out, unsigned client)
{
    size_t at = RTP_HEADER_BYTES;
    uint32_t sequence = sequences[client] += one_in(50) ? below(3000) : 1;
    if (one_in(10))
        sequence -= below(60);
    unsigned sources = one_in(6) ? below(16) : 0, words = one_in(3) ? below(12) : 1;
    bool red = producers[client] != NULL && producers[client]->red_payload_type && one_in(3);
    bool padded = one_in(8);
    out[0] = (uint8_t)(0x90 | sources | (padded ? 0x20 : 0));
    out[1] = (uint8_t)(red ? RED : OPUS);
    put16(out + 2, sequence);
    put32(out + 4, sequence * 960);
    put32(out + 8, one_in(40) ? any() % 2000 : 1000 + client);
    for (; sources > 0; sources--, at += 4)
        put32(out + at, any());
    put16(out + at, one_in(8) ? 0x1000 : 0xbede);
    put16(out + at + 2, words);
    at += 4;
    bool wild = one_in(8);
    for (unsigned i = 0; i < 4 * words; i++)
        out[at++] = (uint8_t)(wild ? any() : i % 4 == 0 ? 0x10 * (1 + below(14)) : i % 4 == 1 ? any() : 0);
    if (red) {
        unsigned blocks = below(4);
        for (unsigned i = 0; i < blocks; i++, at += 4)
            put32(out + at, 0x80000000u | OPUS << 24 | below(200) << 10 | (one_in(4) ? below(100) : 0));
        out[at++] = OPUS;
    }
    write_mark(out + at, client);
    at += MARK_BYTES;
    for (unsigned i = MAX_PADDING + below(one_in(20) ? 1200 : 160); i > 0; i--)
        out[at++] = (uint8_t)any();
    if (padded)
        out[at - 1] = (uint8_t)below(MAX_PADDING); /* never reaches the mark */
    return at;
}

static size_t protected_speech(uint8_t *out, unsigned client)
{
    uint8_t clear[RECEIVE_BYTES];
    struct rtp_view view;
    size_t bytes = speech(clear, client);
    uint64_t index = sequences[client];
    if (!rtp_parse(clear, bytes, &view) || bytes > 1400)
        return 0;
    index = (index & ~(uint64_t)0xffff) | view.sequence;
    memcpy(out, clear, view.header_bytes);
    int total = srtp_protect(&senders[client], out, view.header_bytes, clear + view.header_bytes,
                             bytes - view.header_bytes, view.ssrc, index);
    return total < 0 ? 0 : (size_t)total;
}

/* For what a listener may still have kept for it, and some before and after. */
static size_t request_again(uint8_t *out, const struct consumer *consumer)
{
    static const uint8_t head[] = {0x81, 205, 0, 3};
    memcpy(out, head, sizeof head);
    put32(out + 4, any());
    put32(out + 8, consumer->ssrc);
    put32(out + 12, (uint32_t)(consumer->continuity.highest + 4 - below(80)) << 16 | (any() & 0xffff));
    return 16;
}

static size_t report(uint8_t *out, unsigned client)
{
    const struct consumer *consumer = consumers[client + CLIENTS * below(CONSUMERS / CLIENTS)];
    size_t bytes = consumer != NULL && one_in(4) ? request_again(out, consumer) : 0;
    for (unsigned count = 1 + below(3); count > 0 && bytes < 600; count--) {
        static const uint8_t types[] = {200, 201, 202, 203, 204, 205, 206, 207};
        unsigned words = 1 + below(one_in(4) ? 60 : 14);
        out[bytes] = (uint8_t)(0x80 | below(one_in(2) ? 2 : 32) | (one_in(8) ? 0x20 : 0));
        out[bytes + 1] = types[below(8)];
        put16(out + bytes + 2, one_in(8) ? any() & 0xff : words);
        for (unsigned i = 0; i < words; i++)
            put32(out + bytes + 4 + 4 * (size_t)i, one_in(2) ? 5000 + below(40) : any());
        bytes += 4 + 4 * (size_t)words;
    }
    int total = srtcp_protect(&senders[client], out, bytes, ++report_indexes[client]);
    return total < 0 ? 0 : (size_t)total;
}

static void give(const uint8_t *data, size_t bytes, const struct address *from)
{
    if (one_in(2)) {
        queue_datagram(data, bytes, from);
        return;
    }
    uint8_t *exact = malloc(bytes ? bytes : 1); /* so that reading one byte too far is seen */
    memcpy(exact, data, bytes);
    receive_datagram(engine, exact, bytes, from, now_ns);
    egress_run(engine);
    egress_flush(engine);
    free(exact);
}

/* Now and then a datagram comes a second time, perhaps much later. */
static void give_again(void)
{
    static struct {
        uint8_t data[RECEIVE_BYTES];
        size_t bytes;
        unsigned client;
    } kept[16];
    unsigned at = below(16);
    if (kept[at].bytes > 0)
        give(kept[at].data, kept[at].bytes, &client_addresses[kept[at].client]);
    if (one_in(4)) {
        kept[at].client = below(CLIENTS);
        kept[at].bytes = protected_speech(kept[at].data, kept[at].client);
        give(kept[at].data, kept[at].bytes, &client_addresses[kept[at].client]);
    }
}

static void input(void)
{
    uint8_t data[RECEIVE_BYTES];
    unsigned client = below(CLIENTS), kind = below(16);
    struct address stream = {.stream = STREAM};
    size_t bytes = kind < 3   ? random_bytes(data)
                   : kind < 5 ? report(data, client)
                              : protected_speech(data, client);
    if (kind >= 3 && one_in(8))
        for (unsigned flips = below(4); bytes > 0 && flips > 0; flips--)
            data[below((uint32_t)bytes)] ^= (uint8_t)(1u << below(8));
    if (one_in(24) && bytes > 0)
        bytes = below((uint32_t)bytes);
    give(data, bytes, one_in(30) ? &stream : &client_addresses[one_in(20) ? below(CLIENTS) : client]);
    now_ns += (int64_t)below(30) * 1000000;
}

static void read_control(void)
{
    for (struct control *control = control_take(engine), *next; control != NULL; control = next) {
        next = control->next;
        free(control);
    }
}

int main(int count, char **words)
{
    uint64_t inputs = count > 1 ? strtoull(words[1], NULL, 10) : 1000000;
    uint64_t seed = count > 2 ? strtoull(words[2], NULL, 10) : 1;
    now_ns = 1000000000;
    for (uint64_t done = 0, round = 0; done < inputs; round++) {
        fuzz_seed(seed + round);
        open_world();
        for (unsigned i = 0; i < ROUND_INPUTS && done < inputs; i++, done++) {
            if (one_in(16))
                give_again();
            else
                input();
            if (one_in(6)) {
                receive_all(engine, now_ns);
                if (one_in(8))
                    call();
                engine->segmentation = engine->segmentation || one_in(50);
            }
            if (one_in(40))
                read_control();
        }
        receive_all(engine, now_ns);
        close_world();
    }
    printf("%llu inputs, %llu datagrams left, %llu segmented sends\n", (unsigned long long)inputs,
           (unsigned long long)datagrams_seen, (unsigned long long)segmented_seen);
    return datagrams_seen > inputs / 10 && segmented_seen > inputs / 1000 ? 0 : 1;
}
