/* Look-ups alone, 64 to a run: lib/fib.h stands before this text, with the structure that is to be measured. */
#define FIB_LOOKUPS 64
#define FIB_KEYS (1 << 20)

struct fib_keys {
    char addresses[FIB_KEYS * 4]; /* as text, or bcc makes code for each number */
};

struct fib_run {
    __u32 at;   /* the next key */
    __u32 mask; /* how many keys take part, less one */
    __u32 zero; /* what the compiler does not know to be 0 */
    __u32 seen; /* all leaves together, so that none is left out */
};

BPF_F_TABLE("array", __u32, struct fib_keys, fib_keys, 1, BPF_F_MMAPABLE);
BPF_F_TABLE("array", __u32, struct fib_run, fib_runs, 1, BPF_F_MMAPABLE);

/* Args: is_chased - the next key waits for the answer; looks_up - nothing but the loop where it does not. */
static __always_inline int fib_run(int is_chased, int looks_up)
{
    __u32 number = 0, at, seen = 0, leaf, zero;
    __be32 *keys = (__be32 *)fib_keys.lookup(&number);
    struct fib_run *run = fib_runs.lookup(&number);

    if (!keys || !run)
        return XDP_ABORTED;
    at = run->at;
    zero = run->zero;
    for (int i = 0; i < FIB_LOOKUPS; i++) {
        __be32 address = keys[at & run->mask & (FIB_KEYS - 1)];

        leaf = looks_up ? fib_lookup(1, address) : address;
        seen += leaf;
        at += 1 + (is_chased ? leaf & zero : 0);
    }
    run->at = at;
    run->seen = seen;
    return XDP_PASS;
}

int fib_floor_chased(struct xdp_md *ctx)
{
    return fib_run(1, 0);
}

int fib_floor_free(struct xdp_md *ctx)
{
    return fib_run(0, 0);
}

int fib_chased(struct xdp_md *ctx)
{
    return fib_run(1, 1);
}

int fib_free(struct xdp_md *ctx)
{
    return fib_run(0, 1);
}
