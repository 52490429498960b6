# Runs the command, reports, ends: the machine's first process, or a unit (vm-command.service) of its own init.
# Ports: ttyS0 the kernel's console, ttyS1 what the command says, ttyS2 what becomes of it.
busybox=/run/vm/busybox
# folder= where to run, bring= a file to send back, number= which of two machines, end= how to end; command as a
# function.
. /run/vm/command

# Bytes as they are: no line ends of a terminal.
$busybox stty -F /dev/ttyS1 raw -echo
$busybox stty -F /dev/ttyS2 raw -echo
exec 3>/dev/ttyS2
$busybox echo started >&3

export HOME=/root TERM=dumb LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
[ -z "$number" ] || export VM="$number"
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
# Setting a port waits until it is drained: a machine that is off, or stopped as its exit code is known, sends nothing
# more.
$busybox stty -F /dev/ttyS1 raw
$busybox echo "exit $code" >&3
$busybox stty -F /dev/ttyS2 raw
case $end in
init) exit 0 ;; # the unit asks the init to power off, which stops the services in their order
stay) exec $busybox sleep 100000 ;; # the other machine's command may still need this one; the launcher stops both
*) exec $busybox poweroff -f ;;
esac
