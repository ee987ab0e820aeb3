#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "engine.h"

static const uint8_t SILENCE_PAYLOAD[] = {0xf8, 0xff, 0xfe}; /* Opus, 20 ms */
static const int64_t PREROLL_NS = 160 * 1000000LL;
enum { FRAME_TICKS = 960 };

/* --- jobs ----------------------------------------------------------------------------------------------- */

/* Through a slot: from the occupant's numbers to the slot's. */
static void push_through(struct engine *engine, struct slot *slot, const struct job *job)
{
    struct job moved = *job;
    int64_t highest = slot->source.continuity.highest;
    if (!continuity_map(&slot->source.continuity, &job->place, (uint64_t)slot->occupant->source.handle,
                        job->arrival_ns, &moved.place))
        return;
    moved.newest = moved.place.index > highest;
    moved.source = &slot->source;
    egress_push(engine, &moved);
}

static void emit(struct engine *engine, struct producer *producer, const struct job *job)
{
    egress_push(engine, job);
    for (size_t i = 0; i < producer->slot_count; i++)
        push_through(engine, producer->slots[i], job);
}

/* --- pre-roll ------------------------------------------------------------------------------------------- */

static void remember(struct producer *producer, const struct job *job)
{
    struct preroll_packet *packet = &producer->preroll[producer->preroll_next];
    if (packet->payload == NULL)
        packet->payload = malloc(RTP_MAX_BYTES);
    packet->used = packet->payload != NULL;
    if (!packet->used)
        return;
    memcpy(packet->payload, job->payload, job->bytes);
    packet->bytes = (uint16_t)job->bytes;
    packet->place = job->place;
    packet->arrival_ns = job->arrival_ns;
    packet->level = job->level;
    packet->is_red = job->is_red;
    producer->preroll_next = (producer->preroll_next + 1) % PREROLL_PACKETS;
}

/* The packets of the window in order of index, from the first one that counts as voice. */
static size_t first_syllable(struct producer *producer, int64_t now_ns, struct preroll_packet **out)
{
    struct preroll_packet *found[PREROLL_PACKETS];
    size_t count = 0, start = 0;
    for (unsigned i = 0; i < PREROLL_PACKETS; i++) {
        struct preroll_packet *packet = &producer->preroll[i];
        if (!packet->used || now_ns - packet->arrival_ns > PREROLL_NS)
            continue;
        size_t at = count++;
        for (; at > 0 && found[at - 1]->place.index > packet->place.index; at--)
            found[at] = found[at - 1];
        found[at] = packet;
    }
    while (start < count && (found[start]->level & 0x7f) > VOICE_LEVEL)
        start++;
    for (size_t i = start; i < count; i++)
        out[i - start] = found[i];
    return count - start;
}

static struct job replayed(struct producer *producer, const struct preroll_packet *packet, int64_t now_ns)
{
    struct job job = {
        .source = &producer->source,
        .from = producer->transport,
        .voice = producer->source.handle,
        .payload = packet->payload,
        .bytes = packet->bytes,
        .place = packet->place,
        .arrival_ns = packet->arrival_ns,
        .started_ns = now_ns,
        .is_red = packet->is_red,
        .newest = true,
        .level = packet->level,
    };
    if (job.is_red)
        rtp_parse_red(job.payload, job.bytes, &job.red);
    return job;
}

void preroll_slot(struct engine *engine, struct slot *slot, int64_t now_ns)
{
    struct preroll_packet *packets[PREROLL_PACKETS];
    size_t count = first_syllable(slot->occupant, now_ns, packets);
    for (size_t i = 0; i < count; i++) {
        struct job job = replayed(slot->occupant, packets[i], now_ns);
        push_through(engine, slot, &job);
    }
    egress_run(engine);
    egress_flush(engine);
}

void preroll_consumer(struct engine *engine, struct consumer *consumer, struct producer *producer,
                      int64_t now_ns)
{
    struct preroll_packet *packets[PREROLL_PACKETS];
    size_t count = first_syllable(producer, now_ns, packets);
    for (size_t i = 0; i < count; i++) {
        struct job job = replayed(producer, packets[i], now_ns);
        job.only = consumer;
        egress_push(engine, &job);
    }
    egress_run(engine);
    egress_flush(engine);
}

/* --- the speaking right --------------------------------------------------------------------------------- */

