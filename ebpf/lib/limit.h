/* Limits of a leg: each flow to its rate (R117, D4), the whole leg to its bandwidth (R21, D5). Compiled in with
 * -DDP_LIMITS only; decide() changes nothing, and so an entry charges when the verdict is clear.
 *
 * A bucket is one number, the theoretical arrival time (GCRA): how far it is ahead of the clock is what its owner has sent
 * and not yet paid for with time. Up to a burst ahead a packet conforms and nothing of its way changes. Beyond it, TCP
 * is queued by the shaper at the egress of the leg's port, in a leaf of its own; anything else is dropped.
 */
#define DP_LEAF_CLASS 0x00db0100 /* of the first leaf (model/shaper.py): skb->priority names a class, no filter does */

#ifdef DP_LIMITS
#define DP_BURST_NS 50000000ULL  /* D4: of rate; what conforms beyond the rate, once */
#define DP_QUEUE_NS 50000000ULL  /* D4: as long as a flow's queue may become */
#define DP_FULL_NS 300000000ULL  /* as far as a leg that is full is charged: longer than its shaper's queues are */
#define DP_COST_SHIFT 20
#define DP_WAYS 4
#define DP_LEAVES 64 /* room in dp_leaf for each leg */
#define DP_LEAF_TRIES 8
#define DP_LEAF_SHIFT 20         /* leaves are held in units of 2^20 ns */
#define DP_LEAF_HOLD 200

/* What a leg allows, as the time that a byte takes: ns << DP_COST_SHIFT; 0: no limit. Each field is right alone. */
struct dp_limit {
    __u64 flow;
    __u64 bandwidth;
    __u32 leaves; /* a power of two */
    __u32 zero;
};

/* Of a leg: what its packets change. In a cache line of its own. */
struct dp_limit_state {
    __u64 tat;      /* of everything */
    __u64 overflow; /* of the flows together that found no entry (D4) */
    __u64 is_full;  /* from the first packet beyond its burst until its bucket is full again */
    __u64 zero[5];
};

/* Of all legs: written once, when the maps are made. */
struct dp_limit_base {
    __u64 seed; /* of the hash: nobody outside can aim at somebody's set */
    __u64 tick_ns;
};

/* A flow in one direction, and its bucket. One whose time has come is worth nothing to its flow: it is free. */
struct dp_flow_entry {
    __be32 source;
    __be32 destination;
    __be16 sport;
    __be16 dport;
    __u8 protocol;
    __u8 leaf; /* that its packets wait in, from the first beyond the burst until the bucket is full again; 0: none */
    __u16 leg;
    __u64 tat;
    __u64 bytes; /* of IP, offered and let through; lost counts of two processors at once are only a display's */
};

struct dp_flow_set {
    struct dp_flow_entry way[DP_WAYS];
};

struct dp_limit_count {
    __u64 delayed_packets;
    __u64 delayed_bytes;
    __u64 dropped_packets;
    __u64 dropped_bytes;
    __u64 overflow_packets;
    __u64 shared_packets;
};

BPF_F_TABLE("array", __u32, struct dp_limit, dp_limit, DP_LEGS, BPF_F_MMAPABLE); /* stored number by number */
BPF_ARRAY(dp_limit_state, struct dp_limit_state, DP_LEGS);
BPF_ARRAY(dp_limit_base, struct dp_limit_base, 1);
BPF_F_TABLE("array", __u32, struct dp_flow_set, dp_flow, DP_FLOW_SETS, BPF_F_MMAPABLE);
/* Who waits in a leaf: number of the entry in the upper half, until when in the lower. */
BPF_ARRAY(dp_leaf, __u64, DP_LEGS * DP_LEAVES);
BPF_PERCPU_ARRAY(dp_limit_count, struct dp_limit_count, DP_LEGS);

