#include "binding.h"

/* Who is there and who listens to whom. Python gives every field by position; `_core.pyi` has the names. */

static PyObject *refuse(EngineObject *self, const char *reason)
{
    engine_unlock(self->engine);
    PyErr_SetString(PyExc_ValueError, reason);
    return NULL;
}

static PyObject *give_handle(EngineObject *self, int64_t handle)
{
    engine_unlock(self->engine);
    return PyLong_FromLongLong(handle);
}

/* A producer or a slot; NULL in *out for handle 0. */
static bool find_source(EngineObject *self, long long handle, struct source **out)
{
    struct table *table = &self->engine->table;
    *out = NULL;
    if (handle == 0)
        return true;
    *out = table_get(table, OBJECT_PRODUCER, handle); /* a source is the first member of both */
    if (*out == NULL)
        *out = binding_find(self, OBJECT_SLOT, handle);
    return *out != NULL;
}

/* Removes ignore unknown handles and closed engines: whoever removes is often late. */
static void *find_for_removal(EngineObject *self, PyObject *arguments, enum object_kind kind)
{
    long long handle;
    if (!PyArg_ParseTuple(arguments, "L", &handle) || self->engine == NULL)
        return NULL;
    binding_enter(self);
    void *found = table_get(&self->engine->table, kind, handle);
    if (found == NULL)
        engine_unlock(self->engine);
    return found;
}

