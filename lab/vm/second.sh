#!/run/vm/busybox sh
# The machine's first process, now in its root: mounts what a Linux system has, and goes on with last.sh.
busybox=/run/vm/busybox
# modules= the kernel's modules.
. /run/vm/command

$busybox mkdir -p /dev/pts /dev/shm /run/lock /run/netns /run/dataplane /var/lib/dataplane
$busybox mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
$busybox mount -t tmpfs shm /dev/shm
$busybox mount -t tmpfs state /var/lib/dataplane
$busybox mount -t cgroup2 cgroup /sys/fs/cgroup
$busybox mount -t bpf bpf /sys/fs/bpf
$busybox mount -t tracefs tracefs /sys/kernel/tracing
$busybox ln -sf /proc/self/fd /dev/fd
$busybox ln -sf fd/0 /dev/stdin && $busybox ln -sf fd/1 /dev/stdout && $busybox ln -sf fd/2 /dev/stderr
$busybox mkdir -p "/lib/modules/$($busybox uname -r)"
$busybox mount -o bind "$modules" "/lib/modules/$($busybox uname -r)"
$busybox hostname "vm$number"
$busybox ip link set lo up
exec $busybox sh /run/vm/last.sh