/* The two words of a key, as they lie in an entry; of the second all but the leaf. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define DP_KEY_MASK (~(0xffULL << 40))
#else
#define DP_KEY_MASK (~(0xffULL << 16))
#endif

union dp_flow_key {
    struct {
        __be32 source;
        __be32 destination;
        __be16 sport;
        __be16 dport;
        __u8 protocol;
        __u8 leaf;
        __u16 leg;
    } part;
    __u64 word[2];
};

/* One packet before its limits. */
struct dp_due {
    union dp_flow_key key;
    __u64 now;
    __u32 leg;
    __u32 bytes;
    __u32 hash;
    __u32 is_tcp;
    __u32 zero;    /* out of a map */
    __u32 entry;   /* number of its entry, from 1; 0: none */
    __u32 is_paid; /* with the entry itself, when that was taken */
};

static __always_inline __u64 limit_now(const struct dp_limit_base *base)
{
#ifdef DP_TRACE
    return trace_now();
#else
    /* 0.7 ns, where the clock of nanoseconds takes 33 on the development machine. A tick is 4 ms there, so that a bucket
     * fills in steps of 4 ms: less than a tenth of the burst, and nothing over a second.
     */
    return bpf_jiffies64() * base->tick_ns;
#endif
}

/* Two processors at once: near the limit both pay, so that no rate is ever doubled. A locked instruction is 5 ns, and
 * the processor overlaps nothing with it; so below half a burst a plain store does. It may lose the other's payment, and
 * no more than that: a flow that could gain by it sends fast, and so is beyond half a burst at once.
 */
static __always_inline void limit_charge(__u64 *tat, __u64 seen, __u64 now, __u64 cost)
{
    if (seen > now + DP_BURST_NS / 2)
        __sync_fetch_and_add(tat, cost);
    else
        *tat = (seen > now ? seen : now) + cost;
}

static __always_inline __u64 limit_ahead(__u64 tat, __u64 now)
{
    return tat > now ? tat - now : 0;
}

static __always_inline __u32 limit_hash(const union dp_flow_key *key, __u64 seed)
{
    __u64 hash = (key->word[0] ^ seed) * 0x9e3779b97f4a7c15ULL;

    hash ^= hash >> 32;
    hash = (hash ^ key->word[1]) * 0xc2b2ae3d27d4eb4fULL;
    return (hash ^ hash >> 29) >> 16;
}

static __always_inline int limit_is_of(const struct dp_flow_entry *entry, const union dp_flow_key *key)
{
    const __u64 *word = (const __u64 *)entry;

    return word[0] == key->word[0] && ((word[1] ^ key->word[1]) & DP_KEY_MASK) == 0;
}

/* The entry of a flow, its own or a fresh one; 0: all of its set are at work for others.
 *
 * Who moves the time of a free entry has it. Its key follows: until then the old flow may pay there, or a second packet
 * of the new one takes another way, which the first in the set outlives. Neither opens a cap.
 */
static __always_inline struct dp_flow_entry *limit_entry(struct dp_due *due, __u64 cost)
{
    __u32 place = due->hash & (DP_FLOW_SETS - 1);
    struct dp_flow_set *set = dp_flow.lookup(&place);
    __u32 way = DP_WAYS;

    if (!set)
        return 0;
#pragma unroll
    for (__u32 i = 0; i < DP_WAYS; i++)
        if (limit_is_of(&set->way[i], &due->key)) {
            way = i;
            goto found;
        }
#pragma unroll
    for (__u32 i = 0; i < DP_WAYS; i++) {
        struct dp_flow_entry *entry = &set->way[i];
        __u64 *word = (__u64 *)entry;

        if (entry->tat <= due->now) {
            entry->tat = due->now + cost;
            word[0] = due->key.word[0];
            word[1] = due->key.word[1];
            entry->bytes = 0;
            due->is_paid = 1;
            way = i;
            goto found;
        }
    }
    return 0;
found:
    /* Plus nothing that the verifier could know: else it would follow each way through all that comes after. */
    way = (way + due->zero) & (DP_WAYS - 1);
    due->entry = place * DP_WAYS + way + 1;
    return &set->way[way];
}

