#include "binding.h"

/* Levels and statistics, as plain tuples in the order of the structs in sfu/engine.py. */

static PyObject *level_tuple(struct producer *producer)
{
    unsigned mean = (unsigned)((2 * producer->level_total + producer->heard) / (2 * producer->heard));
    PyObject *tuple = Py_BuildValue("LKII", (long long)producer->source.handle,
                                    (unsigned long long)producer->heard, producer->loudest, mean);
    producer->heard = 0;
    producer->level_total = 0;
    producer->loudest = 127;
    return tuple;
}

static PyObject *levels(EngineObject *self, PyObject *unused)
{
    (void)unused;
    PyObject *list = PyList_New(0);
    if (list == NULL || binding_enter(self) == NULL) {
        Py_XDECREF(list);
        return NULL;
    }
    const struct table *table = &self->engine->table;
    for (size_t i = 0; i < table->count && list != NULL; i++) {
        struct producer *producer = table->entries[i].object;
        if (table->entries[i].kind != OBJECT_PRODUCER || producer->heard == 0)
            continue;
        PyObject *tuple = level_tuple(producer);
        if (tuple == NULL || PyList_Append(list, tuple) < 0)
            Py_CLEAR(list);
        Py_XDECREF(tuple);
    }
    engine_unlock(self->engine);
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
    PyObject *tuple =
        Py_BuildValue("KKKKKKK", (unsigned long long)found->packets_received,
                      (unsigned long long)found->bytes_received, (unsigned long long)found->packets_sent,
                      (unsigned long long)found->bytes_sent, (unsigned long long)found->unprotect_failures,
                      (unsigned long long)found->malformed, (unsigned long long)found->unknown_ssrc);
    engine_unlock(self->engine);
    return tuple;
}

static PyObject *producer_stats(EngineObject *self, PyObject *arguments)
{
    const struct producer *found = enter_and_find(self, arguments, OBJECT_PRODUCER);
    if (found == NULL)
        return NULL;
    PyObject *ssrc = found->has_ssrc ? PyLong_FromUnsignedLong(found->ssrc) : Py_NewRef(Py_None);
    PyObject *tuple = Py_BuildValue(
        "NKKLdKK", ssrc, (unsigned long long)found->reception.received, (unsigned long long)found->octets,
        (long long)reception_lost(&found->reception), found->reception.jitter / 48000,
        (unsigned long long)found->refused, (unsigned long long)found->over_limit);
    engine_unlock(self->engine);
    return tuple;
}

static PyObject *consumer_stats(EngineObject *self, PyObject *arguments)
{
    const struct consumer *found = enter_and_find(self, arguments, OBJECT_CONSUMER);
    if (found == NULL)
        return NULL;
    PyObject *round_trip =
        found->round_trip_seconds < 0 ? Py_NewRef(Py_None) : PyFloat_FromDouble(found->round_trip_seconds);
    PyObject *tuple =
        Py_BuildValue("KKKdLdNK", (unsigned long long)found->packets, (unsigned long long)found->octets,
                      (unsigned long long)found->late, found->fraction_lost, (long long)found->lost,
                      found->jitter_seconds, round_trip, (unsigned long long)found->retransmitted);
    engine_unlock(self->engine);
    return tuple;
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
