/* Next hops: the port that a packet leaves by, its new MACs, and what is behind that port. */
#define DP_HOW_NONE 0      /* no such next hop */
#define DP_HOW_PEER 1      /* a veth whose far end is in another namespace */
#define DP_HOW_REDIRECT 2  /* any other device, through its egress */
#define DP_HOW_LINE 3      /* a VLAN link: the kernel finds the MAC, its egress puts the tag on */
#define DP_HOW_TUNNEL 4    /* a VXLAN link */
#define DP_HOW_BLACKHOLE 5 /* its leg is gone or suspended: silent, and it goes on attracting its prefix */

struct dp_nexthop {
    __u32 port;    /* of egress */
    __u32 ifindex; /* of its device */
    __u32 far;     /* the port of the next router that this one is joined to; 0: what leaves here leaves our routers */
    __u32 leg;     /* 0: none */
    __u16 mtu;     /* bytes of an IP packet */
    __u16 how;
    /* Whom it is sent to: its MAC; zero: not resolved. On a line its IPv4 address, then zero, since only the kernel hears
     * whose MAC that is and when it changes; 0.0.0.0: the destination itself, as in a route without a gateway.
     */
    __u16 to[3];
    __u16 source_mac[3]; /* of the port; zero: not known, and then neither is the MTU of a line */
};

BPF_ARRAY(dp_nexthop, struct dp_nexthop, DP_NEXTHOPS);

static __always_inline struct dp_nexthop *nexthop_lookup(__u32 id)
{
    struct dp_nexthop *nexthop = dp_nexthop.lookup(&id);

    if (nexthop && nexthop->how == DP_HOW_NONE)
        nexthop = 0;
    /* Else the compiler asks "how" later where we ask the pointer, and the verifier of 6.1 does not see that both say
     * the same. Nothing is executed here.
     */
    asm volatile("" : "+r"(nexthop));
    return nexthop;
}

/* May a packet leave by it? What the kernel must answer (too big, unresolved) is the kernel's. */
static __always_inline __u32 nexthop_admit(const struct dp_nexthop *nexthop, __u32 bytes)
{
    if (nexthop->how == DP_HOW_BLACKHOLE)
        return DP_BLACKHOLE;
    if ((nexthop->how != DP_HOW_LINE && mac_is_zero(nexthop->to)) || mac_is_zero(nexthop->source_mac))
        return DP_NO_NEIGHBOUR;
    if (bytes > nexthop->mtu)
        return DP_TOO_BIG;
    return DP_FORWARDED;
}
