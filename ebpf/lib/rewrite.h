/* What a router does to a packet: TTL, checksum, MACs. The only place that writes into a frame.
 *
 * Args: has_macs - of a line only the kernel knows them, and puts both on.
 */
static __always_inline void rewrite(struct dp_ether *ether, struct dp_ipv4 *ip, const struct dp_verdict *verdict,
                                    int has_macs)
{
    /* RFC 1624, in the form of Linux (ip_decrease_ttl): ones' complement arithmetic modulo 65535. */
    __u32 check = ip->check + bpf_htons((__u16)(verdict->routers << 8));

    if (check >= 0xffff)
        check -= 0xffff;
    ip->check = check;
    ip->ttl -= verdict->routers;
    if (!has_macs)
        return;
#pragma unroll
    for (int i = 0; i < 3; i++) {
        ether->destination[i] = verdict->to[i];
        ether->source[i] = verdict->source_mac[i];
    }
}
