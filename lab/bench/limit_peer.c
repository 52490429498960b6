/* What a packet costs in a limit per flow: ours, the real ebpf/lib/limit.h, and beside it what most would write.
 *
 * Each run draws LIMIT_LOOKUPS flows of a pool, in an order that no cache foresees; the program that only draws them is
 * what the two have in common, and is subtracted.
 */
#include <uapi/linux/bpf.h>
#include <uapi/linux/if_ether.h>
#include <uapi/linux/in.h>
#include <uapi/linux/pkt_cls.h>

#include "lib/reason.h"
#include "lib/parse.h"
#include "lib/trace.h"
#include "lib/limit.h"

#define LIMIT_LOOKUPS 16
#define LIMIT_BYTES 100
#define LIMIT_LEG 1

struct limit_draw {
    __u64 turn;
    __u64 mask;  /* flows in the pool, less one */
    __u64 taken; /* packets that were let through */
    __u64 rate;  /* of the peer: bytes a second */
    __u64 burst;
};

struct limit_key {
    __u64 word[2];
};

/* A token bucket: what there is, and since when. */
struct limit_bucket {
    __u64 tokens;
    __u64 last_ns;
};

BPF_ARRAY(limit_draw, struct limit_draw, 1);
BPF_ARRAY(limit_pool, struct limit_key, LIMIT_POOL);
BPF_TABLE("lru_hash", struct limit_key, struct limit_bucket, limit_lru, LIMIT_LRU);

static __always_inline struct limit_key *limit_drawn(struct limit_draw *draw)
{
    __u64 value = draw->turn++ * 0x9e3779b97f4a7c15ULL;
    __u32 place = (value ^ value >> 29) >> 16 & draw->mask;

    return limit_pool.lookup(&place);
}

int limit_floor(struct xdp_md *ctx)
{
    __u32 zero = 0;
    struct limit_draw *draw = limit_draw.lookup(&zero);

    if (!draw)
        return XDP_DROP;
    for (int i = 0; i < LIMIT_LOOKUPS; i++) {
        struct limit_key *key = limit_drawn(draw);

        if (key)
            draw->taken += (key->word[0] ^ key->word[1]) & 1;
    }
    return XDP_DROP;
}

int limit_ours(struct xdp_md *ctx)
{
    __u32 zero = 0, leg = LIMIT_LEG;
    struct limit_draw *draw = limit_draw.lookup(&zero);
    struct dp_limit *limit = dp_limit.lookup(&leg);
    struct dp_limit_base *base = dp_limit_base.lookup(&zero);

    if (!draw || !limit || !base)
        return XDP_DROP;
    for (int i = 0; i < LIMIT_LOOKUPS; i++) {
        struct limit_key *key = limit_drawn(draw);
        __u32 leaf = 0;

        if (key)
            draw->taken += limit_admit(LIMIT_LEG, limit, base, (union dp_flow_key *)key, LIMIT_BYTES, &leaf, 0) ==
                           DP_FORWARDED;
    }
    return XDP_DROP;
}

int limit_peer(struct xdp_md *ctx)
{
    __u32 zero = 0;
    struct limit_draw *draw = limit_draw.lookup(&zero);

    if (!draw)
        return XDP_DROP;
    for (int i = 0; i < LIMIT_LOOKUPS; i++) {
        struct limit_key *drawn = limit_drawn(draw), key;
        struct limit_bucket *bucket;
        __u64 now, tokens;

        if (!drawn)
            continue;
        key.word[0] = drawn->word[0];
        key.word[1] = drawn->word[1];
        now = bpf_ktime_get_ns();
        bucket = limit_lru.lookup(&key);
        if (!bucket) {
            struct limit_bucket fresh = {.tokens = draw->burst, .last_ns = now};

            limit_lru.update(&key, &fresh);
            draw->taken += 1;
            continue;
        }
        /* Without a lock, as most leave it: two processors on one flow lose each other's tokens. */
        tokens = bucket->tokens + (now - bucket->last_ns) * draw->rate / 1000000000;
        if (tokens > draw->burst)
            tokens = draw->burst;
        bucket->last_ns = now;
        if (tokens >= LIMIT_BYTES) {
            tokens -= LIMIT_BYTES;
            draw->taken += 1;
        }
        bucket->tokens = tokens;
    }
    return XDP_DROP;
}
