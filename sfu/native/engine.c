#include "engine.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { MAX_BATCH = 1024 };

static bool open_outbox(struct outbox *outbox, unsigned capacity)
{
    size_t packets = capacity < 2 * MAX_SEGMENTS ? 2 * MAX_SEGMENTS : capacity;
    outbox->capacity = capacity;
    outbox->memory_bytes = packets * PACKET_ROOM;
    outbox->memory = aligned_alloc(CACHE_LINE, outbox->memory_bytes);
    outbox->messages = calloc(capacity, sizeof *outbox->messages);
    outbox->vectors = calloc(capacity, sizeof *outbox->vectors);
    outbox->controls = calloc(capacity, sizeof *outbox->controls);
    outbox->packets = calloc(capacity, sizeof *outbox->packets);
    outbox->started_ns = calloc(capacity, sizeof *outbox->started_ns);
    if (!outbox->memory || !outbox->messages || !outbox->vectors || !outbox->controls || !outbox->packets ||
        !outbox->started_ns)
        return false;
    for (unsigned i = 0; i < capacity; i++) {
        outbox->messages[i].msg_hdr.msg_iov = &outbox->vectors[i];
        outbox->messages[i].msg_hdr.msg_iovlen = 1;
    }
    return true;
}

static bool open_receive(struct engine *engine)
{
    engine->receive_messages = calloc(RECEIVE_BATCH, sizeof *engine->receive_messages);
    engine->receive_vectors = calloc(RECEIVE_BATCH, sizeof *engine->receive_vectors);
    engine->receive_addresses = calloc(RECEIVE_BATCH, sizeof *engine->receive_addresses);
    engine->receive_memory = calloc(RECEIVE_BATCH, RECEIVE_BYTES);
    if (!engine->receive_messages || !engine->receive_vectors || !engine->receive_addresses ||
        !engine->receive_memory)
        return false;
    for (unsigned i = 0; i < RECEIVE_BATCH; i++) {
        struct msghdr *message = &engine->receive_messages[i].msg_hdr;
        engine->receive_vectors[i].iov_base = engine->receive_memory + (size_t)i * RECEIVE_BYTES;
        engine->receive_vectors[i].iov_len = RECEIVE_BYTES;
        message->msg_iov = &engine->receive_vectors[i];
        message->msg_iovlen = 1;
        message->msg_name = &engine->receive_addresses[i].socket;
    }
    return true;
}

/* Datagrams that may not be fragmented need no identification number, which costs the kernel a hash each.
 * Ours are small; a route that cannot take them is told by ICE, whose checks are sent the same way. */
static void forbid_fragments(int descriptor)
{
    int probe = IP_PMTUDISC_PROBE;
    setsockopt(descriptor, IPPROTO_IP, IP_MTU_DISCOVER, &probe, sizeof probe);
    setsockopt(descriptor, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe, sizeof probe); /* refused on IPv4: fine */
}

struct engine *engine_open(int descriptor, const struct library *library,
                           const struct engine_options *options)
{
    struct engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL)
        return NULL;
    engine->descriptor = descriptor;
    engine->library = library;
    engine->options = *options;
    engine->segmentation = options->segmentation;
    engine->addresses.seed = options->seed;
    engine->control_tail = &engine->control_head;
    engine->free_pending = NOTHING_PENDING;
    engine->wake_descriptor = -1;
    forbid_fragments(descriptor);
    table_open(&engine->table);
    pthread_mutex_init(&engine->lock, NULL);
    pthread_mutex_init(&engine->turn, NULL);
    unsigned batch = options->batch_packets > MAX_BATCH ? MAX_BATCH : options->batch_packets;
    engine->ready_descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    engine->source_buckets = calloc(SOURCE_BUCKETS, sizeof *engine->source_buckets);
    engine->jobs = calloc(MAX_JOBS, sizeof *engine->jobs);
    engine->red_scratch = malloc(RTP_MAX_BYTES);
    if (engine->ready_descriptor < 0 || !engine->source_buckets || !engine->jobs || !engine->red_scratch ||
        !open_outbox(&engine->outbox, batch ? batch : 1) || !open_receive(engine)) {
        engine_close(engine);
        return NULL;
    }
    return engine;
}

void engine_close(struct engine *engine)
{
    while (engine->transports != NULL)
        transport_remove(engine, engine->transports);
    for (size_t i = 0; i < engine->table.count; i++) /* only slots belong to no transport */
        if (engine->table.entries[i].kind == OBJECT_SLOT)
            slot_remove(engine, engine->table.entries[i].object);
    for (struct control *control = control_take(engine), *next; control != NULL; control = next) {
        next = control->next;
        free(control);
    }
    if (engine->ready_descriptor >= 0)
        close(engine->ready_descriptor);
    pthread_mutex_destroy(&engine->lock);
    pthread_mutex_destroy(&engine->turn);
    free(engine->table.entries);
    free(engine->addresses.entries);
    free(engine->source_buckets);
    free(engine->jobs);
    free(engine->red_scratch);
    free(engine->pending);
    free(engine->outbox.memory);
    free(engine->outbox.messages);
    free(engine->outbox.vectors);
    free(engine->outbox.controls);
    free(engine->outbox.packets);
    free(engine->outbox.started_ns);
    free(engine->receive_messages);
    free(engine->receive_vectors);
    free(engine->receive_addresses);
    free(engine->receive_memory);
    free(engine);
}
