#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "engine.h"

enum { MAX_GROUP = 64, AHEAD = 4, CIPHER_BYTES = 192 /* about, of a context in OpenSSL 3 */ };

/* A large room does not fit into the processor's cache, and waiting for memory is most of what a packet costs
 * this program: so what the next listeners need is fetched while those before them are served, each pointer a
 * few listeners after the place where it stands. */
static void fetch(const void *start, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += CACHE_LINE)
        __builtin_prefetch((const char *)start + at);
}

/* --- the outbox ----------------------------------------------------------------------------------------- */

static void count_latencies(struct engine *engine)
{
    static const int64_t bounds_us[LATENCY_BUCKETS - 1] = {500,  1000,  2000,  3000, 5000,
                                                           6000, 10000, 20000, 50000};
    const struct outbox *outbox = &engine->outbox;
    int64_t now_ns = clock_ns();
    for (unsigned i = 0; i < outbox->count; i++) {
        int64_t elapsed_us = (now_ns - outbox->started_ns[i]) / 1000;
        unsigned bucket = 0;
        while (bucket < LATENCY_BUCKETS - 1 && elapsed_us > bounds_us[bucket])
            bucket++;
        engine->stats.latency_counts[bucket] += outbox->packets[i];
    }
}

static uint16_t segment_bytes(const struct msghdr *message)
{
    uint16_t bytes;
    memcpy(&bytes, CMSG_DATA((struct cmsghdr *)message->msg_control), sizeof bytes);
    return bytes;
}

/* A message that the kernel refused. A segmented one is sent again in single datagrams: the device may have
 * no checksum offload, the kernel may be old, or the route's MTU smaller than the segments. */
static void refused(struct engine *engine, unsigned at, int error)
{
    struct outbox *outbox = &engine->outbox;
    const struct msghdr *message = &outbox->messages[at].msg_hdr;
    const struct iovec *vector = message->msg_iov;
    if (message->msg_controllen == 0) {
        engine->stats.send_failures++;
        return;
    }
    size_t segment = segment_bytes(message);
    if (error == EIO || error == ENOPROTOOPT || error == EOPNOTSUPP || (error == EINVAL && segment <= 1200))
        engine->segmentation = false;
    for (size_t offset = 0; offset < vector->iov_len; offset += segment) {
        size_t bytes = vector->iov_len - offset < segment ? vector->iov_len - offset : segment;
        const uint8_t *data = (const uint8_t *)vector->iov_base + offset;
        if (sendto(engine->descriptor, data, bytes, MSG_DONTWAIT, message->msg_name, message->msg_namelen) <
            0)
            engine->stats.send_failures++;
        else
            engine->stats.packets_forwarded++;
    }
}

/* How many of the messages from `at` on are settled, one way or the other. */
static unsigned send_some(struct engine *engine, unsigned at)
{
    struct outbox *outbox = &engine->outbox;
    int sent = sendmmsg(engine->descriptor, outbox->messages + at, outbox->count - at, MSG_DONTWAIT);
    int error = errno;
    engine->stats.send_calls++;
    if (sent > 0) {
        for (unsigned i = at; i < at + (unsigned)sent; i++)
            engine->stats.packets_forwarded += outbox->packets[i];
        engine->send_tries = 0;
        return (unsigned)sent;
    }
    if (error == EINTR)
        return 0;
    if (error == EAGAIN || error == ENOBUFS) {
        struct pollfd wait = {engine->descriptor, POLLOUT, 0};
        if (engine->send_tries++ < 2) {
            poll(&wait, 1, 1);
            return 0;
        }
        engine->stats.send_failures += outbox->count - at; /* audio is better lost than late */
        return outbox->count - at;
    }
    if (engine->send_tries++ == 0) /* may be the belated error of an earlier datagram: not this one's fault */
        return 0;
    refused(engine, at, error);
    engine->send_tries = 0;
    return 1;
}

void egress_flush(struct engine *engine)
{
    struct outbox *outbox = &engine->outbox;
    engine->send_tries = 0;
    for (unsigned at = 0; at < outbox->count;)
        at += send_some(engine, at);
    if (outbox->count > 0)
        count_latencies(engine);
    outbox->count = 0;
    outbox->used = 0;
}

