/* Leased lines, at tc: the kernel's neighbour table says whose MAC a packet gets. No route is looked up for it. */
#define DP_AF_INET 2

/* As the kernel has it since 5.10; bcc 0.26 declares it without the length. */
static long (*redirect_neigh)(__u32 ifindex, struct bpf_redir_neigh *next, int bytes, __u64 flags) =
    (void *)BPF_FUNC_redirect_neigh;

/* The address that is asked for on the line: the next router's, or the destination's own. */
static __always_inline __be32 line_via(const struct dp_verdict *verdict, __be32 destination)
{
    __be32 via;

    __builtin_memcpy(&via, verdict->to, sizeof(via)); /* two halves, in the order of the wire */
    return via ? via : destination;
}

/* Out of the line: both MACs by the kernel, then the egress of the VLAN link, which puts the tag on. */
static __always_inline int line_redirect(const struct dp_verdict *verdict, __be32 destination)
{
    struct bpf_redir_neigh next = {.nh_family = DP_AF_INET, .ipv4_nh = line_via(verdict, destination)};

    return redirect_neigh(verdict->ifindex, &next, sizeof(next), 0);
}

/* bpf_redirect_neigh keeps what waits for an unknown MAC, and drops it in silence when nobody answers: it has no route
 * by which the kernel could tell the sender. So as long as the kernel does not know the MAC, it gets the packet whole:
 * it asks, keeps it, and says host unreachable (ICMP 3/1) in the end, as on the slow path.
 *
 * The question looks a route up, at three times the cost of decide(). So each CPU asks once in a jiffy for an address,
 * and has the answer for all other packets of that jiffy. One that has just become wrong costs no more than these.
 */
#define DP_LINE_ANSWERS 64

struct dp_line_answer {
    __u64 jiffy;
    __u32 port; /* that the address is asked for on */
    __be32 via;
    __u32 is_known;
    __u32 zero;
};

BPF_PERCPU_ARRAY(dp_line, struct dp_line_answer, DP_LINE_ANSWERS);

static __always_inline int line_ask(struct __sk_buff *skb, __u32 ifindex, __be32 via)
{
    struct bpf_fib_lookup question = {.family = DP_AF_INET, .ifindex = ifindex, .ipv4_dst = via};

    /* As for a packet of the router itself, whose rules know the line's subnet whoever asks. */
    return bpf_fib_lookup(skb, &question, sizeof(question), BPF_FIB_LOOKUP_OUTPUT) == BPF_FIB_LKUP_RET_SUCCESS;
}

/* Does the kernel know the MAC behind an address? Two that meet in one place ask anew each time, and no more. */
static __always_inline int line_knows(struct __sk_buff *skb, const struct dp_verdict *verdict, __be32 via)
{
    __u32 place = (verdict->out ^ bpf_ntohl(via)) & (DP_LINE_ANSWERS - 1);
    struct dp_line_answer *answer = dp_line.lookup(&place);
    __u64 now = bpf_jiffies64();

    if (!answer)
        return 0;
    if (answer->jiffy != now || answer->port != verdict->out || answer->via != via) {
        answer->is_known = line_ask(skb, verdict->ifindex, via);
        answer->port = verdict->out;
        answer->via = via;
        answer->jiffy = now;
    }
    return answer->is_known;
}

/* A packet for a line whose next router has no MAC yet is the kernel's. */
static __always_inline void line_check(struct __sk_buff *skb, const struct dp_frame *frame, struct dp_verdict *verdict)
{
#ifndef DP_TRACE /* a made frame is on no device, and its line in no namespace */
    struct dp_ipv4 *ip = frame->data + DP_ETHER_BYTES;

    if (verdict->reason != DP_FORWARDED || verdict->how != DP_HOW_LINE || (void *)(ip + 1) > frame->end)
        return;
    if (!line_knows(skb, verdict, line_via(verdict, ip->destination)))
        verdict->reason = DP_NO_NEIGHBOUR;
#endif
}
