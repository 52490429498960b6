/* The hash of a flow: equal for both directions, and for every fragment of a datagram.
 *
 * Ends are ordered before they are hashed. Fragments, the first too, and protocols without ports have none (3-tuple).
 * An ICMP error counts as a packet of the flow that it is about, so that it follows that flow's path.
 */
struct dp_flow {
    __be32 source;
    __be32 destination;
    __be16 sport;
    __be16 dport;
    __u8 protocol;
};

static __always_inline int icmp_is_error(__u8 type)
{
    return type == 3 || type == 4 || type == 11 || type == 12; /* RFC 792: these quote a packet */
}

static __always_inline void flow_read_ports(struct dp_flow *flow, const __be16 *ports, const void *end)
{
    if (flow->protocol != IPPROTO_TCP && flow->protocol != IPPROTO_UDP && flow->protocol != IPPROTO_SCTP &&
        flow->protocol != IPPROTO_UDPLITE && flow->protocol != IPPROTO_DCCP)
        return;
    if ((void *)(ports + 2) > end)
        return;
    flow->sport = ports[0];
    flow->dport = ports[1];
}

static __always_inline void flow_read(struct dp_flow *flow, const struct dp_ipv4 *ip, const void *end)
{
    flow->source = ip->source;
    flow->destination = ip->destination;
    flow->protocol = ip->protocol;
    if (!(ip->fragment & bpf_htons(DP_FRAGMENT_MASK)))
        flow_read_ports(flow, (const __be16 *)(ip + 1), end);
}

/* The 32 bits that a bucket is chosen by. The header itself is known to be readable. */
static __always_inline __u32 flow_hash(const struct dp_ipv4 *ip, const void *end)
{
    struct dp_flow flow = {};
    const __u8 *icmp = (const __u8 *)(ip + 1);
    const struct dp_ipv4 *quoted = (const struct dp_ipv4 *)(icmp + 8);
    __u64 one, other, low, high;

    flow_read(&flow, ip, end);
    if (ip->protocol == IPPROTO_ICMP && !(ip->fragment & bpf_htons(DP_FRAGMENT_MASK)) &&
        (void *)(quoted + 1) <= end && icmp_is_error(icmp[0]) && quoted->version_ihl == 0x45)
        flow_read(&flow, quoted, end);
    one = (__u64)bpf_ntohl(flow.source) << 16 | bpf_ntohs(flow.sport);
    other = (__u64)bpf_ntohl(flow.destination) << 16 | bpf_ntohs(flow.dport);
    low = one < other ? one : other;
    high = one < other ? other : one;
    /* Multiply and fold, three times: enough to spread neighbouring ports and addresses (test 52). */
    low = (low ^ flow.protocol) * 0x9e3779b97f4a7c15ULL;
    low ^= low >> 32;
    low = (low ^ high) * 0xc2b2ae3d27d4eb4fULL;
    low ^= low >> 29;
    low *= 0x165667b19e3779f9ULL;
    return low >> 32;
}
