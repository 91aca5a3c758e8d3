/* The ladder in plain C, to measure the compiled core against: strict rank and water-filling as in
 * panelctl/core/ladder.py, nothing else. Built by tests/bench/native_build.py with -O3.
 */
#include <stdint.h>
#include <string.h>
#include <time.h>

#define SEGMENTS 256
#define ROWS 32
#define ENTRIES 2048
#define LEVEL_BITS 16
#define TOP_LEVEL ((int64_t)1 << 41)

struct rung {
    int32_t id, tier, predecessor, first, end, weight, discrete;
};
struct entry {
    int32_t row, coefficient;
};
struct ladder {
    int32_t count, rows;
    const struct rung *rung;
    const struct entry *entry;
    const int64_t *size;
};
struct event {
    int64_t level;
    int32_t number; /* a row, or ROWS + a segment: rows come first at the same level */
};

static int before(struct event a, struct event b) {
    return a.level < b.level || (a.level == b.level && a.number < b.number);
}

static void push(struct event *heap, int *length, struct event event) {
    int at = (*length)++;
    while (at > 0 && before(event, heap[(at - 1) / 4])) {
        heap[at] = heap[(at - 1) / 4];
        at = (at - 1) / 4;
    }
    heap[at] = event;
}

static void replace_first(struct event *heap, int length, struct event event) {
    int at = 0;
    for (;;) {
        int first = 4 * at + 1, down = first;
        if (first >= length) break;
        for (int k = first + 1; k < first + 4 && k < length; k++)
            if (before(heap[k], heap[down])) down = k;
        if (!before(heap[down], event)) break;
        heap[at] = heap[down];
        at = down;
    }
    heap[at] = event;
}

static int ready(const struct ladder *l, const int64_t *taken, const struct rung *g) {
    return g->predecessor < 0 ||
           (l->size[g->predecessor] > 0 && taken[g->predecessor] == l->size[g->predecessor]);
}

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