static PyObject *nothing_removed(void)
{
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

/* --- transports ----------------------------------------------------------------------------------------- */

static PyObject *add_transport(EngineObject *self, PyObject *unused)
{
    (void)unused;
    if (binding_enter(self) == NULL)
        return NULL;
    struct transport *transport = transport_add(self->engine);
    if (transport == NULL)
        return refuse(self, "no memory for a transport");
    return give_handle(self, transport->handle);
}

static PyObject *remove_transport(EngineObject *self, PyObject *arguments)
{
    struct transport *transport = find_for_removal(self, arguments, OBJECT_TRANSPORT);
    if (transport == NULL)
        return nothing_removed();
    transport_remove(self->engine, transport);
    return binding_leave(self);
}

static PyObject *set_keys(EngineObject *self, PyObject *arguments)
{
    long long handle;
    int suite;
    const char *receive_key, *send_key;
    Py_ssize_t receive_bytes, send_bytes;
    if (!PyArg_ParseTuple(arguments, "Liy#y#", &handle, &suite, &receive_key, &receive_bytes, &send_key,
                          &send_bytes) ||
        binding_enter(self) == NULL)
        return NULL;
    struct transport *transport = binding_find(self, OBJECT_TRANSPORT, handle);
    if (transport == NULL)
        return NULL;
    if (transport->has_keys)
        return refuse(self, "keys are set once: a second set would repeat indexes");
    if (!transport_set_keys(self->engine, transport, (enum srtp_suite)suite, (const uint8_t *)receive_key,
                            (size_t)receive_bytes, (const uint8_t *)send_key, (size_t)send_bytes, clock_ns()))
        return refuse(self, "these are no keys of that suite");
    return binding_leave(self);
}

/* The common part of the three calls about addresses; *out is NULL for the address None. */
static struct transport *find_with_address(EngineObject *self, PyObject *arguments, struct address *address,
                                           bool *given)
{
    long long handle;
    const char *host;
    unsigned port;
    if (!PyArg_ParseTuple(arguments, "LzI", &handle, &host, &port))
        return NULL;
    *given = host != NULL;
    if ((*given && !binding_address(host, port, address)) || binding_enter(self) == NULL)
        return NULL;
    return binding_find(self, OBJECT_TRANSPORT, handle);
}

static PyObject *add_address(EngineObject *self, PyObject *arguments)
{
    struct address address;
    bool given;
    struct transport *transport = find_with_address(self, arguments, &address, &given);
    if (transport == NULL)
        return NULL;
    if (!given || !transport_claim(self->engine, transport, &address))
        return refuse(self, "no address, or no memory for it");
    return binding_leave(self);
}

static PyObject *remove_address(EngineObject *self, PyObject *arguments)
{
    struct address address;
    bool given;
    struct transport *transport = find_with_address(self, arguments, &address, &given);
    if (transport == NULL)
        return NULL;
    if (given)
        transport_release(self->engine, transport, &address);
    return binding_leave(self);
}

static PyObject *select_address(EngineObject *self, PyObject *arguments)
{
    struct address address;
    bool given;
    struct transport *transport = find_with_address(self, arguments, &address, &given);
    if (transport == NULL)
        return NULL;
    transport_select(transport, given ? &address : NULL);
    return binding_leave(self);
}

/* --- sources -------------------------------------------------------------------------------------------- */

static PyObject *add_producer(EngineObject *self, PyObject *arguments)
{
    struct producer_spec spec = {0};
    long long handle;
    int has_ssrc, takes_nack;
    Py_ssize_t mid_bytes;
    const char *mid;
    if (!PyArg_ParseTuple(arguments, "LpIIIIIy#IIp", &handle, &has_ssrc, &spec.ssrc, &spec.payload_type,
                          &spec.red_payload_type, &spec.level_id, &spec.mid_id, &mid, &mid_bytes,
                          &spec.packets_per_second, &spec.payload_bytes, &takes_nack) ||
        binding_enter(self) == NULL)
        return NULL;
    spec.has_ssrc = has_ssrc;
    spec.takes_nack = takes_nack;
    spec.mid = (const uint8_t *)mid;
    spec.mid_bytes = (size_t)mid_bytes;
    struct transport *transport = binding_find(self, OBJECT_TRANSPORT, handle);
    if (transport == NULL)
        return NULL;
    struct producer *producer = producer_add(self->engine, transport, &spec);
    if (producer == NULL)
        return refuse(self, "this transport has that SSRC already, or a field is out of its bounds");
    return give_handle(self, producer->source.handle);
}

static PyObject *remove_producer(EngineObject *self, PyObject *arguments)
{
    struct producer *producer = find_for_removal(self, arguments, OBJECT_PRODUCER);
    if (producer == NULL)
        return nothing_removed();
    producer_remove(self->engine, producer);
    return binding_leave(self);
}

static PyObject *set_speaking_right(EngineObject *self, PyObject *arguments)
{
    long long handle;
    int allowed;
    if (!PyArg_ParseTuple(arguments, "Lp", &handle, &allowed) || binding_enter(self) == NULL)
        return NULL;
    struct producer *producer = table_get(&self->engine->table, OBJECT_PRODUCER, handle);
    if (producer != NULL)
        producer_allow(self->engine, producer, allowed, clock_ns());
    return binding_leave(self);
}

static PyObject *add_slot(EngineObject *self, PyObject *unused)
{
    (void)unused;
    if (binding_enter(self) == NULL)
        return NULL;
    struct slot *slot = slot_add(self->engine);
    if (slot == NULL)
        return refuse(self, "no memory for a slot");
    return give_handle(self, slot->source.handle);
}

static PyObject *remove_slot(EngineObject *self, PyObject *arguments)
{
    struct slot *slot = find_for_removal(self, arguments, OBJECT_SLOT);
    if (slot == NULL)
        return nothing_removed();
    slot_remove(self->engine, slot);
    return binding_leave(self);
}

static PyObject *set_slot(EngineObject *self, PyObject *arguments)
{
    long long handle, producer_handle;
    if (!PyArg_ParseTuple(arguments, "LL", &handle, &producer_handle) || binding_enter(self) == NULL)
        return NULL;
    struct slot *slot = binding_find(self, OBJECT_SLOT, handle);
    if (slot == NULL)
        return NULL;
    struct producer *producer = producer_handle ? binding_find(self, OBJECT_PRODUCER, producer_handle) : NULL;
    if (producer_handle && producer == NULL)
        return NULL;
    bool changes = slot->occupant != producer;
    if (!slot_occupy(slot, producer))
        return refuse(self, "no memory for another slot of this producer");
    if (changes && producer != NULL)
        preroll_slot(self->engine, slot, clock_ns());
    return binding_leave(self);
}

/* --- consumers ------------------------------------------------------------------------------------------ */

static PyObject *add_consumer(EngineObject *self, PyObject *arguments)
{
    struct consumer_spec spec = {0};
    long long handle, source_handle;
    int nack, paused;
    const char *cname, *mid;
    Py_ssize_t cname_bytes, mid_bytes;
    if (!PyArg_ParseTuple(arguments, "LLIIy#HIIIy#Ipp", &handle, &source_handle, &spec.ssrc,
                          &spec.payload_type, &cname, &cname_bytes, &spec.first_sequence,
                          &spec.first_timestamp, &spec.level_id, &spec.mid_id, &mid, &mid_bytes,
                          &spec.red_payload_type, &nack, &paused) ||
        binding_enter(self) == NULL)
        return NULL;
    spec.cname = (const uint8_t *)cname;
    spec.cname_bytes = (size_t)cname_bytes;
    spec.mid = (const uint8_t *)mid;
    spec.mid_bytes = (size_t)mid_bytes;
    spec.nack = nack;
    spec.paused = paused;
    struct source *source;
    struct transport *transport = binding_find(self, OBJECT_TRANSPORT, handle);
    if (transport == NULL || !find_source(self, source_handle, &source))
        return NULL;
    struct consumer *consumer = consumer_add(self->engine, transport, source, &spec);
    if (consumer == NULL)
        return refuse(self, "this transport has sent with that SSRC, or a field is out of its bounds");
    return give_handle(self, consumer->handle);
}

static PyObject *remove_consumer(EngineObject *self, PyObject *arguments)
{
    struct consumer *consumer = find_for_removal(self, arguments, OBJECT_CONSUMER);
    if (consumer == NULL)
        return nothing_removed();
    consumer_remove(self->engine, consumer);
    return binding_leave(self);
}

static PyObject *follow(EngineObject *self, PyObject *arguments)
{
    long long handle, source_handle;
    if (!PyArg_ParseTuple(arguments, "LL", &handle, &source_handle) || binding_enter(self) == NULL)
        return NULL;
    struct source *source;
    struct consumer *consumer = binding_find(self, OBJECT_CONSUMER, handle);
    if (consumer == NULL || !find_source(self, source_handle, &source))
        return NULL;
    bool changes = consumer->source != source;
    if (!consumer_follow(consumer, source))
        return refuse(self, "no memory for another listener");
    if (changes && source != NULL && !source->is_slot)
        preroll_consumer(self->engine, consumer, (struct producer *)source, clock_ns());
    return binding_leave(self);
}

static PyObject *set_paused(EngineObject *self, PyObject *arguments)
{
    long long handle;
    int paused;
    if (!PyArg_ParseTuple(arguments, "Lp", &handle, &paused) || binding_enter(self) == NULL)
        return NULL;
    struct consumer *consumer = binding_find(self, OBJECT_CONSUMER, handle);
    if (consumer == NULL)
        return NULL;
    consumer->paused = paused;
    if (paused)
        consumer->continuity.synced = false;
    return binding_leave(self);
}

#define METHOD(name) {#name, (PyCFunction)name, METH_VARARGS, NULL}

PyMethodDef binding_members[] = {
    METHOD(add_transport),      METHOD(remove_transport), METHOD(set_keys),     METHOD(add_address),
    METHOD(remove_address),     METHOD(select_address),   METHOD(add_producer), METHOD(remove_producer),
    METHOD(set_speaking_right), METHOD(add_slot),         METHOD(remove_slot),  METHOD(set_slot),
    METHOD(add_consumer),       METHOD(remove_consumer),  METHOD(follow),       METHOD(set_paused),
    {NULL, NULL, 0, NULL},
};