static uint8_t *room(struct engine *engine, size_t bytes)
{
    if (engine->outbox.used + bytes > engine->outbox.memory_bytes)
        egress_flush(engine);
    return engine->outbox.memory + engine->outbox.used;
}

struct parcel {            /* packets of one listener, one behind the other */
    uint8_t *start;        /* where room() said */
    size_t bytes, segment; /* segment: the size of each packet but the last */
    unsigned packets;      /* 0 for a report, which is not counted as forwarded */
    int64_t started_ns;
};

static void ask_for_segments(struct engine *engine, struct msghdr *message, size_t segment)
{
    struct cmsghdr *control = (struct cmsghdr *)(void *)engine->outbox.controls[engine->outbox.count];
    uint16_t value = (uint16_t)segment;
    control->cmsg_level = IPPROTO_UDP;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof value);
    memcpy(CMSG_DATA(control), &value, sizeof value);
    message->msg_control = control;
    message->msg_controllen = CMSG_SPACE(sizeof value);
    engine->stats.segmented_sends++;
}

static void post(struct engine *engine, const struct transport *transport, const struct parcel *parcel)
{
    struct outbox *outbox = &engine->outbox;
    if (transport->selected.length == 0) { /* a stream connection: the worker has it */
        for (size_t offset = 0; offset < parcel->bytes; offset += parcel->segment) {
            size_t left = parcel->bytes - offset;
            control_push(engine, parcel->start + offset, left < parcel->segment ? left : parcel->segment,
                         &transport->selected);
        }
        engine->stats.packets_forwarded += parcel->packets;
        return;
    }
    struct msghdr *message = &outbox->messages[outbox->count].msg_hdr;
    outbox->vectors[outbox->count] = (struct iovec){parcel->start, parcel->bytes};
    message->msg_name = (void *)&transport->selected.socket;
    message->msg_namelen = transport->selected.length;
    message->msg_control = NULL;
    message->msg_controllen = 0;
    if (parcel->packets > 1)
        ask_for_segments(engine, message, parcel->segment);
    outbox->packets[outbox->count] = (uint16_t)parcel->packets;
    outbox->started_ns[outbox->count] = parcel->started_ns;
    outbox->used =
        ((size_t)(parcel->start - outbox->memory) + parcel->bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    if (++outbox->count == outbox->capacity)
        egress_flush(engine);
}

void egress_send(struct engine *engine, struct transport *transport, const uint8_t *data, size_t bytes)
{
    uint8_t *out = room(engine, PACKET_ROOM);
    memcpy(out, data, bytes);
    post(engine, transport, &(struct parcel){out, bytes, bytes, 0, 0});
}

/* --- one packet for one listener ------------------------------------------------------------------------ */

/* Decided in order of arrival, because continuity depends on it. */
static bool admit(const struct job *job, struct consumer *consumer, struct place *place)
{
    const struct transport *transport = consumer->transport;
    if (consumer->paused || !transport->has_keys || !transport->has_address || transport == job->from) {
        consumer->continuity.synced = false;
        return false;
    }
    if (!consumer->continuity.synced && !job->newest)
        return false;
    if (continuity_map(&consumer->continuity, &job->place, (uint64_t)job->source->handle, job->arrival_ns,
                       place))
        return true;
    consumer->late++;
    return false;
}

static const uint8_t *choose_payload(struct engine *engine, const struct job *job,
                                     const struct consumer *consumer, size_t *bytes)
{
    *bytes = job->bytes;
    if (!job->is_red)
        return job->payload;
    if (consumer->red_payload_type == 0) {
        *bytes = job->red.primary_bytes;
        return job->payload + job->red.primary_at;
    }
    memcpy(engine->red_scratch, job->payload, job->bytes);
    for (size_t i = 0; i < job->red.blocks; i++) { /* the blocks name the receiver's payload type, too */
        uint8_t *type = &engine->red_scratch[job->red.type_at[i]];
        *type = (uint8_t)((*type & 0x80) | consumer->payload_type);
    }
    return engine->red_scratch;
}

/* For NACK: kept as it is sent, because one index must never encrypt two packets. */
static void keep(struct consumer *consumer, int64_t voice, uint16_t sequence, const uint8_t *data,
                 size_t bytes)
{
    struct kept_packet *kept = &consumer->kept[sequence % RETRANSMIT_PACKETS];
    if (kept->room < bytes) {
        uint8_t *grown = realloc(kept->data, bytes);
        if (grown == NULL)
            return;
        kept->data = grown;
        kept->room = (uint16_t)bytes;
    }
    memcpy(kept->data, data, bytes);
    kept->bytes = (uint16_t)bytes;
    kept->sequence = sequence;
    kept->voice = voice;
}

static size_t build(struct engine *engine, const struct job *job, struct consumer *consumer,
                    const struct place *place, uint8_t *out)
{
    struct transport *transport = consumer->transport;
    size_t payload_bytes;
    const uint8_t *payload = choose_payload(engine, job, consumer, &payload_bytes);
    struct rtp_fields fields = {
        .marker = place->marker,
        .payload_type =
            job->is_red && consumer->red_payload_type ? consumer->red_payload_type : consumer->payload_type,
        .level = job->level,
        .sequence = (uint16_t)place->index,
        .timestamp = place->timestamp,
        .ssrc = consumer->ssrc,
    };
    size_t header_bytes = rtp_write_header(out, &consumer->extensions, &fields);
    int bytes = srtp_protect(&transport->send, out, header_bytes, payload, payload_bytes, consumer->ssrc,
                             (uint64_t)place->index);
    if (bytes < 0) {
        engine->stats.send_failures++;
        return 0;
    }
    consumer->packets++;
    consumer->octets += payload_bytes;
    transport->packets_sent++;
    transport->bytes_sent += (uint64_t)bytes;
    if (consumer->kept != NULL)
        keep(consumer, job->voice, fields.sequence, out, (size_t)bytes);
    return (size_t)bytes;
}

/* --- pending packets ------------------------------------------------------------------------------------ */

/* A packet is admitted for all its listeners when it arrives, because continuity depends on the order of
 * arrival. It then waits in the listeners' lists, and the listeners in a queue. Whoever comes to the front
 * gets everything that has arrived for it until then, as few sends as possible; so packets that arrive while
 * an earlier one is still being sent around join it for the rest of the way. */

static uint32_t take_pending(struct engine *engine)
{
    uint32_t at = engine->free_pending;
    if (at != NOTHING_PENDING) {
        engine->free_pending = engine->pending[at].next;
        return at;
    }
    if (!grow_array(&engine->pending, engine->pending_count, &engine->pending_capacity,
                    sizeof *engine->pending))
        return NOTHING_PENDING;
    return (uint32_t)engine->pending_count++;
}

static void give_back(struct engine *engine, uint32_t at)
{
    engine->jobs[engine->pending[at].job].references--;
    engine->pending[at].next = engine->free_pending;
    engine->free_pending = at;
}

static void enqueue(struct engine *engine, struct transport *transport)
{
    transport->queued = NULL;
    if (engine->queue_head == NULL)
        engine->queue_head = transport;
    else
        engine->queue_tail->queued = transport;
    engine->queue_tail = transport;
}

static void append(struct engine *engine, uint32_t job, struct consumer *consumer)
{
    struct transport *transport = consumer->transport;
    struct place place;
    if (!admit(&engine->jobs[job].job, consumer, &place))
        return;
    uint32_t at = take_pending(engine);
    if (at == NOTHING_PENDING)
        return;
    engine->pending[at] = (struct pending){consumer, place, job, NOTHING_PENDING};
    engine->jobs[job].references++;
    if (transport->pending_head == NOTHING_PENDING) {
        transport->pending_head = at;
        enqueue(engine, transport);
    } else {
        engine->pending[transport->pending_tail].next = at;
    }
    transport->pending_tail = at;
}

void egress_push(struct engine *engine, const struct job *job)
{
    if (engine->jobs[engine->next_job].references != 0) /* the oldest is still on its way */
        egress_run(engine);
    uint32_t number = engine->next_job;
    struct stored_job *stored = &engine->jobs[number];
    engine->next_job = (number + 1) % MAX_JOBS;
    stored->job = *job;
    stored->job.payload = stored->payload;
    memcpy(stored->payload, job->payload, job->bytes);
    if (job->only != NULL) {
        append(engine, number, job->only);
        return;
    }
    const struct source *source = job->source;
    for (size_t i = 0; i < source->count; i++) {
        if (i + 2 * AHEAD < source->count)
            fetch(source->listeners[i + 2 * AHEAD], offsetof(struct consumer, extensions));
        if (i + AHEAD < source->count)
            fetch(source->listeners[i + AHEAD]->transport, CACHE_LINE);
        append(engine, number, source->listeners[i]);
    }
}

/* --- one listener's turn -------------------------------------------------------------------------------- */

/* Segments must be of equal size, only the last may be shorter: longer packets go first, but never past
 * another one of the same stream. */
static unsigned arrange(struct engine *engine, struct transport *transport, uint32_t *order)
{
    unsigned count = 0;
    while (transport->pending_head != NOTHING_PENDING && count < MAX_GROUP) {
        uint32_t next = transport->pending_head;
        const struct pending *moved = &engine->pending[next];
        unsigned at = count++;
        for (; at > 0 && engine->segmentation; at--) {
            const struct pending *before = &engine->pending[order[at - 1]];
            if (before->consumer == moved->consumer ||
                engine->jobs[before->job].job.bytes >= engine->jobs[moved->job].job.bytes)
                break;
            order[at] = order[at - 1];
        }
        order[at] = next;
        transport->pending_head = moved->next;
    }
    return count;
}

static void close_parcel(struct engine *engine, const struct transport *transport, struct parcel *parcel)
{
    if (parcel->packets)
        post(engine, transport, parcel);
    parcel->packets = 0;
    parcel->bytes = 0;
}

static void add_packet(struct engine *engine, struct transport *transport, struct parcel *parcel,
                       const struct pending *pending)
{
    const struct stored_job *stored = &engine->jobs[pending->job];
    if (parcel->packets == 0)
        parcel->start = room(engine, (size_t)MAX_SEGMENTS * PACKET_ROOM);
    uint8_t *out = parcel->start + parcel->bytes;
    size_t bytes = build(engine, &stored->job, pending->consumer, &pending->place, out);
    if (bytes == 0)
        return;
    if (parcel->packets && bytes > parcel->segment) {
        close_parcel(engine, transport, parcel);
        parcel->start = room(engine, (size_t)MAX_SEGMENTS * PACKET_ROOM);
        memmove(parcel->start, out, bytes);
    }
    if (parcel->packets == 0) {
        parcel->segment = bytes;
        parcel->started_ns = stored->job.started_ns;
    } else if (stored->job.started_ns < parcel->started_ns) {
        parcel->started_ns = stored->job.started_ns;
    }
    parcel->bytes += bytes;
    parcel->packets++;
    if (!engine->segmentation || bytes < parcel->segment || parcel->packets == MAX_SEGMENTS ||
        parcel->bytes + PACKET_ROOM > MAX_SEGMENTED_BYTES)
        close_parcel(engine, transport, parcel);
}

static void serve(struct engine *engine, struct transport *transport)
{
    uint32_t order[MAX_GROUP];
    struct parcel parcel = {0};
    while (transport->pending_head != NOTHING_PENDING) {
        unsigned count = arrange(engine, transport, order);
        for (unsigned i = 0; i < count; i++) {
            add_packet(engine, transport, &parcel, &engine->pending[order[i]]);
            give_back(engine, order[i]);
        }
    }
    close_parcel(engine, transport, &parcel);
}

static void fetch_packets(const struct engine *engine, const struct transport *transport)
{
    uint32_t at = transport->pending_head;
    for (unsigned i = 0; i < AHEAD && at != NOTHING_PENDING; i++) {
        fetch(engine->pending[at].consumer, offsetof(struct consumer, late));
        at = engine->pending[at].next;
    }
}

static void fetch_ahead(const struct engine *engine, const struct transport *next)
{
    if (next == NULL)
        return;
    fetch_packets(engine, next);
    if ((next = next->queued) == NULL)
        return;
    fetch(&engine->pending[next->pending_head], sizeof *engine->pending);
    fetch(next->send.rtp.cipher, CIPHER_BYTES);
    if ((next = next->queued) != NULL)
        fetch(next->queued, offsetof(struct transport, receive));
}

bool egress_serve(struct engine *engine, unsigned listeners)
{
    for (; listeners > 0 && engine->queue_head != NULL; listeners--) {
        struct transport *transport = engine->queue_head;
        engine->queue_head = transport->queued;
        fetch_ahead(engine, engine->queue_head);
        serve(engine, transport);
    }
    return engine->queue_head != NULL;
}

void egress_run(struct engine *engine)
{
    while (egress_serve(engine, SWEEP_LISTENERS))
        ;
}
