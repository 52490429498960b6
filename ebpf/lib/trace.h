/* What `dataplane datapath simulate` and the tests see of a run; compiled in with -DDP_TRACE only.
 *
 * BPF_PROG_TEST_RUN tells the verdict and the frame, but neither by which port it came in nor where it would go.
 */
#ifdef DP_TRACE
struct dp_trace_step {
    __u32 port;
    __u32 table;
    __u32 leaf;
    __u32 group;
    __u32 bucket;
    __u32 nexthop;
};

struct dp_trace {
    __u32 port;    /* in: the port that the frame comes in by */
    __u32 reason;  /* out, as all that follows */
    __u32 routers; /* that looked a route up, the last one included */
    __u32 out;     /* port */
    __u32 ifindex;
    __u32 how;
    struct dp_trace_step step[8];
    __u64 now; /* in: the clock of limits, in ns */
    __u32 leaf;
    __u32 zero;
};

BPF_F_TABLE("array", __u32, struct dp_trace, dp_trace, 1, BPF_F_MMAPABLE);
#endif

static __always_inline __u32 trace_port(__u32 port)
{
#ifdef DP_TRACE
    __u32 zero = 0;
    struct dp_trace *trace = dp_trace.lookup(&zero);

    if (trace) {
        trace->routers = 0;
        return trace->port;
    }
#endif
    return port;
}

#ifdef DP_TRACE
static __always_inline __u64 trace_now(void)
{
    __u32 zero = 0;
    struct dp_trace *trace = dp_trace.lookup(&zero);

    return trace ? trace->now : 0;
}
#endif

static __always_inline void trace_router(__u32 number, __u32 port)
{
#ifdef DP_TRACE
    __u32 zero = 0;
    struct dp_trace *trace = dp_trace.lookup(&zero);

    if (trace && number < 8) {
        struct dp_trace_step empty = {.port = port};

        trace->step[number] = empty;
        trace->routers = number + 1;
    }
#endif
}

/* The walk ended earlier than it was looked at. */
static __always_inline void trace_back(__u32 routers)
{
#ifdef DP_TRACE
    __u32 zero = 0;
    struct dp_trace *trace = dp_trace.lookup(&zero);

    if (trace)
        trace->routers = routers;
#endif
}

static __always_inline void trace_route(__u32 table, __u32 leaf, __u32 group, __u32 bucket, __u32 nexthop)
{
#ifdef DP_TRACE
    __u32 zero = 0;
    struct dp_trace *trace = dp_trace.lookup(&zero);
    __u32 number = trace ? trace->routers - 1 : 8;

    if (trace && number < 8) {
        trace->step[number].table = table;
        trace->step[number].leaf = leaf;
        trace->step[number].group = group;
        trace->step[number].bucket = bucket;
        trace->step[number].nexthop = nexthop;
    }
#endif
}

static __always_inline void trace_verdict(__u32 reason, __u32 out, __u32 ifindex, __u32 how, __u32 leaf)
{
#ifdef DP_TRACE
    __u32 zero = 0;
    struct dp_trace *trace = dp_trace.lookup(&zero);

    if (trace) {
        trace->reason = reason;
        trace->out = out;
        trace->ifindex = ifindex;
        trace->how = how;
        trace->leaf = leaf;
    }
#endif
}
