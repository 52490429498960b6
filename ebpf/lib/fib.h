/* The routes: (table, address) -> leaf, by longest prefix. Two structures; nobody else knows which one it is.
 *
 * Multibit (what is compiled unless DP_FIB_LPM is given): a slot says how to go on with the bits that are left. It is a
 * leaf, a node of slots for the next 8 bits (or 16, at the root of a large table), or a list of ranges of the last 16
 * bits, searched by halves. dataplane/datapath/fib/layout.py is its other side, ebpf/FIB.md says why.
 */
#define DP_LEAF_KIND_SHIFT 28
#define DP_LEAF_VALUE_MASK 0x0fffffff
#define DP_LEAF_NONE 0
#define DP_LEAF_PASS 1    /* value: a reason */
#define DP_LEAF_DROP 2    /* value: a reason */
#define DP_LEAF_NEXTHOP 3 /* value: its id */
#define DP_LEAF_GROUP 4   /* value: its id */

#ifdef DP_FIB_LPM
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
#else
#define DP_SLOT_KIND_SHIFT 30
#define DP_SLOT_LEAF 0   /* value: place in dp_fib_leaf; 0: what the table says where no other route does */
#define DP_SLOT_RANGES 1 /* value: place of the list, and how many units of it less one above */
#define DP_SLOT_NODE 2   /* value: place of 256 slots */
#define DP_SLOT_WIDE 3   /* at the root: place of 65,536 slots */
#define DP_SLOT_SHORT 3  /* below it, as ranges: a list of words of 16 bits */
#define DP_UNIT_SHIFT 2  /* places count units of 4 words */
#define DP_PLACE_MASK 0xffffff
#define DP_UNITS_SHIFT 24
#define DP_UNITS_MASK 0x3f
#define DP_WORD_MASK (DP_FIB_WORDS - 1)
#define DP_HALVINGS 6 /* of 64 units */
#define DP_SHORT_SHIFT 3 /* short words of a unit */
#define DP_SHORT_MASK (2 * DP_FIB_WORDS - 1)
#define DP_SHORT_HALVINGS 5 /* of 32 units */

/* Words, a power of two of them; no node and no list goes on in the next block. As text, since bcc makes code for each
 * number of an array of numbers, and is at it for minutes.
 */
struct dp_fib_block {
    char words[DP_FIB_WORDS * 4];
};

BPF_F_TABLE("array", __u32, struct dp_fib_block, dp_fib, DP_FIB_BLOCKS, BPF_F_MMAPABLE);
/* The leaf of all addresses of a table that no other route has (above), and the root slot (below), read at once. */
BPF_F_TABLE("array", __u32, __u64, dp_fib_table, DP_TABLES, BPF_F_MMAPABLE);
BPF_F_TABLE("array", __u32, __u32, dp_fib_leaf, DP_LEAVES, BPF_F_MMAPABLE);

static __always_inline const __u32 *fib_block(__u32 place)
{
    __u32 block = place >> (DP_FIB_WORDS_SHIFT - DP_UNIT_SHIFT);

    return (const __u32 *)dp_fib.lookup(&block);
}

/* The slot at a number of a node. */
static __always_inline __u32 fib_slot(__u32 place, __u32 number)
{
    const __u32 *block = fib_block(place + (number >> DP_UNIT_SHIFT));

    return block ? block[((place << DP_UNIT_SHIFT) + number) & DP_WORD_MASK] : 0;
}

/* All bits set if a word of a list is at or below the one that is looked for. Not a comparison: that would be a branch,
 * which nothing can predict.
 */
static __always_inline __s64 fib_is_below(__u32 word, __u32 wanted)
{
    __s64 difference = (__s64)(__u64)word - (__s64)(__u64)wanted - 1;

    asm volatile("" : "+r"(difference)); /* or clang sees through it */
    return difference >> 63;
}

/* A list: words in order, each the low 16 bits of the first address of a range, and its leaf below them. Filled up to
 * whole units with the last one.
 */
