#!/bin/busybox sh
# The machine's first process, out of the initial RAM file system: finds the root and hands over to second.sh.
# Its root is this machine's, read-only, under a layer in memory.
busybox=/bin/busybox

# Without a root there is nothing to run: say it on the console and end.
fail() {
    $busybox echo "vm: $1" >/dev/console
    $busybox poweroff -f
}

while read -r module; do
    $busybox insmod "/modules/$module" || fail "cannot load $module"
done </modules/order

if [ -e /probe ]; then
    # Only whether a machine boots at all is asked.
    $busybox mount -t devtmpfs dev /dev
    $busybox echo started >/dev/ttyS2
    $busybox poweroff -f
fi

$busybox mount -t virtiofs -o ro root /lower || fail "cannot mount the root"
$busybox mount -t tmpfs -o size=60% upper /upper
$busybox mkdir /upper/data /upper/work
$busybox mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work root /root ||
    fail "cannot put a layer over the root"

$busybox mount -t devtmpfs dev /root/dev
$busybox mount -t proc proc /root/proc
$busybox mount -t sysfs sys /root/sys
$busybox mount -t tmpfs -o mode=755 run /root/run
# The deletion of this file system by switch_root leaves what it needs itself in here.
$busybox mkdir /root/run/vm
$busybox cp -a /bin/busybox /second.sh /command /root/run/vm/
exec $busybox switch_root /root /run/vm/second.sh
