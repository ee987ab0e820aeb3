#include "table.h"

#include <stdlib.h>
#include <string.h>

enum { PLACE_BITS = 24, FIRST_CAPACITY = 16 };

bool grow_array(void *array_pointer, size_t count, size_t *capacity, size_t element_bytes)
{
    if (count < *capacity)
        return true;
    void *array;
    memcpy(&array, array_pointer, sizeof array); /* the caller's pointer has its own type */
    size_t larger = *capacity ? *capacity * 2 : FIRST_CAPACITY;
    void *grown = realloc(array, larger * element_bytes);
    if (grown == NULL)
        return false;
    memcpy(array_pointer, &grown, sizeof grown);
    *capacity = larger;
    return true;
}

void table_open(struct table *table)
{
    memset(table, 0, sizeof *table);
    table->first_free = -1;
}

int64_t table_add(struct table *table, enum object_kind kind, void *object)
{
    int64_t place = table->first_free;
    if (place >= 0) {
        table->first_free = table->entries[place].next_free;
    } else {
        if (table->count >> PLACE_BITS ||
            !grow_array(&table->entries, table->count, &table->capacity, sizeof *table->entries))
            return -1;
        place = (int64_t)table->count++;
        table->entries[place].generation = 0;
    }
    struct table_entry *entry = &table->entries[place];
    entry->object = object;
    entry->kind = kind;
    return (int64_t)entry->generation << PLACE_BITS | (place + 1); /* never 0 */
}

static int64_t place_of(int64_t handle)
{
    return (handle & (((int64_t)1 << PLACE_BITS) - 1)) - 1;
}

static struct table_entry *find(const struct table *table, int64_t handle)
{
    int64_t place = place_of(handle);
    if (handle < 0 || place < 0 || (size_t)place >= table->count)
        return NULL;
    struct table_entry *entry = &table->entries[place];
    return entry->generation == (uint64_t)handle >> PLACE_BITS ? entry : NULL;
}

void *table_get(const struct table *table, enum object_kind kind, int64_t handle)
{
    const struct table_entry *entry = find(table, handle);
    return entry != NULL && entry->kind == kind ? entry->object : NULL;
}

void table_remove(struct table *table, int64_t handle)
{
    struct table_entry *entry = find(table, handle);
    if (entry == NULL)
        return;
    entry->object = NULL;
    entry->kind = OBJECT_NONE;
    if (++entry->generation == UINT32_MAX)
        return; /* worn out: left alone for good */
    entry->next_free = table->first_free;
    table->first_free = place_of(handle);
}
