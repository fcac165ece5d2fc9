/*
 * list - a doubly linked ring through members of the things it joins.  Owns nothing.
 * `struct list` is both the head and the member; an item is in one list per member.
 */
#ifndef WAXSEAL_BASE_LIST_H
#define WAXSEAL_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *prev;
    struct list *next;
};

/* Makes an empty head, or an item that is in no list. */
static inline void list_init(struct list *l)
{
    l->prev = l;
    l->next = l;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_append(struct list *head, struct list *item)
{
    item->prev = head->prev;
    item->next = head;
    head->prev->next = item;
    head->prev = item;
}

static inline void list_prepend(struct list *head, struct list *item)
{
    list_append(head->next, item);
}

/* Takes an item out; taking out one that is in no list does nothing. */
static inline void list_remove(struct list *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    list_init(item);
}

/* Moves all items of `from` to the end of `to`. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    from->prev->next = to;
    to->prev->next = from->next;
    to->prev = from->prev;
    list_init(from);
}

/* The thing around a list member. */
#define LIST_ITEM(pointer, type, member)                                                           \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* The first thing in a list that is not empty. */
#define LIST_FIRST(head, type, member) LIST_ITEM((head)->next, type, member)

/* Visits each thing; the visited one may be taken out, no other. */
#define LIST_EACH(item, head, type, member)                                                        \
    for (struct list *item##_at = (head)->next, *item##_next = item##_at->next;                    \
         item##_at != (head) && ((item) = LIST_ITEM(item##_at, type, member), true);               \
         item##_at = item##_next, item##_next = item##_at->next)

#endif