/* A leaf that nobody else waits in, or one that is shared (counted). Its number, from 1. */
static __always_inline __u32 limit_claim_leaf(const struct dp_limit *limit, const struct dp_due *due,
                                              struct dp_limit_count *count)
{
    __u32 mask = (limit->leaves - 1) & (DP_LEAVES - 1), first = due->hash >> 24 & mask;
    __u32 time = due->now >> DP_LEAF_SHIFT;
    __u64 held = (__u64)due->entry << 32 | (__u32)(time + DP_LEAF_HOLD);

    for (__u32 i = 0; due->entry && i < DP_LEAF_TRIES; i++) {
        __u32 leaf = (first + i) & mask, place = due->leg * DP_LEAVES + leaf;
        __u64 *word = dp_leaf.lookup(&place);

        if (!word)
            break;
        __u64 seen = *word;
        if ((__s32)((__u32)seen - time) <= 0 && __sync_val_compare_and_swap(word, seen, held) == seen)
            return leaf + 1;
    }
    count->shared_packets += 1;
    return first + 1;
}

/* A flow that is still in its leaf keeps it. */
static __always_inline void limit_hold_leaf(const struct dp_due *due, __u32 leaf)
{
    __u32 place = due->leg * DP_LEAVES + ((leaf - 1) & (DP_LEAVES - 1));
    __u64 *word = dp_leaf.lookup(&place);

    if (word && *word >> 32 == due->entry)
        *word = (__u64)due->entry << 32 | (__u32)((due->now >> DP_LEAF_SHIFT) + DP_LEAF_HOLD);
}

/* Has the leg as a whole more to carry than its bandwidth? Charged with all that is let through. */
static __always_inline int limit_is_full(const struct dp_limit *limit, struct dp_limit_state *state,
                                         const struct dp_due *due)
{
    __u64 seen, ahead;

    if (!limit->bandwidth)
        return 0;
    seen = state->tat;
    ahead = limit_ahead(seen, due->now);
    if (ahead <= DP_BURST_NS + DP_FULL_NS)
        limit_charge(&state->tat, seen, due->now, due->bytes * limit->bandwidth >> DP_COST_SHIFT);
    if (ahead > DP_BURST_NS && !state->is_full)
        state->is_full = 1;
    if (!ahead && state->is_full)
        state->is_full = 0;
    return state->is_full;
}

/* Where a packet that has to wait does so. */
static __always_inline __u32 limit_leaf(const struct dp_limit *limit, const struct dp_due *due,
                                        struct dp_limit_count *count, struct dp_flow_entry *entry, __u32 present)
{
    __u32 leaf = present;

    if (present)
        limit_hold_leaf(due, present);
    else
        leaf = limit_claim_leaf(limit, due, count);
    if (entry && !present)
        entry->leaf = leaf;
    return leaf;
}

