/* VLAN links without 8021q: a veth whose far end speaks 802.1Q on a device of the host (R26, R27).
 *
 *   router's namespace     host's namespace
 *   near end ------ veth ------ far end   --[vlan_push: tag]-->  egress of the parent
 *                               far end   <--[vlan_pop: untag]-- ingress of the parent
 *                               (and on its egress vlan_guard: nothing but what vlan_pop sent)
 *
 * Owns: tags. Must never look at what is behind them, and never touch an untagged frame of the host.
 * Every frame ends in exactly one reason; the sum of the counters is the number of frames seen.
 *
 * Nothing here is inlined from another file: bcc 0.26 does not rewrite map calls in included headers.
 */
#include <uapi/linux/bpf.h>
#include <uapi/linux/if_ether.h>
#include <uapi/linux/pkt_cls.h>

#define DP_VLAN_ID_MASK 0x0fff

/* On a frame between vlan_pop and vlan_guard only: the crossing of the veth into another namespace clears it. */
#define DP_VLAN_MARK 0x64707669

/* Counter index = text in dataplane/datapath/vlan.py (a unit test compares). Numbers are never given anew. */
enum dp_vlan_reason {
    DP_VLAN_DELIVERED = 0,  /* tag taken off, handed to its link */
    DP_VLAN_PUSHED = 1,     /* tag put on, handed to the parent */
    DP_VLAN_UNTAGGED = 2,   /* the host's own traffic, passed */
    DP_VLAN_UNKNOWN = 3,    /* a VLAN that no link speaks on this parent, dropped */
    DP_VLAN_DOUBLE_TAG = 4, /* a tag behind the tag, dropped */
    DP_VLAN_NO_LINK = 5,    /* from a far end that no entry names, dropped: fail closed */
    DP_VLAN_REFUSED = 6,    /* the kernel could not rewrite the frame, dropped */
    DP_VLAN_HOSTS_OWN = 7,  /* from the host itself into a far end, dropped: the line is not its own */
    DP_VLAN_REASONS = 8,
};

/* A VLAN on a parent. ifindexes are those of the namespace that the programs run in. */
struct dp_vlan_key {
    __u32 parent;
    __u16 vlan;
    __u16 zero;
};

/* Where the frames of a far end go. */
struct dp_vlan_line {
    __u32 parent;
    __u16 vlan;
    __u16 zero;
};

BPF_F_TABLE("hash", struct dp_vlan_key, __u32, dp_vlan, 4096, BPF_F_NO_PREALLOC);
BPF_F_TABLE("hash", __u32, struct dp_vlan_line, dp_vlan_far, 4096, BPF_F_NO_PREALLOC);
BPF_PERCPU_ARRAY(dp_vlan_reason, __u64, DP_VLAN_REASONS);

static inline int is_tag(__u32 protocol)
{
    return protocol == bpf_htons(ETH_P_8021Q) || protocol == bpf_htons(ETH_P_8021AD);
}

/* Ingress of a parent: tagged frames to their links. The kernel has moved an outer tag into vlan_tci by now, whether
 * the card stripped it or not, so that skb->protocol is what stands behind it.
 */
int vlan_pop(struct __sk_buff *skb)
{
    __u32 reason = DP_VLAN_UNTAGGED;
    /* UNSPEC, not OK: filters of others that come after ours still see the host's frames. */
    int verdict = TC_ACT_UNSPEC;
    struct dp_vlan_key key = {};
    __u32 *far = 0;

    if (skb->vlan_present) {
        key.parent = skb->ifindex;
        key.vlan = skb->vlan_tci & DP_VLAN_ID_MASK;
        if (is_tag(skb->protocol)) {
            reason = DP_VLAN_DOUBLE_TAG;
            verdict = TC_ACT_SHOT;
        } else if (key.vlan != 0 || skb->vlan_proto != bpf_htons(ETH_P_8021Q)) {
            /* VLAN 0 is a priority without a VLAN: the host takes such frames as untagged, and so do we. */
            reason = DP_VLAN_UNKNOWN;
            verdict = TC_ACT_SHOT;
            if (skb->vlan_proto == bpf_htons(ETH_P_8021Q))
                far = dp_vlan.lookup(&key);
        }
    }
    if (far) {
        __u32 ifindex = *far;

        if (bpf_skb_vlan_pop(skb)) {
            reason = DP_VLAN_REFUSED;
        } else {
            reason = DP_VLAN_DELIVERED;
            skb->mark = DP_VLAN_MARK;
            /* Its egress is the near end's ordinary reception: the kernel judges by MAC there, as on any card. */
            verdict = bpf_redirect(ifindex, 0);
        }
    }
    __u64 *count = dp_vlan_reason.lookup(&reason);
    if (count)
        *count += 1;
    return verdict;
}

/* Ingress of a far end: what the router sent, with its tag, out of the parent. */
int vlan_push(struct __sk_buff *skb)
{
    __u32 reason = DP_VLAN_NO_LINK;
    int verdict = TC_ACT_SHOT;
    __u32 far = skb->ifindex;
    struct dp_vlan_line *line = dp_vlan_far.lookup(&far);

    if (line && (skb->vlan_present || is_tag(skb->protocol))) {
        reason = DP_VLAN_DOUBLE_TAG;
    } else if (line) {
        __u32 parent = line->parent;

        if (bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), line->vlan)) {
            reason = DP_VLAN_REFUSED;
        } else {
            reason = DP_VLAN_PUSHED;
            verdict = bpf_redirect(parent, 0);
        }
    }
    __u64 *count = dp_vlan_reason.lookup(&reason);
    if (count)
        *count += 1;
    return verdict;
}

/* Egress of a far end, which is an interface of the host like any other to whoever runs there: IPv6, DHCP clients and
 * the like begin to speak on it by themselves, and would speak into the router.
 */
int vlan_guard(struct __sk_buff *skb)
{
    __u32 reason = DP_VLAN_HOSTS_OWN;

    if (skb->mark == DP_VLAN_MARK)
        return TC_ACT_UNSPEC;
    __u64 *count = dp_vlan_reason.lookup(&reason);
    if (count)
        *count += 1;
    return TC_ACT_SHOT;
}
