/* Ports: who may speak there, and which table answers. A port without an entry lets nothing through. */
#define DP_PORT_PRESENT 1
#define DP_PORT_CHECK_MAC 2
#define DP_PORT_CHECK_SOURCE 4
#define DP_PORT_TX 8 /* its device is in dp_tx: XDP can send to it */

/* ifindex = base + port id: ours are machine-wide unique (dataplane/model/names.py). */
#define DP_IFINDEX_BASE 1000000

struct dp_port {
    __u32 table; /* that what comes in is looked up in; 0: none, the kernel does it all */
    __be32 source;
    __u16 mac[3]; /* its own; zero: not known, and then nothing is addressed to it */
    __u16 source_mac[3];
    __u32 flags;
};

BPF_ARRAY(dp_port, struct dp_port, DP_PORTS);

static __always_inline struct dp_port *port_lookup(__u32 id)
{
    return dp_port.lookup(&id);
}

/* Apart from the lookup: "flag ? pointer : 0" becomes arithmetic with pointers, which the verifier refuses. */
static __always_inline int port_has(const struct dp_port *port, __u32 flag)
{
    return port && port->flags & flag;
}

/* May this ARP packet come from here? One that is cut short is the kernel's to refuse. */
static __always_inline __u32 port_admit_arp(const struct dp_port *port, const struct dp_frame *frame)
{
    struct dp_arp *arp = frame->data + DP_ETHER_BYTES;

    if ((void *)(arp + 1) > frame->end)
        return DP_ARP;
    if (port->flags & DP_PORT_CHECK_MAC && !mac_equals(arp->sender_mac, port->source_mac))
        return DP_SPOOFED_ARP;
    /* 0.0.0.0 asks whether an address is taken (RFC 5227), and claims none. */
    if (port->flags & DP_PORT_CHECK_SOURCE && arp->sender && arp->sender != port->source)
        return DP_SPOOFED_ARP;
    return DP_ARP;
}

/* Everything that is asked once, at the first port: is it an IPv4 packet that may be forwarded at all? */
static __always_inline __u32 port_admit(const struct dp_port *port, const struct dp_frame *frame)
{
    struct dp_ether *ether = frame->data;
    struct dp_ipv4 *ip = frame->data + DP_ETHER_BYTES;
    __u32 header, length;

    if ((void *)(ether + 1) > frame->end)
        return DP_SHORT;
    if (frame->is_tagged || ether_is_tag(ether->type))
        return DP_TAGGED;
    if (port->flags & DP_PORT_CHECK_MAC && !mac_equals(ether->source, port->source_mac))
        return DP_SPOOFED_MAC;
    if (ether->type == bpf_htons(ETH_P_ARP))
        return port_admit_arp(port, frame);
    if (ether->type != bpf_htons(ETH_P_IP))
        return DP_NOT_IPV4;
    if (mac_is_zero(port->mac) || !mac_equals(ether->destination, port->mac))
        return DP_NOT_OURS;
    if ((void *)(ip + 1) > frame->end)
        return DP_SHORT;
    header = (ip->version_ihl & 0xf) * 4;
    if (ip->version_ihl >> 4 != 4 || header < DP_IPV4_BYTES)
        return DP_BAD_HEADER;
    length = bpf_ntohs(ip->length);
    /* A large packet of several segments may say 0: its length does not fit into 16 bits (RFC 2675, BIG TCP). */
    if (length == 0 && frame->gso)
        length = frame->bytes - DP_ETHER_BYTES;
    if (length < header || length > frame->bytes - DP_ETHER_BYTES)
        return DP_BAD_LENGTH;
    if (port->flags & DP_PORT_CHECK_SOURCE && ip->source != port->source)
        return DP_SPOOFED_SOURCE;
    if (header != DP_IPV4_BYTES)
        return DP_OPTIONS;
    if (!ipv4_checksum_is_right(ip))
        return DP_BAD_CHECKSUM;
    if (ipv4_is_martian(ip->source, ip->destination))
        return DP_MARTIAN;
    return DP_FORWARDED;
}
