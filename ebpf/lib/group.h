/* Next-hop groups: a flow's bucket lists the members in order of preference, and the first that is up wins.
 *
 * A flip is one byte in dp_leg: only the flows of the leg that goes move, and they come back as exactly (R50, R51).
 */
#define DP_BUCKETS 256
#define DP_NOBODY 0xff
#define DP_BUCKET_SHIFT 24 /* the upper bits of the hash choose */

#define DP_LEG_UP 0 /* before its first verdict a leg counts as up (D1) */
#define DP_LEG_DOWN 1
#define DP_LEG_GONE 2 /* suspended, or without its other end: never used */
#define DP_LEG_DROPPED 3 /* down, and not even a last resort: on_all_down is drop (D2) */

struct dp_member {
    __u32 nexthop;
    __u32 leg;
};

struct dp_group {
    /* How many there are, and how they share: for people, since the buckets say it all. */
    __u32 members;
    __u32 mode;
    struct dp_member member[DP_MEMBERS];
    /* Positions in ``member``, bucket after bucket, then DP_NOBODY. Flat: bcc sees one dimension of arrays only. */
    __u8 order[DP_BUCKETS * DP_MEMBERS];
};

/* The prober stores a verdict by mmap, without a system call: a value takes 8 bytes there. */
BPF_F_TABLE("array", __u32, __u8, dp_leg, DP_LEGS, BPF_F_MMAPABLE);
BPF_PERCPU_ARRAY(dp_leg_count, struct dp_count, DP_LEGS);

/* A group's number -> its slot. Contents are never overwritten, since a reader would see half of both: a changed group
 * is a fresh slot and one store here; the old slot is used again after a grace period.
 */
BPF_ARRAY(dp_group, __u32, DP_GROUPS);
BPF_ARRAY(dp_group_slot, struct dp_group, DP_GROUPS);

static __always_inline __u32 leg_state(__u32 leg)
{
    __u8 *state = dp_leg.lookup(&leg);

    return state ? *state : DP_LEG_GONE;
}

/* The next hop of a flow; 0: the group has nobody left. With all legs down each is used as if it were up (D2), but for
 * those that are gone or dropped.
 */
static __always_inline __u32 group_select(__u32 id, __u32 bucket)
{
    __u32 *slot = dp_group.lookup(&id);
    __u32 last_resort = 0;
    struct dp_group *group;

    if (!slot)
        return 0;
    __u32 place = *slot;
    group = dp_group_slot.lookup(&place);
    if (!group)
        return 0;
    for (__u32 i = 0; i < DP_MEMBERS; i++) {
        __u32 position = group->order[(bucket & (DP_BUCKETS - 1)) * DP_MEMBERS + i];

        if (position >= DP_MEMBERS) /* DP_NOBODY: the list ends */
            break;
        __u32 state = leg_state(group->member[position].leg);
        if (state == DP_LEG_UP)
            return group->member[position].nexthop;
        if (state == DP_LEG_DOWN && !last_resort)
            last_resort = group->member[position].nexthop;
    }
    return last_resort;
}

static __always_inline void leg_count(__u32 leg, __u32 bytes)
{
    struct dp_count *count = leg ? dp_leg_count.lookup(&leg) : 0;

    if (count) {
        count->packets += 1;
        count->bytes += bytes;
    }
}
