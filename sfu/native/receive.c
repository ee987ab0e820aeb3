#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "engine.h"

static const uint32_t STUN_COOKIE = 0x2112A442;
enum { STUN_HEADER_BYTES = 20 };
static const int64_t SWEEP_NS = 50 * 1000000LL;

void control_push(struct engine *engine, const uint8_t *data, size_t bytes, const struct address *address)
{
    struct control *control = NULL;
    if (engine->control_count < engine->options.control_backlog)
        control = malloc(sizeof *control + bytes);
    if (control == NULL) {
        engine->stats.control_dropped++;
        return;
    }
    control->next = NULL;
    control->address = *address;
    control->bytes = bytes;
    memcpy(control->data, data, bytes);
    *engine->control_tail = control;
    engine->control_tail = &control->next;
    uint64_t one = 1;
    if (engine->control_count++ == 0 && engine->ready_descriptor >= 0 &&
        write(engine->ready_descriptor, &one, sizeof one) < 0)
        engine->stats.control_dropped++; /* cannot happen: an eventfd takes 2^64 - 2 of them */
}

struct control *control_take(struct engine *engine)
{
    struct control *taken = engine->control_head;
    engine->control_head = NULL;
    engine->control_tail = &engine->control_head;
    engine->control_count = 0;
    return taken;
}

/* STUN may come from anywhere, DTLS from validated addresses; nobody may flood the worker with either. */
static bool is_control(struct engine *engine, const uint8_t *data, size_t bytes,
                       const struct address *address, bool known, int64_t now_ns)
{
    bool stun = data[0] < 4 && bytes >= STUN_HEADER_BYTES && get32(data + 4) == STUN_COOKIE;
    bool dtls = data[0] >= 20 && data[0] < 64 && known;
    if (!stun && !dtls) {
        engine->stats.foreign++;
        return false;
    }
    uint32_t hash = address_hash(address, engine->addresses.seed);
    if (bucket_take(&engine->source_buckets[hash % SOURCE_BUCKETS], now_ns, CONTROL_PER_SECOND))
        return true;
    engine->stats.control_dropped++;
    return false;
}

void receive_datagram(struct engine *engine, uint8_t *data, size_t bytes, const struct address *address,
                      int64_t now_ns)
{
    engine->stats.packets_received++;
    if (bytes == 0) {
        engine->stats.empty++;
    } else if (bytes > RTP_MAX_BYTES) {
        engine->stats.oversized++;
    } else {
        struct transport *transport = address_find(&engine->addresses, address);
        if (data[0] >> 6 == 2 && transport != NULL)
            ingress_media(engine, transport, data, bytes, now_ns);
        else if (is_control(engine, data, bytes, address, transport != NULL, now_ns))
            control_push(engine, data, bytes, address);
    }
}

/* One system call's worth. */
static size_t receive_batch(struct engine *engine, int64_t now_ns)
{
    for (unsigned i = 0; i < RECEIVE_BATCH; i++) {
        engine->receive_messages[i].msg_hdr.msg_namelen = sizeof engine->receive_addresses[i].socket;
        engine->receive_messages[i].msg_hdr.msg_flags = 0;
    }
    int count = recvmmsg(engine->descriptor, engine->receive_messages, RECEIVE_BATCH, MSG_DONTWAIT, NULL);
    if (count <= 0) /* empty, or an ICMP error of an earlier send, which is not about any datagram */
        return 0;
    for (int i = 0; i < count; i++) {
        const struct mmsghdr *message = &engine->receive_messages[i];
        struct address *address = &engine->receive_addresses[i];
        address->length = message->msg_hdr.msg_namelen;
        size_t bytes = message->msg_hdr.msg_flags & MSG_TRUNC ? RECEIVE_BYTES : message->msg_len;
        receive_datagram(engine, engine->receive_vectors[i].iov_base, bytes, address, now_ns);
    }
    return (size_t)count;
}

/* Packets that arrive while others are being sent around join them, until somebody waits for the lock. Where
 * packets were held they do not: those served already would get them one by one; they are held in their turn. */
void receive_all(struct engine *engine, int64_t now_ns)
{
    int64_t started_ns = now_ns;
    size_t count = receive_batch(engine, now_ns);
    bool joins = engine->held_ns == 0;
    engine->held_ns = 0;
    while (egress_serve(engine, SWEEP_LISTENERS) || count == RECEIVE_BATCH) {
        bool more = joins || count == RECEIVE_BATCH;
        count = 0;
        if (more && atomic_load_explicit(&engine->waiting, memory_order_relaxed) == 0) {
            now_ns = clock_ns();
            if (now_ns - started_ns < SWEEP_NS)
                count = receive_batch(engine, now_ns);
        }
    }
    egress_flush(engine);
}
