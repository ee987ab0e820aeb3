/* The Python side of the engine: one type, in the limited API, so that one build serves every CPython from
 * 3.11 on. Each call lets go of the interpreter while it waits for the engine's lock. */
#ifndef FLYLIVE_BINDING_H
#define FLYLIVE_BINDING_H
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include "engine.h"

typedef struct {
    PyObject_HEAD struct engine *engine; /* NULL: closed */
} EngineObject;

/* The engine with its lock taken, or NULL with an exception set when it is closed. */
struct engine *binding_enter(EngineObject *self);
/* Gives the lock back and returns None. */
PyObject *binding_leave(EngineObject *self);

extern PyMethodDef binding_members[]; /* transports, sources and consumers */
extern PyMethodDef binding_figures[];

/* An object of the handle, or NULL with KeyError set and the lock given back. */
void *binding_find(EngineObject *self, enum object_kind kind, long long handle);
bool binding_address(const char *host, unsigned port, struct address *out); /* false: ValueError is set */
#endif
