#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "engine.h"

enum { NOBODY = UINT32_MAX, CACHE_LINE = 64, AHEAD = 4 };

/* --- the outbox ----------------------------------------------------------------------------------------- */

static void count_latency(struct engine *engine, uint64_t packets)
{
    static const int64_t bounds_us[LATENCY_BUCKETS - 1] = {500,  1000,  2000,  3000, 5000,
                                                           6000, 10000, 20000, 50000};
    int64_t elapsed_us = (clock_ns() - engine->batch_started_ns) / 1000;
    unsigned bucket = 0;
    while (bucket < LATENCY_BUCKETS - 1 && elapsed_us > bounds_us[bucket])
        bucket++;
    engine->stats.latency_counts[bucket] += packets;
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
    uint64_t before = engine->stats.packets_forwarded;
    engine->send_tries = 0;
    for (unsigned at = 0; at < outbox->count;)
        at += send_some(engine, at);
    if (engine->stats.packets_forwarded > before)
        count_latency(engine, engine->stats.packets_forwarded - before);
    outbox->count = 0;
    outbox->used = 0;
}

static uint8_t *room(struct engine *engine, size_t bytes)
{
    if (engine->outbox.used + bytes > engine->outbox.memory_bytes)
        egress_flush(engine);
    return engine->outbox.memory + engine->outbox.used;
}

