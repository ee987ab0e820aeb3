/* Handles of the engine's objects, and growing arrays. A handle is a place and a generation, so that one that
 * was removed is never mistaken for what took its place. */
#ifndef FLYLIVE_TABLE_H
#define FLYLIVE_TABLE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum object_kind { OBJECT_NONE, OBJECT_TRANSPORT, OBJECT_PRODUCER, OBJECT_SLOT, OBJECT_CONSUMER };

struct table_entry {
    void *object;
    enum object_kind kind;
    uint32_t generation;
    int64_t next_free;
};

struct table {
    struct table_entry *entries;
    size_t count, capacity;
    int64_t first_free;
};

void table_open(struct table *table);
int64_t table_add(struct table *table, enum object_kind kind, void *object); /* -1: no memory */
void *table_get(const struct table *table, enum object_kind kind, int64_t handle);
void table_remove(struct table *table, int64_t handle);

/* Makes room for one more element behind count. */
bool grow_array(void *array_pointer, size_t count, size_t *capacity, size_t element_bytes);
#endif
