/* The routes: (table, address) -> leaf, by longest prefix. The seam for a faster structure: nobody else knows it. */
#define DP_LEAF_KIND_SHIFT 28
#define DP_LEAF_VALUE_MASK 0x0fffffff
#define DP_LEAF_NONE 0
#define DP_LEAF_PASS 1    /* value: a reason */
#define DP_LEAF_DROP 2    /* value: a reason */
#define DP_LEAF_NEXTHOP 3 /* value: its id */
#define DP_LEAF_GROUP 4   /* value: its id */

/* The table comes first, so that its 32 bits are a part of every prefix: no table sees another one's routes (R88). */
struct dp_fib_key {
    __u32 prefixlen; /* 32 + the route's */
    __u32 table;
    __be32 address;
};

BPF_F_TABLE("lpm_trie", struct dp_fib_key, __u32, dp_fib, DP_ROUTES, BPF_F_NO_PREALLOC);

static __always_inline __u32 fib_lookup(__u32 table, __be32 destination)
{
    struct dp_fib_key key = {.prefixlen = 64, .table = table, .address = destination};
    __u32 *leaf = dp_fib.lookup(&key);

    return leaf ? *leaf : DP_LEAF_NONE;
}