/* What becomes of a packet that may be over a limit, or is the first of its flow. */
static __always_inline __u32 limit_judge(struct dp_due *due, const struct dp_limit *limit, __u32 *leaf, int is_later)
{
    __u64 cost = due->bytes * (limit->flow ? limit->flow : limit->bandwidth) >> DP_COST_SHIFT;
    struct dp_flow_entry *entry = limit_entry(due, cost);
    struct dp_limit_state *state = dp_limit_state.lookup(&due->leg);
    struct dp_limit_count *count = dp_limit_count.lookup(&due->leg);
    __u64 *tat, ahead = 0, seen = 0;
    __u32 present = 0, waits;

    if (!state || !count)
        return DP_KERNEL_ONLY;
    tat = entry ? &entry->tat : &state->overflow;
    if (entry)
        present = entry->leaf;
    else
        count->overflow_packets += 1;
    if (!due->is_paid) {
        seen = *tat;
        ahead = limit_ahead(seen, due->now);
    }
    waits = (limit->flow && ahead > DP_BURST_NS) || (present && ahead);
    if (limit->flow && ahead > DP_BURST_NS && (!due->is_tcp || ahead > DP_BURST_NS + DP_QUEUE_NS)) {
        count->dropped_packets += 1;
        count->dropped_bytes += due->bytes;
        return DP_LIMIT;
    }
    if (is_later && (waits || state->is_full))
        return DP_SHAPED;
    /* Where only the leg has a limit, a flow is not the one to pay for more than its queue. */
    if (!due->is_paid && ahead <= DP_BURST_NS + DP_QUEUE_NS)
        limit_charge(tat, seen, due->now, cost);
    if (entry)
        entry->bytes += due->bytes;
    if (!limit_is_full(limit, state, due) && !waits) {
        if (present)
            entry->leaf = 0;
        return DP_FORWARDED;
    }
    count->delayed_packets += 1;
    count->delayed_bytes += due->bytes;
    *leaf = limit_leaf(limit, due, count, entry, present);
    return DP_SHAPED;
}

/* Nearly all packets: of a flow that is known and far from its limit, on a leg that is far from its own. Charged, and
 * nothing else of it is ever looked at. Plain numbers: in a struct they would go through the stack.
 */
static __always_inline int limit_is_easy(const struct dp_limit *limit, __u32 leg, __u64 first, __u64 second, __u32 hash,
                                         __u64 now, __u32 bytes)
{
    struct dp_limit_state *state = limit->bandwidth ? dp_limit_state.lookup(&leg) : 0;
    __u64 rate = limit->flow ? limit->flow : limit->bandwidth;
    __u32 place = hash & (DP_FLOW_SETS - 1);
    struct dp_flow_set *set;

    if (state && (state->is_full || state->tat > now + DP_BURST_NS / 2))
        return 0;
    set = dp_flow.lookup(&place);
    if (!set)
        return 0;
#pragma unroll
    for (__u32 i = 0; i < DP_WAYS; i++) {
        __u64 *word = (__u64 *)&set->way[i];

        /* The whole words: who has a leaf is not easy. */
        if (word[0] != first || word[1] != second)
            continue;
        if (set->way[i].tat > now + DP_BURST_NS / 2)
            return 0;
        limit_charge(&set->way[i].tat, set->way[i].tat, now, bytes * rate >> DP_COST_SHIFT);
        set->way[i].bytes += bytes;
        if (state)
            limit_charge(&state->tat, state->tat, now, bytes * limit->bandwidth >> DP_COST_SHIFT);
        return 1;
    }
    return 0;
}

/* What becomes of a packet: DP_FORWARDED, DP_SHAPED, DP_LIMIT.
 *
 * Args: is_later - a packet that has to wait is somebody else's, and pays there.
 */
static __always_inline __u32 limit_admit(__u32 leg, const struct dp_limit *limit, const struct dp_limit_base *base,
                                         const union dp_flow_key *key, __u32 bytes, __u32 *leaf, int is_later)
{
    __u32 hash = limit_hash(key, base->seed);
    __u64 now = limit_now(base);

    if (limit_is_easy(limit, leg, key->word[0], key->word[1], hash, now, bytes))
        return DP_FORWARDED;
    struct dp_due due = {
        .key = *key, .now = now, .leg = leg, .bytes = bytes, .hash = hash, .is_tcp = key->part.protocol == IPPROTO_TCP};
    due.zero = limit->zero;
    return limit_judge(&due, limit, leaf, is_later);
}
#endif

/* Whether a leg has a limit: all that others pay. */
static __always_inline int limit_has(__u32 leg)
{
#ifdef DP_LIMITS
    struct dp_limit *limit = leg ? dp_limit.lookup(&leg) : 0;

    return limit && (limit->flow || limit->bandwidth);
#else
    return 0;
#endif
}