static void fill(const struct ladder *l, const int *group, int alive, int64_t *room,
                 int64_t *taken) {
    int64_t rate[ROWS], fine[ROWS], at[ROWS];
    int chain[ROWS], touched[ROWS], link[ENTRIES], who[ENTRIES], active[SEGMENTS];
    int users[ROWS], user[ROWS], share[ROWS], capped = 0;
    int64_t top[SEGMENTS];
    char seen[ROWS], rising[SEGMENTS];
    struct event heap[SEGMENTS + ROWS];
    int count = 0, rows = 0, links = 0, length = 0, left = 0;
    memset(seen, 0, l->rows);
    for (int a = 0; a < alive; a++) {
        const struct rung *g = &l->rung[group[a]];
        int64_t size = l->size[g->id];
        int open = size > 0 && ready(l, taken, g);
        for (int e = g->first; e < g->end; e++)
            open &= room[l->entry[e].row] >= l->entry[e].coefficient;
        if (!open) continue;
        active[count] = group[a];
        top[count] = size;
        for (int e = g->first; e < g->end; e++) {
            int r = l->entry[e].row;
            if (!seen[r]) {
                seen[r] = 1;
                touched[rows++] = r;
                rate[r] = 0;
                users[r] = 0;
                fine[r] = room[r];
            }
            users[r]++;
            user[r] = count;
            share[r] = l->entry[e].coefficient;
            rate[r] += (int64_t)l->entry[e].coefficient * g->weight;
            fine[r] -= l->entry[e].coefficient * size;
        }
        count++;
    }
    for (int a = 0; a < rows; a++) {
        int r = touched[a];
        if (fine[r] < 0 && users[r] == 1) {
            top[user[r]] = min64(top[user[r]], room[r] / share[r]);
            capped = 1;
        }
        if (fine[r] >= 0 || users[r] == 1) {
            rate[r] = 0;
            continue;
        }
        at[r] = 0;
        chain[r] = -1;
        fine[r] = room[r] << LEVEL_BITS;
        push(heap, &length, (struct event){min64(fine[r] / rate[r], TOP_LEVEL), r});
    }
    if (length == 0 && !capped) {
        for (int a = 0; a < count; a++) {
            const struct rung *g = &l->rung[active[a]];
            taken[g->id] = l->size[g->id];
        }
        for (int a = 0; a < rows; a++) room[touched[a]] = fine[touched[a]];
        return;
    }
    for (int a = 0; a < count; a++) {
        const struct rung *g = &l->rung[active[a]];
        rising[a] = 0;
        for (int e = g->first; e < g->end; e++) {
            int r = l->entry[e].row;
            if (!rate[r]) continue;
            rising[a] = 1;
            link[links] = chain[r];
            who[links] = a;
            chain[r] = links++;
        }
        if (rising[a]) {
            int64_t level = ((top[a] << LEVEL_BITS) + g->weight - 1) / g->weight;
            left++;
            push(heap, &length, (struct event){level, ROWS + a});
        } else {
            taken[g->id] = top[a];
        }
    }
    while (left) {
        struct event event = heap[0];
        int alone = event.number - ROWS, k = -1, a = alone;
        if (alone < 0 && rate[event.number] > 0) {
            int r = event.number;
            int64_t level = min64(at[r] + fine[r] / rate[r], TOP_LEVEL);
            if (level > event.level) {
                replace_first(heap, length, (struct event){level, r});
                continue;
            }
            k = chain[r];
            a = k >= 0 ? who[k] : -1;
        }
        while (a >= 0) {
            if (rising[a]) {
                const struct rung *g = &l->rung[active[a]];
                rising[a] = 0;
                left--;
                taken[g->id] = min64(top[a], (event.level * g->weight) >> LEVEL_BITS);
                for (int e = g->first; e < g->end; e++) {
                    int r = l->entry[e].row;
                    if (!rate[r]) continue;
                    fine[r] -= rate[r] * (event.level - at[r]);
                    at[r] = event.level;
                    rate[r] -= (int64_t)l->entry[e].coefficient * g->weight;
                }
            }
            k = k >= 0 ? link[k] : -1;
            a = k >= 0 ? who[k] : -1;
        }
        length--;
        replace_first(heap, length, heap[length]);
    }
    for (int a = 0; a < count; a++) {
        const struct rung *g = &l->rung[active[a]];
        for (int e = g->first; e < g->end; e++)
            room[l->entry[e].row] -= l->entry[e].coefficient * taken[g->id];
    }
}

void c_serve(const struct ladder *l, int64_t *room, int64_t *taken) {
    int group[SEGMENTS];
    for (int a = 0; a < l->count;) {
        int tier = l->rung[a].tier, alive = 0;
        for (; a < l->count && l->rung[a].tier == tier; a++) {
            const struct rung *g = &l->rung[a];
            int64_t size = l->size[g->id], short_of = 0;
            taken[g->id] = 0;
            if (!g->discrete) {
                group[alive++] = a;
                continue;
            }
            if (!ready(l, taken, g)) continue;
            for (int e = g->first; e < g->end; e++)
                short_of |= room[l->entry[e].row] - l->entry[e].coefficient * size;
            if (short_of < 0) continue;
            taken[g->id] = size;
            for (int e = g->first; e < g->end; e++)
                room[l->entry[e].row] -= l->entry[e].coefficient * size;
        }
        if (alive) fill(l, group, alive, room, taken);
    }
}

/* Serve `homes` one after the other; `ns`, where it is given, gets the time of each. */
void c_many(const struct ladder *l, int64_t homes, const int64_t *size, int64_t *room,
            int64_t *taken, int64_t *ns) {
    struct ladder home = *l;
    for (int64_t h = 0; h < homes; h++) {
        struct timespec begin, end;
        home.size = size + h * l->count;
        if (ns) clock_gettime(CLOCK_MONOTONIC, &begin);
        c_serve(&home, room + h * l->rows, taken + h * l->count);
        if (ns) {
            clock_gettime(CLOCK_MONOTONIC, &end);
            ns[h] = (end.tv_sec - begin.tv_sec) * 1000000000 + end.tv_nsec - begin.tv_nsec;
        }
    }
}