static __always_inline __u32 fib_range(__u32 place, __u32 units, __u32 address)
{
    const __u32 *block = fib_block(place);
    __u64 at = place << DP_UNIT_SHIFT;
    __u32 wanted = address << 16 | 0xffff, half;
    __s64 later;

    if (!block)
        return 0;
    for (int i = 0; i < DP_HALVINGS; i++) {
        if (units <= 1)
            break;
        half = units >> 1;
        at += fib_is_below(block[(at + (half << DP_UNIT_SHIFT)) & DP_WORD_MASK], wanted) &
              (half << DP_UNIT_SHIFT);
        units -= half;
    }
    later = fib_is_below(block[(at + 1) & DP_WORD_MASK], wanted) +
            fib_is_below(block[(at + 2) & DP_WORD_MASK], wanted) +
            fib_is_below(block[(at + 3) & DP_WORD_MASK], wanted);
    return block[(at - later) & DP_WORD_MASK] & 0xffff;
}

/* In each half of a pair of numbers, how many of four short words are at or below the one that is looked for. */
static __always_inline __u64 fib_count_below(__u64 four, __u32 wanted)
{
    const __u64 low = 0x0000ffff0000ffff, carry = 0x0001000000010000;
    __u64 both = ((__u64)wanted << 32 | wanted) | carry;

    return (((both - (four & low)) & carry) + ((both - (four >> 16 & low)) & carry)) >> 16;
}

/* A list of a part whose prefixes have no more than 24 bits, and its leaves places below 256: bits 8 to 15 of the first
 * address, and the leaf. Half as long, and the words of its last unit are compared in four subtractions.
 */
static __always_inline __u32 fib_short_range(__u32 place, __u32 units, __u32 address)
{
    const __u32 *block = fib_block(place);
    __u64 at = place << DP_SHORT_SHIFT, count;
    __u32 wanted = (address & 0xff00) | 0xff, half;

    if (!block)
        return 0;
    for (int i = 0; i < DP_SHORT_HALVINGS; i++) {
        if (units <= 1)
            break;
        half = units >> 1;
        at += fib_is_below(((const __u16 *)block)[(at + (half << DP_SHORT_SHIFT)) & DP_SHORT_MASK], wanted) &
              (half << DP_SHORT_SHIFT);
        units -= half;
    }
    count = fib_count_below(((const __u64 *)block)[at >> 2 & DP_SHORT_MASK >> 2], wanted) +
            fib_count_below(((const __u64 *)block)[(at >> 2 | 1) & DP_SHORT_MASK >> 2], wanted);
    at += (count + (count >> 32) & 0xf) - 1;
    return ((const __u16 *)block)[at & DP_SHORT_MASK] & 0xff;
}

static __always_inline __u32 fib_lookup(__u32 table, __be32 destination)
{
    __u32 address = bpf_ntohl(destination), place = 0, slot, *leaf;
    __u64 *root = dp_fib_table.lookup(&table), both;

    if (!root)
        return DP_LEAF_NONE;
    both = *(volatile __u64 *)root;
    slot = both;
    /* Places below a node are counted from the first one on the way: what is there can be copied as it is. */
    if (slot >> DP_SLOT_KIND_SHIFT == DP_SLOT_WIDE) {
        slot = fib_slot(slot & DP_PLACE_MASK, address >> 16);
        if (slot >> DP_SLOT_KIND_SHIFT == DP_SLOT_NODE) {
            place = slot & DP_PLACE_MASK;
            slot = fib_slot(place, address >> 8 & 0xff);
        }
    } else if (slot >> DP_SLOT_KIND_SHIFT == DP_SLOT_NODE) {
        place = slot & DP_PLACE_MASK;
        slot = fib_slot(place, address >> 24);
        if (slot >> DP_SLOT_KIND_SHIFT == DP_SLOT_NODE)
            slot = fib_slot(place + (slot & DP_PLACE_MASK), address >> 16 & 0xff);
        if (slot >> DP_SLOT_KIND_SHIFT == DP_SLOT_NODE)
            slot = fib_slot(place + (slot & DP_PLACE_MASK), address >> 8 & 0xff);
    }
    if (slot >> DP_SLOT_KIND_SHIFT == DP_SLOT_RANGES)
        slot = fib_range(place + (slot & DP_PLACE_MASK), (slot >> DP_UNITS_SHIFT & DP_UNITS_MASK) + 1, address);
    else if (slot >> DP_SLOT_KIND_SHIFT == DP_SLOT_SHORT)
        slot = fib_short_range(slot & DP_PLACE_MASK, (slot >> DP_UNITS_SHIFT & DP_UNITS_MASK) + 1, address);
    if (!slot)
        return both >> 32;
    leaf = dp_fib_leaf.lookup(&slot);
    return leaf ? *leaf : DP_LEAF_NONE;
}
#endif
