#!/run/vm/busybox sh
# The machine's first process, now in its root: mounts what a Linux system has, runs the command, reports, ends.
# Ports: ttyS0 the kernel's console, ttyS1 what the command says, ttyS2 what becomes of it.
busybox=/run/vm/busybox
# modules= the kernel's modules, folder= where to run, bring= a file to send back, command as a function.
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
$busybox hostname vm
$busybox ip link set lo up

# Bytes as they are: no line ends of a terminal.
$busybox stty -F /dev/ttyS1 raw -echo
$busybox stty -F /dev/ttyS2 raw -echo
exec 3>/dev/ttyS2
$busybox echo started >&3

export HOME=/root TERM=dumb LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# By way of a pipe: on a port itself, which is a terminal, programs would show colours and progress.
$busybox mkfifo /run/vm/output
($busybox cat </run/vm/output >/dev/ttyS1; $busybox touch /run/vm/written) 3>&- &
(cd "$folder" && run_command) </dev/null >/run/vm/output 2>&1 3>&-
code=$?
# The writer ends with the last process that may still write. What a daemon of the command says later is lost.
tries=0
while [ ! -e /run/vm/written ] && [ $tries -lt 40 ]; do
    $busybox sleep 0.05
    tries=$((tries + 1))
done

if [ -n "$bring" ] && [ -f "$bring" ]; then
    $busybox echo "file $($busybox wc -c <"$bring")" >&3
    $busybox cat "$bring" >&3
fi
$busybox echo "exit $code" >&3
# Setting a port waits until it is drained; a machine that is off sends nothing more.
$busybox stty -F /dev/ttyS1 raw
$busybox stty -F /dev/ttyS2 raw
$busybox poweroff -f
