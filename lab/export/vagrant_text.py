"""What every ``Vagrantfile`` begins and ends with; the topology's own tables stand between them."""

HEAD = """\
# Written by `dataplane lab export {name} --to vagrant`: change lab.yaml, and export again.
#
#   vagrant up                                      three or so Debian 12 machines: libvirt, or VirtualBox
#   vagrant ssh {first} -c 'sudo dataplane status'
#   DATAPLANE_CHECKOUT=/path vagrant up             where this file is not at the top of a checkout
#
# The project's tests validate this file and run its scripts' words in namespaces; they start no machine.

CHECKOUT = ENV.fetch("DATAPLANE_CHECKOUT", __dir__)
NETWORK = File.expand_path("{network}", __dir__)
CONFIG = "{config}"
"""

TAIL = r"""
# A card's MAC is known before its name is: NAME MAC..., two steps, as one may have the other's name. udev does the same
# when the machine starts again.
NAME_CARDS = <<~'SH'
  set -eu
  rename() { [ "$1" = "$2" ] || { ip link set "$1" down; ip link set "$1" name "$2"; }; }
  with_mac() {
    for card in /sys/class/net/*; do
      # A VLAN has the MAC of the card below it.
      [ "$(cat "$card/iflink")" = "$(cat "$card/ifindex")" ] || continue
      if grep -qix "$1" "$card/address"; then basename "$card"; fi
    done
  }
  for step in first second; do
    number=0
    for word in "$@"; do
      number=$((number + 1))
      if [ $((number % 2)) = 1 ]; then name=$word; continue; fi
      mac=$(echo "$word" | sed 's/../&:/g; s/:$//')
      now=$(with_mac "$mac")
      if [ "$now" != "$name" ]; then
        if [ "$step" = first ]; then rename "$now" "card$number"; else rename "$now" "$name"; fi
      fi
      printf '[Match]\nPermanentMACAddress=%s\n[Link]\nName=%s\n' "$mac" "$name" >"/etc/systemd/network/10-$name.link"
      if [ "$step" = second ]; then ip link set "$name" up; fi
    done
  done
SH

INSTALL_HOST = <<~'SH'
  set -eu
  /opt/dataplane/scripts/setup
  /opt/dataplane/scripts/install
  rm -rf "$1"
  cp -rT /tmp/dataplane-network "$1"
  systemctl restart dataplane
SH

# The router asks the command what to do; no agent runs there.
INSTALL_ROUTER = <<~'SH'
  set -eu
  /opt/dataplane/scripts/setup frr
  ln -sfn /opt/dataplane/.venv/bin/dataplane /usr/local/bin/dataplane
  mkdir -p /etc/dataplane
  rm -rf "$1"
  cp -rT /tmp/dataplane-network "$1"
SH

Vagrant.configure("2") do |config|
  config.vm.box = "debian/bookworm64"
  config.vm.synced_folder ".", "/vagrant", disabled: true
  config.vm.synced_folder CHECKOUT, "/opt/dataplane", type: "rsync", rsync__exclude: [".git/", ".venv/"]
  config.vm.provider "libvirt" do |libvirt|
    libvirt.cpus = 2
    libvirt.memory = 1024
  end
  config.vm.provider "virtualbox" do |virtualbox|
    virtualbox.cpus = 2
    virtualbox.memory = 1024
    virtualbox.default_nic_type = "virtio"
  end
  CARDS.each do |name, cards|
    config.vm.define name do |machine|
      machine.vm.hostname = name
      cards.each do |_card, mac, network, mtu|
        machine.vm.network "private_network", auto_config: false, mac: mac, virtualbox__intnet: network,
          libvirt__network_name: network, libvirt__forward_mode: "veryisolated", libvirt__dhcp_enabled: false,
          libvirt__mtu: mtu
      end
      machine.vm.provision "cards", type: "shell", run: "always", inline: NAME_CARDS,
        args: cards.flat_map { |card| card.first(2) }
      machine.vm.provision "network", type: "file", source: NETWORK, destination: "/tmp/dataplane-network"
      machine.vm.provision "install", type: "shell", args: [CONFIG],
        inline: HOSTS.include?(name) ? INSTALL_HOST : INSTALL_ROUTER
      machine.vm.provision "around", type: "shell", run: "always", inline: SCRIPTS.fetch(name)
    end
  end
end
"""
