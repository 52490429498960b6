/* The limits of a walk, once its verdict is clear. */
#ifdef DP_LIMITS
/* The bytes of IP that the packet has on a wire: of a large one, with the headers of each segment. */
static __always_inline __u32 limit_bytes(const struct dp_frame *frame, const struct dp_ipv4 *ip)
{
    __u32 headers, payload;

    if (!frame->gso)
        return bpf_ntohs(ip->length);
    headers = walk_bytes(frame, ip) - frame->gso;
    payload = frame->bytes - DP_ETHER_BYTES - headers;
    return payload + (payload + frame->gso - 1) / frame->gso * headers;
}
#endif

/* The limits of the one leg of a walk that has any; decide() ends a walk before it meets a second.
 *
 * tc sends what has to wait to the port's own egress, where its leaf is. XDP leaves that to the kernel, whose classes are
 * its own choice; if the leg is one further on in the walk, the packet comes to that leg's own router by the kernel.
 */
static __always_inline void limit_check(const struct dp_frame *frame, struct dp_verdict *verdict, int is_xdp)
{
#ifdef DP_LIMITS
    struct dp_ipv4 *ip = frame->data + DP_ETHER_BYTES;
    union dp_flow_key key = {};
    struct dp_flow flow = {};
    struct dp_limit_base *base;
    struct dp_limit *limit;
    __u32 zero = 0, leaf = 0, leg = verdict->limited;

    if (verdict->reason != DP_FORWARDED || !leg || (void *)(ip + 1) > frame->end)
        return;
    limit = dp_limit.lookup(&leg);
    base = dp_limit_base.lookup(&zero);
    if (!limit || !base)
        return;
    flow_read(&flow, ip, frame->end);
    key.part.source = flow.source;
    key.part.destination = flow.destination;
    key.part.sport = flow.sport;
    key.part.dport = flow.dport;
    key.part.protocol = flow.protocol;
    key.part.leg = leg;
    verdict->reason =
        limit_admit(leg, limit, base, &key, limit_bytes(frame, ip), &leaf, is_xdp && verdict->limited_at);
    if (verdict->reason == DP_LIMIT)
        verdict->routers = verdict->limited_at; /* that one did not let it go */
    /* The kernel sends it by the very same leg, and nobody else counts it there. */
    if (is_xdp && verdict->reason == DP_SHAPED && !verdict->limited_at)
        leg_count(leg, frame->bytes);
    if (is_xdp || verdict->reason != DP_SHAPED)
        return;
    verdict->reason = DP_FORWARDED;
    verdict->leaf = leaf;
    if (verdict->how == DP_HOW_PEER)
        verdict->how = DP_HOW_REDIRECT; /* by the egress, where the shaper is */
#endif
}
