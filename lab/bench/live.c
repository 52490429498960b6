/* What the group "forwarding" measures with: a generator, receivers that count, and xdp-forward's algorithm.
 *
 * Frames of BPF_F_TEST_XDP_LIVE_FRAMES come round again as the last lap left them, so that the generator writes every
 * byte of the headers each time. What it costs is in every variant.
 */
#include <uapi/linux/bpf.h>
#include <uapi/linux/if_ether.h>
#include <uapi/linux/in.h>
#include <uapi/linux/pkt_cls.h>

#define HEADER_BYTES 42
#define TARGETS 131072 /* a power of two: destinations are drawn from them */
#define SOURCE_PORT 7
#define TARGET_PORT 9 /* discard: by these two a receiver knows our frames */
#define TTLS 256
#define PORTS 1024
#define IFINDEX_BASE 1000000 /* the product's numbers (dataplane/model/names.py) */
#define AF_INET_NUMBER 2

struct live_job {
    __u8 macs[12]; /* destination and source */
    __u8 action;   /* that the generator returns, where it calls nobody */
    __u8 is_call;  /* the program in live_next goes on, in the same place */
    __u16 zero;
    __be32 source;
    __u32 mask; /* how many targets there are, less one */
};

struct live_frame {
    __u8 macs[12];
    __be16 type;
    __u8 version_ihl;
    __u8 tos;
    __be16 length;
    __be32 id;
    __u8 ttl;
    __u8 protocol;
    __u16 check;
    __be32 source;
    __be32 destination;
    __be16 source_port;
    __be16 target_port;
    __be16 udp_length;
    __u16 udp_check;
} __attribute__((packed));

BPF_ARRAY(live_jobs, struct live_job, 1);
BPF_ARRAY(live_targets, __u32, TARGETS);
BPF_ARRAY(live_seed, __u32, 1);
BPF_PERCPU_ARRAY(live_received, __u64, TTLS);
BPF_PROG_ARRAY(live_next, 1);
BPF_DEVMAP(live_tx, PORTS);

static __always_inline __u16 folded(__u32 sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return ~sum;
}

int live_generate(struct xdp_md *ctx)
{
    struct live_frame *frame = (void *)(long)ctx->data;
    int zero = 0;
    struct live_job *job = live_jobs.lookup(&zero);
    __u32 *seed = live_seed.lookup(&zero);
    __u32 place, *target, total;

    if (!job || !seed || (void *)(frame + 1) > (void *)(long)ctx->data_end)
        return XDP_ABORTED;
    *seed = *seed * 1664525 + 1013904223; /* Numerical Recipes: its upper bits are good enough to draw with */
    place = (*seed >> 12) & job->mask;
    target = live_targets.lookup(&place);
    if (!target)
        return XDP_ABORTED;
    total = ctx->data_end - ctx->data - ETH_HLEN;
    __builtin_memcpy(frame->macs, job->macs, sizeof(frame->macs));
    frame->type = bpf_htons(ETH_P_IP);
    frame->version_ihl = 0x45;
    frame->tos = 0;
    frame->length = bpf_htons(total);
    frame->id = 0;
    frame->ttl = 64;
    frame->protocol = IPPROTO_UDP;
    frame->source = job->source;
    frame->destination = *target;
    frame->check = folded(bpf_htons(0x4500) + bpf_htons(total) + bpf_htons(64 << 8 | IPPROTO_UDP) +
                          (job->source & 0xffff) + (job->source >> 16) + (*target & 0xffff) + (*target >> 16));
    frame->source_port = bpf_htons(SOURCE_PORT);
    frame->target_port = bpf_htons(TARGET_PORT);
    frame->udp_length = bpf_htons(total - 20);
    frame->udp_check = 0;
    if (job->is_call)
        live_next.call(ctx, 0);
    return job->action;
}

/* One of ours is counted by the TTL that it has left, which says how many routers it came through. */
static __always_inline int is_counted(struct live_frame *frame, void *end)
{
    __u64 *count;
    int ttl;

    if ((void *)(frame + 1) > end || frame->type != bpf_htons(ETH_P_IP) || frame->protocol != IPPROTO_UDP ||
        frame->source_port != bpf_htons(SOURCE_PORT) || frame->target_port != bpf_htons(TARGET_PORT))
        return 0;
    ttl = frame->ttl;
    count = live_received.lookup(&ttl);
    if (count)
        *count += 1;
    return 1;
}

int live_receive_xdp(struct xdp_md *ctx)
{
    return is_counted((void *)(long)ctx->data, (void *)(long)ctx->data_end) ? XDP_DROP : XDP_PASS;
}

int live_receive_tc(struct __sk_buff *skb)
{
    if (skb->data_end - skb->data < HEADER_BYTES)
        bpf_skb_pull_data(skb, HEADER_BYTES);
    return is_counted((void *)(long)skb->data, (void *)(long)skb->data_end) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

/* xdp-forward in its mode "fib-full": parse, ask the kernel, TTL, MACs, redirect. */
int live_fib(struct xdp_md *ctx)
{
    struct live_frame *frame = (void *)(long)ctx->data;
    struct bpf_fib_lookup asked = {};
    __u32 check;

    if ((void *)(frame + 1) > (void *)(long)ctx->data_end || frame->type != bpf_htons(ETH_P_IP) || frame->ttl <= 1)
        return XDP_PASS;
    asked.family = AF_INET_NUMBER;
    asked.tos = frame->tos;
    asked.l4_protocol = frame->protocol;
    asked.tot_len = bpf_ntohs(frame->length);
    asked.ipv4_src = frame->source;
    asked.ipv4_dst = frame->destination;
    asked.ifindex = ctx->ingress_ifindex;
    if (bpf_fib_lookup(ctx, &asked, sizeof(asked), 0) != BPF_FIB_LKUP_RET_SUCCESS)
        return XDP_PASS;
    check = frame->check + bpf_htons(0x0100);
    frame->check = check + (check >= 0xffff);
    frame->ttl -= 1;
    __builtin_memcpy(frame->macs, asked.dmac, 6);
    __builtin_memcpy(frame->macs + 6, asked.smac, 6);
    return live_tx.redirect_map(asked.ifindex - IFINDEX_BASE, 0);
}
