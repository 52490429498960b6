/* Why a frame went where it went, and how often.
 *
 * reason = index of the counter = metric label = text (dataplane/model/forwarding.py; a unit test compares). The range
 * that a number is in says what is done. Numbers are never given anew; a retired one stays reserved.
 */
enum dp_reason {
    /* 0 to 7: forwarded */
    DP_FORWARDED = 0,
    DP_CONTINUED = 1, /* counted at a router that the walk passes through: no frame of its own */

    /* 8 to 31: passed to the kernel, which answers, fragments or delivers as it should */
    DP_ARP = 8,
    DP_NOT_IPV4 = 9,
    DP_NOT_OURS = 10,
    DP_OPTIONS = 11,
    DP_MARTIAN = 12,
    DP_LOCAL = 13,
    DP_TTL = 14,
    DP_UNREACHABLE = 15,
    DP_PROHIBITED = 16,
    DP_NO_ROUTE = 17,
    DP_TOO_BIG = 18,
    DP_NO_NEIGHBOUR = 19,
    DP_KERNEL_ONLY = 20,
    DP_TOO_MANY_ROUTERS = 21,
    DP_SHAPED = 22,

    /* 32 to 63: dropped */
    DP_NO_PORT = 32,
    DP_SHORT = 33,
    DP_TAGGED = 34,
    DP_SPOOFED_MAC = 35,
    DP_SPOOFED_ARP = 36,
    DP_SPOOFED_SOURCE = 37,
    DP_BAD_HEADER = 38,
    DP_BAD_LENGTH = 39,
    DP_BAD_CHECKSUM = 40,
    DP_BLACKHOLE = 41,
    DP_REFUSED = 42,
    DP_LIMIT = 43,
};

#define DP_FIRST_PASS 8
#define DP_FIRST_DROP 32
#define DP_REASONS 64

struct dp_count {
    __u64 packets;
    __u64 bytes; /* of whole frames */
};

/* port id * DP_REASONS + reason; port 0 stands for all that no entry names. */
BPF_PERCPU_ARRAY(dp_reason, struct dp_count, DP_PORTS * DP_REASONS);

static __always_inline void reason_count(__u32 port, __u32 reason, __u32 bytes)
{
    __u32 index = (port < DP_PORTS ? port : 0) * DP_REASONS + reason;
    struct dp_count *count = dp_reason.lookup(&index);

    if (count) {
        count->packets += 1;
        count->bytes += bytes;
    }
}