/* A few frames of silence for the decoders to fade out with. */
static void fall_silent(struct engine *engine, struct producer *producer, int64_t now_ns)
{
    struct continuity *continuity = &producer->source.continuity;
    continuity->synced = false;
    wanted_restart(&producer->wanted);
    for (unsigned i = 0; i < PREROLL_PACKETS; i++)
        producer->preroll[i].used = false;
    if (continuity->last_ns == 0)
        return;
    for (unsigned i = 0; i < SILENCE_FRAMES; i++) {
        struct job job = {
            .source = &producer->source,
            .from = producer->transport,
            .voice = producer->source.handle,
            .payload = SILENCE_PAYLOAD,
            .bytes = sizeof SILENCE_PAYLOAD,
            .place = continuity_append(continuity, FRAME_TICKS, now_ns),
            .arrival_ns = now_ns,
            .started_ns = now_ns,
            .newest = true,
            .level = 127,
        };
        producer->octets += job.bytes;
        emit(engine, producer, &job);
    }
    egress_run(engine);
    egress_flush(engine);
}

void producer_allow(struct engine *engine, struct producer *producer, bool allowed, int64_t now_ns)
{
    if (producer->allowed == allowed)
        return;
    producer->allowed = allowed;
    if (!allowed)
        fall_silent(engine, producer, now_ns);
}

/* --- one packet of a publisher -------------------------------------------------------------------------- */

static void hear(struct producer *producer, uint8_t level)
{
    producer->heard++;
    producer->level_total += level & 0x7f;
    if ((level & 0x7f) < producer->loudest)
        producer->loudest = level & 0x7f;
}

/* What has to be right about the payload; false: dropped, and counted where it is a matter of limits. */
static bool accept_payload(struct producer *producer, const struct rtp_view *view, struct job *job)
{
    size_t speech_bytes = job->bytes;
    if (producer->red_payload_type && view->payload_type == producer->red_payload_type) {
        job->is_red = true;
        if (!rtp_parse_red(job->payload, job->bytes, &job->red) ||
            (job->payload[job->red.type_at[job->red.blocks - 1]] & 0x7f) != producer->payload_type)
            return false;
        speech_bytes = job->red.primary_bytes;
    } else if (view->payload_type != producer->payload_type) {
        return false;
    }
    if (job->bytes > producer->payload_bytes) {
        producer->over_limit++;
        return false;
    }
    if (speech_bytes == 0) { /* padding only: it takes no number, what follows goes on without a gap */
        producer->source.continuity.synced = false;
        return false;
    }
    return true;
}

static void ask_for_missing(struct engine *engine, struct producer *producer, uint64_t index,
                            int64_t now_ns)
{
    uint16_t sequences[WANTED_PACKETS];
    unsigned count = wanted_packet(&producer->wanted, (int64_t)index, now_ns, sequences);
    if (count > 0 && producer->transport->has_address)
        reports_ask(engine, producer->transport, producer->ssrc, sequences, count);
}

/* An authentic packet. */
static void produce(struct engine *engine, struct producer *producer, const uint8_t *data,
                    const struct rtp_view *view, size_t payload_bytes, uint64_t index, int64_t now_ns)
{
    const uint8_t *payload = data + view->header_bytes, *level;
    int bytes = rtp_strip_padding(payload, payload_bytes, view->padded);
    int level_bytes = rtp_extension(data, view, producer->level_id, &level);
    if (bytes < 0 || level_bytes < 0) {
        producer->transport->malformed++;
        return;
    }
    reception_packet(&producer->reception, view->sequence, view->timestamp, now_ns);
    if (!producer->allowed) {
        producer->refused++;
        return;
    }
    if (!bucket_take(&producer->bucket, now_ns, producer->packets_per_second)) {
        producer->over_limit++;
        return;
    }
    if (producer->takes_nack)
        ask_for_missing(engine, producer, index, now_ns);
    struct job job = {
        .source = &producer->source,
        .from = producer->transport,
        .voice = producer->source.handle,
        .payload = payload,
        .bytes = (size_t)bytes,
        .arrival_ns = now_ns,
        .started_ns = now_ns - engine->held_ns,
        .level = level_bytes > 0 ? *level : UNKNOWN_LEVEL,
    };
    if (!accept_payload(producer, view, &job))
        return;
    hear(producer, job.level);
    struct place arrived = {(int64_t)index, view->timestamp, view->marker};
    struct continuity *continuity = &producer->source.continuity;
    int64_t highest = continuity->highest;
    if (!continuity_map(continuity, &arrived, producer->ssrc, now_ns, &job.place))
        return;
    job.newest = job.place.index > highest;
    producer->octets += job.bytes;
    remember(producer, &job);
    emit(engine, producer, &job);
}

static bool fits(const struct producer *producer, const struct rtp_view *view)
{
    return view->payload_type == producer->payload_type ||
           (producer->red_payload_type && view->payload_type == producer->red_payload_type);
}

