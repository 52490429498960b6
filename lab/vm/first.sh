#!/bin/busybox sh
# The machine's first process, out of the initial RAM file system: finds the root and hands over to what runs there.
# The root is the launching machine's, read-only, under a layer in memory; or a folder of its own with an init of its
# own, which keeps what is written to it (/own is here then).
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

if [ -e /own ]; then
    $busybox mount -t virtiofs root /root || fail "cannot mount the root"
else
    $busybox mount -t virtiofs -o ro root /lower || fail "cannot mount the root"
    $busybox mount -t tmpfs -o size=60% upper /upper
    $busybox mkdir /upper/data /upper/work
    $busybox mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work root /root ||
        fail "cannot put a layer over the root"
fi

$busybox mount -t devtmpfs dev /root/dev
$busybox mount -t proc proc /root/proc
$busybox mount -t sysfs sys /root/sys
$busybox mount -t tmpfs -o mode=755 run /root/run
# The deletion of this file system by switch_root leaves what it needs itself in here.
$busybox mkdir /root/run/vm
$busybox cp -a /bin/busybox /second.sh /last.sh /command /root/run/vm/
[ -e /own ] || exec $busybox switch_root /root /run/vm/second.sh

modules=/root/lib/modules/$($busybox uname -r)
$busybox mkdir -p "$modules" /root/run/systemd/system/multi-user.target.wants
$busybox mount -t virtiofs -o ro modules "$modules" || fail "cannot mount the kernel's modules"
$busybox cp /vm-command.service /root/run/systemd/system/
$busybox ln -s ../vm-command.service /root/run/systemd/system/multi-user.target.wants/
# Nobody logs in on the kernel's console, and without udev the boot would wait 90 s for its port to appear.
$busybox ln -s /dev/null "/root/run/systemd/system/serial-getty@ttyS0.service"
exec $busybox switch_root /root /sbin/init
