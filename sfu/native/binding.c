#include "binding.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct library library;
static bool library_loaded;

/* --- entering and leaving ------------------------------------------------------------------------------- */

struct engine *binding_enter(EngineObject *self)
{
    struct engine *engine = self->engine;
    if (engine == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the engine is closed");
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS engine_lock(engine);
    Py_END_ALLOW_THREADS return engine;
}

PyObject *binding_leave(EngineObject *self)
{
    engine_unlock(self->engine);
    Py_RETURN_NONE;
}

void *binding_find(EngineObject *self, enum object_kind kind, long long handle)
{
    void *found = table_get(&self->engine->table, kind, handle);
    if (found == NULL) {
        engine_unlock(self->engine);
        PyErr_Format(PyExc_KeyError, "%lld", handle);
    }
    return found;
}

bool binding_address(const char *host, unsigned port, struct address *out)
{
    if (address_parse(out, host, port))
        return true;
    PyErr_Format(PyExc_ValueError, "not a numeric address: %s", host);
    return false;
}

/* --- life ----------------------------------------------------------------------------------------------- */

static PyObject *engine_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    int descriptor, segmentation;
    unsigned batch, backlog;
    long long hold, unix_offset;
    unsigned long long seed;
    (void)keywords;
    if (!PyArg_ParseTuple(arguments, "iIILpKL", &descriptor, &batch, &backlog, &hold, &segmentation, &seed,
                          &unix_offset))
        return NULL;
    if (!library_loaded) {
        PyErr_SetString(PyExc_RuntimeError, "load_library comes first");
        return NULL;
    }
    struct engine_options options = {
        .batch_packets = batch,
        .control_backlog = backlog,
        .hold_ns = hold,
        .segmentation = segmentation,
        .seed = seed,
        .unix_offset_ns = unix_offset,
    };
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    EngineObject *self = (EngineObject *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    self->engine = engine_open(descriptor, &library, &options);
    if (self->engine == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static PyObject *close_engine(EngineObject *self, PyObject *unused)
{
    struct engine *engine = self->engine;
    (void)unused;
    self->engine = NULL;
    if (engine != NULL) {
        Py_BEGIN_ALLOW_THREADS engine_stop(engine);
        engine_close(engine);
        Py_END_ALLOW_THREADS
    }
    Py_RETURN_NONE;
}

static void engine_dealloc(EngineObject *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    PyObject *result = close_engine(self, NULL);
    Py_XDECREF(result);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyObject *start(EngineObject *self, PyObject *unused)
{
    (void)unused;
    if (self->engine == NULL || self->engine->running || !engine_start(self->engine)) {
        PyErr_SetString(PyExc_RuntimeError, "cannot start");
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *fileno_of(EngineObject *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromLong(self->engine != NULL ? self->engine->ready_descriptor : -1);
}

/* --- datagrams ------------------------------------------------------------------------------------------ */

static PyObject *control_tuple(const struct control *control)
{
    char host[INET6_ADDRSTRLEN];
    unsigned port = address_format(&control->address, host, sizeof host);
    return Py_BuildValue("y#(sI)", (const char *)control->data, (Py_ssize_t)control->bytes, host, port);
}

static PyObject *drain(EngineObject *self, PyObject *unused)
{
    (void)unused;
    struct engine *engine = binding_enter(self);
    if (engine == NULL)
        return NULL;
    uint64_t count;
    ssize_t drained = read(engine->ready_descriptor, &count, sizeof count);
    (void)drained; /* not readable: nothing has come, which the list says as well */
    struct control *control = control_take(engine);
    engine_unlock(engine);
    PyObject *list = PyList_New(0);
    while (control != NULL) {
        struct control *next = control->next;
        PyObject *item = list != NULL ? control_tuple(control) : NULL;
        if (item == NULL || PyList_Append(list, item) < 0)
            Py_CLEAR(list);
        Py_XDECREF(item);
        free(control);
        control = next;
    }
    return list;
}

/* Straight to the socket: a handshake need not wait for a fan-out. */
static PyObject *send_datagram(EngineObject *self, PyObject *arguments)
{
    const char *data, *host;
    Py_ssize_t bytes;
    unsigned port;
    struct address address;
    if (!PyArg_ParseTuple(arguments, "y#sI", &data, &bytes, &host, &port) ||
        !binding_address(host, port, &address))
        return NULL;
    bool sent = self->engine != NULL && address.length != 0 &&
                sendto(self->engine->descriptor, data, (size_t)bytes, MSG_DONTWAIT, &address.socket.any,
                       address.length) >= 0;
    return PyBool_FromLong(sent);
}

static PyObject *inject(EngineObject *self, PyObject *arguments)
{
    const char *data, *host;
    Py_ssize_t bytes;
    unsigned port;
    struct address address;
    uint8_t copy[RECEIVE_BYTES];
    if (!PyArg_ParseTuple(arguments, "y#sI", &data, &bytes, &host, &port) ||
        !binding_address(host, port, &address))
        return NULL;
    if (bytes > (Py_ssize_t)sizeof copy)
        bytes = sizeof copy;
    memcpy(copy, data, (size_t)bytes);
    struct engine *engine = binding_enter(self);
    if (engine == NULL)
        return NULL;
    int64_t now_ns = clock_ns();
    if (address_find(&engine->addresses, &address) == NULL)
        engine->stats.foreign++;
    else
        receive_datagram(engine, copy, (size_t)bytes, &address, now_ns);
    egress_run(engine);
    egress_flush(engine);
    return binding_leave(self);
}

/* --- the module ----------------------------------------------------------------------------------------- */

static PyObject *load_library(PyObject *module, PyObject *arguments)
{
    const char *path;
    char error[256];
    struct library found;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "z", &path))
        return NULL;
    if (!library_open(&found, path, error, sizeof error)) {
        PyErr_SetString(PyExc_OSError, error);
        return NULL;
    }
    if (!library_loaded) /* engines that run keep the one they began with */
        library = found;
    library_loaded = true;
    Py_RETURN_NONE;
}

static PyMethodDef life_methods[] = {
    {"start", (PyCFunction)start, METH_NOARGS, NULL},
    {"close", (PyCFunction)close_engine, METH_NOARGS, NULL},
    {"fileno", (PyCFunction)fileno_of, METH_NOARGS, NULL},
    {"drain", (PyCFunction)drain, METH_NOARGS, NULL},
    {"send", (PyCFunction)send_datagram, METH_VARARGS, NULL},
    {"inject", (PyCFunction)inject, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

enum { MAX_METHODS = 48 };

/* One table from the three files. */
static PyMethodDef *all_methods(void)
{
    static PyMethodDef methods[MAX_METHODS];
    PyMethodDef *parts[] = {life_methods, binding_members, binding_figures};
    size_t count = 0;
    for (size_t part = 0; part < 3; part++)
        for (PyMethodDef *method = parts[part]; method->ml_name != NULL && count < MAX_METHODS - 1; method++)
            methods[count++] = *method;
    return methods;
}

static PyMethodDef module_functions[] = {
    {"load_library", load_library, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT, "_core", NULL, -1, module_functions, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__core(void)
{
    PyType_Slot slots[] = {
        {Py_tp_new, engine_new},
        {Py_tp_dealloc, engine_dealloc},
        {Py_tp_methods, all_methods()},
        {0, NULL},
    };
    PyType_Spec spec = {"sfu.native._core.Engine", sizeof(EngineObject), 0, Py_TPFLAGS_DEFAULT, slots};
    PyObject *module = PyModule_Create(&module_definition);
    PyObject *type = module != NULL ? PyType_FromSpec(&spec) : NULL;
    if (type == NULL || PyModule_AddObjectRef(module, "Engine", type) < 0)
        Py_CLEAR(module);
    Py_XDECREF(type);
    return module;
}
