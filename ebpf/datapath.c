/* The forwarder: one core, decide() in lib/walk.h, and two thin entries that do what it says.
 *
 *   frame --> entry (dp_tc, dp_xdp): where is the frame, by which port did it come?
 *               --> decide(): port_admit, then router by router: TTL, fib_lookup, group_select, nexthop_admit
 *               --> limit_check: the leg's limits, if any
 *               --> walk_count
 *               --> forward: rewrite, redirect | pass: the kernel, unchanged | drop
 *
 * Maps are filled by dataplane/datapath/forwarding_maps.py; sizes come with -D. dataplane/datapath/flatten.py makes one
 * text of this file and lib/, since bcc does not rewrite map calls in included headers.
 */
#include <uapi/linux/bpf.h>
#include <uapi/linux/if_ether.h>
#include <uapi/linux/in.h>
#include <uapi/linux/pkt_cls.h>

#include "lib/reason.h"
#include "lib/parse.h"
#include "lib/port.h"
#include "lib/fib.h"
#include "lib/flow.h"
#include "lib/group.h"
#include "lib/nexthop.h"
#include "lib/trace.h"
#include "lib/limit.h"
#include "lib/walk.h"
#include "lib/charge.h"
#include "lib/rewrite.h"
#include "lib/line.h"

/* Devices that XDP sends to, by port id. An entry goes with its device. */
BPF_DEVMAP(dp_tx, DP_PORTS);

/* tc ingress of a port. bpf_redirect_peer cannot leave the namespace by index, so that the walk is one router long: the
 * program at the far end of the link goes on.
 */
int dp_tc(struct __sk_buff *skb)
{
    struct dp_verdict verdict = {};
    struct dp_frame frame = {};

    /* Keeps it in memory: in registers, each of its fields was spilled and joined at every branch, and what is fetched
     * for each packet anew was half as much again (ebpf/DESIGN.md, "Where the time goes").
     */
    asm volatile("" : : "r"(&verdict) : "memory");
    __u32 readable = (void *)(long)skb->data_end - (void *)(long)skb->data;

    /* A card may have put less than the headers into the part that can be read directly. */
    if (readable < DP_HEADER_BYTES && readable < skb->len)
        bpf_skb_pull_data(skb, skb->len < DP_HEADER_BYTES ? skb->len : DP_HEADER_BYTES);
    frame.data = (void *)(long)skb->data;
    frame.end = (void *)(long)skb->data_end;
    frame.bytes = skb->len;
    frame.gso = skb->gso_size;
    frame.port = trace_port(skb->ifindex - DP_IFINDEX_BASE);
    frame.is_tagged = skb->vlan_present;
    decide(&frame, &verdict, 1, 0);
    line_check(skb, &frame, &verdict);
    limit_check(&frame, &verdict, 0);
    trace_verdict(verdict.reason, verdict.out, verdict.ifindex, verdict.how, verdict.leaf);
    walk_count(&frame, &verdict, 1);
    if (verdict.reason >= DP_FIRST_DROP)
        return TC_ACT_SHOT;
    if (verdict.reason >= DP_FIRST_PASS)
        return TC_ACT_UNSPEC; /* not OK: filters of others that come after ours see it too */
    struct dp_ether *ether = frame.data;
    struct dp_ipv4 *ip = frame.data + DP_ETHER_BYTES;
    if ((void *)(ip + 1) > frame.end)
        return TC_ACT_SHOT;
    rewrite(ether, ip, &verdict, verdict.how != DP_HOW_LINE);
    if (verdict.leaf)
        skb->priority = DP_LEAF_CLASS + verdict.leaf - 1;
    if (verdict.how == DP_HOW_LINE)
        return line_redirect(&verdict, ip->destination);
    if (verdict.how == DP_HOW_PEER)
        return bpf_redirect_peer(verdict.ifindex, 0);
    return bpf_redirect(verdict.ifindex, 0);
}

/* Out of the last port of the walk. Only now it shows whether its device is still there. */
static __always_inline int xdp_forward(struct dp_frame *frame, struct dp_verdict *verdict)
{
    struct dp_ether *ether = frame->data;
    struct dp_ipv4 *ip = frame->data + DP_ETHER_BYTES;
    int action = XDP_DROP;

    if ((void *)(ip + 1) <= frame->end) {
        rewrite(ether, ip, verdict, 1); /* no line: decide() */
#ifdef DP_TRACE
        action = XDP_REDIRECT; /* where no device is, none is asked for */
#else
        action = dp_tx.redirect_map(verdict->out, XDP_DROP);
#endif
    }
    if (action != XDP_REDIRECT) {
        verdict->reason = DP_REFUSED;
        verdict->routers -= 1; /* the last one did not get rid of it */
    }
    return action;
}

/* XDP of a port: one redirect to the last port of the walk, whatever namespace that is in. */
int dp_xdp(struct xdp_md *ctx)
{
    struct dp_verdict verdict = {};
    struct dp_frame frame = {};
    int action;

    frame.data = (void *)(long)ctx->data;
    frame.end = (void *)(long)ctx->data_end;
    frame.bytes = frame.end - frame.data;
    frame.port = trace_port(ctx->ingress_ifindex - DP_IFINDEX_BASE);
    decide(&frame, &verdict, DP_MAX_ROUTERS, 1);
    limit_check(&frame, &verdict, 1);
    if (verdict.reason < DP_FIRST_PASS)
        action = xdp_forward(&frame, &verdict);
    else
        action = verdict.reason < DP_FIRST_DROP ? XDP_PASS : XDP_DROP;
    trace_verdict(verdict.reason, verdict.out, verdict.ifindex, verdict.how, verdict.leaf);
    walk_count(&frame, &verdict, DP_MAX_ROUTERS);
    return action;
}
