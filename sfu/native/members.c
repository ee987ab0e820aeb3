#include <stdlib.h>
#include <string.h>

#include "engine.h"

/* What every packet needs stands at the beginning of an object, in as few cache lines as it takes: they are
 * as few only where the object begins with one. */
static void *new_object(size_t bytes)
{
    size_t whole = (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    void *object = aligned_alloc(CACHE_LINE, whole);
    return object == NULL ? NULL : memset(object, 0, whole);
}

/* --- who hears what ------------------------------------------------------------------------------------- */

static void unlist(struct consumer *consumer)
{
    struct source *source = consumer->source;
    if (source == NULL)
        return;
    struct consumer *last = source->listeners[--source->count];
    source->listeners[consumer->position] = last;
    last->position = consumer->position;
    consumer->source = NULL;
    consumer->continuity.synced = false;
}

bool consumer_follow(struct consumer *consumer, struct source *source)
{
    if (consumer->source == source)
        return true;
    if (source != NULL &&
        !grow_array(&source->listeners, source->count, &source->capacity, sizeof *source->listeners))
        return false;
    unlist(consumer);
    if (source != NULL) {
        consumer->position = source->count;
        source->listeners[source->count++] = consumer;
        consumer->source = source;
    }
    return true;
}

static void open_source(struct source *source, bool is_slot)
{
    source->is_slot = is_slot;
    continuity_start(&source->continuity, FIRST_STREAM_INDEX, 0);
}

/* The listeners stay, without a source. */
static void close_source(struct source *source)
{
    while (source->count > 0)
        unlist(source->listeners[source->count - 1]);
    free(source->listeners);
}

/* --- transports ----------------------------------------------------------------------------------------- */

struct transport *transport_add(struct engine *engine)
{
    struct transport *transport = new_object(sizeof *transport);
    if (transport == NULL)
        return NULL;
    transport->handle = table_add(&engine->table, OBJECT_TRANSPORT, transport);
    if (transport->handle < 0) {
        free(transport);
        return NULL;
    }
    transport->pending_head = NOTHING_PENDING;
    transport->next = engine->transports;
    if (transport->next != NULL)
        transport->next->previous = transport;
    engine->transports = transport;
    return transport;
}

static void unlink_transport(struct engine *engine, struct transport *transport)
{
    if (transport->previous != NULL)
        transport->previous->next = transport->next;
    else
        engine->transports = transport->next;
    if (transport->next != NULL)
        transport->next->previous = transport->previous;
}

void transport_remove(struct engine *engine, struct transport *transport)
{
    while (transport->consumers != NULL)
        consumer_remove(engine, transport->consumers);
    while (transport->producers != NULL)
        producer_remove(engine, transport->producers);
    address_release_all(&engine->addresses, transport);
    unlink_transport(engine, transport);
    if (transport->has_keys) {
        srtp_close(&transport->send);
        srtp_close(&transport->receive);
    }
    table_remove(&engine->table, transport->handle);
    free(transport->sent_ssrcs);
    free(transport->retired);
    free(transport->reporters);
    free(transport);
}

bool transport_set_keys(struct engine *engine, struct transport *transport, enum srtp_suite suite,
                        const uint8_t *receive_key, size_t receive_bytes, const uint8_t *send_key,
                        size_t send_bytes, int64_t now_ns)
{
    if (transport->has_keys || /* a second set would repeat indexes */
        !srtp_open(&transport->receive, engine->library, suite, receive_key, receive_bytes, true))
        return false;
    if (!srtp_open(&transport->send, engine->library, suite, send_key, send_bytes, false)) {
        srtp_close(&transport->receive);
        return false;
    }
    transport->has_keys = true;
    transport->report_due_ns = now_ns + REPORT_INTERVAL_NS;
    return true;
}

void transport_select(struct transport *transport, const struct address *address)
{
    transport->has_address = address != NULL;
    if (address != NULL)
        transport->selected = *address;
}

void transport_release(struct engine *engine, struct transport *transport, const struct address *address)
{
    address_release(&engine->addresses, address, transport);
    if (transport->has_address && address_equal(&transport->selected, address))
        transport->has_address = false;
}

bool transport_claim(struct engine *engine, struct transport *transport, const struct address *address)
{
    struct transport *before = address_find(&engine->addresses, address);
    if (before != NULL && before != transport)
        transport_release(engine, before, address);
    return address_claim(&engine->addresses, address, transport);
}

/* --- producers ------------------------------------------------------------------------------------------ */

struct producer *producer_find(const struct transport *transport, uint32_t ssrc)
{
    for (struct producer *producer = transport->producers; producer != NULL; producer = producer->next)
        if (producer->has_ssrc && producer->ssrc == ssrc)
            return producer;
    return NULL;
}

static struct retired_stream *find_retired(const struct transport *transport, uint32_t ssrc)
{
    for (size_t i = 0; i < transport->retired_count; i++)
        if (transport->retired[i].ssrc == ssrc)
            return &transport->retired[i];
    return NULL;
}

const struct replay_window *retired_window(const struct transport *transport, uint32_t ssrc)
{
    static const struct replay_window unknown;
    const struct retired_stream *retired = find_retired(transport, ssrc);
    return retired != NULL ? &retired->window : &unknown;
}

/* Keeps the window of an SSRC that is given up: its packets must not be taken a second time. */
static void retire(const struct producer *producer)
{
    struct transport *transport = producer->transport;
    if (!producer->has_ssrc || !producer->window.started)
        return;
    struct retired_stream *retired = find_retired(transport, producer->ssrc);
    if (retired == NULL && transport->retired_count < transport->retired_capacity)
        retired = &transport->retired[transport->retired_count++];
    if (retired != NULL)
        *retired = (struct retired_stream){producer->ssrc, producer->window};
}

bool producer_bind(struct producer *producer, uint32_t ssrc)
{
    struct transport *transport = producer->transport;
    /* room for the window of every stream that is bound now is made here, where a failure can be told */
    size_t bound = transport->retired_count;
    for (const struct producer *each = transport->producers; each != NULL; each = each->next)
        bound++;
    if (bound >= MAX_RETIRED_STREAMS)
        return false;
    while (transport->retired_capacity <= bound + 1)
        if (!grow_array(&transport->retired, transport->retired_capacity, &transport->retired_capacity,
                        sizeof *transport->retired))
            return false;
    retire(producer);
    producer->window = *retired_window(transport, ssrc);
    memset(&producer->reception, 0, sizeof producer->reception);
    wanted_restart(&producer->wanted);
    producer->ssrc = ssrc;
    producer->has_ssrc = true;
    producer->source.continuity.synced = false;
    return true;
}

struct producer *producer_add(struct engine *engine, struct transport *transport,
                              const struct producer_spec *spec)
{
    if ((spec->has_ssrc && producer_find(transport, spec->ssrc) != NULL) ||
        spec->mid_bytes > RTP_MAX_MID_BYTES || spec->packets_per_second == 0 ||
        spec->payload_bytes > RTP_MAX_BYTES)
        return NULL;
    struct producer *producer = calloc(1, sizeof *producer);
    if (producer == NULL)
        return NULL;
    open_source(&producer->source, false);
    producer->transport = transport;
    producer->payload_type = (uint8_t)spec->payload_type;
    producer->red_payload_type = (uint8_t)spec->red_payload_type;
    producer->level_id = (uint8_t)spec->level_id;
    producer->mid_id = (uint8_t)spec->mid_id;
    producer->mid_bytes = (uint8_t)spec->mid_bytes;
    if (spec->mid_bytes)
        memcpy(producer->mid, spec->mid, spec->mid_bytes);
    producer->packets_per_second = spec->packets_per_second;
    producer->payload_bytes = spec->payload_bytes;
    producer->takes_nack = spec->takes_nack;
    producer->loudest = 127;
    if (spec->has_ssrc && !producer_bind(producer, spec->ssrc)) {
        free(producer);
        return NULL;
    }
    producer->source.handle = table_add(&engine->table, OBJECT_PRODUCER, producer);
    if (producer->source.handle < 0) {
        free(producer);
        return NULL;
    }
    producer->next = transport->producers;
    transport->producers = producer;
    return producer;
}

void producer_remove(struct engine *engine, struct producer *producer)
{
    while (producer->slot_count > 0)
        slot_occupy(producer->slots[0], NULL);
    close_source(&producer->source);
    retire(producer);
    struct producer **link = &producer->transport->producers;
    while (*link != producer)
        link = &(*link)->next;
    *link = producer->next;
    table_remove(&engine->table, producer->source.handle);
    for (unsigned i = 0; i < PREROLL_PACKETS; i++)
        free(producer->preroll[i].payload);
    free(producer->slots);
    free(producer);
}

/* --- slots ---------------------------------------------------------------------------------------------- */

struct slot *slot_add(struct engine *engine)
{
    struct slot *slot = calloc(1, sizeof *slot);
    if (slot == NULL)
        return NULL;
    open_source(&slot->source, true);
    slot->source.handle = table_add(&engine->table, OBJECT_SLOT, slot);
    if (slot->source.handle < 0) {
        free(slot);
        return NULL;
    }
    return slot;
}

static void leave_occupant(struct slot *slot)
{
    struct producer *producer = slot->occupant;
    for (size_t i = 0; i < producer->slot_count; i++) {
        if (producer->slots[i] == slot) {
            producer->slots[i] = producer->slots[--producer->slot_count];
            break;
        }
    }
    slot->occupant = NULL;
}

bool slot_occupy(struct slot *slot, struct producer *producer)
{
    if (slot->occupant == producer)
        return true;
    if (producer != NULL && !grow_array(&producer->slots, producer->slot_count, &producer->slot_capacity,
                                        sizeof *producer->slots))
        return false;
    slot->source.continuity.synced = false;
    if (slot->occupant != NULL)
        leave_occupant(slot);
    if (producer != NULL) {
        producer->slots[producer->slot_count++] = slot;
        slot->occupant = producer;
    }
    return true;
}

void slot_remove(struct engine *engine, struct slot *slot)
{
    slot_occupy(slot, NULL);
    close_source(&slot->source);
    table_remove(&engine->table, slot->source.handle);
    free(slot);
}

/* --- consumers ------------------------------------------------------------------------------------------ */

struct consumer *consumer_find(const struct transport *transport, uint32_t ssrc)
{
    for (struct consumer *consumer = transport->consumers; consumer != NULL; consumer = consumer->next)
        if (consumer->ssrc == ssrc)
            return consumer;
    return NULL;
}

/* An SSRC is used once in the life of a transport: a second stream would repeat the first one's indexes. */
static bool claim_ssrc(struct transport *transport, uint32_t ssrc)
{
    for (size_t i = 0; i < transport->sent_count; i++)
        if (transport->sent_ssrcs[i] == ssrc)
            return false;
    if (transport->sent_count >= MAX_RETIRED_STREAMS ||
        !grow_array(&transport->sent_ssrcs, transport->sent_count, &transport->sent_capacity,
                    sizeof *transport->sent_ssrcs))
        return false;
    transport->sent_ssrcs[transport->sent_count++] = ssrc;
    return true;
}

static bool describe(struct consumer *consumer, const struct consumer_spec *spec)
{
    consumer->ssrc = spec->ssrc;
    consumer->payload_type = spec->payload_type & 0x7f;
    consumer->red_payload_type = spec->red_payload_type & 0x7f;
    consumer->paused = spec->paused;
    consumer->cname_bytes = (uint8_t)spec->cname_bytes;
    if (spec->cname_bytes)
        memcpy(consumer->cname, spec->cname, spec->cname_bytes);
    consumer->round_trip_seconds = -1;
    continuity_start(&consumer->continuity, spec->first_sequence, spec->first_timestamp);
    if (spec->nack && (consumer->kept = calloc(RETRANSMIT_PACKETS, sizeof *consumer->kept)) == NULL)
        return false;
    return rtp_prepare_extensions(&consumer->extensions, spec->level_id, spec->mid_id, spec->mid,
                                  spec->mid_bytes);
}

static void discard(struct consumer *consumer)
{
    for (unsigned i = 0; consumer->kept != NULL && i < RETRANSMIT_PACKETS; i++)
        free(consumer->kept[i].data);
    free(consumer->kept);
    free(consumer);
}

struct consumer *consumer_add(struct engine *engine, struct transport *transport, struct source *source,
                              const struct consumer_spec *spec)
{
    if (spec->cname_bytes > MAX_CNAME_BYTES)
        return NULL;
    struct consumer *consumer = new_object(sizeof *consumer);
    if (consumer == NULL)
        return NULL;
    consumer->transport = transport;
    consumer->handle = -1;
    if (!describe(consumer, spec) || !claim_ssrc(transport, spec->ssrc) ||
        (consumer->handle = table_add(&engine->table, OBJECT_CONSUMER, consumer)) < 0 ||
        !consumer_follow(consumer, source)) {
        table_remove(&engine->table, consumer->handle);
        discard(consumer);
        return NULL;
    }
    consumer->next = transport->consumers;
    transport->consumers = consumer;
    return consumer;
}

void consumer_remove(struct engine *engine, struct consumer *consumer)
{
    unlist(consumer);
    struct consumer **link = &consumer->transport->consumers;
    while (*link != consumer)
        link = &(*link)->next;
    *link = consumer->next;
    table_remove(&engine->table, consumer->handle);
    discard(consumer);
}
