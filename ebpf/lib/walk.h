/* decide(): from a frame to a verdict, router by router. It changes nothing, and knows no hook but by two arguments. */
#define DP_MAX_ROUTERS 8 /* D17 */

struct dp_verdict {
    __u32 reason;
    __u32 routers; /* that decrement the TTL */
    __u32 port[DP_MAX_ROUTERS]; /* where it came into each */
    __u32 leg[DP_MAX_ROUTERS];  /* that it left each by; 0: none */
    __u32 limited;    /* the leg among them that has a limit; 0: none */
    __u32 limited_at; /* the router that it is of, from 0 */
    __u32 leaf;       /* of that leg's shaper, that it has to wait in; 0: none */
    /* Of the last router. */
    __u32 ifindex;
    __u32 out;
    __u32 how;
    __u16 source_mac[3];
    __u16 to[3]; /* struct dp_nexthop */
};

/* The bytes that count against an MTU: of one segment, where the kernel will cut the packet up itself. */
static __always_inline __u32 walk_bytes(const struct dp_frame *frame, const struct dp_ipv4 *ip)
{
    const __u8 *tcp = (const __u8 *)(ip + 1);
    __u32 header = 8; /* UDP */

    if (!frame->gso)
        return bpf_ntohs(ip->length);
    if (ip->protocol == IPPROTO_TCP && (void *)(tcp + 13) <= frame->end)
        header = (tcp[12] >> 4) * 4;
    return DP_IPV4_BYTES + header + frame->gso;
}

/* One router: the next hop that its table leads to, or the reason why there is none. */
static __always_inline __u32 walk_route(__u32 table, __be32 destination, __u32 hash, struct dp_nexthop **found)
{
    __u32 leaf, id, group = 0, bucket = 0;

    *found = 0;
    if (!table)
        return DP_KERNEL_ONLY;
    leaf = fib_lookup(table, destination);
    id = leaf & DP_LEAF_VALUE_MASK;
    switch (leaf >> DP_LEAF_KIND_SHIFT) {
    case DP_LEAF_PASS:
    case DP_LEAF_DROP:
        trace_route(table, leaf, 0, 0, 0);
        /* Whatever stands there: a route that stops a packet never lets it through. */
        return id >= DP_FIRST_PASS && id < DP_REASONS ? id : DP_KERNEL_ONLY;
    case DP_LEAF_NEXTHOP:
        break;
    case DP_LEAF_GROUP:
#ifdef DP_HAS_GROUPS
        group = id;
        bucket = hash >> DP_BUCKET_SHIFT;
        id = group_select(group, bucket);
        if (!id) {
            trace_route(table, leaf, group, bucket, 0);
            return DP_BLACKHOLE;
        }
        break;
#else
        /* The network's first one: the program that knows groups is on its way (datapath/forwarder.py). */
        trace_route(table, leaf, id, 0, 0);
        return DP_KERNEL_ONLY;
#endif
    default:
        trace_route(table, leaf, 0, 0, 0);
        return DP_NO_ROUTE;
    }
    trace_route(table, leaf, group, bucket, id);
    *found = nexthop_lookup(id);
    return *found ? DP_FORWARDED : DP_KERNEL_ONLY;
}

/* Args: most - how many routers this hook can walk through; is_xdp - it sends frames straight to a device, so that a
 * tag or a tunnel header would have to be made here.
 */