/* bytes at data, which room() gave. segment: the size of each packet but the last; 0: it is one packet. */
static void queue(struct engine *engine, const struct transport *transport, uint8_t *data, size_t bytes,
                  size_t segment, unsigned packets)
{
    struct outbox *outbox = &engine->outbox;
    if (transport->selected.length == 0) { /* a stream connection: the worker has it */
        for (size_t offset = 0; offset < bytes; offset += segment ? segment : bytes) {
            size_t part = segment && bytes - offset > segment ? segment : bytes - offset;
            control_push(engine, data + offset, part, &transport->selected);
        }
        engine->stats.packets_forwarded += packets;
        return;
    }
    struct msghdr *message = &outbox->messages[outbox->count].msg_hdr;
    outbox->vectors[outbox->count] = (struct iovec){data, bytes};
    message->msg_name = (void *)&transport->selected.socket;
    message->msg_namelen = transport->selected.length;
    message->msg_control = NULL;
    message->msg_controllen = 0;
    if (segment) {
        struct cmsghdr *control = (struct cmsghdr *)(void *)outbox->controls[outbox->count];
        uint16_t value = (uint16_t)segment;
        control->cmsg_level = IPPROTO_UDP;
        control->cmsg_type = UDP_SEGMENT;
        control->cmsg_len = CMSG_LEN(sizeof value);
        memcpy(CMSG_DATA(control), &value, sizeof value);
        message->msg_control = control;
        message->msg_controllen = CMSG_SPACE(sizeof value);
        engine->stats.segmented_sends++;
    }
    outbox->packets[outbox->count] = (uint16_t)packets;
    outbox->used = ((size_t)(data - outbox->memory) + bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    if (++outbox->count == outbox->capacity)
        egress_flush(engine);
}

void egress_send(struct engine *engine, struct transport *transport, const uint8_t *data, size_t bytes)
{
    uint8_t *out = room(engine, PACKET_ROOM);
    memcpy(out, data, bytes);
    queue(engine, transport, out, bytes, 0, 0);
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
static void keep(struct consumer *consumer, uint16_t sequence, const uint8_t *data, size_t bytes)
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
        keep(consumer, fields.sequence, out, (size_t)bytes);
    return (size_t)bytes;
}

/* --- one by one ----------------------------------------------------------------------------------------- */

static void prefetch(const struct consumer *consumer)
{
    __builtin_prefetch(consumer);
    __builtin_prefetch(consumer->transport);
}

static void deliver(struct engine *engine, const struct job *job, struct consumer *consumer)
{
    struct place place;
    if (!admit(job, consumer, &place))
        return;
    uint8_t *out = room(engine, PACKET_ROOM);
    size_t bytes = build(engine, job, consumer, &place, out);
    if (bytes)
        queue(engine, consumer->transport, out, bytes, 0, 1);
}

static void deliver_all(struct engine *engine, const struct job *job)
{
    const struct source *source = job->source;
    if (job->only != NULL) {
        deliver(engine, job, job->only);
        return;
    }
    for (size_t i = 0; i < source->count; i++) {
        if (i + AHEAD < source->count)
            prefetch(source->listeners[i + AHEAD]);
        deliver(engine, job, source->listeners[i]);
    }
}

/* --- grouped by listener -------------------------------------------------------------------------------- */

struct group { /* packets of one listener that leave as one segmented send */
    uint8_t *start;
    size_t bytes, segment;
    unsigned packets;
};

static void close_group(struct engine *engine, const struct transport *transport, struct group *group)
{
    if (group->packets)
        queue(engine, transport, group->start, group->bytes, group->packets > 1 ? group->segment : 0,
              group->packets);
    group->packets = 0;
    group->bytes = 0;
}

/* All pending packets of one listener. The kernel wants equal sizes, only the last may be shorter. */
static void deliver_group(struct engine *engine, struct transport *transport)
{
    struct group group = {0};
    for (uint32_t at = transport->pending_head; at != NOBODY; at = engine->pending[at].next) {
        const struct pending *pending = &engine->pending[at];
        if (group.packets == 0)
            group.start = room(engine, (size_t)MAX_SEGMENTS * PACKET_ROOM);
        uint8_t *out = group.start + group.bytes;
        size_t bytes = build(engine, &engine->jobs[pending->job], pending->consumer, &pending->place, out);
        if (bytes == 0)
            continue;
        if (group.packets && bytes > group.segment) { /* another consumer's header may be longer */
            close_group(engine, transport, &group);
            group.start = room(engine, (size_t)MAX_SEGMENTS * PACKET_ROOM);
            memmove(group.start, out, bytes);
        }
        if (group.packets == 0)
            group.segment = bytes;
        group.bytes += bytes;
        group.packets++;
        if (bytes < group.segment || group.packets == MAX_SEGMENTS ||
            group.bytes + PACKET_ROOM > MAX_SEGMENTED_BYTES)
            close_group(engine, transport, &group);
    }
    close_group(engine, transport, &group);
    transport->pending_head = NOBODY;
}

static void touch(struct engine *engine, size_t *touched, uint32_t at)
{
    struct transport *transport = engine->pending[at].consumer->transport;
    if (transport->pending_head != NOBODY) {
        engine->pending[transport->pending_tail].next = at;
    } else {
        engine->touched[(*touched)++] = transport;
        transport->pending_head = at;
    }
    transport->pending_tail = at;
}

/* Continuity in order of arrival, one job after the other. */
static void admit_job(struct engine *engine, uint32_t number, size_t *count)
{
    const struct job *job = &engine->jobs[number];
    size_t listeners = job->only != NULL ? 1 : job->source->count;
    for (size_t i = 0; i < listeners; i++) {
        if (!grow_array(&engine->pending, *count, &engine->pending_capacity, sizeof *engine->pending) ||
            !grow_array(&engine->touched, *count, &engine->touched_capacity, sizeof *engine->touched))
            return;
        struct consumer *consumer = job->only != NULL ? job->only : job->source->listeners[i];
        struct pending *pending = &engine->pending[*count];
        if (!admit(job, consumer, &pending->place))
            continue;
        pending->job = number;
        pending->consumer = consumer;
        pending->next = NOBODY;
        *count += 1;
    }
}

static void deliver_grouped(struct engine *engine)
{
    uint32_t order[MAX_JOBS], first[MAX_JOBS + 1];
    size_t count = 0, touched = 0;
    for (uint32_t i = 0; i < engine->job_count; i++) {
        first[i] = (uint32_t)count;
        admit_job(engine, i, &count);
        uint32_t at = i;
        for (; at > 0 && engine->jobs[order[at - 1]].bytes < engine->jobs[i].bytes; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    first[engine->job_count] = (uint32_t)count;
    for (uint32_t i = 0; i < engine->job_count; i++)
        for (uint32_t at = first[order[i]]; at < first[order[i] + 1]; at++)
            touch(engine, &touched, at);
    for (size_t i = 0; i < touched; i++) {
        if (i + 1 < touched)
            prefetch(engine->pending[engine->touched[i + 1]->pending_head].consumer);
        deliver_group(engine, engine->touched[i]);
    }
}

void egress_run(struct engine *engine)
{
    if (engine->segmentation && engine->job_count > 1)
        deliver_grouped(engine);
    else
        for (unsigned i = 0; i < engine->job_count; i++)
            deliver_all(engine, &engine->jobs[i]);
    engine->job_count = 0;
    engine->run++;
}
