/* A frame as a hook hands it over, and what of it is looked at. Reads only, and never past the end. */
#define DP_ETHER_BYTES 14
#define DP_IPV4_BYTES 20
#define DP_ARP_BYTES 28
/* As much as is ever read: an ICMP error with the header and the ports of the packet that it is about. */
#define DP_HEADER_BYTES (DP_ETHER_BYTES + DP_IPV4_BYTES + 8 + DP_IPV4_BYTES + 4)
#define DP_FRAGMENT_MASK 0x3fff /* more fragments, or an offset */

/* Headers are aligned as the kernel's own are (NET_IP_ALIGN; where that is 0, any address will do): a struct that is packed
 * and no more would be read and written byte by byte.
 */
struct dp_ether {
    __u16 destination[3];
    __u16 source[3];
    __be16 type;
} __attribute__((packed, aligned(2)));

struct dp_ipv4 {
    __u8 version_ihl;
    __u8 tos;
    __be16 length;
    __be16 id;
    __be16 fragment;
    __u8 ttl;
    __u8 protocol;
    __u16 check;
    __be32 source;
    __be32 destination;
} __attribute__((packed, aligned(4)));

struct dp_arp {
    __be16 hardware;
    __be16 protocol;
    __u8 sizes[2];
    __be16 operation;
    __u16 sender_mac[3];
    __be32 sender;
    __u16 target_mac[3];
    __be32 target;
} __attribute__((packed, aligned(2)));

struct dp_frame {
    void *data;
    void *end;    /* of what can be read directly */
    __u32 bytes;  /* of the whole frame */
    __u32 gso;    /* payload bytes of each segment of a large packet; 0: it is one packet */
    __u32 port;   /* that it came in by */
    __u32 is_tagged; /* a VLAN tag in the metadata */
};

static __always_inline int mac_equals(const __u16 *a, const __u16 *b)
{
    return ((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2])) == 0;
}

static __always_inline int mac_is_zero(const __u16 *mac)
{
    return (mac[0] | mac[1] | mac[2]) == 0;
}

static __always_inline int ether_is_tag(__be16 type)
{
    return type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD);
}

/* RFC 1071: with its checksum, a header sums up to all ones. */
static __always_inline int ipv4_checksum_is_right(const struct dp_ipv4 *ip)
{
    const __u32 *word = (const __u32 *)ip;
    __u64 sum = 0;

    /* Two at a time: 2^16 is one, modulo 2^16 - 1. */
#pragma unroll
    for (int i = 0; i < DP_IPV4_BYTES / 4; i++)
        sum += word[i];
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return sum == 0xffff;
}

/* Addresses that Linux never forwards (ip_route_input_slow): it is to judge them. Of 0.0.0.0/8 that is only the first
 * one, since 5.3.
 */
static __always_inline int ipv4_is_martian(__be32 source, __be32 destination)
{
    __u32 from = bpf_ntohl(source), to = bpf_ntohl(destination);

    return from >> 28 == 0xe || from == 0xffffffff || from == 0 || from >> 24 == 127 || to >> 28 == 0xe ||
           to == 0xffffffff || to == 0 || to >> 24 == 127;
}