static __always_inline void decide(const struct dp_frame *frame, struct dp_verdict *verdict, int most, int is_xdp)
{
    struct dp_ipv4 *ip = frame->data + DP_ETHER_BYTES;
    struct dp_port *port = port_lookup(frame->port);
    struct dp_nexthop *nexthop = 0, *before = 0;
    __u32 id = frame->port, bytes, hash = 0;

    verdict->reason = DP_NO_PORT;
    if (!port || !port_has(port, DP_PORT_PRESENT))
        return;
    verdict->port[0] = id;
    verdict->reason = port_admit(port, frame);
    if (verdict->reason != DP_FORWARDED)
        return;
    if ((void *)(ip + 1) > frame->end) { /* admitted packets have a header; the verifier does not know */
        verdict->reason = DP_SHORT;
        return;
    }
    bytes = walk_bytes(frame, ip);
#ifdef DP_HAS_GROUPS
    /* Once for all routers, wanted or not: 4 ns; in the loop, the verifier would go through it in every round. */
    hash = flow_hash(ip, frame->end);
#endif
    for (int i = 0; i < most; i++) {
        verdict->port[i] = id;
        trace_router(i, id);
        verdict->reason = ip->ttl <= 1 + i ? DP_TTL : walk_route(port->table, ip->destination, hash, &nexthop);
        if (verdict->reason != DP_FORWARDED || !nexthop)
            return;
        verdict->reason = nexthop_admit(nexthop, bytes);
        if (verdict->reason != DP_FORWARDED)
            return;
        /* A line is tc's. Its router runs tc where it is joined to others: the packet is left there, as if the walk
         * had been one router shorter, and that program goes on (dataplane/compile/hook.py).
         */
        if (is_xdp && nexthop->how == DP_HOW_LINE && before) {
            nexthop = before;
            trace_back(i);
            break;
        }
        /* Two legs with limits are two walks: else what waits for the second would pay for the first again. */
        if (limit_has(nexthop->leg)) {
            if (verdict->limited && before) {
                nexthop = before;
                trace_back(i);
                break;
            }
            verdict->limited = nexthop->leg;
            verdict->limited_at = i;
        }
        before = nexthop;
        verdict->leg[i] = nexthop->leg;
        verdict->routers = i + 1;
        id = nexthop->far;
        if (most == 1 || !id)
            break;
        port = port_lookup(id);
        if (!port || !port_has(port, DP_PORT_PRESENT)) {
            verdict->reason = DP_KERNEL_ONLY;
            return;
        }
        if (i == most - 1) {
            verdict->reason = DP_TOO_MANY_ROUTERS;
            return;
        }
    }
    if (!nexthop)
        return;
    if (is_xdp) {
        /* XDP has no egress to put a tag or a tunnel header on, and needs the device in its map. */
        struct dp_port *egress = port_lookup(nexthop->port);

        if (nexthop->how == DP_HOW_LINE || nexthop->how == DP_HOW_TUNNEL || !port_has(egress, DP_PORT_TX)) {
            verdict->reason = DP_KERNEL_ONLY;
            return;
        }
    }
    verdict->ifindex = nexthop->ifindex;
    verdict->out = nexthop->port;
    verdict->how = nexthop->how;
#pragma unroll
    for (int i = 0; i < 3; i++) {
        verdict->source_mac[i] = nexthop->source_mac[i];
        verdict->to[i] = nexthop->to[i];
    }
}

/* Each frame raises one counter: at the port where it was judged. Routers that a forwarded or a dropped one came
 * through on the way count it as continued; what the kernel gets begins anew at the first, and is counted there.
 */
static __always_inline void walk_count(const struct dp_frame *frame, const struct dp_verdict *verdict, int most)
{
    __u32 last = verdict->reason == DP_FORWARDED && verdict->routers ? verdict->routers - 1 : verdict->routers;

    if (verdict->reason >= DP_FIRST_PASS && verdict->reason < DP_FIRST_DROP)
        last = 0;
    for (__u32 i = 0; i < most; i++) {
        if (i == last) {
            reason_count(verdict->port[i], verdict->reason, frame->bytes);
            break;
        }
        reason_count(verdict->port[i], DP_CONTINUED, frame->bytes);
    }
    if (verdict->reason >= DP_FIRST_PASS && verdict->reason < DP_FIRST_DROP)
        return;
    for (__u32 i = 0; i < most && i < verdict->routers; i++)
        leg_count(verdict->leg[i], frame->bytes);
}