/* Whose is an SSRC that was never signalled: by its MID, else by a payload type that only one waits for. */
static struct producer *learn(const struct transport *transport, const uint8_t *data,
                              const struct rtp_view *view)
{
    struct producer *named = NULL, *waiting = NULL;
    unsigned named_count = 0, waiting_count = 0;
    for (struct producer *each = transport->producers; each != NULL; each = each->next) {
        if (!fits(each, view))
            continue;
        const uint8_t *mid;
        int mid_bytes = each->mid_bytes ? rtp_extension(data, view, each->mid_id, &mid) : 0;
        if (mid_bytes > 0 && mid_bytes == each->mid_bytes && memcmp(mid, each->mid, each->mid_bytes) == 0) {
            named = each;
            named_count++;
        }
        if (!each->has_ssrc) {
            waiting = each;
            waiting_count++;
        }
    }
    if (named_count)
        return named_count == 1 ? named : NULL;
    return waiting_count == 1 ? waiting : NULL;
}

/* The index of an authentic packet, whose payload is then in clear; false: counted. */
static bool open_packet(struct transport *transport, const struct replay_window *window, uint8_t *data,
                        const struct rtp_view *view, size_t *payload_bytes, uint64_t *index)
{
    int clear = -1;
    if (replay_guess(window, view->sequence, index) && replay_is_fresh(window, *index))
        clear = srtp_unprotect(&transport->receive, data, view->header_bytes, *payload_bytes, *index);
    if (clear < 0)
        transport->unprotect_failures++;
    else
        *payload_bytes = (size_t)clear;
    return clear >= 0;
}

static void take_rtp(struct engine *engine, struct transport *transport, uint8_t *data, size_t bytes,
                     int64_t now_ns)
{
    struct rtp_view view;
    uint64_t index;
    if (!rtp_parse(data, bytes, &view) ||
        bytes - view.header_bytes < srtp_tag_bytes(transport->receive.suite)) {
        transport->malformed++;
        return;
    }
    size_t payload_bytes = bytes - view.header_bytes;
    struct producer *producer = producer_find(transport, view.ssrc);
    if (producer != NULL) {
        if (!open_packet(transport, &producer->window, data, &view, &payload_bytes, &index))
            return;
    } else {
        /* headers are in clear: what nobody waits for is not worth a decryption */
        if ((producer = learn(transport, data, &view)) == NULL) {
            transport->unknown_ssrc++;
            return;
        }
        const struct replay_window *window = retired_window(transport, view.ssrc);
        if (!open_packet(transport, window, data, &view, &payload_bytes, &index))
            return;
        if (!producer_bind(producer, view.ssrc)) {
            transport->unknown_ssrc++;
            return;
        }
    }
    replay_mark(&producer->window, index);
    produce(engine, producer, data, &view, payload_bytes, index, now_ns);
}

/* SRTCP indexes run per sender, and nobody tells us beforehand which senders there are. */
static struct replay_window *reporter_window(struct transport *transport, uint32_t ssrc)
{
    for (size_t i = 0; i < transport->reporter_count; i++)
        if (transport->reporters[i].ssrc == ssrc)
            return &transport->reporters[i].window;
    if (transport->reporter_count >= MAX_REPORTERS ||
        !grow_array(&transport->reporters, transport->reporter_count, &transport->reporter_capacity,
                    sizeof *transport->reporters))
        return NULL;
    struct retired_stream *added = &transport->reporters[transport->reporter_count];
    memset(added, 0, sizeof *added);
    added->ssrc = ssrc;
    return &added->window; /* counted by the caller, once the packet is authentic */
}

static void take_rtcp(struct engine *engine, struct transport *transport, uint8_t *data, size_t bytes,
                      int64_t now_ns)
{
    if (transport->receive.suite != SRTP_PLAIN) {
        uint32_t index;
        struct replay_window *window = reporter_window(transport, get32(data + 4));
        int clear = -1;
        if (window != NULL && srtcp_index(&transport->receive, data, bytes, &index) &&
            replay_is_fresh(window, index))
            clear = srtcp_unprotect(&transport->receive, data, bytes);
        if (clear < 0) {
            transport->unprotect_failures++;
            return;
        }
        if (!window->started)
            transport->reporter_count++;
        replay_mark(window, index);
        bytes = (size_t)clear;
    }
    reports_read(engine, transport, data, bytes, now_ns);
}

void ingress_media(struct engine *engine, struct transport *transport, uint8_t *data, size_t bytes,
                   int64_t now_ns)
{
    transport->packets_received++;
    transport->bytes_received += bytes;
    if (!transport->has_keys || bytes < 8)
        transport->malformed++;
    else if (rtp_is_rtcp(data))
        take_rtcp(engine, transport, data, bytes, now_ns);
    else
        take_rtp(engine, transport, data, bytes, now_ns);
}
