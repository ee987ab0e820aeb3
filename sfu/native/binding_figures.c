#include "binding.h"

#include <stdlib.h>

/* Levels and statistics, as plain tuples in the order of the structs in sfu/engine.py. */

/* Nothing of Python is made while the lock is held: it might collect garbage, and so come back to us. */

struct level {
    int64_t producer;
    uint64_t packets;
    unsigned loudest, mean;
};

/* What was heard since the last call, taken away; NULL without memory. */
static struct level *take_levels(struct engine *engine, size_t *count)
{
    const struct table *table = &engine->table;
    struct level *found = calloc(table->count + 1, sizeof *found);
    *count = 0;
    for (size_t i = 0; i < table->count && found != NULL; i++) {
        struct producer *producer = table->entries[i].object;
        if (table->entries[i].kind != OBJECT_PRODUCER || producer->heard == 0)
            continue;
        uint64_t mean = (2 * producer->level_total + producer->heard) / (2 * producer->heard);
        found[(*count)++] =
            (struct level){producer->source.handle, producer->heard, producer->loudest, (unsigned)mean};
        producer->heard = 0;
        producer->level_total = 0;
        producer->loudest = 127;
    }
    return found;
}

static PyObject *levels(EngineObject *self, PyObject *unused)
{
    size_t count;
    (void)unused;
    if (binding_enter(self) == NULL)
        return NULL;
    struct level *found = take_levels(self->engine, &count);
    engine_unlock(self->engine);
    if (found == NULL)
        return PyErr_NoMemory();
    PyObject *list = PyList_New(0);
    for (size_t i = 0; i < count && list != NULL; i++) {
        PyObject *tuple =
            Py_BuildValue("LKII", (long long)found[i].producer, (unsigned long long)found[i].packets,
                          found[i].loudest, found[i].mean);
        if (tuple == NULL || PyList_Append(list, tuple) < 0)
            Py_CLEAR(list);
        Py_XDECREF(tuple);
    }
    free(found);
    return list;
}

static PyObject *latency_tuple(const struct engine_stats *stats)
{
    PyObject *tuple = PyTuple_New(LATENCY_BUCKETS);
    for (Py_ssize_t i = 0; i < LATENCY_BUCKETS && tuple != NULL; i++) {
        PyObject *count = PyLong_FromUnsignedLongLong(stats->latency_counts[i]);
        if (count == NULL || PyTuple_SetItem(tuple, i, count) < 0)
            Py_CLEAR(tuple);
    }
    return tuple;
}

static PyObject *stats(EngineObject *self, PyObject *unused)
{
    (void)unused;
    if (binding_enter(self) == NULL)
        return NULL;
    struct engine_stats now = self->engine->stats;
    engine_unlock(self->engine);
    return Py_BuildValue(
        "KKKKKKKN", (unsigned long long)now.packets_received, (unsigned long long)now.packets_forwarded,
        (unsigned long long)now.empty, (unsigned long long)now.oversized, (unsigned long long)now.foreign,
        (unsigned long long)now.control_dropped, (unsigned long long)now.send_failures, latency_tuple(&now));
}

/* What the interface does not ask for, but benchmarks and tests of this engine do. */
static PyObject *sending(EngineObject *self, PyObject *unused)
{
    (void)unused;
    if (binding_enter(self) == NULL)
        return NULL;
    struct engine_stats now = self->engine->stats;
    bool segmentation = self->engine->segmentation;
    engine_unlock(self->engine);
    return Py_BuildValue("KKO", (unsigned long long)now.send_calls, (unsigned long long)now.segmented_sends,
                         segmentation ? Py_True : Py_False);
}

static void *enter_and_find(EngineObject *self, PyObject *arguments, enum object_kind kind)
{
    long long handle;
    if (!PyArg_ParseTuple(arguments, "L", &handle) || binding_enter(self) == NULL)
        return NULL;
    return binding_find(self, kind, handle);
}

static PyObject *transport_stats(EngineObject *self, PyObject *arguments)
{
    const struct transport *found = enter_and_find(self, arguments, OBJECT_TRANSPORT);
    if (found == NULL)
        return NULL;
    struct transport now = *found;
    engine_unlock(self->engine);
    return Py_BuildValue("KKKKKKK", (unsigned long long)now.packets_received,
                         (unsigned long long)now.bytes_received, (unsigned long long)now.packets_sent,
                         (unsigned long long)now.bytes_sent, (unsigned long long)now.unprotect_failures,
                         (unsigned long long)now.malformed, (unsigned long long)now.unknown_ssrc);
}

static PyObject *producer_stats(EngineObject *self, PyObject *arguments)
{
    const struct producer *found = enter_and_find(self, arguments, OBJECT_PRODUCER);
    if (found == NULL)
        return NULL;
    struct producer now = *found;
    engine_unlock(self->engine);
    PyObject *ssrc = now.has_ssrc ? PyLong_FromUnsignedLong(now.ssrc) : Py_NewRef(Py_None);
    return Py_BuildValue("NKKLdKKK", ssrc, (unsigned long long)now.reception.received,
                         (unsigned long long)now.octets, (long long)reception_lost(&now.reception),
                         now.reception.jitter / 48000, (unsigned long long)now.refused,
                         (unsigned long long)now.over_limit, (unsigned long long)now.wanted.asked_again);
}

static PyObject *consumer_stats(EngineObject *self, PyObject *arguments)
{
    const struct consumer *found = enter_and_find(self, arguments, OBJECT_CONSUMER);
    if (found == NULL)
        return NULL;
    struct consumer now = *found;
    engine_unlock(self->engine);
    PyObject *round_trip =
        now.round_trip_seconds < 0 ? Py_NewRef(Py_None) : PyFloat_FromDouble(now.round_trip_seconds);
    return Py_BuildValue("KKKdLdNK", (unsigned long long)now.packets, (unsigned long long)now.octets,
                         (unsigned long long)now.late, now.fraction_lost, (long long)now.lost,
                         now.jitter_seconds, round_trip, (unsigned long long)now.retransmitted);
}

PyMethodDef binding_figures[] = {
    {"levels", (PyCFunction)levels, METH_NOARGS, NULL},
    {"stats", (PyCFunction)stats, METH_NOARGS, NULL},
    {"sending", (PyCFunction)sending, METH_NOARGS, NULL},
    {"transport_stats", (PyCFunction)transport_stats, METH_VARARGS, NULL},
    {"producer_stats", (PyCFunction)producer_stats, METH_VARARGS, NULL},
    {"consumer_stats", (PyCFunction)consumer_stats, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
